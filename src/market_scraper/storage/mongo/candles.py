"""Candles in MongoDB: one collection a series, made with its first candle."""

from collections.abc import AsyncIterator

from market_scraper.domain.market import Candle
from market_scraper.domain.values import Interval, Symbol
from market_scraper.storage.documents import CANDLES, TIME, Document, candle_from
from market_scraper.storage.gaps import missing_between
from market_scraper.storage.mongo.reading import NEWEST, OLDEST, Reader
from market_scraper.storage.mongo.wire import Bson, date
from market_scraper.storage.shapes import candles_name

_TIMES_AT_ONCE = 20_000  # of a year of minutes, 525,600


class MongoCandles:
    """Implements `CandleReader`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def newest(self, symbol: Symbol, interval: Interval) -> Candle | None:
        newest = await self.history(symbol, interval, start_ms=None, end_ms=None, limit=1)
        return newest[0] if newest else None

    async def history(
        self, symbol: Symbol, interval: Interval, *, start_ms: int | None, end_ms: int | None, limit: int
    ) -> list[Candle]:
        order = NEWEST if start_ms is None else OLDEST
        found = await self._reader.find(
            CANDLES,
            _between(start_ms, end_ms),
            candle_from,
            order=[(TIME, order)],
            limit=limit,
            name=candles_name(symbol, interval),
        )
        return found[::-1] if order is NEWEST else found

    async def gaps(
        self, symbol: Symbol, interval: Interval, *, start_ms: int | None = None, end_ms: int | None = None
    ) -> list[tuple[int, int]]:
        # The stored neighbours just outside the bounds tell whether a gap reaches across them.
        name = candles_name(symbol, interval)
        before = None if start_ms is None else await self._neighbour(name, {"$lt": date(start_ms)}, NEWEST)
        after = None if end_ms is None else await self._neighbour(name, {"$gt": date(end_ms)}, OLDEST)
        where = _between(start_ms if before is None else before, end_ms if after is None else after)
        apart: list[tuple[int, int]] = []
        last: int | None = None
        async for t_ms in self._times(name, where):
            if last is not None and t_ms - last > interval.ms:
                apart.append((last, t_ms))
            last = t_ms
        return missing_between(apart, interval.ms, start_ms=start_ms, end_ms=end_ms)

    async def _times(self, name: str, where: Bson) -> AsyncIterator[int]:
        """Open times alone, which the index holds: no candle is read."""
        slices = self._reader.slices(
            CANDLES, where, _time, order=[(TIME, OLDEST)], name=name, fields=[TIME], size=_TIMES_AT_ONCE
        )
        async for times in slices:
            for t_ms in times:
                yield t_ms

    async def _neighbour(self, name: str, condition: Bson, order: int) -> int | None:
        found = await self._reader.find(CANDLES, {TIME: condition}, _time, order=[(TIME, order)], limit=1, name=name)
        return found[0] if found else None


def _between(start_ms: int | None, end_ms: int | None) -> Bson:
    condition = {}
    if start_ms is not None:
        condition["$gte"] = date(start_ms)
    if end_ms is not None:
        condition["$lte"] = date(end_ms)
    return {TIME: condition} if condition else {}


def _time(document: Document) -> int:
    t_ms: int = document[TIME]
    return t_ms
