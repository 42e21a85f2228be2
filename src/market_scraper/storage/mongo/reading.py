"""How readers ask: pages, single documents, and slices of what may be long."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from market_scraper.storage.documents import Document
from market_scraper.storage.mongo.failures import readable
from market_scraper.storage.mongo.wire import Bson, from_bson
from market_scraper.storage.shapes import Collection

T = TypeVar("T")
K = TypeVar("K")

Order = Sequence[tuple[str, int]]
OLDEST, NEWEST = 1, -1
SLICE = 2_000  # 20 ms of decoding, so that somebody else gets a turn
AT_ONCE = 16  # questions under way together, where many are asked


class Reader:
    """Asks one database. Every error is a StoreError.

    Answers of two questions may be of two moments: a standalone server has no transactions.
    """

    def __init__(self, database: AsyncDatabase[Bson], hosts: str) -> None:
        self._database = database
        self.hosts = hosts

    async def find(
        self,
        shape: Collection,
        where: Mapping[str, Any],
        make: Callable[[Document], T],
        *,
        order: Order,
        limit: int,
        name: str | None = None,
        without: str | None = None,
    ) -> list[T]:
        """Give what `make` reads from at most `limit` documents in that order."""
        if limit < 1:  # to MongoDB, 0 is no limit
            return []
        with readable(self.hosts):
            cursor = self.collection(name or shape.name).find(where, None if without is None else {without: False})
            return [make(from_bson(shape, stored)) for stored in await cursor.sort(order).limit(limit).to_list()]

    async def first(
        self, shape: Collection, where: Mapping[str, Any], make: Callable[[Document], T], *, order: Order
    ) -> T | None:
        """Give the first in that order."""
        found = await self.find(shape, where, make, order=order, limit=1)
        return found[0] if found else None

    async def slices(
        self,
        shape: Collection,
        where: Mapping[str, Any],
        make: Callable[[Document], T],
        *,
        order: Order,
        name: str | None = None,
        fields: Iterable[str] | None = None,
        size: int = SLICE,
    ) -> AsyncGenerator[list[T], None]:
        """Give all of them, `size` at a time; the whole is never in memory. Leaving early must close the iterator."""
        wanted = None if fields is None else dict.fromkeys(fields, True) | {"_id": False}
        with readable(self.hosts):
            cursor = self.collection(name or shape.name).find(where, wanted, batch_size=size).sort(order)
            async with cursor:
                while found := await cursor.to_list(size):
                    yield [make(from_bson(shape, stored)) for stored in found]

    async def aggregate(self, shape: Collection, *stages: Mapping[str, Any]) -> list[Bson]:
        """Give what the server itself counted up."""
        with readable(self.hosts):
            cursor = await self.collection(shape.name).aggregate(list(stages))
            return await cursor.to_list()

    def collection(self, name: str) -> AsyncCollection[Bson]:
        """The collection of that name."""
        return self._database[name]


async def for_each(keys: Iterable[K], ask: Callable[[K], Awaitable[T]]) -> list[T]:
    """Ask for every key, some at once; answers in the order of keys."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(key: K) -> T:
        async with room:
            return await ask(key)

    answers: list[T] = []
    for answer in await asyncio.gather(*map(one, keys), return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer
        answers.append(answer)
    return answers


def before_both(fields: tuple[str, str], values: tuple[Any, Any]) -> dict[str, Any]:
    """The condition "earlier in the order of both fields"."""
    (first, second), (a, b) = fields, values
    return {"$or": [{first: {"$lt": a}}, {first: a, second: {"$lt": b}}]}
