"""What is kept, and the backends that keep it."""

from market_scraper.storage.memory import MemoryRepository

__all__ = ["MemoryRepository"]
