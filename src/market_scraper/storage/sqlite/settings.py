"""Choices that survive restarts, in SQLite."""

import sqlite3

from market_scraper.storage.documents import KEY, SETTINGS, VALUE
from market_scraper.storage.sqlite.reading import Readers

_QUERY = f'SELECT "{KEY}", "{VALUE}" FROM {SETTINGS.name}'


class SqliteSettings:
    """Implements `SettingReader`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def get(self, key: str) -> str | None:
        def query(connection: sqlite3.Connection) -> str | None:
            found = connection.execute(f'{_QUERY} WHERE "{KEY}" = ?', (key,)).fetchone()
            return None if found is None else str(found[1])

        return await self._readers.run(query)

    async def with_prefix(self, prefix: str) -> dict[str, str]:
        def query(connection: sqlite3.Connection) -> dict[str, str]:
            return dict(
                connection.execute(f'{_QUERY} WHERE substr("{KEY}", 1, ?) = ? ORDER BY 1', (len(prefix), prefix))
            )

        return await self._readers.run(query)
