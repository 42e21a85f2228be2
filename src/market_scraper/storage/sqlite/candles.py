"""Candles in SQLite: one table a series, made with its first candle."""

import sqlite3

from market_scraper.domain.market import Candle
from market_scraper.domain.values import Interval, Symbol
from market_scraper.storage.documents import CANDLES, TIME, candle_from
from market_scraper.storage.gaps import missing_between
from market_scraper.storage.shapes import candles_name
from market_scraper.storage.sqlite.reading import Readers
from market_scraper.storage.sqlite.schema import documents, select


class SqliteCandles:
    """Implements `CandleReader`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def newest(self, symbol: Symbol, interval: Interval) -> Candle | None:
        newest = await self.history(symbol, interval, start_ms=None, end_ms=None, limit=1)
        return newest[0] if newest else None

    async def history(
        self, symbol: Symbol, interval: Interval, *, start_ms: int | None, end_ms: int | None, limit: int
    ) -> list[Candle]:
        name = candles_name(symbol, interval)
        end = 2**62 if end_ms is None else end_ms
        start = -(2**62) if start_ms is None else start_ms
        order = "DESC" if start_ms is None else "ASC"

        def query(connection: sqlite3.Connection) -> list[Candle]:
            if not _exists(connection, name):
                return []
            cursor = connection.execute(
                f"{select(CANDLES, name)} WHERE {TIME} BETWEEN ? AND ? ORDER BY {TIME} {order} LIMIT ?",
                (start, end, limit),
            )
            found = [candle_from(document) for document in documents(CANDLES, cursor)]
            return found[::-1] if start_ms is None else found

        return await self._readers.run(query)

    async def gaps(
        self, symbol: Symbol, interval: Interval, *, start_ms: int | None = None, end_ms: int | None = None
    ) -> list[tuple[int, int]]:
        name = candles_name(symbol, interval)

        def query(connection: sqlite3.Connection) -> list[tuple[int, int]]:
            if not _exists(connection, name):
                return []
            # The stored neighbours just outside the bounds tell whether a gap reaches across them.
            apart = connection.execute(
                f"SELECT before, {TIME} FROM (SELECT {TIME}, lag({TIME}) OVER (ORDER BY {TIME}) AS before "
                f'FROM "{name}" WHERE {TIME} >= coalesce((SELECT max({TIME}) FROM "{name}" WHERE {TIME} < ?1), ?1) '
                f'AND {TIME} <= coalesce((SELECT min({TIME}) FROM "{name}" WHERE {TIME} > ?2), ?2)) '
                f"WHERE {TIME} - before > ?3 ORDER BY {TIME}",
                (-(2**62) if start_ms is None else start_ms, 2**62 if end_ms is None else end_ms, interval.ms),
            )
            return missing_between(apart, interval.ms, start_ms=start_ms, end_ms=end_ms)

        return await self._readers.run(query)


def _exists(connection: sqlite3.Connection, name: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (name,)).fetchone() is not None
