"""The whole program on a bus in Redis: what it says when Redis is not there, and that it comes through an outage."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conftest import shared_redis
from tests.e2e.system import Witness, command, paper_venue, server
from tests.servers.redis import RedisServer

SPEED = 10.0
PATIENCE_S = 40.0
END_S = 10.0  # the promise


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with ExitStack() as stack:
        yield shared_redis(stack, tmp_path_factory)


async def until(http: httpx2.AsyncClient, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask `/health/status` until it shows that; gives the answer."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        said: dict[str, Any] = (await http.get("/health/status")).json()
        if is_so(said["components"]):
            return said
        assert time.monotonic() < deadline, said
        await asyncio.sleep(0.1)


async def test_a_redis_that_does_not_answer_at_start_is_one_clear_line_and_exit_code_1(tmp_path: Path) -> None:
    env = {"REDIS__URL": "redis://user:hunter2@127.0.0.1:1/0", "STORAGE__PATH": str(tmp_path / "store.db")}
    said = await command("server", "--port", "0", env=env)
    assert said.code == 1
    errors = [line for line in said.error.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert errors[0].startswith("error: cannot reach Redis at 127.0.0.1:1/0")
    assert "hunter2" not in said.out + said.error


@pytest.mark.proof
async def test_an_outage_of_redis_is_told_with_its_time_and_survived_with_every_claim_true(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with (
        paper_venue(tmp_path, traders=60, speed=SPEED) as venue,
        server(tmp_path, venue, REDIS__URL=redis.url) as program,
        httpx2.AsyncClient(base_url=program.url, timeout=20) as http,
        Witness(venue, program) as witness,
    ):
        said = await until(http, lambda parts: "positions" in parts and parts["positions"]["status"] == "healthy")
        assert said["backends"]["bus"] == "redis"
        people = await witness.people()
        assert (await witness.check(people)).wrong == []

        redis.kill()
        parts = (await until(http, lambda parts: parts["bus"]["reason"] is not None))["components"]
        assert parts["bus"]["reason"].startswith("Redis is away since ")
        assert parts["bus"]["since"] is not None
        assert (await http.get("/health/live")).status_code == 200
        assert (await witness.check(people)).wrong == []

        await asyncio.to_thread(redis.start)
        await until(http, lambda parts: parts["bus"]["reason"] is None and parts["positions"]["status"] == "healthy")
        deadline = time.monotonic() + PATIENCE_S
        while (checked := await witness.check(people)).exact < len(people) / 3:
            assert checked.wrong == []
            assert time.monotonic() < deadline, checked
            await asyncio.sleep(0.5)
        assert checked.wrong == []
        assert await program.stop() == 0
    log = program.log.read_text()
    assert log.count('"bus_away"') == log.count('"bus_back"') == 1
    assert "Traceback" not in log


async def test_a_redis_that_hangs_does_not_keep_the_program_from_stopping_in_time(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with server(tmp_path, None, REDIS__URL=redis.url) as program:
        redis.freeze()
        try:
            assert await program.stop(END_S) == 0
        finally:
            redis.thaw()
    assert "Traceback" not in program.log.read_text()
