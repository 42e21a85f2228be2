"""How many prints a gap hid: the venue's minute bars count all of them, and our own tape those that we heard.

A forming 1m bar holds the minute's trades up to the moment at which it was asked for. Less what we counted in the same
minutes up to that moment, that is what was made while nobody listened: the gap's pace need not stay a forecast. No I/O,
no clock; block times in milliseconds.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from market_scraper.domain.audit import MINUTE_MS
from market_scraper.domain.market import Candle, Print
from market_scraper.domain.positions import TapeGap

STEPS_HELD = 8_192
"""Steps of the tape, mostly a block each: ten minutes and more of a busy coin. A count reaches back a minute or two."""


class Made(NamedTuple):
    """What was made in a stretch."""

    prints: int
    lots: int


class PrintCounts:
    """Prints of the last minutes, by the tape's own steps, for one coin."""

    def __init__(self, sz_decimals: int) -> None:
        self._lots_per_coin = 10**sz_decimals
        self._steps: deque[tuple[int, int, int]] = deque(maxlen=STEPS_HELD)  # (block time, prints, lots)
        self._from_ms: int | None = None  # every print after it is counted here

    def count(self, prints: Sequence[Print]) -> None:
        """Count prints that the tape let through (late ones too)."""
        if not prints:
            return
        if self._from_ms is None:
            self._from_ms = prints[0].time_ms - 1
        time_ms = prints[0].time_ms
        if time_ms == prints[-1].time_ms:  # nearly always: a block
            self._add(time_ms, len(prints), sum([p.lots for p in prints]))
            return
        for p in prints:
            self._add(p.time_ms, 1, p.lots)

    def _add(self, time_ms: int, prints: int, lots: int) -> None:
        if len(self._steps) == STEPS_HELD:
            self._from_ms = max(self._from_ms or 0, self._steps[0][0])
        self._steps.append((time_ms, prints, lots))

    def between(self, since_ms: int, until_ms: int) -> Made | None:
        """What was counted in (since, until]; None where that reaches back further than the count does."""
        if self._from_ms is None or since_ms < self._from_ms:
            return None
        prints = lots = 0
        for time_ms, some, of_lots in self._steps:
            if since_ms < time_ms <= until_ms:
                prints += some
                lots += of_lots
        return Made(prints, lots)

    def missed(self, gap: TapeGap, before: Iterable[TapeGap], bars: Iterable[Candle], asked_ms: int) -> Made | None:
        """What `gap` hid, by the 1m bars as of `asked_ms`, up to which our own tape must be whole by now.

        None where the minutes began before our count, hold another gap (one of `before`), or a bar tells no number.
        """
        first_ms, bars = first_minute(gap), list(bars)
        if not bars:
            return None
        asked_ms = min(asked_ms, max(bar.t_ms for bar in bars) + MINUTE_MS - 1)  # a minute without trades has no bar
        if any(other.until_ms > first_ms and other.since_ms < gap.since_ms for other in before):
            return None
        ours = self.between(first_ms - 1, asked_ms)
        if ours is None:
            return None
        prints = lots = 0
        for bar in bars:
            if first_ms <= bar.t_ms <= asked_ms:
                if bar.n is None:
                    return None
                prints += bar.n
                lots += round(bar.v * self._lots_per_coin)
        return Made(max(0, prints - ours.prints), max(0, lots - ours.lots))


def first_minute(gap: TapeGap) -> int:
    """When the minute began in which the gap did: the first bar that holds prints of it."""
    return (gap.since_ms + 1) // MINUTE_MS * MINUTE_MS
