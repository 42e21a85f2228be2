"""Bulk writes by natural key, in which an older version never overwrites a newer one.

Most rows are new, and inserted. Where the unique key refuses one, the document there is read; if it is older, it is
replaced on the condition that it still has the version that was read. Whoever lost such a race reads again: versions
only rise, so that comes to an end. Nothing asks for a range, so that each step finds its document by an index.
"""

from collections.abc import Iterable
from typing import Any

from pymongo import ReplaceOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from market_scraper.storage.documents import Document
from market_scraper.storage.mongo.failures import DUPLICATE
from market_scraper.storage.mongo.reading import for_each
from market_scraper.storage.mongo.wire import Bson, to_bson
from market_scraper.storage.shapes import Collection

_AT_ONCE = 100
"""Rows in one command, so that even a slow server answers each in time however much has gathered; far below the 48 MB
of a message."""

Values = tuple[Any, ...]
Seen = dict[Values, Values]
"""By key: the version that a document had when it was written or read last. Others may have replaced it since."""


def newest_of_each(shape: Collection, documents: Iterable[Document]) -> list[Document]:
    """Leave one document of each key, the one that would stand after all were written in their order.

    So the order in which the server takes them does not matter.
    """
    kept: dict[Values, Document] = {}
    for document in documents:
        key = _values(document, shape.key)
        before = kept.get(key)
        if before is None or _values(before, shape.newest_by) <= _values(document, shape.newest_by):
            kept[key] = document
    return list(kept.values())


async def put(
    collection: AsyncCollection[Bson], shape: Collection, documents: Iterable[Document], seen: Seen | None = None
) -> None:
    """Keep each document unless a newer one of its key is there; each key at most once. Driver's errors are raised.

    All steps may be repeated, and by several writers at once. With `seen`, which is kept up to date, a document that
    this writer knows is replaced without an attempt to insert it.
    """
    stored = [to_bson(shape, document) for document in documents]
    for start in range(0, len(stored), _AT_ONCE):
        chunk = stored[start : start + _AT_ONCE]
        if shape.newest_by:
            await _put_newer(collection, shape, chunk, seen)
        else:
            replacements = [ReplaceOne(_where(each, shape.key), each, upsert=True) for each in chunk]
            await collection.bulk_write(replacements, ordered=False)


async def _put_newer(
    collection: AsyncCollection[Bson], shape: Collection, stored: list[Bson], seen: Seen | None
) -> None:
    rows = {_values(each, shape.key): each for each in stored}
    versions = {key: _values(each, shape.newest_by) for key, each in rows.items()}
    known = seen if seen is not None else {}
    older = {key: known[key] for key, version in versions.items() if key in known and known[key] < version}
    older |= await _add(collection, shape, [each for key, each in rows.items() if key not in older], versions)
    while older:
        replacements = [
            ReplaceOne(_where(rows[key], shape.key) | dict(zip(shape.newest_by, version, strict=True)), rows[key])
            for key, version in older.items()
        ]
        result = await collection.bulk_write(replacements, ordered=False)
        if result.matched_count == len(older):
            break
        older = await _older(collection, shape, [rows[key] for key in older], versions)
    if seen is not None:
        seen |= versions


async def _add(
    collection: AsyncCollection[Bson], shape: Collection, stored: list[Bson], versions: Seen
) -> dict[Values, Values]:
    """Insert; of those whose key is taken by something older, give its version by key."""
    if not stored:
        return {}
    try:
        await collection.insert_many([{**each} for each in stored], ordered=False)  # the driver adds an `_id` to each
    except BulkWriteError as error:  # a server may count wrongly what it inserted: only codes are read
        refused = error.details.get("writeErrors", [])
        if error.details.get("writeConcernErrors") or any(each["code"] != DUPLICATE for each in refused):
            raise
        return await _older(collection, shape, [stored[each["index"]] for each in refused], versions)
    return {}


async def _older(
    collection: AsyncCollection[Bson], shape: Collection, stored: list[Bson], versions: Seen
) -> dict[Values, Values]:
    """By key, the version of what is there, where it is not newer and not the same; `versions` learns of newer ones."""

    async def found(each: Bson) -> Bson | None:
        there: Bson | None = await collection.find_one(_where(each, shape.key), {"_id": False})
        return there

    older: dict[Values, Values] = {}
    gone: list[Bson] = []
    for each, there in zip(stored, await for_each(stored, found), strict=True):
        key = _values(each, shape.key)
        if there is None:  # expired in between
            gone.append(each)
            continue
        version = _values(there, shape.newest_by)
        if version > versions[key]:
            versions[key] = version
        elif there != each:
            older[key] = version
    return older | await _add(collection, shape, gone, versions)


def _where(stored: Bson, names: tuple[str, ...]) -> Bson:
    return {name: stored[name] for name in names}


def _values(document: Document | Bson, names: tuple[str, ...]) -> Values:
    return tuple(document[name] for name in names)
