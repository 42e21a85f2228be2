"""README's first command keeps its promises: an address, ready, a signal, Bitcoin, and an end that leaves nothing."""

import asyncio
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

from tests.e2e.system import ROOT, children, demo, ended

READY_S = 10.0  # the promises
SIGNAL_S = 60.0
END_S = 10.0
TRACES = ("Traceback", "Task was destroyed", "never retrieved", "never awaited")


def readme_words() -> tuple[str, ...]:
    """`uv run market-scraper`, or the program itself where uv is not what runs these tests."""
    if shutil.which("uv") is not None and Path(sys.prefix).resolve() == (ROOT / ".venv").resolve():
        return ("uv", "run", "--no-sync", "market-scraper")
    return (str(Path(sys.executable).with_name("market-scraper")),)


def untidy_lines(log: Path) -> list[str]:
    """What no user should have to read."""
    return [line for line in log.read_text().splitlines() if any(trace in line for trace in TRACES)]


def left_behind(folder: Path) -> list[str]:
    """What lies there; uv's own lock does not count."""
    return [path.name for path in folder.iterdir() if not path.name.startswith("uv-")]


async def test_the_first_command_is_ready_signals_and_ends_with_ctrl_c_leaving_nothing_behind(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    async with demo(tmp_path, by=readme_words()) as program, httpx2.AsyncClient(base_url=program.url) as http:
        assert program.ready["docs"] == f"{program.url}/docs"
        while (await http.get("/health/ready")).status_code != 200:
            assert time.monotonic() - begun_s < READY_S
            await asyncio.sleep(0.05)

        said: dict[str, Any] = {}
        while len(said) < 2:  # in whatever order they come
            line = await program.says(SIGNAL_S - (time.monotonic() - begun_s))
            said[line["event"]] = line["data"]
        assert set(said) == {"first_signal", "onchain"}
        first = said["first_signal"]
        assert first["state"] == "live"
        current = (await http.get("/api/v1/signals/current")).json()
        assert current["state"] == "live"
        assert current["timestamp"] >= first["timestamp"]
        assert (await http.get(f"/api/v1/signals/{first['id']}/explain")).status_code == 200

        assert 0 <= said["onchain"]["fear_greed"]["value"] <= 100
        assert said["onchain"]["cbbi_confidence"]["state"] in ("final", "provisional")
        assert (await http.get("/api/v1/onchain/btc/summary")).status_code == 200

        offspring = [os.pidfd_open(pid) for pid in children(program.process.pid)]
        assert offspring
        assert await program.ctrl_c(END_S) == 0
        for descriptor in offspring:
            await ended(descriptor, 1.0)
    assert untidy_lines(program.log) == []
    assert left_behind(tmp_path) == ["demo.log"]


async def test_sigterm_ends_the_first_command_through_uv_too(tmp_path: Path) -> None:
    async with demo(tmp_path, "--traders", "50", by=readme_words()) as program:
        offspring = [os.pidfd_open(pid) for pid in children(program.process.pid)]
        assert await program.stop(END_S) == 0
        for descriptor in offspring:
            await ended(descriptor, 1.0)
    assert untidy_lines(program.log) == []
    assert left_behind(tmp_path) == ["demo.log"]


async def test_a_killed_demo_takes_its_venue_along(tmp_path: Path) -> None:
    async with demo(tmp_path, "--traders", "50") as program:
        (venue,) = [os.pidfd_open(pid) for pid in children(program.process.pid)]
        await program.kill()
        await ended(venue, END_S)
