"""Indexes and expiry in MongoDB are what the shapes and the retention say, and follow them when they change.

Whether a server deletes by its TTL indexes is its own affair (the protocol server does not): here it ends with the
definition of the index.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from market_scraper.ports.stores import Retention
from market_scraper.storage import documents
from market_scraper.storage.address import MongoAddress
from market_scraper.storage.mongo import MongoStore
from tests.contracts.store_rows import candle_row, signal_row
from tests.facts import BTC
from tests.servers.mongo import database

DAY_S = 86_400
Indexes = dict[str, dict[str, Any]]


@pytest.fixture
async def address(mongo_url: str) -> AsyncIterator[MongoAddress]:
    with database(mongo_url) as name:
        yield MongoAddress(url=mongo_url, database=name)


async def indexes(address: MongoAddress, collection: str) -> Indexes:
    async with AsyncMongoClient[dict[str, Any]](address.url) as client:
        return dict(await client[address.database][collection].index_information())


async def opened(address: MongoAddress, retention: Retention) -> None:
    async with MongoStore(address, retention):
        pass


def expiry(found: Indexes) -> dict[str, int]:
    """Days by index."""
    return {
        name: index["expireAfterSeconds"] // DAY_S for name, index in found.items() if "expireAfterSeconds" in index
    }


async def test_every_collection_has_its_natural_key_as_a_unique_index(address: MongoAddress) -> None:
    await opened(address, Retention())
    for shape in documents.COLLECTIONS:
        found = await indexes(address, shape.name)
        unique = [[name for name, _ in index["key"]] for index in found.values() if index.get("unique")]
        keys = [shape.key, shape.key + shape.newest_by] if shape.in_place else [shape.key]
        assert sorted(unique) == sorted(map(list, keys)), shape.name
        for fields in shape.indexes:
            assert "_".join(f"{field}_1" for field in fields) in found


async def test_each_retention_is_a_ttl_index_and_the_rest_has_none(address: MongoAddress) -> None:
    kept = Retention(signals=1, trader_positions=2, trader_signals=3, leaderboard_history=4, trader_scores=5)
    await opened(address, kept)
    ages = {shape.name: expiry(await indexes(address, shape.name)) for shape in documents.COLLECTIONS}
    assert {name: found for name, found in ages.items() if found} == {
        "signals": {"t_1": 1},
        "trader_positions": {"t_1": 2},
        "trader_signals": {"t_1": 3},
        "trader_scores": {"t_1": 5},
        "dead_letters": {"k_1": 30},
    }  # and not the leaderboard, whose newer blocks lean on older ones


async def test_a_changed_retention_changes_the_index_and_nothing_else(address: MongoAddress) -> None:
    await opened(address, Retention(signals=30))
    before = await indexes(address, "signals")
    await opened(address, Retention(signals=7))
    after = await indexes(address, "signals")
    assert (expiry(before), expiry(after)) == ({"t_1": 30}, {"t_1": 7})
    assert set(before) == set(after)
    await opened(address, Retention(signals=7))
    assert await indexes(address, "signals") == after


async def test_a_plain_index_of_somebody_else_becomes_the_expiry(address: MongoAddress) -> None:
    async with AsyncMongoClient[dict[str, Any]](address.url) as client:
        await client[address.database]["signals"].create_index("t")
    await opened(address, Retention(signals=7))
    assert expiry(await indexes(address, "signals")) == {"t_1": 7}


async def test_a_collection_of_candles_is_made_with_its_first_candle(address: MongoAddress) -> None:
    async with MongoStore(address) as store, AsyncMongoClient[dict[str, Any]](address.url) as client:
        kept = client[address.database]
        assert not [name for name in await kept.list_collection_names() if "candles" in name]
        await store.write([candle_row(0)])
        assert [name for name in await kept.list_collection_names() if "candles" in name] == ["btc_candles_1h"]
    found = await indexes(address, "btc_candles_1h")
    assert found["t_1"]["unique"]
    assert expiry(found) == {}  # candles stay


async def test_a_shortened_retention_is_kept_at_once_by_our_own_clock(address: MongoAddress) -> None:
    now_ms = 100 * DAY_S * 1_000
    async with MongoStore(address, Retention(signals=30)) as store:
        await store.write([signal_row(days, now_ms - days * DAY_S * 1_000) for days in range(1, 11)])
    async with MongoStore(address, Retention(signals=7)) as store:
        assert (await store.expire(now_ms))["signals"] == 3
        assert len(await store.signals.history(BTC, since_ms=0, limit=99)) == 7
