"""The bus on Redis keeps every bus's promises, against a real server."""

import uuid
from collections.abc import AsyncIterator

import pytest

from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.event_bus.redis import RedisAddress, RedisBus
from market_scraper.ports.lease import LeasedBus
from market_scraper.runtime.backoff import backoff
from market_scraper.runtime.clock import ScaledClock
from tests.contracts.bus import BusContract


class TestRedisBus(BusContract):
    @pytest.fixture
    async def bus(self, redis_url: str) -> AsyncIterator[LeasedBus]:
        async with RedisBus(
            RedisAddress(url=redis_url),
            reserve_in_memory(),
            clock=ScaledClock(),
            delays=backoff,
            namespace=uuid.uuid4().hex,
        ) as bus:
            yield bus
