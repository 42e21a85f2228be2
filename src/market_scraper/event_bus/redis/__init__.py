"""The bus on Redis Streams, for several processes. How it works: docs/decisions/0010-redis-streams.md."""

from market_scraper.event_bus.redis.address import RedisAddress
from market_scraper.event_bus.redis.bus import RedisBus
from market_scraper.event_bus.redis.link import reach
from market_scraper.event_bus.redis.member import Patience

__all__ = ["Patience", "RedisAddress", "RedisBus", "reach"]
