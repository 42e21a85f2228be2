"""Blocks of the leaderboard in MongoDB: writing parts, reading the chain.

A block's `_id` is its place in the chain, counted from 1. So two writers who continue the same chain meet at one
place: the second is refused, reads what the first has written and goes on from there. A full copy is written
backwards: its first block comes last and says that it is whole; one that was cut short is not looked at.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from market_scraper.domain.errors import StoreError
from market_scraper.domain.traders import LeaderboardRow
from market_scraper.ports.stores import LeaderboardPart
from market_scraper.storage.documents import COUNT, FULL, KNOWN_AT, LEADERBOARD_HISTORY, PART, PARTS, ROWS, TIME
from market_scraper.storage.leaderboard import Chain
from market_scraper.storage.mongo.failures import readable, translated
from market_scraper.storage.mongo.reading import NEWEST, OLDEST, Reader
from market_scraper.storage.mongo.wire import Bson, date, to_bson

_NAME = LEADERBOARD_HISTORY.name
_PLACE = "_id"
_KEY_FIELDS = (TIME, PART, PARTS, FULL)  # what the index holds: no block is read for them
_ATTEMPTS = 5
_KEYS = 100
_BLOCKS = 50  # of a refresh some 20 kB each, of a full copy 0.8 MB


class ChainWriter:
    """Keeps the chain as of the last block, to know what changed; it is read anew when somebody else has written.

    Once a newer pull has begun, an older one is not continued: the chain has one order.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._blocks = reader.collection(_NAME)
        self._lock = asyncio.Lock()
        self._chain: Chain | None = None
        self._tip = 0  # place of the last block in the chain

    async def write(self, part: LeaderboardPart) -> None:
        """Keep what changed, and a full copy when the pull is complete and one is due. Raises StoreError."""
        async with self._lock:
            for _ in range(_ATTEMPTS):
                # Whatever goes wrong leaves the chain forgotten: nobody knows how much was stored.
                chain, self._chain = self._chain, None
                with translated(self._reader.hosts):
                    try:
                        self._chain = await self._append(chain, part)
                    except DuplicateKeyError:
                        continue  # another writer was there first
                return
        raise StoreError(f"MongoDB at {self._reader.hosts}: others write the leaderboard all the time")

    async def _append(self, chain: Chain | None, part: LeaderboardPart) -> Chain | None:
        captured = date(part.captured_at_ms)
        newest = await self._blocks.find_one({}, {TIME: True, _PLACE: False}, sort=[(TIME, NEWEST)])
        if newest is not None and part.captured_at_ms < int(newest[TIME]):
            return chain
        if await self._blocks.find_one({TIME: captured, PART: part.part}, {TIME: True, _PLACE: False}) is not None:
            return chain
        last = await self._blocks.find_one({}, {_PLACE: True}, sort=[(_PLACE, NEWEST)])
        tip = 0 if last is None else int(last[_PLACE])
        if chain is None or tip != self._tip:
            chain, self._tip = await _read(self._blocks, None), tip
        packed, changed = await asyncio.to_thread(chain.add, part.rows)
        await self._insert(part, part.part, changed, packed, full=False)
        have = await self._blocks.count_documents({TIME: captured, PART: {"$lt": part.parts}})
        if have == part.parts and chain.wants_full:
            blocks = list(enumerate(await asyncio.to_thread(_full, chain), start=part.parts))
            for number, (packed, count) in reversed(blocks):
                await self._insert(part, number, count, packed, full=True)
        return chain

    async def _insert(self, part: LeaderboardPart, number: int, count: int, packed: bytes, *, full: bool) -> None:
        document = {
            TIME: part.captured_at_ms,
            PART: number,
            PARTS: part.parts,
            KNOWN_AT: part.known_at_ms,
            FULL: full,
            COUNT: count,
            ROWS: packed,
        }
        await self._blocks.insert_one({_PLACE: self._tip + 1} | to_bson(LEADERBOARD_HISTORY, document))
        self._tip += 1


async def latest_rows(reader: Reader) -> tuple[int, list[LeaderboardRow]] | None:
    """The newest complete pull, with everyone's row as last seen by then."""
    with readable(reader.hosts):
        blocks = reader.collection(_NAME)
        have: dict[int, int] = {}
        async with aclosing(_keys(blocks, {FULL: False})) as keys:
            async for key in keys:
                t_ms = int(key[TIME])
                have[t_ms] = have.get(t_ms, 0) + 1
                if have[t_ms] == key[PARTS]:
                    chain = await _read(blocks, t_ms)
                    return t_ms, await asyncio.to_thread(chain.rows)
        return None


async def expire(reader: Reader, before_ms: int) -> int:
    """Delete blocks older than the last full copy before then; what newer blocks lean on stays."""
    with translated(reader.hosts):
        blocks = reader.collection(_NAME)
        base = await _base(blocks, before_ms)
        if base is None:
            return 0
        return (await blocks.delete_many({TIME: {"$lt": date(base)}})).deleted_count


async def _read(blocks: AsyncCollection[Bson], upto_ms: int | None) -> Chain:
    """Put the chain together, from the last full copy on."""
    chain = Chain()
    upto = {} if upto_ms is None else {TIME: {"$lte": date(upto_ms)}}
    after: Bson = {}
    base_ms = await _base(blocks, upto_ms)
    if base_ms is not None:
        of_base = {TIME: date(base_ms), FULL: True}
        await _apply(chain, blocks, of_base, PART)
        last_written = await blocks.find_one(of_base, {_PLACE: True}, sort=[(PART, OLDEST)])
        assert last_written is not None
        after = {_PLACE: {"$gt": last_written[_PLACE]}}
    await _apply(chain, blocks, {FULL: False} | after | upto, _PLACE)
    return chain


async def _apply(chain: Chain, blocks: AsyncCollection[Bson], where: Bson, order: str) -> None:
    async with blocks.find(where, {ROWS: True, FULL: True}, batch_size=_BLOCKS).sort(order, OLDEST) as cursor:
        while found := await cursor.to_list(_BLOCKS):
            await asyncio.to_thread(_take_in, chain, found)


async def _base(blocks: AsyncCollection[Bson], upto_ms: int | None) -> int | None:
    """The captured_at of the newest whole full copy up to then."""
    where = {FULL: True} if upto_ms is None else {FULL: True, TIME: {"$lte": date(upto_ms)}}
    async with aclosing(_keys(blocks, where)) as keys:
        async for key in keys:
            if key[PART] == key[PARTS]:
                return int(key[TIME])
    return None


async def _keys(blocks: AsyncCollection[Bson], where: Bson) -> AsyncGenerator[Bson, None]:
    """Newest first."""
    wanted = dict.fromkeys(_KEY_FIELDS, True) | {_PLACE: False}
    async with blocks.find(where, wanted, batch_size=_KEYS).sort([(TIME, NEWEST), (PART, NEWEST)]) as cursor:
        async for key in cursor:
            yield key


def _full(chain: Chain) -> list[tuple[bytes, int]]:
    return list(chain.full())


def _take_in(chain: Chain, blocks: list[Bson]) -> None:
    for block in blocks:
        chain.apply(block[ROWS], full=block[FULL])
