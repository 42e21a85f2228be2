"""The whole program as users start it: it says when it is ready, and ends in order."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from market_scraper.domain.onchain import Source

PROGRAM = [sys.executable, "-m", "market_scraper"]
PATIENCE_S = 60  # of a machine that is busy with other tests
STOP_S = 10.0  # the promise
NOWHERE = {
    "HYPERLIQUID__API_URL": "http://127.0.0.1:1",
    "HYPERLIQUID__WS_URL": "ws://127.0.0.1:1/ws",
    "HYPERLIQUID__LEADERBOARD_URL": "http://127.0.0.1:1/Mainnet/leaderboard",
    **{f"ONCHAIN__{source.name}_URL": "http://127.0.0.1:1" for source in Source},
}


@contextmanager
def started(folder: Path, *words: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run a command until it says that it is ready; gives the process and what it said."""
    environ = {"PATH": os.environ["PATH"], "TMPDIR": str(folder), **variables}
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [*PROGRAM, *words, "--json"], stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder, env=environ
        ) as process,
    ):
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, (folder / "log").read_text()
            yield process, json.loads(line)
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_serves_and_ends_with_0_leaving_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    with started(tmp_path, "demo", "--port", "0", "--traders", "50") as (demo, ready):
        with urllib.request.urlopen(f"{ready['url']}/health/live", timeout=PATIENCE_S) as answer:
            assert json.load(answer) == {"status": "alive"}
        venue = re.search(r"the paper venue is at http://127\.0\.0\.1:(\d+)", (tmp_path / "log").read_text())
        assert venue is not None
        demo.send_signal(number)
        assert demo.wait(STOP_S) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(venue[1])))
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_the_demo_that_loses_its_venue_stops_and_fails(tmp_path: Path) -> None:
    with started(tmp_path, "demo", "--port", "0", "--traders", "50") as (demo, _):
        children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
        assert len(children) == 1
        os.kill(int(children[0]), signal.SIGKILL)
        assert demo.wait(STOP_S) == 1
    assert "error: the paper venue ended by itself" in (tmp_path / "log").read_text()


def test_without_the_venue_the_server_serves_and_health_says_what_is_missing(tmp_path: Path) -> None:
    with started(tmp_path, "server", "--port", "0", **NOWHERE) as (server, ready):
        asked = [*PROGRAM, "health", "--url", ready["url"], "--json"]
        health = subprocess.run(asked, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=PATIENCE_S)
        assert health.returncode == 1
        assert json.loads(health.stdout)["status"] in ("degraded", "unhealthy")
        server.terminate()
        assert server.wait(STOP_S) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("MONGO__URL", "mongodb://u:1/hunter2@h"), ("REDIS__URL", "redis://u:1/hunter2@h"), ("API_PORT", "x")],
)
def test_a_server_that_cannot_do_what_is_set_says_so_and_does_not_start(
    variable: str, value: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [*PROGRAM, "server"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env={**os.environ, variable: value},
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {variable}")
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_a_taken_port_is_told_in_a_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = ["server", "--port", str(taken.getsockname()[1])]
        done = subprocess.run(
            [*PROGRAM, *words], capture_output=True, text=True, cwd=tmp_path, check=False, env={**os.environ, **NOWHERE}
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: API_PORT")
    assert done.stderr.count("\n") == 1
