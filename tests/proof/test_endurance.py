"""A day and a night of work: memory that has settled stays, and every socket is renewed in time, without a gap."""

import asyncio
import json
import os
import statistics
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect

from tests.e2e.system import Process, running, server
from tests.proof.course import COIN, EVERYONE
from tests.proof.observer import Observer, is_exact
from tests.proof.scale import IS_FULL, SCALE

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory and time are read from /proc"),
]

HOURS = max(1.25, 24.0 * min(SCALE, 1.0))  # never shorter than to the first renewal
SPEED = float(os.environ.get("PROOF_ENDURANCE_SPEED", "60"))
"""At 60 a day is 24 real minutes. A machine that stalls for 67 real ms stalls for 4 s then: see `unhurried`."""

SETTLED_H = 2.0
MEASURED_H = 0.25  # memory is the median over so long
GROWTH = 1.02
LOOK_S = 120.0  # venue seconds
RENEWED_EVERY_H = 10_200 / 3_600  # each of the tape's sockets, in turns
TAPE_SOCKETS = 3

VENUE: dict[str, Any] = {
    "traders": 100,
    "prints_per_s": 6.0,  # as the venue's busiest coin on a usual day, so that what is kept by count is full in time
    "speed": SPEED,
    "seed": 5,
    "symbols": [COIN],
    "history_days": 2,
    "idle_close_s": max(60.0, SPEED),  # a handshake takes real time
}
SETTINGS = EVERYONE | {
    "LOGGING__FORMAT": "json",
    # Requests and account frames take real time: a budget as at speed 1 would be five hundred requests a real second.
    "POSITIONS__REST_WEIGHT_PER_MINUTE": "120",
    "POSITIONS__USER_SLOTS": "2",
}


@dataclass
class Record:
    """What was seen: megabytes by venue hours since the start, and shares."""

    memory: list[tuple[float, float]] = field(default_factory=list)
    exact: list[float] = field(default_factory=list)
    told: int = 0  # messages that the clients got
    cores: tuple[float, float] = (0.0, 0.0)  # of server and simulator, on average

    def between(self, since_h: float, until_h: float) -> float:
        """The median memory of that time."""
        return statistics.median(mb for at_h, mb in self.memory if since_h <= at_h <= until_h)


async def test_a_day_of_work_takes_no_more_memory_and_renews_sockets_without_a_gap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record()
    async with (
        running(["tests.proof.venue", json.dumps(VENUE)], folder=tmp_path, name="venue") as venue,
        server(tmp_path, venue, module=("tests.proof.unhurried", str(SPEED)), **SETTINGS) as program,
        Observer(venue, program) as eye,
        _clients(program, record) as clients,
    ):
        started_ms = eye.now_ms()
        while (at_h := (eye.now_ms() - started_ms) / 3_600_000) < HOURS:
            look = await eye.look(COIN)
            record.exact.append(look.share(is_exact)[0])
            record.memory.append((at_h, _resident_mb(program)))
            await eye.until(look.asked_ms + LOOK_S * 1000)
        elapsed_s = HOURS * 3600 / SPEED
        record.cores = (_cpu_s(program) / elapsed_s, _cpu_s(venue) / elapsed_s)
        refused = (await eye.stats())["answers_429"]
        log = _events(program)  # before it is stopped: then its sockets close one after the other
        assert not any(client.done() for client in clients), "a client was thrown out"
        assert await program.stop() == 0
    with capsys.disabled():
        print(_report(record, eye, log))
    assert eye.verdicts.wrong == []
    assert refused == 0
    assert "Traceback" not in program.log.read_text()
    _sockets_were_renewed_without_a_gap(log)
    if IS_FULL:
        settled = record.between(SETTLED_H - MEASURED_H, SETTLED_H)
        assert record.between(HOURS - MEASURED_H, HOURS) <= GROWTH * settled


def _sockets_were_renewed_without_a_gap(log: list[dict[str, Any]]) -> None:
    lost = [event for event in log if event["event"] == "socket_lost"]
    assert [event for event in lost if "Expired" in event["reason"]] == []
    renewed = Counter(event["socket"] for event in lost if event["reason"].startswith("renewed"))
    for number in range(TAPE_SOCKETS):
        first_h = RENEWED_EVERY_H * (number + 1) / TAPE_SOCKETS
        due = 0 if first_h > HOURS - 0.1 else 1 + int((HOURS - 0.1 - first_h) / RENEWED_EVERY_H)
        assert renewed[f"tape-{number}"] >= due
    assert [event for event in log if event["event"] == "tape_gap"] == []


@asynccontextmanager
async def _clients(program: Process, record: Record) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Somebody listens to each channel all the while, as a dashboard does."""

    async def listen(channel: str) -> None:
        async with connect(f"{program.url.replace('http', 'ws')}/ws?channel={channel}", proxy=None) as socket:
            async for _ in socket:
                record.told += 1

    tasks = [asyncio.create_task(listen(channel), name=f"client-{channel}") for channel in ("traders", "signals")]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _resident_mb(process: Process) -> float:
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def _cpu_s(process: Process) -> float:
    fields = Path(f"/proc/{process.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _events(process: Process) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in process.log.read_bytes().splitlines() if line.startswith(b"{")]


def _report(record: Record, eye: Observer, log: list[dict[str, Any]]) -> str:
    lost = Counter(event["reason"].split(" for ")[0] for event in log if event["event"] == "socket_lost")
    hours = sorted({int(at_h) for at_h, _ in record.memory})
    return "\n".join(
        [
            "",
            f"{HOURS:g} venue hours at speed {SPEED:g}, {VENUE['traders']} traders, {VENUE['prints_per_s']:g} prints/s",
            f"cores                   server {record.cores[0]:.2f}, simulator {record.cores[1]:.2f}",
            "MB resident by hour     " + " ".join(f"{record.between(hour, hour + 1):.1f}" for hour in hours),
            f"exact claims compared   {eye.verdicts.checks}, {len(eye.verdicts.wrong)} wrong; "
            f"of holders {statistics.mean(record.exact):.3f} exact on average; {record.told} messages told",
            f"sockets lost            {dict(lost)}",
            f"gaps                    {sum(event['event'] == 'tape_gap' for event in log)}",
        ]
    )
