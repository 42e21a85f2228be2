"""Bulk writes by natural key, in which an older version never overwrites a newer one."""

from collections.abc import Iterable, Mapping
from typing import Any

from pymongo import ReplaceOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from market_scraper.storage.documents import Document
from market_scraper.storage.mongo.failures import DUPLICATE
from market_scraper.storage.mongo.wire import Bson, to_bson
from market_scraper.storage.shapes import Collection

_AT_ONCE = 100
"""Rows in one command, so that even a slow server answers each in time however much has gathered; far below the 48 MB
of a message."""


def newest_of_each(shape: Collection, documents: Iterable[Document]) -> list[Document]:
    """Leave one document of each key, the one that would stand after all were written in their order.

    So the order in which the server takes them does not matter.
    """
    kept: dict[tuple[Any, ...], Document] = {}
    for document in documents:
        key = tuple(document[name] for name in shape.key)
        before = kept.get(key)
        if before is None or _version(shape, before) <= _version(shape, document):
            kept[key] = document
    return list(kept.values())


async def put(collection: AsyncCollection[Bson], shape: Collection, documents: Iterable[Document]) -> None:
    """Keep each document unless a newer one of its key is there; each key at most once. Driver's errors are raised.

    All steps may be repeated, and by several writers at once.
    """
    stored = [to_bson(shape, document) for document in documents]
    for start in range(0, len(stored), _AT_ONCE):
        await _put(collection, shape, stored[start : start + _AT_ONCE])


async def _put(collection: AsyncCollection[Bson], shape: Collection, stored: list[Bson]) -> None:
    if not shape.newest_by:
        await collection.bulk_write([_replacement(shape, each, upsert=True) for each in stored], ordered=False)
        return
    # Most rows are new. Of the others the unique key refuses the insertion; then the key is there for good, and the
    # filter of the replacement finds it unless it is newer, whoever else may be writing.
    there = await _insert(collection, stored)
    if there:
        await collection.bulk_write([_replacement(shape, each, upsert=False) for each in there], ordered=False)


async def _insert(collection: AsyncCollection[Bson], stored: list[Bson]) -> list[Bson]:
    """Insert; gives those whose key is taken. (A server may count wrongly what it inserted: only codes are read.)"""
    try:
        await collection.insert_many([{**each} for each in stored], ordered=False)  # the driver adds an `_id` to each
    except BulkWriteError as error:
        refused = error.details.get("writeErrors", [])
        if error.details.get("writeConcernErrors") or any(each["code"] != DUPLICATE for each in refused):
            raise
        return [stored[each["index"]] for each in refused]
    return []


def _replacement(shape: Collection, stored: Bson, *, upsert: bool) -> ReplaceOne[Bson]:
    where = {name: stored[name] for name in shape.key} | _no_newer(shape.newest_by, stored)
    return ReplaceOne(where, stored, upsert=upsert)


def _no_newer(fields: tuple[str, ...], stored: Mapping[str, Any]) -> Bson:
    """The condition that the kept version is not newer, compared field by field."""
    if len(fields) < 2:
        return {name: {"$lte": stored[name]} for name in fields}
    first, rest = fields[0], fields[1:]
    return {"$or": [{first: {"$lt": stored[first]}}, {first: stored[first]} | _no_newer(rest, stored)]}


def _version(shape: Collection, document: Document) -> tuple[Any, ...]:
    return tuple(document[name] for name in shape.newest_by)
