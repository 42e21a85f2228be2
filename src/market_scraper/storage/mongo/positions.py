"""Positions in MongoDB: states of everyone, history of tracked traders, tape marks."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

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
from market_scraper.storage.mongo.reading import NEWEST, OLDEST, Reader, before_both, for_each
from market_scraper.storage.mongo.wire import Bson, date


class MongoPositions:
    """Implements `PositionReader`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def states(self, symbol: Symbol) -> AsyncIterator[Sequence[Position]]:
        slices = self._reader.slices(POSITION_STATE, {COIN: symbol}, position_from, order=[(TRADER, OLDEST)])
        async with aclosing(slices):
            async for found in slices:
                yield found

    async def marks(self) -> dict[Symbol, TapeMark]:
        slices = self._reader.slices(TAPE_MARKS, {}, mark_from, order=[(COIN, OLDEST)])
        return {mark.symbol: mark async for found in slices for mark in found}

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
        where: Bson = {TRADER: trader, COIN: symbol, TIME: {"$gte": date(since_ms)}}
        if known_by_ms is not None:
            where[KNOWN_AT] = {"$lte": date(known_by_ms)}
        if before is not None:
            t_ms, tid = before
            where[TIME]["$lte"] = date(t_ms)  # so that the walk begins there
            where |= before_both((TIME, TID), (date(t_ms), tid))
        return await self._reader.find(
            TRADER_POSITIONS, where, changed_from, order=[(TIME, NEWEST), (TID, NEWEST)], limit=limit
        )

    async def at(self, symbol: Symbol, moment_ms: int, traders: Sequence[Address]) -> dict[Address, PositionChanged]:
        moment = {"$lte": date(moment_ms)}

        async def newest(trader: Address) -> PositionChanged | None:
            # What was known last is the newest word, for what is known never falls; versions settle a tie.
            return await self._reader.first(
                TRADER_POSITIONS,
                {TRADER: trader, COIN: symbol, KNOWN_AT: moment, TIME: moment},
                changed_from,
                order=[(KNOWN_AT, NEWEST), (VERSION, NEWEST)],
            )

        found = zip(traders, await for_each(traders, newest), strict=True)
        return {trader: changed for trader, changed in found if changed is not None}
