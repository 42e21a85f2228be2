"""Facts on their way to the bus. The tape never waits: while the bus is full, facts of one trader merge."""

import asyncio
from collections.abc import Sequence
from typing import cast

from market_scraper.domain.events import PositionChanged
from market_scraper.domain.merging import merged
from market_scraper.domain.values import Address, Symbol
from market_scraper.domain.watch import Fact

MERGE_ABOVE = 2_000
"""Pending facts from which on merging begins; below it the publisher is merely between two steps."""


class Outbox:
    """An ordered queue of facts per process. One reader takes all of it at once.

    Facts merge as `domain.merging` allows, and never across a gap.
    No `TapeAdvanced` waits in here: whoever takes adds it behind what was taken, so that no merge can cross one.
    """

    def __init__(self, *, merge_above: int = MERGE_ABOVE) -> None:
        self.merged = 0
        self._merge_above = merge_above
        self._row: list[Fact | None] = []  # None: merged into a later one
        self._holes = 0
        self._last: dict[tuple[Address, Symbol], int] = {}  # the newest place of each position, kept while merging
        self._noted = 0  # places below it are in `_last`
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._row) - self._holes

    def put(self, event: Fact) -> None:
        """Add a fact; returns at once, whatever the bus does."""
        if len(self) > self._merge_above:
            event = self._merged(event)
        self._row.append(event)
        self._filled.set()

    def extend(self, events: Sequence[Fact]) -> None:
        """Add facts in their order: the same as one by one."""
        if not events:
            return
        row = self._row
        if len(row) - self._holes + len(events) <= self._merge_above:  # nearly always
            if not row:  # else it is set: once a batch is enough
                self._filled.set()
            row.extend(events)
        else:
            for event in events:
                self.put(event)

    def _merged(self, event: Fact) -> Fact:
        """Take an older fact of the same position out of the row, if the two may be one."""
        row = self._row
        if self._holes > len(row) // 2:  # else the row would grow for as long as the bus is full
            self._row = row = [earlier for earlier in row if earlier is not None]
            self._holes = self._noted = 0
            self._last.clear()
        if self._noted < len(row):  # only now does anybody need to know what is where
            for place in range(self._noted, len(row)):
                if (earlier := row[place]) is not None:
                    self._note(earlier, place)
        self._noted = len(row) + 1
        if isinstance(event, PositionChanged):
            at = self._last.get((event.after.trader, event.after.symbol))
            if at is not None:
                older = row[at]
                assert isinstance(older, PositionChanged)
                both = merged(older, event)
                if both is not None:
                    # It takes the later place: whoever reads up to there has seen all of its block.
                    event, row[at] = both, None
                    self._holes += 1
                    self.merged += 1
        self._note(event, len(row))
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
        row, self._row = self._row, []
        taken = [event for event in row if event is not None] if self._holes else cast(list[Fact], row)
        self._holes = self._noted = 0
        self._last.clear()
        self._filled.clear()
        return taken
