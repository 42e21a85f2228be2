"""The memory store keeps every store's promises."""

import pytest

from market_scraper.domain.errors import StoreError
from market_scraper.ports.stores import DeadLetterRow, Store
from market_scraper.storage import MemoryRepository
from tests.contracts.store import RETENTION, StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryRepository(RETENTION)


async def test_what_was_parked_can_be_read() -> None:
    store = MemoryRepository()
    letter = DeadLetterRow(source="parser", known_at_ms=1, reason="no JSON", body=b"{")
    await store.write([letter])
    assert store.dead_letters == [letter]


async def test_a_closed_store_refuses_rows() -> None:
    async with MemoryRepository() as store:
        pass
    with pytest.raises(StoreError):
        await store.write([])
