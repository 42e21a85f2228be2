"""The store in MongoDB: several processes on several machines may share it."""

import warnings
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import pymongo
from pymongo import AsyncMongoClient, ReadPreference, WriteConcern
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from market_scraper.domain.errors import ConfigError, StoreError, StoreUnreachable
from market_scraper.ports.stores import LeaderboardPart, Retention, Row
from market_scraper.storage import documents
from market_scraper.storage.address import MongoAddress
from market_scraper.storage.indexes import indexes_of
from market_scraper.storage.leaderboard import check_part, check_place
from market_scraper.storage.mongo import leaderboard
from market_scraper.storage.mongo.candles import MongoCandles
from market_scraper.storage.mongo.failures import translated
from market_scraper.storage.mongo.onchain import MongoReadings
from market_scraper.storage.mongo.positions import MongoPositions
from market_scraper.storage.mongo.reading import Reader
from market_scraper.storage.mongo.settings import MongoSettings
from market_scraper.storage.mongo.signals import MongoSignals
from market_scraper.storage.mongo.traders import MongoTraders
from market_scraper.storage.mongo.upkeep import make_indexes
from market_scraper.storage.mongo.wire import OPTIONS, Bson, date
from market_scraper.storage.mongo.writing import Seen, newest_of_each, put
from market_scraper.storage.retention import cutoffs_ms
from market_scraper.storage.shapes import Collection

_EXPIRE_ROWS = 1_000  # deleted by one command, so that each has its answer in time
_INDEXES_S = 120.0  # an index over millions of documents takes its time


class MongoStore:
    """Implements `ports.stores.Store`. Entering finds the server and makes indexes, or raises StoreUnreachable
    (ConfigError for a URL that the driver can't read).

    **All or none.** A standalone server has no transactions, so `write` promises less than SQLite and as much as its
    callers need. Rows that no backend could keep are refused before anything is sent. After a StoreError any of the
    rows may be stored: the caller writes the same rows again, and since each has its natural key and an older
    version never overwrites a newer one, that leaves what one write would have left. Tape marks are sent last, when
    all else is acknowledged: no mark is ever stored before a fact that it speaks for.

    **Acknowledged** means in the journal of a majority of the servers, unless the URL asks for something else.
    """

    def __init__(self, address: MongoAddress, retention: Retention | None = None) -> None:
        self.address = address
        self._retention = retention or Retention()
        self._made: set[str] = set()  # collections of candles that are there
        self._seen: dict[str, Seen] = {shape.name: {} for shape in documents.COLLECTIONS if shape.in_place}
        self._client = _client(address)
        self._database = self._opened_database()
        self._reader = Reader(self._database, address.hosts)
        self._chain = leaderboard.ChainWriter(self._reader)
        self.candles = MongoCandles(self._reader)
        self.positions = MongoPositions(self._reader)
        self.traders = MongoTraders(self._reader)
        self.signals = MongoSignals(self._reader)
        self.readings = MongoReadings(self._reader)
        self.settings = MongoSettings(self._reader)

    async def __aenter__(self) -> Self:
        try:
            await self.check()
            for shape in documents.COLLECTIONS:
                await self._make(shape.name, shape)
        except StoreUnreachable:
            await self.close()
            raise
        except StoreError as error:
            await self.close()
            raise StoreUnreachable(str(error)) from error
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def write(self, rows: Sequence[Row]) -> None:
        """Store all rows; see the class for what a failure leaves. Raises InvalidInput when one of them can never be
        stored, else StoreError."""
        groups: dict[str, tuple[Collection, list[documents.Document]]] = {}
        parts: list[LeaderboardPart] = []
        for row in rows:
            if isinstance(row, LeaderboardPart):
                check_place(row)
                check_part(row)
                parts.append(row)
            else:
                name, shape = documents.collection_of(row)
                groups.setdefault(name, (shape, []))[1].append(documents.to_document(row))
        marks = groups.pop(documents.TAPE_MARKS.name, None)
        for name, (shape, group) in groups.items():
            await self._put(name, shape, group)
        for part in parts:
            await self._chain.write(part)
        if marks is not None:
            await self._put(documents.TAPE_MARKS.name, *marks)

    async def expire(self, now_ms: int) -> dict[str, int]:
        """Delete what is older than the retention by *our* clock.

        TTL indexes do the same by the server's clock, about once a minute, so on MongoDB little is left to do here:
        a paper venue's time that runs faster than the server's, a retention that has just been shortened, and the
        leaderboard, which no TTL may touch since its blocks lean on older ones.
        """
        limits = cutoffs_ms(self._retention, now_ms)
        deleted = dict.fromkeys(limits, 0)
        for shape in documents.COLLECTIONS:
            if shape.name not in limits:
                continue
            if shape is documents.LEADERBOARD_HISTORY:
                deleted[shape.name] = await leaderboard.expire(self._reader, limits[shape.name])
                continue
            while count := await self._delete_old(shape, limits[shape.name]):
                deleted[shape.name] += count
        return deleted

    async def check(self) -> None:
        """Answer, or raise StoreError."""
        with translated(self.address.hosts):
            await self._database.command("ping")

    async def close(self) -> None:
        """May be called twice."""
        await self._client.close()

    def _opened_database(self) -> AsyncDatabase[Bson]:
        # Read from the primary, whatever the URL says: what we continue from must be what we wrote.
        safest = WriteConcern(w="majority", j=True)
        return self._client.get_database(
            self.address.database,
            codec_options=OPTIONS,
            read_preference=ReadPreference.PRIMARY,
            write_concern=safest if self._client.write_concern.is_server_default else None,
        )

    async def _put(self, name: str, shape: Collection, group: list[documents.Document]) -> None:
        if shape is documents.CANDLES and name not in self._made:
            await self._make(name, shape)
            self._made.add(name)
        with translated(self.address.hosts):
            await put(self._database[name], shape, newest_of_each(shape, group), self._seen.get(name))

    async def _make(self, name: str, shape: Collection) -> None:
        with translated(self.address.hosts), pymongo.timeout(_INDEXES_S):
            await make_indexes(self._database[name], indexes_of(shape, self._retention))

    async def _delete_old(self, shape: Collection, before_ms: int) -> int:
        with translated(self.address.hosts):
            collection = self._database[shape.name]
            old = collection.find({shape.expires_by: {"$lt": date(before_ms)}}, {"_id": True}).limit(_EXPIRE_ROWS)
            ids = [found["_id"] for found in await old.to_list()]
            return (await collection.delete_many({"_id": {"$in": ids}})).deleted_count if ids else 0


def _client(address: MongoAddress) -> AsyncMongoClient[Bson]:
    """A client that has not connected yet. What the URL says stands; the rest is ours."""
    wishes: dict[str, Any] = {
        "serverSelectionTimeoutMS": round(1_000 * address.select_s),
        "connectTimeoutMS": round(1_000 * address.select_s),
        "socketTimeoutMS": round(1_000 * address.answer_s),
        "appname": "market-scraper",
    }
    ours = {option: value for option, value in wishes.items() if not address.says(option)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # the driver passes over what it does not understand
            return AsyncMongoClient(address.url, document_class=dict, **ours)
    except UserWarning as error:
        raise ConfigError(f"MONGO__URL cannot be used: {error}") from None
    except (PyMongoError, ValueError, OSError) as error:
        # The driver quotes pieces of the URL, which may be pieces of a password: with one, its words are left out.
        reason = type(error).__name__ if "@" in address.url else str(error)
        raise ConfigError(f"MONGO__URL cannot be used: {reason}") from None
