"""Events over Redis, published, read and acknowledged; beside the bare Redis commands on the same bytes."""

import asyncio
import sys
import tempfile
import uuid
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

import structlog
from redis.asyncio import Redis

from bench import bus, made
from bench.figures import Aim, Benchmark, Round, main
from market_scraper.domain.events import PositionChanged
from market_scraper.event_bus.codec import encode_event
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.event_bus.redis import RedisAddress, RedisBus
from market_scraper.runtime.backoff import backoff
from market_scraper.runtime.clock import ScaledClock
from tests.servers.redis import redis_server

A_BATCH = 500  # events in one `publish`, and at most in one `take`


async def through(url: str, events: int) -> float:
    """Real seconds from the first event made to the last acknowledgement with the server; one group, one process."""
    facts = bus.Facts(made.addresses(1_000))
    async with AsyncExitStack() as stack:
        through_redis = await stack.enter_async_context(
            RedisBus(
                RedisAddress(url=url),
                reserve_in_memory(),
                clock=ScaledClock(),
                delays=backoff,
                namespace=uuid.uuid4().hex,
                block=10 * events,
            )
        )
        inbox = await stack.enter_async_context(through_redis.subscribe("group", PositionChanged, size=bus.BOUND))
        begun_s = perf_counter()

        async def publish() -> None:
            for first in range(0, events, A_BATCH):
                await through_redis.publish([facts.make(n) for n in range(first, min(events, first + A_BATCH))])

        publishing = asyncio.create_task(publish())
        seen = 0
        while seen < events:
            taken = await inbox.take(A_BATCH)
            assert taken[0].event.known_at_ms == bus.START_MS + seen  # in order, none twice
            seen += len(taken)
            inbox.ack(taken)
        await publishing
        await through_redis.flushed()
        took_s = perf_counter() - begun_s
        assert through_redis.stats()["waiting_group"] == 0
        return took_s


async def bare(url: str, events: int) -> float:
    """Real seconds for pipelined XADD, XREADGROUP and XACK of the same bytes, by the same batches."""
    facts, name = bus.Facts(made.addresses(1_000)), uuid.uuid4().hex
    bodies = [encode_event(facts.make(number)) for number in range(events)]
    async with Redis.from_url(url, protocol=2) as redis:
        await redis.xgroup_create(name, "group", mkstream=True)
        begun_s = perf_counter()
        for first in range(0, events, A_BATCH):
            pipeline = redis.pipeline(transaction=False)
            for body in bodies[first : first + A_BATCH]:
                pipeline.xadd(name, {"PositionChanged": body})
            await pipeline.execute()
            read: Any = await redis.xreadgroup("group", "owner", {name: ">"}, count=A_BATCH)
            await redis.xack(name, "group", *(entry[0] for entry in read[0][1]))
        return perf_counter() - begun_s


def measure(size: float, rounds: int) -> Sequence[Round]:
    """Events a second of real time: two processes work, and both have to be there."""
    events = max(2_000, round(60_000 * size))
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # figures alone go to stdout
    with (
        tempfile.TemporaryDirectory() as folder,
        redis_server(Path(folder), "--save", "", "--appendonly", "no") as server,
    ):

        def timed(run: Callable[[str, int], Coroutine[None, None, float]]) -> float:
            return events / asyncio.run(run(server.url, events))

        taken = []
        for _ in range(rounds):
            floor = timed(bare)
            taken.append(Round(timed(through), floor))
        return taken


BENCHMARK = Benchmark(
    name="redis_bus",
    unit="events/s",
    says="events made, published by 500 over a Redis server on loopback (no disk) to one group, read in order and "
    "acknowledged, a second of real time",
    floor_is="pipelined XADD, XREADGROUP and XACK of the same bytes in the same batches with redis-py",
    measure=measure,
    aim=Aim(of="value", at_least=30_000),
)

if __name__ == "__main__":
    main(BENCHMARK)
