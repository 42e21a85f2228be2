"""The store in one SQLite file: one writer thread, readers beside it, several processes at once."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from market_scraper.ports.clock import Clock
from market_scraper.ports.stores import LeaderboardPart, Retention, Row
from market_scraper.storage import documents
from market_scraper.storage.retention import cutoffs_ms
from market_scraper.storage.shapes import Collection
from market_scraper.storage.sqlite import leaderboard, schema
from market_scraper.storage.sqlite.candles import SqliteCandles
from market_scraper.storage.sqlite.onchain import SqliteReadings
from market_scraper.storage.sqlite.positions import SqlitePositions
from market_scraper.storage.sqlite.reading import Readers
from market_scraper.storage.sqlite.settings import SqliteSettings
from market_scraper.storage.sqlite.signals import SqliteSignals
from market_scraper.storage.sqlite.traders import SqliteTraders
from market_scraper.storage.sqlite.writer import Writer

T = TypeVar("T")
EXPIRE_ROWS = 500
"""Old rows that one transaction deletes; a write waits for one of these at the most. 5,000 take 90 ms, 500 take 30."""

EXPIRE_BLOCKS = 50  # of the leaderboard, some 20 kB each
EXPIRE_REST_S = 0.02
"""Rest after each: another process's write looks for a free moment now and then, it does not queue with ours."""


class SqliteStore:
    """Implements `ports.stores.Store`. Entering opens the file, or raises StoreUnreachable.

    A write that has returned survives the death of the process. `busy_s` is how long (real seconds) to wait for
    another process's transaction before StoreError. By `clock`, expiry rests now and then; without one it does not.
    """

    def __init__(
        self, path: Path, retention: Retention | None = None, *, busy_s: float = 5.0, clock: Clock | None = None
    ) -> None:
        self.path = path
        self._retention = retention or Retention()
        self._clock = clock
        self._made: set[str] = set()  # tables of candles that are there
        self._chain = leaderboard.ChainWriter()
        self._writer = Writer(path, busy_s, self._forget)
        self._readers = Readers(path, busy_s)
        self.candles = SqliteCandles(self._readers)
        self.positions = SqlitePositions(self._readers)
        self.traders = SqliteTraders(self._readers)
        self.signals = SqliteSignals(self._readers)
        self.readings = SqliteReadings(self._readers)
        self.settings = SqliteSettings(self._readers)

    async def __aenter__(self) -> Self:
        try:
            await asyncio.wrap_future(self._writer.open())
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def write(self, rows: Sequence[Row]) -> None:
        """Commit all rows or none; raises InvalidInput when one of them can never be stored, else StoreError."""
        kept = tuple(rows)
        if kept:
            await self._in_writer(lambda connection: self._write(connection, kept))

    async def expire(self, now_ms: int) -> dict[str, int]:
        """Delete what is older than the retention, some rows at a time, so that no write waits long."""
        limits = cutoffs_ms(self._retention, now_ms)
        deleted = dict.fromkeys(limits, 0)
        for shape in documents.COLLECTIONS:
            if shape.name in limits:
                delete_some = _deleter(shape, limits[shape.name])
                while count := await self._in_writer(delete_some):
                    deleted[shape.name] += count
                    if self._clock is not None:
                        await self._clock.sleep(EXPIRE_REST_S)
        return deleted

    async def check(self) -> None:
        """Answer, or raise StoreError."""
        await self._readers.run(lambda connection: connection.execute("PRAGMA user_version").fetchone())

    async def close(self) -> None:
        """Finish what is queued and close the file. May be called twice."""
        await asyncio.to_thread(self._writer.close)
        await asyncio.to_thread(self._readers.close)

    async def _in_writer(self, work: Callable[[sqlite3.Connection], T]) -> T:
        done: Future[T] = self._writer.submit(work)
        return await asyncio.wrap_future(done)

    def _write(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        """Runs in the writer thread, in a transaction; the order of rows is kept."""
        for (name, shape), group in groupby(rows, _place):
            if shape is documents.LEADERBOARD_HISTORY:
                for part in group:
                    assert isinstance(part, LeaderboardPart)
                    self._chain.write(connection, part)
                continue
            if shape is documents.CANDLES and name not in self._made:
                schema.create_table(connection, shape, name)
                self._made.add(name)
            values = [schema.values(shape, documents.to_document(row)) for row in group]
            connection.executemany(schema.upsert(shape, name), values)

    def _forget(self) -> None:
        self._made.clear()
        self._chain.forget()


def _place(row: Row) -> tuple[str, Collection]:
    if isinstance(row, LeaderboardPart):
        return documents.LEADERBOARD_HISTORY.name, documents.LEADERBOARD_HISTORY
    return documents.collection_of(row)


def _deleter(shape: Collection, before_ms: int) -> Callable[[sqlite3.Connection], int]:
    """What deletes some of the rows older than that and gives how many; 0 = none are left."""
    if shape is documents.LEADERBOARD_HISTORY:
        return lambda connection: leaderboard.expire(connection, before_ms, EXPIRE_BLOCKS)
    query = (
        f'DELETE FROM "{shape.name}" WHERE rowid IN '
        f'(SELECT rowid FROM "{shape.name}" WHERE "{shape.expires_by}" < ? LIMIT {EXPIRE_ROWS})'
    )
    return lambda connection: connection.execute(query, (before_ms,)).rowcount
