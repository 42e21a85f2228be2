"""The same exactness where each role is a process of its own, over Redis and the MongoDB protocol."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import shared_redis
from tests.e2e.cluster import Cluster, cluster
from tests.proof.course import COIN, EVERYONE, Course, venue_of
from tests.proof.observer import Observer
from tests.proof.plan import exactness
from tests.proof.report import report
from tests.proof.scale import SCALE, separate_speed
from tests.proof.thresholds import it_is_soon_exact_again, nothing_was_wrong
from tests.servers.mongo import database

pytestmark = pytest.mark.proof

OTHER_LOOK_S = 7.0  # venue seconds between two looks at the second API
ANSWER_S = 120
COMPARED = 60  # traders whose whole answers are compared
TOLD_WHEN_ASKED = frozenset({"doubt", "age_s", "next_cursor"})
"""What has the moment of asking in it; everything else is the same whoever says it."""


async def test_three_separate_processes_on_redis_and_mongodb_are_as_exact_and_two_apis_say_the_same(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, mongo_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = exactness(SCALE, prints_per_s=88.0)
    settings = EVERYONE | {"HYPERLIQUID__SYMBOL": ",".join(plan.coins), "ONCHAIN__HISTORY_DAYS": "5"}
    with ExitStack() as servers:
        redis = shared_redis(servers, tmp_path_factory)
        settings["MONGO__DATABASE"] = servers.enter_context(database(mongo_url))
        async with (
            venue_of(tmp_path, plan, speed=separate_speed(plan.prints_per_s)) as venue,
            cluster(tmp_path, venue, redis.url, mongo_url=mongo_url, **settings) as program,
        ):
            await program.start("process-1", "collect-1")
            await program.start("api-1", "api-2", MONGO__URL=patient(mongo_url))
            async with Observer(venue, program["api-1"]) as observer, Observer(venue, program["api-2"]) as other:
                async with looking(other):
                    record = await Course(observer, plan, program["collect-1"]).run()
                with capsys.disabled():
                    print(report(plan, observer.verdicts, record))
                nothing_was_wrong(observer, record)
                assert other.verdicts.wrong == []
                assert other.verdicts.checks >= 1_000
                it_is_soon_exact_again(plan, record)
                await _say_the_same(program, observer, other)


def patient(mongo_url: str) -> str:
    """The same server, from which an answer may take two minutes.

    The protocol server looks through all facts to find one trader's, a million of them at full size. At the four
    seconds that an API usually waits it never came to an end, and each new attempt began another search.
    """
    return f"{mongo_url}{'&' if '?' in mongo_url else '/?'}socketTimeoutMS={ANSWER_S * 1000}"


@asynccontextmanager
async def looking(observer: Observer) -> AsyncIterator[None]:
    """Look again and again while in the block."""

    async def look() -> None:
        while True:
            await observer.look(COIN)
            await observer.until(observer.now_ms() + OTHER_LOOK_S * 1000)

    task = asyncio.create_task(look(), name="other-observer")
    try:
        yield
    finally:
        task.cancel()
        (error,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(error, asyncio.CancelledError), error


async def _say_the_same(program: Cluster, one: Observer, other: Observer) -> None:
    """Once nobody collects any more and all is worked off, both give the same answer to the same question."""
    everyone = sorted((await one.look(COIN)).shown)
    people = everyone[:: max(1, len(everyone) // COMPARED)]
    await program.stop("collect-1")
    await program.stop("process-1")
    paths = [
        "/api/v1/markets",
        f"/api/v1/markets/{COIN}",
        f"/api/v1/markets/{COIN}/history?timeframe=1m&limit=100",
        "/api/v1/signals/current",
        "/api/v1/signals?hours=2&limit=100",
        "/api/v1/traders?limit=500&sort=address",
        *(f"/api/v1/traders/{trader}" for trader in people),
        *(f"/api/v1/traders/{trader}/positions?hours=2&limit=200" for trader in people[:10]),
    ]
    for path in paths:
        answers = [
            _settled(json.loads(await each.get(each.server.url + path)))  # one right after the other
            for each in (one, other)
        ]
        if answers[0] != answers[1]:  # pytest's own comparison of whole lists takes minutes and gigabytes
            pytest.fail(f"{path}: {_difference(answers[0], answers[1])}")


def _settled(answer: Any) -> Any:
    """An answer without what has the moment of asking in it, however deep it stands."""
    if isinstance(answer, dict):
        return {name: _settled(value) for name, value in answer.items() if name not in TOLD_WHEN_ASKED}
    if isinstance(answer, list):
        return [_settled(each) for each in answer]
    return answer


def _difference(one: Any, other: Any, where: str = "") -> str:
    """The first place at which two answers differ, with what stands there."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return next(_difference(one[name], other[name], f"{where}.{name}") for name in one if one[name] != other[name])
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return next(_difference(a, b, f"{where}[{place}]") for place, (a, b) in pairs if a != b)
    return f"{where}: {str(one)[:300]} and {str(other)[:300]}"
