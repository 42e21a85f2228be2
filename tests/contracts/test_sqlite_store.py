"""The SQLite store keeps every store's promises."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from market_scraper.ports.stores import Store
from market_scraper.storage import SqliteStore
from tests.contracts.store import RETENTION, StoreContract


class TestSqliteStore(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        async with SqliteStore(tmp_path / "store.db", RETENTION) as store:
            yield store
