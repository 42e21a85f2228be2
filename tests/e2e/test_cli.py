"""Every command against a running system: its exit code, its `--json`, and plain text when piped."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from market_scraper.api.connector_names import CONNECTORS
from market_scraper.domain.onchain import Source
from tests.e2e.prepared import Prepared, prepared
from tests.e2e.system import Finished, Process, Witness, command, paper_venue, server, upstreams, venue_clock

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPEED = 6.0
PATIENCE_S = 60.0
NOBODY = "0x" + "0" * 39 + "1"
UPSTREAMS = {
    *("hyperliquid markets", "hyperliquid candles", "leaderboard", "hyperliquid trades"),
    *(source.value for source in Source),
}
UNRANKED = "0x" + "0" * 39 + "2"


@dataclass
class System:
    """A server and its venue, asked by commands."""

    venue: Process
    program: Process
    store: Path
    commands: Prepared
    ill: asyncio.Task[Finished] | None = None  # a doctor who finds no upstream

    async def run(self, *words: str, **env: str) -> Finished:
        """Run a command that asks the server, with `--json`."""
        done = await self.commands.command(*words, "--json", env=self.where | env)
        assert "Traceback" not in done.error
        return done

    async def text(self, *words: str) -> Finished:
        """Run it as people do, with its output piped."""
        done = await self.commands.command(*words, env=self.where | {"FORCE_COLOR": "1"})  # as some CI machines set it
        assert "\x1b" not in done.out + done.error
        return done

    async def venue_stats(self) -> dict[str, Any]:
        """What the venue counted."""
        async with Witness(self.venue, self.program) as witness:
            counted: dict[str, Any] = await witness.stats()
            return counted

    @property
    def where(self) -> dict[str, str]:
        """The environment that leads to this system."""
        return {
            "API_PORT": self.program.url.rpartition(":")[2],
            "STORAGE__PATH": str(self.store),
            **upstreams(self.venue.url),
            **venue_clock(self.venue),
        }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    folder = tmp_path_factory.mktemp("cli")
    async with (
        paper_venue(folder, traders=60, speed=SPEED) as venue,
        server(folder, venue, FILTERS__MIN_SCORE="20", SIGNALS__EMIT_INTERVAL_SECONDS="10") as program,
        prepared(folder) as commands,
    ):
        running = System(venue, program, folder / "store.db", commands)
        # It waits long for what does not answer: let that be meanwhile.
        nowhere = running.where | upstreams("http://127.0.0.1:1") | {"API_PORT": "0"}
        running.ill = asyncio.create_task(command("doctor", "--upstreams", "--json", env=nowhere))
        assert (await command("signals", "tail", "--count", "1", "--json", env=running.where)).code == 0
        yield running
        await running.ill


async def test_collectors_are_listed_stopped_and_started(system: System) -> None:
    listed, as_text = await asyncio.gather(system.run("collectors", "status"), system.text("collectors", "status"))
    assert {each["name"] for each in listed.data} == set(CONNECTORS)
    assert listed.code == int(any(each["status"] == "failing" for each in listed.data))
    assert all(name in as_text.out for name in CONNECTORS)
    stopped = await system.run("collectors", "stop", "leaderboard", "candles")
    assert stopped.code == 0
    assert [(each["name"], each["status"]) for each in stopped.data] == [
        ("leaderboard", "stopped"),
        ("candles", "stopped"),
    ]
    started = await system.run("collectors", "start", "--all")
    assert started.code == 0
    assert "stopped" not in {each["status"] for each in started.data}
    alias, unknown, nothing = await asyncio.gather(
        system.run("collectors", "start", "trader_ws"),
        system.run("collectors", "stop", "tea"),
        system.run("collectors", "stop"),
    )
    assert (alias.code, alias.data[0]["name"]) == (0, "positions")
    assert unknown.code == 1
    assert "no connector is named 'tea'" in unknown.error
    assert nothing.code == 2


async def test_traders_are_listed_shown_tracked_and_untracked(system: System) -> None:
    listed, as_text = await asyncio.gather(
        system.run("traders", "list", "--limit", "500"), system.text("traders", "list")
    )
    assert listed.code == as_text.code == 0
    traders = listed.data["traders"]
    assert listed.data["total"] == len(traders) > 3
    assert traders == sorted(traders, key=lambda each: -each["score"])
    who = traders[-1]["address"]
    assert who in as_text.out
    shown = await system.run("traders", "show", who.upper().replace("0X", "0x"))
    assert shown.code == 0
    assert shown.data["address"] == who
    assert [position["coin"] for position in shown.data["positions"]] == ["BTC"]

    assert (await system.run("traders", "untrack", who)).code == 0
    assert who not in await _tracked(system)
    assert (await system.run("traders", "track", who)).code == 0
    assert who in await _tracked(system)

    unknown, malformed, as_text = await asyncio.gather(
        system.run("traders", "show", NOBODY),
        system.run("traders", "track", "0x12"),
        system.text("traders", "show", who),
    )
    assert unknown.code == 1
    assert "404" in unknown.error
    assert malformed.code == 2
    assert malformed.error.startswith("error: ")
    assert (as_text.code, who in as_text.out) == (0, True)


async def test_somebody_whom_no_ranking_has_is_followed_once_tracked(system: System) -> None:
    assert (await system.run("traders", "track", UNRANKED)).code == 0
    deadline = time.monotonic() + PATIENCE_S
    while True:
        (position,) = (await system.run("traders", "show", UNRANKED)).data["positions"]
        if position["state"] == "exact":
            break
        assert time.monotonic() < deadline, position
    assert position["size"] == 0
    assert UNRANKED in await _tracked(system)


async def _tracked(system: System) -> set[str]:
    listed = await system.run("traders", "list", "--limit", "500")
    return {each["address"] for each in listed.data["traders"]}


async def test_signals_are_followed_and_explained(system: System) -> None:
    followed, as_text = await asyncio.gather(
        system.run("signals", "tail", "--count", "1"), system.text("signals", "tail", "--count", "1")
    )
    assert followed.code == as_text.code == 0
    signal = followed.data
    assert (signal["symbol"], signal["state"]) == ("BTC", "live")
    assert "not calibrated" in as_text.out
    explained, as_text, unknown, malformed, elsewhere = await asyncio.gather(
        system.run("signals", "explain", signal["id"]),
        system.text("signals", "explain", signal["id"]),
        system.run("signals", "explain", "f" * 24),
        system.run("signals", "explain", "tea"),
        system.run("signals", "tail", "--symbol", "TEA"),
    )
    assert explained.code == as_text.code == 0
    assert explained.data["signal"]["id"] == signal["id"]
    assert explained.data["contributions"]
    assert (unknown.code, malformed.code, elsewhere.code) == (1, 2, 1)
    assert "'TEA' is not collected" in elsewhere.error


async def test_config_says_what_is_set_and_by_whom_and_masks_secrets(system: System) -> None:
    secret = "hunter2-hunter2"
    done = await system.run("config", API_KEY=secret)
    assert done.code == 0
    assert secret not in done.out + done.error
    found = {each["key"]: each for each in done.data}
    assert found["api_port"]["source"] == "environment"
    assert str(found["api_port"]["value"]) == system.where["API_PORT"]
    assert found["storage.path"]["env"] == "STORAGE__PATH"
    assert {each["source"] for each in done.data} >= {"environment", "default"}
    wrong = await command("config", "--json", env={"API_PORT": "tea"})
    assert wrong.code == 2
    assert wrong.error.startswith("error: API_PORT")


async def test_doctor_asks_the_upstreams_itself_when_no_server_runs(system: System, tmp_path: Path) -> None:
    async with paper_venue(tmp_path, traders=20) as venue:
        env = upstreams(venue.url) | venue_clock(venue) | {"STORAGE__PATH": str(tmp_path / "own.db"), "API_PORT": "0"}
        well = await command("doctor", "--upstreams", "--json", env=env)
    assert [each for each in well.data if not each["ok"]] == []
    assert {each["check"] for each in well.data} >= UPSTREAMS
    assert well.code == 0
    assert system.ill is not None
    ill = await system.ill
    assert ill.code == 1
    assert {each["check"] for each in ill.data if not each["ok"]} == UPSTREAMS | {"internet"}


async def test_gaps_reads_the_store_of_a_running_server(system: System) -> None:
    done, nowhere, wrong = await asyncio.gather(
        system.run("gaps"), system.run("gaps", "--path", "/nowhere/at.all"), system.run("gaps", "--interval", "2m")
    )
    assert {each["kind"] for each in done.data} <= {"tape"}
    assert done.code == 0
    assert nowhere.code == 1
    assert nowhere.error.startswith("error: there is no store at")
    assert wrong.code == 2


async def test_a_backfill_without_a_server_leaves_no_gap(tmp_path: Path) -> None:
    async with paper_venue(tmp_path, traders=20, speed=100.0) as venue:
        env = upstreams(venue.url) | venue_clock(venue) | {"STORAGE__PATH": str(tmp_path / "own.db")}
        done = await command("backfill", "--json", env=env)
        assert done.code == 0, done.error
        assert done.data["bars"] > 10_000
        gaps = await command("gaps", "--json", env=env)
        assert (gaps.code, gaps.data) == (0, [])
    env |= upstreams("http://127.0.0.1:1")
    failed = await command("backfill", "--json", env=env)
    assert failed.code == 1
    assert failed.error.splitlines()[-1].startswith("error: hyperliquid: ")


async def test_health_says_how_each_component_is(system: System) -> None:
    assert (await system.run("collectors", "stop", "candles")).code == 0  # their long past takes long to fill
    deadline = time.monotonic() + PATIENCE_S
    while (as_json := await system.run("health")).code != 0:
        assert as_json.data["status"] == "degraded"
        assert time.monotonic() < deadline
    as_text, listed = await asyncio.gather(system.text("health"), system.run("collectors", "status"))
    assert listed.code == 0
    assert {each["name"] for each in listed.data if each["status"] == "running"} == set(CONNECTORS) - {"candles"}
    assert as_json.code == as_text.code == 0
    assert as_json.data["status"] == "healthy"
    assert set(as_json.data["components"]) >= {*CONNECTORS} | {"store", "bus", "signals", "scoring", "persister"}
    assert as_text.out.startswith("healthy")
    nowhere = await command("health", "--json", "--url", "127.0.0.1:1")
    assert nowhere.code == 1
    assert nowhere.data["status"] == "unreachable"
    assert nowhere.error.startswith("error: no server answers at http://127.0.0.1:1")


async def test_doctor_hears_of_the_upstreams_from_the_running_server(system: System) -> None:
    done = await system.run("doctor", "--upstreams")
    assert [each for each in done.data if not each["ok"]] == []
    assert done.code == 0
    checks = {each["check"]: each["detail"] for each in done.data}
    assert set(checks) == {"clock", "open files", "port", "disk", "store", "bus", *CONNECTORS}
    assert "the server is running" in checks["port"]
    assert checks["hyperliquid"].startswith("by the running server, last ")
    # Its limits are this machine's: two who ask would both be refused.
    assert (await system.venue_stats())["answers_429"] == 0
