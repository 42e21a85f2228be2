"""The MongoDB store keeps every store's promises, over the wire."""

from collections.abc import AsyncIterator

import pytest

from market_scraper.ports.stores import Store
from market_scraper.storage.address import MongoAddress
from market_scraper.storage.mongo import MongoStore
from tests.contracts.store import RETENTION, StoreContract
from tests.servers.mongo import database


class TestMongoStore(StoreContract):
    @pytest.fixture
    async def store(self, mongo_url: str) -> AsyncIterator[Store]:
        with database(mongo_url) as name:
            async with MongoStore(MongoAddress(url=mongo_url, database=name), RETENTION) as store:
                yield store
