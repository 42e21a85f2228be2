"""Roles in processes of their own, over Redis: what one says another does, and who dies or sleeps is replaced.

The tests share one cluster and come in this order; each says what it needs of the one before.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from market_scraper.domain.events import PositionChanged, TapeAdvanced, TapeGapped
from tests.conftest import shared_redis
from tests.e2e.bus_follower import Heard, following
from tests.e2e.cluster import Cluster, cluster, until
from tests.e2e.system import Witness, paper_venue
from tests.e2e.tap import Tap, tapped

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPEED = 4.0
TRADERS = 40
PATIENCE_S = 40.0
TAKE_OVER_S = 10.0  # the promise, in real seconds
LISTING = {"meta", "metaAndAssetCtxs", "perpDexs", "spotMeta", "allMids"}


@dataclass
class Scene:
    """What the tests look at."""

    cluster: Cluster
    witness: Witness
    heard: Heard
    tap: Tap  # on what the second collector asks
    people: list[str]

    def venue_ms(self, unix_s: float) -> int:
        """What the venue's clock showed at a real moment."""
        ready = self.cluster.venue.ready
        return int((ready["origin"] + (unix_s - ready["origin"]) * ready["speed"]) * 1000)

    async def start_standing_by(self, name: str) -> None:
        """Another collector, the second one with the tap on what it asks."""
        own = {"HYPERLIQUID__API_URL": self.tap.url} if name == "collect-2" else {}
        await self.cluster.start(name, **own)
        assert self.cluster.active("collect") != name

    async def until_exact(self, share: float) -> None:
        """Wait until that share of all people is exact; nothing wrong is said on the way."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            checked = await self.witness.check(self.people)
            assert checked.wrong == []
            if checked.exact >= share * len(self.people):
                return
            assert time.monotonic() < deadline, (
                f"of {len(self.people)} only {checked.exact} are exact, {checked.seen} known"
            )

    async def until_taken_over(self, since_unix_s: float, by: str) -> None:
        """The tape goes on in time, told by somebody else; meanwhile nothing wrong is said."""
        going_on = asyncio.create_task(self.heard.first_advance(self.venue_ms(since_unix_s), PATIENCE_S))
        while not going_on.done():
            assert (await self.witness.check(self.people[::4])).wrong == []
        took_s = await going_on - since_unix_s
        assert took_s < TAKE_OVER_S, f"taken over only after {took_s:.1f} s"
        assert self.cluster.active("collect") == by


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, stack: ExitStack) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("roles")
    redis = shared_redis(stack, tmp_path_factory)
    async with AsyncExitStack() as open_:
        venue = await open_.enter_async_context(paper_venue(folder, traders=TRADERS, speed=SPEED))
        tap = await open_.enter_async_context(tapped(venue.url))
        program = await open_.enter_async_context(
            cluster(folder, venue, redis.url, "api-1", "process-1", "collect-1", ONCHAIN__HISTORY_DAYS="5")
        )
        heard = await open_.enter_async_context(following(redis.url, PositionChanged, TapeAdvanced, TapeGapped))
        witness = await open_.enter_async_context(Witness(venue, program["api-1"]))
        yield Scene(program, witness, heard, tap, await witness.people())


async def test_what_the_api_process_calls_exact_is_the_truth_of_what_another_collects(scene: Scene) -> None:
    tracked = {each["address"] for each in (await scene.witness.ask("/api/v1/traders", limit=500))["traders"]}
    by_hand = next(who for who in scene.people if who not in tracked)
    await scene.witness.order(f"/api/v1/traders/{by_hand}/track")
    await asyncio.gather(scene.until_exact(0.8), scene.start_standing_by("collect-2"))
    tracked = {each["address"] for each in (await scene.witness.ask("/api/v1/traders", limit=500))["traders"]}
    assert by_hand in tracked
    said = await scene.witness.ask("/health/status")
    assert said["roles"] == ["api"]
    assert {"hyperliquid", "positions", "persister", "signals", "scoring"} <= said["components"].keys()


async def test_a_stand_by_asks_nothing_and_takes_over_from_a_killed_one_what_was_chosen(scene: Scene) -> None:
    await scene.witness.order("/api/v1/connectors/leaderboard/stop")
    assert (await scene.witness.ask("/api/v1/connectors/leaderboard"))["status"] == "stopped"

    assert scene.cluster.active("collect") == "collect-1"
    assert set(scene.tap.asked()) <= LISTING

    await scene.until_taken_over(await scene.cluster.kill("collect-1"), by="collect-2")
    await asyncio.gather(scene.until_exact(0.8), scene.start_standing_by("collect-1"))
    # Everybody may be exact without a question, for the tape was whole: then the first one is an audit, a moment later.
    await until(lambda: "clearinghouseState" in scene.tap.asked(), PATIENCE_S, "it asks for nobody")
    assert (await scene.witness.ask("/api/v1/connectors/leaderboard"))["status"] == "stopped"
    await scene.witness.order("/api/v1/connectors/leaderboard/start")
    assert (await scene.witness.ask("/api/v1/connectors/leaderboard"))["status"] != "stopped"


async def test_a_collector_that_slept_over_its_lease_is_refused_and_stands_by(scene: Scene) -> None:
    assert scene.cluster.active("collect") == "collect-2"

    await scene.until_taken_over(scene.cluster.pause("collect-2"), by="collect-1")
    scene.cluster.resume("collect-2")
    await until(lambda: any(scene.cluster.said("collect-2", "lease_lost")), PATIENCE_S, "it was not refused")
    await until(lambda: any(scene.cluster.said("collect-2", "role_stands_by")), PATIENCE_S, "it does not stand by")
    await scene.until_exact(0.8)
    assert scene.cluster.active("collect") == "collect-1"
    assert scene.cluster.ended() == {}
    assert scene.heard.disorder() == []
    assert (await scene.witness.stats())["answers_429"] == 0
