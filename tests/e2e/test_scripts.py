"""`start-all.sh`, `status.sh` and `stop-all.sh` with real processes: they touch nothing but what they started."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.conftest import shared_redis
from tests.e2e.system import ROOT, clean_environment, ended, upstreams
from tests.servers.redis import RedisServer

SCRIPTS = ROOT / "scripts"
PATIENCE_S = 60.0
NOWHERE = "http://127.0.0.1:9"

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the scripts are tested on Linux")


@dataclass
class Said:
    """What a script said, and how it ended."""

    code: int
    out: str
    error: str

    def pid_of(self, name: str) -> int:
        """The process that it named."""
        found = re.search(rf"^{name}\b.*\(pid (\d+)\)", self.out, re.MULTILINE)
        assert found is not None, self
        return int(found[1])


class System:
    """The scripts, with a run folder, a store and a port of their own, called from another folder."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.run = folder / "run"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.env = (
            clean_environment()
            | upstreams(NOWHERE)
            | {
                "MARKET_SCRAPER_PYTHON": sys.executable,
                "MARKET_SCRAPER_RUN_DIR": str(self.run),
                "MARKET_SCRAPER_LOG_DIR": str(folder / "logs"),
                "HYPERLIQUID__ENABLED": "false",
                "STORAGE__PATH": str(folder / "store.db"),
                "API_PORT": str(self.port),
            }
            | settings
        )

    async def __call__(self, script: str, *words: str) -> Said:
        """Run one to its end."""
        process = await self.begin(script, *words)
        out, error = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        assert process.returncode is not None
        return Said(process.returncode, out.decode(), error.decode())

    async def begin(self, script: str, *words: str) -> asyncio.subprocess.Process:
        """Run one that goes on; it leads a process group, as in a terminal."""
        return await asyncio.create_subprocess_exec(
            str(SCRIPTS / script),
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.folder,
            env=self.env,
            start_new_session=True,
        )

    def write_pid_file(self, name: str, pid: int, born: str) -> None:
        self.run.mkdir(exist_ok=True)
        (self.run / f"{name}.pid").write_text(f"{pid}\n{born}\ncollect,process,api\n")

    async def answer(self, path: str) -> int:
        """The status code of the server's answer."""
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as http:
            return (await http.get(path)).status_code


@asynccontextmanager
async def stopped_in_the_end(system: System) -> AsyncIterator[System]:
    try:
        yield system
    finally:
        await system("stop-all.sh")


@pytest.fixture
def somebody() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is none of ours."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


async def test_the_whole_system_starts_ready_is_not_started_twice_and_stops_by_pid_alone(
    tmp_path: Path, somebody: subprocess.Popen[bytes]
) -> None:
    async with stopped_in_the_end(System(tmp_path)) as system:
        # Its PID is somebody else's now: that of a process which was born at another time.
        system.write_pid_file("market-scraper", somebody.pid, "another boot 1")
        started = await system("start-all.sh", "--background")
        assert started.code == 0, started
        assert f"market-scraper: removed the stale PID file of pid {somebody.pid}" in started.out
        assert await system.answer("/health/ready") == 200
        pid = started.pid_of("market-scraper: ready")

        again, status = await asyncio.gather(system("start-all.sh"), system("status.sh"))
        assert again.code == 1
        assert again.error == f"error: market-scraper is running already (pid {pid}); scripts/stop-all.sh stops it\n"
        assert status.code == 0
        assert status.out.splitlines()[:2] == [
            f"market-scraper  running (pid {pid}), ready: http://127.0.0.1:{system.port}",
            f"signal-system   running inside market-scraper (pid {pid})",
        ]

        gone = os.pidfd_open(pid)
        stopped = await system("stop-all.sh")
        assert (stopped.code, stopped.out) == (0, f"market-scraper: stopped (pid {pid})\n")
        await ended(gone, 1.0)
        assert "stopping" in (tmp_path / "logs" / "market-scraper.log").read_text()
    assert somebody.poll() is None


