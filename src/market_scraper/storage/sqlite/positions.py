"""Positions in SQLite: states of everyone, history of tracked traders, tape marks."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from functools import partial

from market_scraper.domain.events import PositionChanged
from market_scraper.domain.positions import Position, TapeMark
from market_scraper.domain.values import Address, Symbol
from market_scraper.storage.documents import (
    COIN,
    KNOWN_AT,
    POSITION_STATE,
    TAPE_MARKS,
    TID,
    TIME,
    TRADER,
    TRADER_POSITIONS,
    VERSION,
    changed_from,
    mark_from,
    position_from,
)
from market_scraper.storage.sqlite.conditions import Conditions
from market_scraper.storage.sqlite.reading import Readers
from market_scraper.storage.sqlite.schema import documents, select

SLICE = 2_000  # 20 ms of decoding, so that somebody else gets a turn

_STATES = select(POSITION_STATE, POSITION_STATE.name)
_FACTS = select(TRADER_POSITIONS, TRADER_POSITIONS.name)
_MARKS = select(TAPE_MARKS, TAPE_MARKS.name)


class SqlitePositions:
    """Implements `PositionReader`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def states(self, symbol: Symbol) -> AsyncIterator[Sequence[Position]]:
        after = ""
        while found := await self._readers.run(partial(_states, symbol=symbol, after=after)):
            yield found
            after = found[-1].trader

    async def marks(self) -> dict[Symbol, TapeMark]:
        def query(connection: sqlite3.Connection) -> dict[Symbol, TapeMark]:
            found = map(mark_from, documents(TAPE_MARKS, connection.execute(_MARKS)))
            return {mark.symbol: mark for mark in found}

        return await self._readers.run(query)

    async def history(
        self,
        trader: Address,
        symbol: Symbol,
        *,
        since_ms: int,
        limit: int,
        known_by_ms: int | None = None,
        before: tuple[int, int] | None = None,
    ) -> list[PositionChanged]:
        where = Conditions()
        where.add(f"{TRADER} = ? AND {COIN} = ? AND {TIME} >= ?", trader, symbol, since_ms)
        if known_by_ms is not None:
            where.add(f"{KNOWN_AT} <= ?", known_by_ms)
        if before is not None:
            where.add(f"({TIME}, {TID}) < (?, ?)", *before)

        def query(connection: sqlite3.Connection) -> list[PositionChanged]:
            cursor = connection.execute(
                f"{_FACTS} {where} ORDER BY {TIME} DESC, {TID} DESC LIMIT ?", (*where.arguments, limit)
            )
            return [changed_from(document) for document in documents(TRADER_POSITIONS, cursor)]

        return await self._readers.run(query)

    async def at(self, symbol: Symbol, moment_ms: int, traders: Sequence[Address]) -> dict[Address, PositionChanged]:
        def query(connection: sqlite3.Connection) -> dict[Address, PositionChanged]:
            found = {}
            for trader in traders:
                # What was known last is the newest word, for what is known never falls; versions settle a tie.
                cursor = connection.execute(
                    f"{_FACTS} WHERE {TRADER} = ? AND {COIN} = ? AND {KNOWN_AT} <= ? AND {TIME} <= ? "
                    f"ORDER BY {KNOWN_AT} DESC, {VERSION} DESC LIMIT 1",
                    (trader, symbol, moment_ms, moment_ms),
                )
                for document in documents(TRADER_POSITIONS, cursor):
                    found[trader] = changed_from(document)
            return found

        return await self._readers.run(query)


def _states(connection: sqlite3.Connection, *, symbol: Symbol, after: str) -> list[Position]:
    cursor = connection.execute(
        f"{_STATES} WHERE {COIN} = ? AND {TRADER} > ? ORDER BY {TRADER} LIMIT ?", (symbol, after, SLICE)
    )
    return [position_from(document) for document in documents(POSITION_STATE, cursor)]
