"""Choices that survive restarts, in MongoDB."""

from market_scraper.storage.documents import KEY, SETTINGS, VALUE, Document
from market_scraper.storage.mongo.reading import OLDEST, Reader


class MongoSettings:
    """Implements `SettingReader`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def get(self, key: str) -> str | None:
        found = await self._reader.first(SETTINGS, {KEY: key}, _pair, order=[(KEY, OLDEST)])
        return None if found is None else found[1]

    async def with_prefix(self, prefix: str) -> dict[str, str]:
        # A walk along the key that begins at the prefix; it is read to the end, for choices are few.
        slices = self._reader.slices(SETTINGS, {KEY: {"$gte": prefix}}, _pair, order=[(KEY, OLDEST)])
        return {key: value async for found in slices for key, value in found if key.startswith(prefix)}


def _pair(document: Document) -> tuple[str, str]:
    return str(document[KEY]), str(document[VALUE])