async def test_a_program_on_the_port_is_reported_and_left_alone(
    tmp_path: Path, somebody: subprocess.Popen[bytes]
) -> None:
    system = System(tmp_path)
    system.write_pid_file("signal-system", somebody.pid, "another boot 1")
    with socket.create_server(("127.0.0.1", system.port)) as theirs:
        status = await system("status.sh")
        refused = await system("start-all.sh", "--background")
        assert refused.code == 1
        assert refused.error.startswith(f"error: port {system.port} of 127.0.0.1 is in use by ")
        assert refused.error.endswith(", which is left alone; stop it or set API_PORT\n")
        assert status.code == 3
        assert f"its PID file is stale (pid {somebody.pid})" in status.out
        assert f"port {system.port} of 127.0.0.1 is in use by " in status.out
        assert (await system("stop-all.sh")).out == "nothing was running\n"
        assert theirs.fileno() >= 0
        assert list(system.run.glob("*.pid")) == []


async def test_a_stale_pid_file_is_removed_and_whoever_has_the_pid_now_lives_on(
    tmp_path: Path, somebody: subprocess.Popen[bytes]
) -> None:
    system = System(tmp_path)
    system.write_pid_file("market-scraper", somebody.pid, "another boot 1")
    (system.run / "api.pid").write_text("")  # written while the power went
    stopped = await system("stop-all.sh")
    assert stopped.code == 0
    assert f"market-scraper: not running; removed the stale PID file of pid {somebody.pid}" in stopped.out
    assert list(system.run.glob("*.pid")) == []
    assert somebody.poll() is None


async def until_it_says(process: asyncio.subprocess.Process, text: str) -> str:
    """Read the script's output up to a line with that; gives all of it."""
    assert process.stdout is not None
    said = ""
    while text not in said:
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        assert line, said
        said += line.decode()
    return said


@pytest.mark.proof
async def test_in_the_foreground_ctrl_c_stops_all(tmp_path: Path) -> None:
    async with stopped_in_the_end(System(tmp_path)) as system:
        process = await system.begin("start-all.sh")
        await until_it_says(process, "Ctrl-C")
        os.killpg(process.pid, signal.SIGINT)
        out, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        assert process.returncode == 0
        assert "market-scraper: stopped" in out.decode()
        assert list(system.run.glob("*.pid")) == []


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with ExitStack() as stack:
        yield shared_redis(stack, tmp_path_factory)


@pytest.mark.proof
async def test_with_redis_three_processes_are_started_and_when_one_dies_the_others_are_stopped(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with stopped_in_the_end(System(tmp_path, REDIS__URL=redis.url)) as system:
        process = await system.begin("start-all.sh")
        said = await until_it_says(process, "Ctrl-C")
        names = ("market-scraper", "signal-system", "api")
        pids = {name: Said(0, said, "").pid_of(f"{name}: ready") for name in names}
        assert len(set(pids.values())) == 3
        status = await system("status.sh")
        assert (status.code, {name: status.pid_of(name) for name in names}) == (0, pids)
        assert await system.answer("/api/v1/signals/current") == 200

        gone = [os.pidfd_open(pid) for pid in pids.values()]
        os.kill(pids["signal-system"], signal.SIGKILL)
        _, error = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        assert process.returncode == 128 + signal.SIGKILL
        assert f"signal-system (pid {pids['signal-system']}) ended with exit code 137" in error.decode()
        await asyncio.gather(*(ended(descriptor, 1.0) for descriptor in gone))


@pytest.mark.proof
async def test_a_redis_that_does_not_answer_is_one_clear_line_and_nothing_is_left_running(tmp_path: Path) -> None:
    system = System(tmp_path, REDIS__URL="redis://user:hunter2@127.0.0.1:1/0")
    refused = await system("start-all.sh", "--background")
    assert refused.code == 1
    lines = refused.error.splitlines()
    assert lines[0].startswith("error: cannot reach Redis at 127.0.0.1:1/0")
    assert lines[1].startswith("signal-system ended with exit code 1 before it was ready; its log: ")
    assert "hunter2" not in refused.out + refused.error
    assert list(system.run.glob("*.pid")) == []
