"""A store that forgets when the process ends."""

import types
from collections.abc import Generator, Sequence
from types import TracebackType
from typing import Self

from market_scraper.domain.errors import StoreError
from market_scraper.ports.stores import DeadLetterRow, LeaderboardPart, Retention, Row
from market_scraper.storage import documents
from market_scraper.storage.leaderboard import check_part
from market_scraper.storage.memory.readers import (
    MemoryCandles,
    MemoryPositions,
    MemoryReadings,
    MemorySettings,
    MemorySignals,
    MemoryTraders,
)
from market_scraper.storage.memory.tables import Tables
from market_scraper.storage.retention import cutoffs_ms

CHECKED_A_TURN = 25
"""Rows looked at before others get a turn: some 0.3 ms, where a flush of a hundred held the event loop for 1.7."""


@types.coroutine
def _one_turn() -> Generator[None, None, None]:
    yield


class MemoryRepository:
    """Implements `ports.stores.Store` in memory; for tests, trials and the demo.

    It may be used without `async with`. What is closed keeps its rows and refuses to be written or checked.
    """

    def __init__(self, retention: Retention | None = None) -> None:
        self._retention = retention or Retention()
        self._tables = Tables()
        self._closed = False
        self.candles = MemoryCandles(self._tables)
        self.positions = MemoryPositions(self._tables)
        self.traders = MemoryTraders(self._tables)
        self.signals = MemorySignals(self._tables)
        self.readings = MemoryReadings(self._tables)
        self.settings = MemorySettings(self._tables)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def dead_letters(self) -> list[DeadLetterRow]:
        """What was parked, oldest first."""
        return list(self._tables.dead_letters.values())

    async def write(self, rows: Sequence[Row]) -> None:
        """Keep all rows or none; raises InvalidInput for a row that no backend could keep."""
        await self.check()
        for place, row in enumerate(rows, 1):
            if isinstance(row, LeaderboardPart):
                check_part(row)
            else:
                documents.to_document(row)
            if place % CHECKED_A_TURN == 0:
                await _one_turn()
        await self.check()  # it may have been closed meanwhile
        for row in rows:
            self._tables.put(row)

    async def expire(self, now_ms: int) -> dict[str, int]:
        """Forget what is older than the retention; the leaderboard holds only rows as last seen, which stay."""
        await self.check()
        tables, limits = self._tables, cutoffs_ms(self._retention, now_ms)
        facts, signals = limits[documents.TRADER_POSITIONS.name], limits[documents.SIGNALS.name]
        acts, scores = limits[documents.TRADER_SIGNALS.name], limits[documents.TRADER_SCORES.name]
        letters = limits[documents.DEAD_LETTERS.name]
        old_scores = sum(series.drop_before(scores) for series in tables.scores_of.values())
        tables.scores.drop_before(scores)
        old_letters = [key for key in tables.dead_letters if key[1] < letters]
        for key in old_letters:
            del tables.dead_letters[key]
        old_ids = [signal.id for signal in tables.signal_by_id.values() if signal.t_ms < signals]
        for signal_id in old_ids:
            del tables.signal_by_id[signal_id]
        for series in tables.signals.values():
            series.drop_before((signals,))
        return {
            documents.TRADER_POSITIONS.name: sum(series.drop_before((facts,)) for series in tables.facts.values()),
            documents.SIGNALS.name: len(old_ids),
            documents.TRADER_SIGNALS.name: sum(s.drop_before((acts,)) for s in tables.trader_signals.values()),
            documents.TRADER_SCORES.name: old_scores,
            documents.LEADERBOARD_HISTORY.name: 0,
            documents.DEAD_LETTERS.name: len(old_letters),
        }

    async def check(self) -> None:
        """Raise StoreError once closed."""
        if self._closed:
            raise StoreError("the memory store is closed")

    async def close(self) -> None:
        """May be called twice."""
        self._closed = True
