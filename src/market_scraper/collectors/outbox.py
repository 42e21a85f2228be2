"""Facts on their way to the bus. The tape never waits: while the bus is full, facts of one trader merge."""

import asyncio

import msgspec

from market_scraper.domain.events import PositionChanged
from market_scraper.domain.values import Address, Symbol
from market_scraper.domain.watch import Fact

MERGE_ABOVE = 2_000
"""Pending facts from which on merging begins; below it the publisher is merely between two steps."""


class Outbox:
    """An ordered queue of facts per process. One reader takes all of it at once.

    Merging keeps the first `lots_before` and the newest `after`, and never crosses zero, a change of state or a gap.
    No `TapeAdvanced` waits in here: whoever takes adds it behind what was taken, so that no merge can cross one.
    """

    def __init__(self, *, merge_above: int = MERGE_ABOVE) -> None:
        self.merged = 0
        self._merge_above = merge_above
        self._pending: dict[int, Fact] = {}  # by place in the row
        self._places = 0
        self._last: dict[tuple[Address, Symbol], int] = {}  # the newest place of each position, kept while merging
        self._noted = 0  # places below it are in `_last`
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._pending)

    def put(self, event: Fact) -> None:
        """Add a fact; returns at once, whatever the bus does."""
        pending = self._pending
        if len(pending) > self._merge_above:
            event = self._merged(event)
        pending[self._places] = event
        self._places += 1
        if len(pending) == 1:
            self._filled.set()

    def _merged(self, event: Fact) -> Fact:
        """Take an older fact of the same position out of the row, if the two may be one."""
        if self._noted < self._places:  # only now does anybody need to know what is where
            for place in range(self._noted, self._places):
                if (earlier := self._pending.get(place)) is not None:
                    self._note(earlier, place)
        self._noted = self._places + 1
        if isinstance(event, PositionChanged):
            at = self._last.get((event.after.trader, event.after.symbol))
            if at is not None:
                older = self._pending[at]
                assert isinstance(older, PositionChanged)
                if _may_merge(older, event):
                    # The newer takes the later place: whoever reads up to there has seen all of its block.
                    del self._pending[at]
                    event = msgspec.structs.replace(
                        event, lots_before=older.lots_before, merged=older.merged + event.merged + 1
                    )
                    self.merged += 1
        self._note(event, self._places)
        return event

    def _note(self, event: Fact, place: int) -> None:
        if isinstance(event, PositionChanged):
            self._last[event.after.trader, event.after.symbol] = place
        else:
            self._last.clear()

    def wake(self) -> None:
        """Let the reader look now, pending or not."""
        self._filled.set()

    async def filled(self) -> None:
        """Wait until something is pending, or `wake`."""
        await self._filled.wait()

    def take_now(self) -> list[Fact]:
        """Give all that is pending, perhaps nothing."""
        taken = list(self._pending.values())
        self._pending.clear()
        self._last.clear()
        self._noted = self._places
        self._filled.clear()
        return taken


def _may_merge(older: PositionChanged, newer: PositionChanged) -> bool:
    a, b = older.after, newer.after
    if a.state is not b.state or a.because is not b.because or older.cause is not newer.cause:
        return False
    if a.lots is None or b.lots is None:
        return a.lots is b.lots
    before = older.lots_before
    signs = {_sign(lots) for lots in (before, a.lots, b.lots) if lots is not None}
    return len(signs) == 1


def _sign(lots: int) -> int:
    return (lots > 0) - (lots < 0)
