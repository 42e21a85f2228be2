"""Draws docs/pictures/cbbi.svg from a recording of the CBBI's file: the confidence, and the nine components below it.

uv run python docs/pictures/cbbi.py ../shared/data/cbbi/latest_20260819T083421Z.json.gz
"""

import gzip
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
EVERY_DAYS = 7
WIDTH, HEAD, GAP = 960, 46, 26
WIDE_HEIGHT, SMALL_HEIGHT, COLUMNS = 190, 92, 3

COMPONENTS = {
    "PiCycle": "111 days against 2 x 350",
    "RUPL": "unrealised profit and loss",
    "RHODL": "realised value, young to old",
    "Puell": "issuance against its year",
    "2YMA": "two-year moving average",
    "Trolololo": "logarithmic trend line",
    "MVRV": "Z-score",
    "ReserveRisk": "price against conviction",
    "Woobull": "Top Cap and CVDD",
}

STYLE = """
  text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #3d4450 }
  .title { font-size: 15px; font-weight: 600; fill: #16191f }
  .name { font-weight: 600; fill: #16191f }
  .now { font-variant-numeric: tabular-nums; text-anchor: end }
  .axis { font-size: 10px; fill: #757d8a }
  .paper { fill: #ffffff } .box { fill: #f4f5f7 } .grid { stroke: #dcdfe4; stroke-width: 1 }
  .line { fill: none; stroke: #1f6feb; stroke-width: 1.2; stroke-linejoin: round }
  .whole { stroke: #d9480f; stroke-width: 1.6 }
  @media (prefers-color-scheme: dark) {
    text { fill: #aeb6c2 } .title, .name { fill: #eef1f5 } .axis { fill: #8b93a1 }
    .paper { fill: #12151a } .box { fill: #1b1f26 } .grid { stroke: #2c323c }
    .line { stroke: #6ea8fe } .whole { stroke: #ff9a5c }
  }
"""


class Panel:
    """One series in a box: 0 at the bottom, 1 at the top, nulls as gaps."""

    def __init__(self, x: float, y: float, width: float, height: float, first_s: int, last_s: int) -> None:
        self._x, self._y, self._width, self._height = x, y, width, height
        self._first_s, self._span_s = first_s, last_s - first_s

    def drawn(self, name: str, title: str, series: dict[int, float | None], *, whole: bool = False) -> list[str]:
        """The box with its name and newest value above it."""
        newest = next(value for _, value in sorted(series.items(), reverse=True) if value is not None)
        right, top = self._x + self._width, self._y - 7
        return [
            f'<rect class="box" x="{self._x}" y="{self._y}" width="{self._width}" height="{self._height}" rx="3"/>',
            *self._grid(whole),
            f'<text x="{self._x}" y="{top}"><tspan class="name">{name}</tspan>  {title}</text>',
            f'<text class="now" x="{right}" y="{top}">{newest:.2f}</text>',
            *(f'<polyline class="line{" whole" * whole}" points="{points}"/>' for points in self._runs(series)),
        ]

    def _grid(self, whole: bool) -> list[str]:
        lines = []
        for level in (0.25, 0.5, 0.75) if whole else (0.5,):
            y = self._y + self._height * (1 - level)
            lines.append(f'<line class="grid" x1="{self._x}" x2="{self._x + self._width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        for year in range(2012, 2027, 2 if whole else 4):
            x = self._place(int(datetime(year, 1, 1, tzinfo=UTC).timestamp()))
            bottom = self._y + self._height
            lines.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{self._y}" y2="{bottom}"/>')
            lines.append(f'<text class="axis" x="{x:.1f}" y="{bottom + 11}">{year}</text>')
        return lines

    def _runs(self, series: dict[int, float | None]) -> list[str]:
        """Unbroken stretches as points."""
        runs: list[list[str]] = [[]]
        for t_s, value in sorted(series.items())[::EVERY_DAYS]:
            if value is None:
                runs.append([])
            else:
                runs[-1].append(f"{self._place(t_s):.1f},{self._y + self._height * (1 - value):.1f}")
        return [" ".join(run) for run in runs if run]

    def _place(self, t_s: int) -> float:
        return self._x + self._width * (t_s - self._first_s) / self._span_s


def picture(recording: Path) -> str:
    """The whole SVG."""
    maps = json.loads(gzip.decompress(recording.read_bytes()))
    series = {name: {int(t): value for t, value in of.items()} for name, of in maps.items() if name != "Price"}
    first_s, last_s = min(series["Confidence"]), max(series["Confidence"])
    day = datetime.fromtimestamp(last_s, UTC).date()
    parts = [
        f'<text class="title" x="{GAP}" y="28">CBBI as it stood on {day}: 0 = bottom, 1 = top of a cycle</text>',
    ]
    y = HEAD + GAP
    wide = Panel(GAP, y, WIDTH - 2 * GAP, WIDE_HEIGHT, first_s, last_s)
    parts += wide.drawn("Confidence", "the mean of the nine", series["Confidence"], whole=True)
    y += WIDE_HEIGHT + 2 * GAP
    width = (WIDTH - (COLUMNS + 1) * GAP) / COLUMNS
    for place, (name, title) in enumerate(COMPONENTS.items()):
        row, column = divmod(place, COLUMNS)
        top = y + row * (SMALL_HEIGHT + GAP + 14)
        panel = Panel(GAP + column * (width + GAP), top, width, SMALL_HEIGHT, first_s, last_s)
        parts += panel.drawn(name, title, series[name])
    height = y + -(-len(COMPONENTS) // COLUMNS) * (SMALL_HEIGHT + GAP + 14)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="CBBI confidence and its nine components, 2011 to {day.year}">\n<style>{STYLE}</style>\n'
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    (HERE / "cbbi.svg").write_text(picture(Path(sys.argv[1])))
