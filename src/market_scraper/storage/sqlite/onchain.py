"""On-chain readings in SQLite: rows lie by source, metric, t and revision, and every question walks that order."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from functools import partial

from market_scraper.domain.onchain import Reading, Source
from market_scraper.storage.documents import KNOWN_AT, METRIC, ONCHAIN_READINGS, REVISION, SOURCE, TIME, reading_from
from market_scraper.storage.sqlite.conditions import Conditions
from market_scraper.storage.sqlite.reading import Readers
from market_scraper.storage.sqlite.schema import documents, select

SLICE = 2_000  # 20 ms of decoding, so that somebody else gets a turn

_ALL = select(ONCHAIN_READINGS, ONCHAIN_READINGS.name)
# SQLite takes the other columns from the row that has the max (lang_select.html, "bare columns").
_NEWEST_OF_EACH_T = _ALL.replace(f'"{REVISION}"', f'max("{REVISION}") AS "{REVISION}"')
_LAST = f"SELECT {METRIC}, {TIME} FROM {ONCHAIN_READINGS.name} WHERE {SOURCE} = ?"
_LAST_FIRST = f"ORDER BY {METRIC} DESC, {TIME} DESC LIMIT 1"


class SqliteReadings:
    """Implements `ReadingReader`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def recent(self, *, days: int, known_by_ms: int | None = None) -> list[Reading]:
        def query(connection: sqlite3.Connection) -> list[Reading]:
            found: list[Reading] = []
            for source in sorted(Source):
                for metric in sorted(_newest(connection, source)):
                    where = _of(source, metric, known_by_ms)
                    found += reversed(_values(connection, where, newest_first=True, limit=days))
            return found

        return await self._readers.run(query)

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
        where.add(f"{TIME} >= ?", since_ms)
        if before is not None:
            where.add(f"{TIME} < ?", before)
        return await self._readers.run(partial(_values, where=where, newest_first=True, limit=limit))

    async def revisions(self, source: Source, metric: str, t_ms: int) -> list[Reading]:
        where = _of(source, metric)
        where.add(f"{TIME} = ?", t_ms)

        def query(connection: sqlite3.Connection) -> list[Reading]:
            cursor = connection.execute(f"{_ALL} {where} ORDER BY {REVISION}", where.arguments)
            return [reading_from(document) for document in documents(ONCHAIN_READINGS, cursor)]

        return await self._readers.run(query)

    async def newest(self, source: Source) -> dict[str, int]:
        return await self._readers.run(partial(_newest, source=source))

    async def values(self, source: Source, *, since_ms: int) -> AsyncIterator[Sequence[Reading]]:
        for metric in await self.newest(source):
            start_ms = since_ms
            while True:
                where = _of(source, metric)
                where.add(f"{TIME} >= ?", start_ms)
                # Oldest first, as histories are kept in memory too.
                page = partial(_values, where=where, newest_first=False, limit=SLICE)
                found = await self._readers.run(page)
                if found:
                    yield found
                if len(found) < SLICE:
                    break
                start_ms = found[-1].t_ms + 1


def _of(source: str, metric: str, known_by_ms: int | None = None) -> Conditions:
    where = Conditions()
    where.add(f"{SOURCE} = ? AND {METRIC} = ?", source, metric)
    if known_by_ms is not None:
        # Nothing is known before the t that it speaks of: the first condition lets the walk begin at the moment.
        where.add(f"{TIME} <= ? AND {KNOWN_AT} <= ?", known_by_ms, known_by_ms)
    return where


def _values(connection: sqlite3.Connection, where: Conditions, *, newest_first: bool, limit: int) -> list[Reading]:
    """The newest revision of each t of one series."""
    order = "DESC" if newest_first else "ASC"
    cursor = connection.execute(
        f"{_NEWEST_OF_EACH_T} {where} GROUP BY {TIME} ORDER BY {TIME} {order} LIMIT ?", (*where.arguments, limit)
    )
    return [reading_from(document) for document in documents(ONCHAIN_READINGS, cursor)]


def _newest(connection: sqlite3.Connection, source: Source) -> dict[str, int]:
    """The newest t of each of the source's metrics: one step down the key for each, however long their histories."""
    found: dict[str, int] = {}
    row = connection.execute(f"{_LAST} {_LAST_FIRST}", (source,)).fetchone()
    while row is not None:
        metric, t_ms = row
        found[metric] = t_ms
        row = connection.execute(f"{_LAST} AND {METRIC} < ? {_LAST_FIRST}", (source, metric)).fetchone()
    return found
