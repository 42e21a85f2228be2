"""`kill -9` of one process after the other under load: what the bus accepted is stored once, and no claim is wrong."""

import asyncio
import random
import statistics
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pytest

from tests.proof.course import COIN, track_everyone
from tests.proof.plan import Plan
from tests.proof.scale import SCALE
from tests.proof.separate import FIRST_WITHIN_S, Scene, scene
from tests.proof.watching import pause, watching
from tests.servers.mongo import MongoServer
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.proof

PLAN = Plan(traders=200, prints_per_s=12.0, seconds=0, gaps_s=(), events=(), coins=(COIN,), seed=30)
TAKE_OVER_S = 10.0  # the promise, in real seconds
PATIENCE_S = 60.0  # real seconds in which the tape goes on after anything
BETWEEN_S = (1.0, 15.0)  # venue seconds from one kill to the next, besides what the kill itself takes
AWAY_S = (0.0, 3.0)  # real seconds until a killed server is started again


class Victim(StrEnum):
    """What is killed."""

    COLLECTOR = "the collector that acts"
    STAND_BY = "the collector that stands by"
    PROCESSOR = "the processor that acts"
    API = "an API"
    REDIS = "Redis"
    STORE = "the database"


KILLS = max(len(Victim) + 2, round(100 * min(SCALE, 1)))


@dataclass
class Killer:
    """Kills, and starts again."""

    on: Scene
    rng: random.Random = field(default_factory=lambda: random.Random(11))
    took_over_s: list[float] = field(default_factory=list)

    async def kill(self, victim: Victim) -> None:
        """Kill it and start it again; on return the tape goes on."""
        match victim:
            case Victim.COLLECTOR:
                await self._kill_collector()
            case Victim.STAND_BY:
                await self._kill_and_start(self.rng.choice(self.on.cluster.standing_by("collect")))
            case Victim.PROCESSOR:
                await self._kill_and_start(await self.on.cluster.until_active("process", within_s=PATIENCE_S))
            case Victim.API:
                await self._kill_and_start(self.rng.choice(["api-1", "api-2"]))
            case Victim.REDIS:
                await self._kill_server(self.on.redis)
            case Victim.STORE:
                await self._kill_server(self.on.mongo)
        await self.on.heard.first_advance(self.on.eyes[0].now_ms(), PATIENCE_S)

    async def _kill_and_start(self, name: str) -> None:
        await self.on.cluster.kill(name)
        await self.on.cluster.start(name)

    async def _kill_collector(self) -> None:
        name = await self.on.cluster.until_active("collect", within_s=PATIENCE_S)
        killed_s = await self.on.cluster.kill(name)
        went_on_s = await self.on.heard.first_advance(self.on.eyes[0].venue_ms(killed_s * 1000), PATIENCE_S)
        self.took_over_s.append(went_on_s - killed_s)
        await self.on.cluster.start(name)

    async def _kill_server(self, server: RedisServer | MongoServer) -> None:
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(self.rng.uniform(*AWAY_S))
        await asyncio.to_thread(server.start)


async def test_processes_killed_again_and_again_lose_double_and_make_up_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    async with scene(tmp_path, tmp_path_factory, PLAN) as on:
        await track_everyone(on.eyes[0])
        killer = Killer(on)
        async with watching(*on.eyes):
            await on.until_exact(within_s=FIRST_WITHIN_S)
            history_from_seq = on.heard.envelopes[-1].seq + 1
            victims = [*Victim, *killer.rng.choices(list(Victim), k=KILLS - len(Victim))]
            killer.rng.shuffle(victims)
            for number, victim in enumerate(victims):
                await pause(on.eyes[0], killer.rng.uniform(*BETWEEN_S))
                await killer.kill(victim)
                assert on.wrong == [], f"{number}: {victim}"
                assert on.cluster.ended() == {}, f"{number}: {victim}"
            await on.until_exact_again()
            await on.until_candles_are_whole()
        kept = await on.stop_and_reckon(history_from_seq)
    with capsys.disabled():
        print(_report(killer, kept, victims))
    assert on.wrong == []
    assert on.checks >= 1_000
    assert max(killer.took_over_s) < TAKE_OVER_S


def _report(killer: Killer, kept: int, victims: list[Victim]) -> str:
    counts = ", ".join(f"{victims.count(each)} of {each}" for each in Victim)
    return "\n".join(
        [
            "",
            f"{len(victims)} kills: {counts}",
            f"accepted events         {len(killer.on.heard.envelopes)}, in {kept} rows, none lost, none doubled",
            f"exact claims compared   {killer.on.checks} at two APIs, none wrong",
            f"take-over               {statistics.median(killer.took_over_s):.1f} s "
            f"(median of {len(killer.took_over_s)}; longest {max(killer.took_over_s):.1f})",
        ]
    )
