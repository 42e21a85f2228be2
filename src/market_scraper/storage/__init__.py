"""What is kept, and the backends that keep it."""

from market_scraper.storage.buffer import Buffer
from market_scraper.storage.memory import MemoryRepository
from market_scraper.storage.open import open_store
from market_scraper.storage.sqlite import SqliteStore

__all__ = ["Buffer", "MemoryRepository", "SqliteStore", "open_store"]
