"""The store that is there already, for commands that read it without a server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from market_scraper.app.backends import mongo_address
from market_scraper.cli.remote import CommandFailed
from market_scraper.config import Settings, choose_backends
from market_scraper.ports.stores import Store
from market_scraper.storage import SqliteStore


@asynccontextmanager
async def kept_store(settings: Settings) -> AsyncIterator[Store]:
    """Give the store that the settings name; nothing of it expires meanwhile.

    Raises CommandFailed where there is none, StoreUnreachable where it cannot be used.
    """
    path, retention = settings.storage.path, settings.storage.retention.rules()
    chosen = choose_backends(settings).store
    address = mongo_address(settings)
    if address is not None:
        from market_scraper.storage.mongo import MongoStore  # the driver is heavy

        async with MongoStore(address, retention) as mongo:
            yield mongo
        return
    if chosen == "memory":
        raise CommandFailed("STORAGE__BACKEND=memory keeps nothing: there is no store to read")
    if not path.is_file():
        raise CommandFailed(f"there is no store at {path}")
    async with SqliteStore(path, retention) as sqlite:
        yield sqlite
