"""The embedded store: one file, no server."""

from market_scraper.storage.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
