"""Indexes as `storage.indexes` wants them, made, or changed where they differ."""

from pymongo import IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from market_scraper.storage.indexes import Index
from market_scraper.storage.mongo.wire import Bson

_NO_SUCH_INDEX = 27  # another process of ours has just dropped it, to make it anew


async def make_indexes(collection: AsyncCollection[Bson], indexes: tuple[Index, ...]) -> None:
    """Make the collection with its indexes; one that keeps another age is changed, others are left alone.

    May be called by several processes at once. Driver's errors are raised.
    """
    there = await collection.index_information()
    missing = []
    for index in indexes:
        found = there.get(index.name)
        if found is not None and found.get("expireAfterSeconds") != index.expire_after_s:
            if index.expire_after_s is not None and await _changed(collection, index):
                continue
            await _drop(collection, index)
            found = None
        if found is None:
            missing.append(_model(index))
    if missing:
        await collection.create_indexes(missing)


async def _changed(collection: AsyncCollection[Bson], index: Index) -> bool:
    """Change the age of an index in place, which keeps the index; False where the server can't."""
    database: AsyncDatabase[Bson] = collection.database
    change = {"keyPattern": dict.fromkeys(index.fields, 1), "expireAfterSeconds": index.expire_after_s}
    try:
        await database.command("collMod", collection.name, index=change)
    except OperationFailure:
        return False
    return True


async def _drop(collection: AsyncCollection[Bson], index: Index) -> None:
    try:
        await collection.drop_index(index.name)
    except OperationFailure as error:
        if error.code != _NO_SUCH_INDEX:
            raise


def _model(index: Index) -> IndexModel:
    options: dict[str, object] = {"name": index.name}
    if index.unique:
        options["unique"] = True
    if index.expire_after_s is not None:
        options["expireAfterSeconds"] = index.expire_after_s
    return IndexModel([(field, 1) for field in index.fields], **options)
