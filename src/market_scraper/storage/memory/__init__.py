"""The store in memory."""

from market_scraper.storage.memory.repository import MemoryRepository

__all__ = ["MemoryRepository"]
