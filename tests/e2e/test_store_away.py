"""The whole program while its store takes nothing: it goes on, says so, and is well again by itself."""

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.system import paper_venue, server
from tests.servers.mongo import MongoServer

SPEED = 20
PATIENCE_S = 60.0
STOPPED_WITHIN_S = 10.0


async def test_a_store_that_is_away_is_told_spilled_around_and_refilled(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with (
        paper_venue(tmp_path, traders=50, speed=SPEED) as venue,
        server(tmp_path, venue, BUFFER__MAX_SIZE="50") as program,
        httpx2.AsyncClient(base_url=program.url, trust_env=False) as http,
    ):

        async def persister() -> dict[str, Any]:
            status = (await http.get("/health/status")).json()
            found: dict[str, Any] = status["components"].get("persister", {"status": "none", "detail": {}})
            return found

        async def is_spilling() -> bool:
            found = await persister()
            return found["status"] == "degraded" and int(found["detail"].get("spilled_rows", 0)) > 100

        async def is_well() -> bool:
            found = await persister()
            return found["status"] == "healthy" and int(found["detail"]["spilled_rows"]) == 0

        await until(is_well)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # another program writes, and does not end
            before = other.execute("SELECT count(*) FROM position_state").fetchone()[0]
            await until(is_spilling)
            found = await persister()
            assert found["reason"].startswith("the store is away since 20")
            assert found["since"] is not None
            assert files(tmp_path) != []
            other.execute("ROLLBACK")
        await until(is_well)
        assert files(tmp_path) == []
        assert await program.stop() == 0
    with closing(sqlite3.connect(path)) as kept:
        assert kept.execute("SELECT count(*) FROM position_state").fetchone()[0] >= before


@pytest.mark.proof
@pytest.mark.parametrize("is_shared", [False, True], ids=["alone", "over Redis"])
async def test_a_mongodb_that_hangs_does_not_keep_the_program_from_stopping_in_time(
    tmp_path: Path, own_mongo: MongoServer, redis_url: str, is_shared: bool
) -> None:
    chosen = {"MONGO__URL": own_mongo.url} | ({"REDIS__URL": redis_url} if is_shared else {})
    async with (
        paper_venue(tmp_path, traders=50, speed=SPEED) as venue,
        server(tmp_path, venue, **chosen) as program,
        httpx2.AsyncClient(base_url=program.url, trust_env=False, timeout=30.0) as http,
    ):

        async def is_ready() -> bool:
            return (await http.get("/health/ready")).status_code == 200

        await until(is_ready)
        os.kill(own_mongo.pid, signal.SIGSTOP)
        try:
            assert await program.stop(STOPPED_WITHIN_S) == 0
        finally:
            os.kill(own_mongo.pid, signal.SIGCONT)
    assert "Traceback" not in program.log.read_text()


def files(folder: Path) -> list[Path]:
    """Where the rows are meanwhile."""
    return list(folder.glob("store.db.spill/*/*.spill"))


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not await is_so():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.2)
