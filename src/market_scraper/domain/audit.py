"""Our own minute bars against the venue's: a closed 1m candle says how many prints there were and how much."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from market_scraper.domain.market import Candle, Print

MINUTE_MS = 60_000
MINUTES_KEPT = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """A minute in which the venue saw other trades than we did: a suspected gap."""

    minute_ms: int
    venue_prints: int
    our_prints: int
    venue_lots: int
    our_lots: int


class MinuteAudit:
    """Counts each minute's prints of one coin, and compares them with the venue's bar once the tape has passed it."""

    def __init__(self, sz_decimals: int) -> None:
        self._lots_per_coin = 10**sz_decimals
        self._minutes: OrderedDict[int, list[int]] = OrderedDict()  # open time -> [prints, lots]
        self._forgot_ms = -1  # minutes at or before it are no longer held
        self._bars: OrderedDict[int, Candle] = OrderedDict()
        self.compared = 0
        self.mismatches = 0

    def count(self, prints: Sequence[Print]) -> None:
        """Count prints that the tape let through (late ones too)."""
        for p in prints:
            sums = self._minutes.setdefault(p.time_ms // MINUTE_MS * MINUTE_MS, [0, 0])
            sums[0] += 1
            sums[1] += p.lots
        while len(self._minutes) > MINUTES_KEPT:
            self._forgot_ms = max(self._forgot_ms, self._minutes.popitem(last=False)[0])

    def hear(self, bar: Candle) -> None:
        """Take a closed 1m bar; the last word on a minute counts."""
        self._bars[bar.t_ms] = bar
        while len(self._bars) > MINUTES_KEPT:
            self._bars.popitem(last=False)

    def compare(self, *, whole_from_ms: int, watermark_ms: int) -> list[Mismatch]:
        """Compare the minutes that lie wholly in (whole_from_ms, watermark_ms - one minute]; each once.

        The extra minute lets a late socket's prints and the bar's last word come in.
        """
        found = []
        for t_ms in list(self._bars):
            if t_ms + 2 * MINUTE_MS > watermark_ms:
                continue
            bar = self._bars.pop(t_ms)
            if t_ms <= whole_from_ms or t_ms <= self._forgot_ms or bar.n is None:
                continue
            self.compared += 1
            prints, lots = self._minutes.get(t_ms, (0, 0))
            venue_lots = round(bar.v * self._lots_per_coin)
            if (prints, lots) != (bar.n, venue_lots):
                self.mismatches += 1
                found.append(
                    Mismatch(
                        minute_ms=t_ms,
                        venue_prints=bar.n,
                        our_prints=prints,
                        venue_lots=venue_lots,
                        our_lots=lots,
                    )
                )
        return found
