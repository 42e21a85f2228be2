"""raw.githubusercontent.com: `/coinmetrics/data/master/csv/btc.csv` (facts, section 3): every free metric of every day.

The last row is today's and holds nothing but reference rates; yesterday's is complete from about 03:20 UTC.
"""

from collections.abc import Callable, Iterator

from starlette.requests import Request

from market_scraper.simulator.onchain.answers import Sheet
from market_scraper.simulator.onchain.coin_metrics_table import Table
from market_scraper.simulator.onchain.days import GENESIS, date_of, day_at
from market_scraper.simulator.onchain.faults import Spoil

_SLICE_DAYS = 10


class CoinMetricsCsv:
    """The file as it would be committed now."""

    def __init__(self, table: Table, now_ms: Callable[[], int]) -> None:
        self._table, self._now_ms = table, now_ms

    def file(self, _request: Request, spoil: Spoil) -> Sheet:
        """GET the file: 2.4 MB; columns in alphabetical order after `time`."""
        now = self._now_ms()
        return Sheet(
            parts=self._rows(now, spoil),
            media_type="text/plain; charset=utf-8",
            version=self._table.version(now),
            headers={"cache-control": "max-age=300"},
        )

    def _rows(self, now_ms: int, spoil: Spoil) -> Iterator[bytes]:
        names = [name for name in self._table.columns if not spoil.forbids(name)]
        yield (",".join(("time", *(spoil.name(name) for name in names))) + "\n").encode()
        days = range(GENESIS, day_at(now_ms) + 1)
        for first in range(0, len(days), _SLICE_DAYS):
            lines = []
            for day in days[first : first + _SLICE_DAYS]:
                if spoil.spares_values:
                    lines.append(f"{date_of(day)},{self._table.line(day, now_ms)}\n")
                    continue
                cells = [cell or "" for cell in self._table.row(names, day, now_ms, spoil)]
                lines.append(f"{date_of(day)},{','.join(cells)}\n")
            yield "".join(lines).encode()
