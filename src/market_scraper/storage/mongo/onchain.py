"""On-chain readings in MongoDB: every question walks the key, which is source, metric, t and revision."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from market_scraper.domain.onchain import Reading, Source
from market_scraper.storage.documents import KNOWN_AT, METRIC, ONCHAIN_READINGS, REVISION, SOURCE, TIME, reading_from
from market_scraper.storage.mongo.reading import NEWEST, OLDEST, SLICE, Reader, for_each
from market_scraper.storage.mongo.wire import Bson, date


class MongoReadings:
    """Implements `ReadingReader`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def recent(self, *, days: int, known_by_ms: int | None = None) -> list[Reading]:
        sources = sorted(Source)
        newest = zip(sources, await for_each(sources, self.newest), strict=True)
        series = [(source, metric) for source, metrics in newest for metric in sorted(metrics)]

        async def values(of: tuple[Source, str]) -> list[Reading]:
            return (await self._newest_first(_of(*of, known_by_ms), days))[::-1]

        return [reading for found in await for_each(series, values) for reading in found]

    async def history(
        self,
        source: Source,
        metric: str,
        *,
        since_ms: int,
        limit: int,
        known_by_ms: int | None = None,
        before: int | None = None,
    ) -> list[Reading]:
        where = _of(source, metric, known_by_ms)
        where.setdefault(TIME, {})["$gte"] = date(since_ms)
        if before is not None:
            where[TIME]["$lt"] = date(before)
        return await self._newest_first(where, limit)

    async def revisions(self, source: Source, metric: str, t_ms: int) -> list[Reading]:
        where = _of(source, metric) | {TIME: date(t_ms)}
        slices = self._reader.slices(ONCHAIN_READINGS, where, reading_from, order=[(REVISION, OLDEST)])
        return [reading async for found in slices for reading in found]

    async def newest(self, source: Source) -> dict[str, int]:
        """One step down the key for each metric, however long their histories."""
        found: dict[str, int] = {}
        where: Bson = {SOURCE: source.value}
        while last := await self._reader.first(
            ONCHAIN_READINGS, where, reading_from, order=[(METRIC, NEWEST), (TIME, NEWEST)]
        ):
            found[last.metric] = last.t_ms
            where[METRIC] = {"$lt": last.metric}
        return found

    async def values(self, source: Source, *, since_ms: int) -> AsyncIterator[Sequence[Reading]]:
        for metric in await self.newest(source):
            where = _of(source, metric) | {TIME: {"$gte": date(since_ms)}}
            # Oldest first, as histories are kept in memory too; the last of each t is its newest revision.
            slices = self._reader.slices(
                ONCHAIN_READINGS, where, reading_from, order=[(TIME, OLDEST), (REVISION, OLDEST)]
            )
            last: Reading | None = None
            async with aclosing(slices):
                async for found in slices:
                    values = []
                    for reading in found:
                        if last is not None and last.t_ms != reading.t_ms:
                            values.append(last)
                        last = reading
                    yield values
            if last is not None:
                yield [last]

    async def _newest_first(self, where: Bson, limit: int) -> list[Reading]:
        """The newest revision of each t of one series. Revisions are few, so one slice is nearly always enough."""
        slices = self._reader.slices(
            ONCHAIN_READINGS,
            where,
            reading_from,
            order=[(TIME, NEWEST), (REVISION, NEWEST)],
            size=max(2, min(SLICE, 2 * limit)),
        )
        values: list[Reading] = []
        async with aclosing(slices):
            async for found in slices:
                for reading in found:
                    if len(values) >= limit:
                        return values
                    if not values or values[-1].t_ms != reading.t_ms:
                        values.append(reading)
        return values


def _of(source: Source, metric: str, known_by_ms: int | None = None) -> Bson:
    where: Bson = {SOURCE: source.value, METRIC: metric}
    if known_by_ms is not None:
        # Nothing is known before the t that it speaks of: the first condition lets the walk begin at the moment.
        where |= {TIME: {"$lte": date(known_by_ms)}, KNOWN_AT: {"$lte": date(known_by_ms)}}
    return where
