"""Upstreams that cannot be reached: the server serves, says what is missing since when, and recovers by itself."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from market_scraper.api.connector_names import ONCHAIN_CONNECTORS
from tests.e2e.gate import Gate, tar_pit
from tests.e2e.system import Process, Witness, command, paper_venue, server, to_ms, upstreams, venue_clock

SPEED = 20.0
END_S = 10.0  # the promise
PATIENCE_S = 40.0
SOURCES = {"hyperliquid": 1, "hyperliquid_ws": 1, "leaderboard": 1}
UPSTREAM_FED = ("hyperliquid", "leaderboard", "positions")  # candles take longer: they have a long past


def log_lines(program: Process) -> list[dict[str, Any]]:
    """What it logged; a line that is no JSON fails here."""
    return [json.loads(line) for line in program.log.read_text().splitlines()]


def said(program: Process, event: str) -> Counter[str]:
    """How often each source was said to be down, or back."""
    return Counter(line["source"] for line in log_lines(program) if line["event"] == event)


async def until(
    http: httpx2.AsyncClient, is_so: Callable[[dict[str, Any]], bool], within_s: float = PATIENCE_S
) -> dict[str, Any]:
    """Ask `/health/status` until it shows that; gives its components."""
    deadline = time.monotonic() + within_s
    while True:
        parts: dict[str, Any] = (await http.get("/health/status")).json()["components"]
        if is_so(parts):
            return parts
        assert time.monotonic() < deadline, parts
        await asyncio.sleep(0.1)


async def test_without_its_venue_it_serves_says_what_is_missing_and_recovers_when_it_comes(tmp_path: Path) -> None:
    gate = Gate()
    async with (
        paper_venue(tmp_path, traders=60, speed=SPEED) as venue,
        server(tmp_path, None, **upstreams(gate.url), **venue_clock(venue)) as program,
        httpx2.AsyncClient(base_url=program.url, timeout=20) as http,
    ):
        connectors = ("hyperliquid", "leaderboard", "candles", "positions")
        parts = await until(
            http,
            lambda parts: (
                parts["hyperliquid"]["errors"] >= 5
                and parts["leaderboard"]["errors"] >= 2
                and all(parts[name]["reason"] for name in connectors)
            ),
        )
        started_ms = min(to_ms(part["since"]) for part in parts.values() if part["since"])
        for name in connectors:
            assert parts[name]["last_success"] is None
            assert to_ms(parts[name]["since"]) - started_ms < 10_000 * SPEED  # since the start, not since the last try
        assert "ConnectError" in parts["hyperliquid"]["reason"]
        assert "no data yet" in parts["positions"]["reason"]

        ready = await http.get("/health/ready")
        assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
        assert ready.json()["checks"]["store"] is True
        assert (await http.get("/health/live")).status_code == 200
        assert (await http.get("/api/v1/markets")).json()[0]["mid"] is None
        market = await http.get("/api/v1/markets/BTC")
        assert (market.status_code, market.json()["code"]) == (503, "not_ready")
        assert int(market.headers["Retry-After"]) >= 1
        assert (await http.get("/api/v1/signals/current")).json()["state"] == "warming_up"
        assert (await http.get("/api/v1/traders")).json()["total"] == 0

        as_json, as_text = await asyncio.gather(
            command("health", "--url", program.url, "--json"), command("health", "--url", program.url)
        )
        assert as_json.code == as_text.code == 1
        assert as_json.data["components"]["hyperliquid"]["status"] == "unhealthy"
        assert "hyperliquid: ConnectError" in as_text.out

        assert said(program, "source_down") == SOURCES
        down = Counter(line["component"] for line in log_lines(program) if line["event"] == "component_down")
        assert down == dict.fromkeys(ONCHAIN_CONNECTORS, 1)
        assert {line["event"] for line in log_lines(program)} == {"serving", "source_down", "component_down"}

        async with gate.opened(venue.url), Witness(venue, program) as witness:
            await until(http, lambda parts: all(parts[name]["status"] == "healthy" for name in UPSTREAM_FED))
            assert (await http.get("/health/ready")).status_code == 200
            assert said(program, "source_back") == SOURCES
            people = await witness.people()
            checked = await witness.check(people)
            assert checked.seen > 0.9 * len(people)  # some neither trade nor are ranked
            assert checked.wrong == []

            await witness.break_venue({"kind": "outage", "for_s": 40, "rest": True})
            await until(http, lambda parts: parts["hyperliquid"]["reason"] is not None)
            await until(http, lambda parts: parts["hyperliquid"]["reason"] is None)
            await until(http, lambda parts: parts["positions"]["status"] == "healthy")
            down, back = said(program, "source_down"), said(program, "source_back")
            assert down == back
            assert down == {"leaderboard": 1, "hyperliquid_ws": 2, "hyperliquid": 2}
        assert await program.stop(END_S) == 0
    assert "Traceback" not in program.log.read_text()


async def test_a_venue_that_takes_connections_and_says_nothing_does_not_keep_it_from_serving_or_stopping(
    tmp_path: Path,
) -> None:
    with tar_pit() as url:
        async with (
            server(tmp_path, None, **upstreams(url)) as program,
            httpx2.AsyncClient(base_url=program.url) as http,
        ):
            assert (await http.get("/health/ready")).status_code == 503
            assert await program.stop(END_S) == 0
    assert [line["event"] for line in log_lines(program)] == ["serving", "stopping"]
