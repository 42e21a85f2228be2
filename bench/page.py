"""docs/PERFORMANCE.md, written from figures that were measured."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from bench.catalogue import BENCHMARKS
from bench.figures import Aim, Figure

PAGE = Path(__file__).resolve().parent.parent / "docs" / "PERFORMANCE.md"

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def written(page: str, figures: Sequence[Figure]) -> str:
    """The page with its table made anew; what stands around the table is left alone."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(figures)}\n{END}{after}"


def table(figures: Sequence[Figure]) -> str:
    """One row a figure, and what was measured where."""
    lines = [
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}; "
        f"median of {min(len(each.rounds) for each in figures)} rounds (loop block, memory: the worst).",
        "",
        "| figure | value | floor | ratio | aim | met |",
        "|---|---|---|---|---|---|",
    ]
    for each in figures:
        floor = "" if each.floor is None else _number(each.floor)
        ratio = "" if each.ratio is None else f"{each.ratio:.2f}"
        met = {None: "", True: "yes", False: "**no**"}[each.met]
        lines.append(
            f"| `{each.name}` | {_number(each.value)} {each.unit} | {floor} | {ratio} | {_aim(each.aim)} | {met} |"
        )
    lines += ["", "What each is:", ""]
    for each in figures:
        benchmark = BENCHMARKS[each.name]
        beside = f" Floor: {benchmark.floor_is}." if benchmark.floor_is else ""
        lines.append(f"* `{each.name}`: {benchmark.says}.{beside}")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _aim(aim: Aim | None) -> str:
    if aim is None:
        return ""
    bound = f"≥ {aim.at_least:,g}" if aim.at_least is not None else f"≤ {aim.at_most:,g}"
    return f"{aim.of} {bound}"
