"""Opens the store that the settings name."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Literal

import structlog

from market_scraper.domain.errors import ConfigError, StoreError
from market_scraper.ports.clock import Clock
from market_scraper.ports.stores import Retention, Store
from market_scraper.storage.address import MongoAddress
from market_scraper.storage.memory import MemoryRepository
from market_scraper.storage.sqlite import SqliteStore

log = structlog.get_logger(__name__)

EXPIRE_EVERY_S = 3_600.0  # venue seconds


@asynccontextmanager
async def open_store(
    backend: Literal["memory", "sqlite", "mongo"],
    *,
    path: Path,
    retention: Retention,
    clock: Clock,
    busy_s: float = 5.0,
    mongo: MongoAddress | None = None,
) -> AsyncIterator[Store]:
    """Give an open store that deletes what is too old by itself, at once and then hourly.

    `path` is of the SQLite file, its folder is made; the other stores have none. `busy_s` (real seconds) is how long
    to wait for another process's transaction. `mongo` says where MongoDB is. Raises StoreUnreachable when the file
    cannot be used or the server not be reached.
    """
    async with _chosen(backend, path, retention, busy_s, clock, mongo) as store:
        expiry = asyncio.create_task(_expire_hourly(store, clock), name="store-expiry")
        try:
            yield store
        finally:
            expiry.cancel()
            await asyncio.gather(expiry, return_exceptions=True)


def _chosen(
    backend: Literal["memory", "sqlite", "mongo"],
    path: Path,
    retention: Retention,
    busy_s: float,
    clock: Clock,
    mongo: MongoAddress | None,
) -> AbstractAsyncContextManager[Store]:
    if backend == "memory":
        return MemoryRepository(retention)
    if backend == "sqlite":
        return SqliteStore(path, retention, busy_s=busy_s, clock=clock)
    if mongo is None:
        raise ConfigError("a MongoDB store needs MONGO__URL")
    # The driver takes 0.3 s and 20 MB to import: only those pay who use it.
    from market_scraper.storage.mongo import MongoStore

    return MongoStore(mongo, retention)


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
