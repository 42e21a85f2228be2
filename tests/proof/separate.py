"""A whole system of separate processes over servers of its own, and what it owes when all that happened is over."""

import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from market_scraper.domain.events import PositionChanged
from market_scraper.domain.positions import PositionState
from tests.conftest import missing, shared_redis
from tests.e2e.bus_follower import Heard, following
from tests.e2e.cluster import Cluster, cluster
from tests.proof.accepted import EVERYTHING_IS_KEPT, Accepted, twice, unconnected
from tests.proof.course import COIN, EVERYONE, venue_of
from tests.proof.observer import Observer
from tests.proof.plan import Plan
from tests.proof.scale import separate_speed
from tests.proof.watching import glance, pause
from tests.servers.mongo import MongoServer, Unavailable, mongo_server
from tests.servers.redis import RedisServer

AGAIN_EXACT = 0.95
AGAIN_WITHIN_S = 300.0  # venue seconds
FIRST_WITHIN_S = 600.0
"""Venue seconds for the first time: 2,000 accounts, and the history of candles before them, are 280 s of the budget."""

STORED_WITHIN_S = 90.0  # real seconds, from the last fact on
COMPARED = 300  # facts of the history
DATABASE = "separate"


@dataclass
class Scene:
    """Everything that runs: two processes of each role, a follower of the bus, and an observer of each API."""

    cluster: Cluster
    redis: RedisServer
    mongo: MongoServer
    heard: Heard
    eyes: tuple[Observer, Observer]

    @property
    def speed(self) -> float:
        """Venue seconds in a real one."""
        return float(self.cluster.venue.ready["speed"])

    @property
    def wrong(self) -> list[str]:
        """Claims that were not so."""
        return [wrong for eye in self.eyes for wrong in eye.verdicts.wrong]

    @property
    def checks(self) -> int:
        """Claims that were compared."""
        return sum(eye.verdicts.checks for eye in self.eyes)

    async def until_exact(self, *, within_s: float) -> int:
        """At both APIs, so many venue seconds at most; gives when that was (venue ms)."""
        for eye in self.eyes:
            deadline = time.monotonic() + within_s / self.speed
            while (share := await glance(eye)) is None or share < AGAIN_EXACT:
                assert self.wrong == []
                assert time.monotonic() < deadline, f"{share} exact, not {AGAIN_EXACT}, in time"
                await pause(eye, 0.4)
        return self.eyes[0].now_ms()

    async def until_exact_again(self) -> int:
        """After something was away."""
        return await self.until_exact(within_s=AGAIN_WITHIN_S)

    async def until_candles_are_whole(self) -> None:
        """At one API, for they have the same store."""
        deadline = time.monotonic() + AGAIN_WITHIN_S / self.speed
        while not await self.eyes[0].candles_are_whole(COIN):
            assert time.monotonic() < deadline, "a hole in the candles"
            await pause(self.eyes[0], 1.0)

    async def stop_and_reckon(self, history_from_seq: int) -> int:
        """Stop all in order; what was accepted is stored then, once, in order, and true. Gives how many rows."""
        eye = self.eyes[0]
        stats = await eye.stats()
        await self.cluster.stop(*(name for name in self.cluster.names if name.startswith("collect")))
        with MongoClient[dict[str, Any]](self.mongo.url) as client:
            database = client[DATABASE]
            deadline = time.monotonic() + STORED_WITHIN_S
            while True:
                accepted = Accepted(self.heard.envelopes, history_from_seq=history_from_seq)
                lost = accepted.missing(database)
                if not lost or time.monotonic() > deadline:
                    break
                await pause(eye, 2.0)
            assert lost == [], f"{len(lost)} of {len(accepted)}"
            await self.cluster.stop(*self.cluster.names)
            accepted = Accepted(self.heard.envelopes, history_from_seq=history_from_seq)
            assert accepted.missing(database) == []
            assert accepted.made_up(database) == []
            assert twice(database) == []
            assert database["dead_letters"].count_documents({}) == 0
        assert self.heard.disorder() == []
        assert unconnected(self.heard.envelopes) == []
        await self._history_is_the_truth()
        assert stats["answers_429"] == 0
        return len(accepted)

    async def _history_is_the_truth(self) -> None:
        """Facts from all over the run, each at its own time."""
        facts = [
            (event.after.trader, event.after.t_ms, event.after.lots or 0)
            for event in self.heard.of(PositionChanged)
            if isinstance(event, PositionChanged) and event.after.state is PositionState.EXACT
        ]
        assert len(facts) > COMPARED
        assert await self.eyes[0].untrue(COIN, random.Random(4).sample(facts, COMPARED)) == []


@asynccontextmanager
async def scene(folder: Path, folders: pytest.TempPathFactory, plan: Plan) -> AsyncIterator[Scene]:
    """Start it; a plan's coin is BTC alone."""
    with ExitStack() as servers:
        redis = shared_redis(servers, folders)
        try:
            mongo = servers.enter_context(mongo_server(folders.mktemp("mongo")))
        except Unavailable as error:
            missing(str(error))
            raise  # not reached
        settings = EVERYONE | EVERYTHING_IS_KEPT | {"HYPERLIQUID__SYMBOL": COIN, "ONCHAIN__HISTORY_DAYS": "5"}
        settings |= {"MONGO__DATABASE": DATABASE}
        async with AsyncExitStack() as stack:
            venue = await stack.enter_async_context(venue_of(folder, plan, speed=separate_speed(plan.prints_per_s)))
            program = await stack.enter_async_context(
                cluster(folder, venue, redis.url, "process-1", mongo_url=mongo.url, **settings)
            )
            heard = await stack.enter_async_context(following(redis.url))
            await program.start("collect-1", "api-1", "api-2")
            await program.start("collect-2", "process-2")
            one = await stack.enter_async_context(Observer(venue, program["api-1"]))
            other = await stack.enter_async_context(Observer(venue, program["api-2"]))
            yield Scene(program, redis, mongo, heard, (one, other))
