"""What the tests of the Redis bus share: a bus of some process, and shorter patience than in earnest."""

import asyncio
import uuid
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any

from redis import Redis

from market_scraper.event_bus.numbers import Reserve, reserve_in_memory
from market_scraper.event_bus.redis import Patience, RedisAddress, RedisBus
from market_scraper.ports.bus import Inbox
from market_scraper.runtime.clock import ScaledClock
from tests.contracts.bus import PATIENCE_S

QUICK = Patience(member_s=0.3, reader_s=600.0)


def at_once() -> Iterator[float]:
    return repeat(0.01)


def new_namespace() -> str:
    return uuid.uuid4().hex


def bus_at(url: str, namespace: str, reserve: Reserve | None = None, **options: Any) -> RedisBus:
    """A bus as one process has it; several with one namespace stand for several processes."""
    given = {"clock": ScaledClock(), "delays": at_once, "patience": QUICK, "lease_s": 0.4, **options}
    address = RedisAddress(url=url, connect_s=1.0, answer_s=given.pop("answer_s", 2.0))
    return RedisBus(address, reserve or reserve_in_memory(), namespace=namespace, **given)


async def until(holds: Callable[[], object]) -> None:
    """Wait for what only another task or the server makes true."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.005)


async def take_and_ack(inbox: Inbox, count: int) -> list[int]:
    """The numbers of the next `count` events, acknowledged."""
    numbers: list[int] = []
    async with asyncio.timeout(2 * PATIENCE_S):
        while len(numbers) < count:
            taken = await inbox.take()
            numbers += [envelope.event.known_at_ms for envelope in taken]
            inbox.ack(taken)
    return numbers


def held(url: str, namespace: str, key: str) -> Sequence[int]:
    """The numbers (seq) of the events that lie in a partition's stream."""
    with Redis.from_url(url) as client:
        return [int(entry[0].split(b"-")[0]) for entry in client.xrange(f"{{{namespace}}}:s:{key}")]
