"""Redis or the database away for minutes, under load: told, survived by itself, and nothing accepted is lost."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.system import to_ms
from tests.proof.course import COIN, track_everyone
from tests.proof.plan import Plan
from tests.proof.scale import SCALE
from tests.proof.separate import FIRST_WITHIN_S, Scene, scene
from tests.proof.watching import glance, pause, watching
from tests.servers.mongo import MongoServer
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.proof

PLAN = Plan(
    traders=max(300, round(2_000 * min(SCALE, 1))),
    prints_per_s=max(20.0, 88.0 * min(SCALE, 1)),
    seconds=0,
    gaps_s=(),
    events=(),
    coins=(COIN,),
    seed=31,
)
REDIS_AWAY_S = max(40.0, 120 * min(SCALE, 1))  # venue seconds
STORE_AWAY_S = max(90.0, 600 * min(SCALE, 1))  # venue seconds
TOLD_WITHIN_S = 30.0  # real seconds
SINCE_WITHIN_S = 30.0  # venue seconds: from the moment at which it went to the one that is told
MORE_BYTES = 64 << 20
"""What a process may have grown by after an outage, whatever its length: its queues are bounded, and rows spill."""


@dataclass(frozen=True)
class Outage:
    """What one outage showed."""

    what: str
    seconds: float  # venue time
    again_s: float  # venue seconds from its end until 95 % are exact again
    grown: dict[str, int]  # bytes by process, from before to the end of the outage
    exact_meanwhile: float | None  # the smallest share of exact holders and |size| at its end; None: nobody answered


async def test_redis_may_be_away_for_minutes(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    async with scene(tmp_path, tmp_path_factory, PLAN) as on:
        outage = await _survive(on, on.redis, "bus", REDIS_AWAY_S, capsys)
    assert outage.exact_meanwhile in (None, 0.0)  # nobody hears the tape: nothing may be called exact


async def test_the_database_may_be_away_for_ten_minutes(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    async with scene(tmp_path, tmp_path_factory, PLAN) as on:
        await _survive(on, on.mongo, "store", STORE_AWAY_S, capsys)


async def _survive(
    on: Scene, server: RedisServer | MongoServer, component: str, away_s: float, capsys: pytest.CaptureFixture[str]
) -> Outage:
    eye = on.eyes[0]
    await track_everyone(eye)
    async with watching(*on.eyes):
        await on.until_exact(within_s=FIRST_WITHIN_S)
        history_from_seq = on.heard.envelopes[-1].seq + 1
        before = _memory(on)

        gone_ms = eye.now_ms()
        await asyncio.to_thread(server.kill)
        for each in ("api-1", "api-2"):
            said = await _until_told(on, each, component, lambda part: part["reason"] is not None)
            assert abs(to_ms(said["since"]) - gone_ms) < SINCE_WITHIN_S * 1000, said
        await eye.until(gone_ms + away_s * 1000)
        exact = await glance(eye)
        grown = {name: now - before[name] for name, now in _memory(on).items()}
        assert on.cluster.ended() == {}

        await asyncio.to_thread(server.start)
        back_ms = eye.now_ms()
        for each in ("api-1", "api-2"):
            await _until_told(on, each, component, lambda part: part["reason"] is None)
        again_s = (await on.until_exact_again() - back_ms) / 1000
        await pause(eye, 60.0)  # under load again
        await on.until_candles_are_whole()
    kept = await on.stop_and_reckon(history_from_seq)
    outage = Outage(component, away_s, again_s, grown, exact)
    with capsys.disabled():
        print(_report(on, outage, kept))
    assert on.wrong == []
    assert on.checks >= 1_000
    assert max(grown.values()) < MORE_BYTES, grown
    return outage


async def _until_told(on: Scene, api: str, component: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait until an API's `/health/status` says that of its store or bus; gives what it says."""
    deadline = time.monotonic() + TOLD_WITHIN_S
    async with httpx2.AsyncClient(base_url=on.cluster[api].url, timeout=20.0) as http:
        while True:
            said: dict[str, Any] = (await http.get("/health/status")).json()["components"][component]
            if is_so(said):
                return said
            assert time.monotonic() < deadline, said
            await asyncio.sleep(0.1)


def _memory(on: Scene) -> dict[str, int]:
    """Resident bytes by process."""
    found = {}
    for name in on.cluster.names:
        status = Path(f"/proc/{on.cluster[name].process.pid}/status").read_text()
        kilobytes = next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]
        found[name] = int(kilobytes) * 1024
    return found


def _report(on: Scene, outage: Outage, kept: int) -> str:
    grown = ", ".join(f"{name} {size / (1 << 20):+.1f} MB" for name, size in sorted(outage.grown.items()))
    return "\n".join(
        [
            "",
            f"{outage.what} away for {outage.seconds:.0f} venue seconds at {PLAN.prints_per_s:g} prints/s",
            f"accepted events         {len(on.heard.envelopes)}, in {kept} rows, none lost, none doubled",
            f"exact claims compared   {on.checks} at two APIs, none wrong; exact at its end: {outage.exact_meanwhile}",
            f"95 % exact again after  {outage.again_s:.0f} venue seconds",
            f"memory                  {grown}",
        ]
    )
