"""Opens the store that the settings name."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import structlog

from market_scraper.domain.errors import StoreError
from market_scraper.ports.clock import Clock
from market_scraper.ports.stores import Retention, Store
from market_scraper.storage.memory import MemoryRepository
from market_scraper.storage.sqlite import SqliteStore

log = structlog.get_logger(__name__)

EXPIRE_EVERY_S = 3_600.0  # venue seconds


@asynccontextmanager
async def open_store(
    backend: Literal["memory", "sqlite"],
    *,
    path: Path,
    retention: Retention,
    clock: Clock,
    busy_s: float = 5.0,
) -> AsyncIterator[Store]:
    """Give an open store that deletes what is too old by itself, at once and then hourly.

    `path` is of the SQLite file, its folder is made; the memory store has none. `busy_s` (real seconds) is how long
    to wait for another process's transaction. Raises StoreUnreachable when the file cannot be used.
    """
    opened = MemoryRepository(retention) if backend == "memory" else SqliteStore(path, retention, busy_s=busy_s)
    async with opened as store:
        expiry = asyncio.create_task(_expire_hourly(store, clock), name="store-expiry")
        try:
            yield store
        finally:
            expiry.cancel()
            await asyncio.gather(expiry, return_exceptions=True)


async def _expire_hourly(store: Store, clock: Clock) -> None:
    while True:
        try:
            deleted = {name: count for name, count in (await store.expire(clock.now_ms())).items() if count}
        except StoreError as error:
            log.warning("expiry_failed", reason=str(error))
        except Exception:
            log.exception("expiry_failed")  # rows grow old, but everything else goes on
        else:
            if deleted:
                log.info("expired", **deleted)
        await clock.sleep(EXPIRE_EVERY_S)
