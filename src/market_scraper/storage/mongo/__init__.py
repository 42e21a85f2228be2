"""The store in MongoDB: for several processes and machines.

Importing this room imports the driver, so whoever may do without it imports late.
"""

from market_scraper.storage.mongo.store import MongoStore

__all__ = ["MongoStore"]
