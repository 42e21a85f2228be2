"""Signals and trader signals in SQLite."""

import sqlite3

from market_scraper.domain.signals import Signal, TraderSignal
from market_scraper.domain.values import Address, Recommendation, Symbol
from market_scraper.storage.documents import (
    CONFIDENCE,
    CONTRIBUTIONS,
    ID,
    KNOWN_AT,
    RECOMMENDATION,
    SIGNALS,
    SYMBOL,
    TID,
    TIME,
    TRADER,
    TRADER_SIGNALS,
    signal_from,
    trader_signal_from,
)
from market_scraper.storage.sqlite.conditions import Conditions
from market_scraper.storage.sqlite.reading import Readers
from market_scraper.storage.sqlite.schema import documents, select

_WHOLE = select(SIGNALS, SIGNALS.name)
_BRIEF = select(SIGNALS, SIGNALS.name, without=CONTRIBUTIONS)
_ACTS = select(TRADER_SIGNALS, TRADER_SIGNALS.name)
_NEWEST_FIRST = f"ORDER BY {TIME} DESC, {ID} DESC LIMIT ?"


class SqliteSignals:
    """Implements `SignalReader`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def get(self, signal_id: str) -> Signal | None:
        where = Conditions()
        where.add(f"{ID} = ?", signal_id)
        return await self._first(where)

    async def latest(self, symbol: Symbol, *, known_by_ms: int | None = None) -> Signal | None:
        where = Conditions()
        where.add(f"{SYMBOL} = ?", symbol)
        if known_by_ms is not None:
            where.add(f"{KNOWN_AT} <= ?", known_by_ms)
        return await self._first(where)

    async def previous(self, signal: Signal) -> Signal | None:
        where = Conditions()
        where.add(f"{SYMBOL} = ? AND ({TIME}, {ID}) < (?, ?)", signal.symbol, signal.t_ms, signal.id)
        return await self._first(where)

    async def history(
        self,
        symbol: Symbol,
        *,
        since_ms: int,
        limit: int,
        recommendation: Recommendation | None = None,
        known_by_ms: int | None = None,
        before: tuple[int, str] | None = None,
    ) -> list[Signal]:
        where = _since(symbol, since_ms, known_by_ms)
        if recommendation is not None:
            where.add(f"{RECOMMENDATION} = ?", recommendation.value)
        if before is not None:
            where.add(f"({TIME}, {ID}) < (?, ?)", *before)
        return await self._read(_BRIEF, where, limit)

    async def count(
        self, symbol: Symbol, *, since_ms: int, known_by_ms: int | None = None
    ) -> dict[Recommendation, int]:
        where = _since(symbol, since_ms, known_by_ms)

        def query(connection: sqlite3.Connection) -> dict[Recommendation, int]:
            found = connection.execute(
                f"SELECT {RECOMMENDATION}, count(*) FROM {SIGNALS.name} {where} GROUP BY 1", where.arguments
            )
            return dict.fromkeys(Recommendation, 0) | {Recommendation(name): count for name, count in found}

        return await self._readers.run(query)

    async def mean_confidence(self, symbol: Symbol, *, since_ms: int, known_by_ms: int | None = None) -> float | None:
        where = _since(symbol, since_ms, known_by_ms)

        def query(connection: sqlite3.Connection) -> float | None:
            found: float | None = connection.execute(
                f"SELECT avg({CONFIDENCE}) FROM {SIGNALS.name} {where}", where.arguments
            ).fetchone()[0]
            return found

        return await self._readers.run(query)

    async def of_trader(
        self,
        trader: Address,
        symbol: Symbol,
        *,
        since_ms: int,
        limit: int,
        known_by_ms: int | None = None,
        before: tuple[int, int] | None = None,
    ) -> list[TraderSignal]:
        where = _since(symbol, since_ms, known_by_ms)
        where.add(f"{TRADER} = ?", trader)
        if before is not None:
            where.add(f"({TIME}, {TID}) < (?, ?)", *before)

        def query(connection: sqlite3.Connection) -> list[TraderSignal]:
            cursor = connection.execute(
                f"{_ACTS} {where} ORDER BY {TIME} DESC, {TID} DESC LIMIT ?", (*where.arguments, limit)
            )
            return [trader_signal_from(document) for document in documents(TRADER_SIGNALS, cursor)]

        return await self._readers.run(query)

    async def _first(self, where: Conditions) -> Signal | None:
        found = await self._read(_WHOLE, where, 1)
        return found[0] if found else None

    async def _read(self, columns: str, where: Conditions, limit: int) -> list[Signal]:
        def query(connection: sqlite3.Connection) -> list[Signal]:
            cursor = connection.execute(f"{columns} {where} {_NEWEST_FIRST}", (*where.arguments, limit))
            return [signal_from(document) for document in documents(SIGNALS, cursor)]

        return await self._readers.run(query)


def _since(symbol: Symbol, since_ms: int, known_by_ms: int | None) -> Conditions:
    where = Conditions()
    where.add(f"{SYMBOL} = ? AND {TIME} >= ?", symbol, since_ms)
    if known_by_ms is not None:
        where.add(f"{KNOWN_AT} <= ?", known_by_ms)
    return where
