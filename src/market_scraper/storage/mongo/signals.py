"""Signals and trader signals in MongoDB."""

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
from market_scraper.storage.mongo.reading import NEWEST, Reader, before_both
from market_scraper.storage.mongo.wire import Bson, date

_NEWEST_FIRST = [(TIME, NEWEST), (ID, NEWEST)]


class MongoSignals:
    """Implements `SignalReader`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def get(self, signal_id: str) -> Signal | None:
        return await self._first({ID: signal_id})

    async def latest(self, symbol: Symbol, *, known_by_ms: int | None = None) -> Signal | None:
        return await self._first({SYMBOL: symbol} | _known(known_by_ms))

    async def previous(self, signal: Signal) -> Signal | None:
        t = date(signal.t_ms)
        return await self._first({SYMBOL: signal.symbol, TIME: {"$lte": t}} | before_both((TIME, ID), (t, signal.id)))

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
            where[RECOMMENDATION] = recommendation.value
        if before is not None:
            t_ms, signal_id = before
            where[TIME]["$lte"] = date(t_ms)
            where |= before_both((TIME, ID), (date(t_ms), signal_id))
        return await self._reader.find(
            SIGNALS, where, signal_from, order=_NEWEST_FIRST, limit=limit, without=CONTRIBUTIONS
        )

    async def count(
        self, symbol: Symbol, *, since_ms: int, known_by_ms: int | None = None
    ) -> dict[Recommendation, int]:
        found = await self._reader.aggregate(
            SIGNALS,
            {"$match": _since(symbol, since_ms, known_by_ms)},
            {"$group": {"_id": f"${RECOMMENDATION}", "count": {"$sum": 1}}},
        )
        return dict.fromkeys(Recommendation, 0) | {Recommendation(each["_id"]): each["count"] for each in found}

    async def mean_confidence(self, symbol: Symbol, *, since_ms: int, known_by_ms: int | None = None) -> float | None:
        found = await self._reader.aggregate(
            SIGNALS,
            {"$match": _since(symbol, since_ms, known_by_ms)},
            {"$group": {"_id": None, "mean": {"$avg": f"${CONFIDENCE}"}}},
        )
        return float(found[0]["mean"]) if found else None

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
        where = _since(symbol, since_ms, known_by_ms) | {TRADER: trader}
        if before is not None:
            t_ms, tid = before
            where[TIME]["$lte"] = date(t_ms)
            where |= before_both((TIME, TID), (date(t_ms), tid))
        return await self._reader.find(
            TRADER_SIGNALS, where, trader_signal_from, order=[(TIME, NEWEST), (TID, NEWEST)], limit=limit
        )

    async def _first(self, where: Bson) -> Signal | None:
        return await self._reader.first(SIGNALS, where, signal_from, order=_NEWEST_FIRST)


def _since(symbol: Symbol, since_ms: int, known_by_ms: int | None) -> Bson:
    return {SYMBOL: symbol, TIME: {"$gte": date(since_ms)}} | _known(known_by_ms)


def _known(known_by_ms: int | None) -> Bson:
    return {} if known_by_ms is None else {KNOWN_AT: {"$lte": date(known_by_ms)}}
