"""Bitcoin on-chain through real processes: what is missing is said, what comes is served, what was chosen holds."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from market_scraper.api.connector_names import ONCHAIN_CONNECTORS
from tests.e2e.gate import Gate
from tests.e2e.system import paper_venue, server, upstreams, venue_clock

SPEED = 60.0  # the first retries come within a second
PATIENCE_S = 60.0
ONLY = {"HYPERLIQUID__ENABLED": "false"}
PARTS = ("network", "sentiment", "valuation", "activity", "sopr", "nupl", "mvrv", "exchange-flows", "hodl-waves")
BTC = "/api/v1/onchain/btc"


def values(answer: Any) -> dict[str, dict[str, Any]]:
    """Every value in an answer, by its path."""
    if not isinstance(answer, dict):
        return {}
    if "state" in answer and "unit" in answer:
        return {"": answer}
    return {
        f"{name}.{path}".rstrip("."): value for name, part in answer.items() for path, value in values(part).items()
    }


async def until(http: httpx2.AsyncClient, path: str, is_so: Callable[[httpx2.Response], bool]) -> Any:
    """Ask until the answer is so; gives its body."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = await http.get(path)
        if is_so(answer):
            return answer.json()
        assert time.monotonic() < deadline, answer.text[:3000]
        await asyncio.sleep(0.05)


def is_whole(answer: httpx2.Response) -> bool:
    return answer.status_code == 200 and all(value["value"] is not None for value in values(answer.json()).values())


async def break_host(http: httpx2.AsyncClient, venue: str, **fault: Any) -> None:
    (await http.post(f"{venue}/_control", json=fault)).raise_for_status()


async def history(http: httpx2.AsyncClient, path: str, **params: str) -> dict[str, dict[str, Any]]:
    """The newest days of a component, by day."""
    answer = await http.get(path, params={"limit": 500, **params})
    return {row["as_of"]: row for row in answer.json()["history"]}


async def again(http: httpx2.AsyncClient, name: str) -> None:
    """Have a connector ask its source anew, as a user would."""
    for order in ("stop", "start"):
        (await http.post(f"/api/v1/connectors/{name}/{order}")).raise_for_status()


async def test_without_any_source_it_says_what_is_missing_since_when_and_serves_all_once_they_come(
    tmp_path: Path,
) -> None:
    gate = Gate()
    async with (
        paper_venue(tmp_path, traders=20, speed=SPEED) as venue,
        server(tmp_path, None, **upstreams(gate.url), **venue_clock(venue), **ONLY) as program,
        httpx2.AsyncClient(base_url=program.url, timeout=20) as http,
    ):
        await until(http, "/health/ready", lambda answer: answer.status_code == 200)  # no upstream keeps it from that
        await until(http, BTC + "/summary", lambda answer: "ConnectError" in answer.text)
        for path in (*(f"{BTC}/{part}" for part in PARTS), f"{BTC}/summary"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "source_unavailable"), path
            assert int(answer.headers["Retry-After"]) >= 1
            marked = values(answer.json())
            assert marked, path
            assert all(each["state"] == "missing" and each["since"] for each in marked.values()), path
        assert (await http.get("/api/v1/cbbi")).status_code == 503

        async with gate.opened(venue.url):
            summary = await until(http, f"{BTC}/summary", is_whole)
            states = {path: value["state"] for path, value in values(summary).items()}
            assert set(states.values()) <= {"final", "provisional"}, states
            for part in PARTS:
                assert (await http.get(f"{BTC}/{part}")).status_code == 200
            assert (await http.get("/api/v1/cbbi")).json()["confidence"] > 0
            listed = (await http.get("/api/v1/connectors")).json()
            assert {each["name"]: each["status"] for each in listed} == dict.fromkeys(ONCHAIN_CONNECTORS, "running")
        assert await program.stop() == 0
    assert "Traceback" not in program.log.read_text()


async def test_one_dead_source_takes_its_own_values_down_and_no_others(tmp_path: Path) -> None:
    async with (
        paper_venue(tmp_path, traders=20, speed=SPEED) as venue,
        httpx2.AsyncClient(timeout=20) as outside,
    ):
        await break_host(outside, venue.url, kind="onchain_status", host="bitview", status=500)
        async with (
            server(tmp_path, venue, **ONLY) as program,
            httpx2.AsyncClient(base_url=program.url, timeout=20) as http,
        ):

            def others_are_there(answer: httpx2.Response) -> bool:
                served = values(answer.json())
                names = ("network.supply", "sentiment.fear_greed", "mvrv.mvrv", "exchange_flows.netflow")
                return all(served[name]["value"] is not None for name in names)

            summary = values(await until(http, f"{BTC}/summary", others_are_there))
            assert summary["mvrv.mvrv"]["source"] == "coin_metrics"  # the second source steps in
            assert summary["sopr.sth_sopr"]["state"] == "missing"
            assert "500" in summary["sopr.sth_sopr"]["reason"]
            alone = await http.get(f"{BTC}/sopr")
            assert alone.status_code == 503
            assert alone.json()["lth_sopr"]["since"]
            connector = (await http.get("/api/v1/connectors/bitview")).json()
            assert connector["status"] == "failing"


@pytest.mark.proof
async def test_a_restated_past_is_served_as_such_and_what_was_known_before_can_still_be_asked(tmp_path: Path) -> None:
    async with (
        paper_venue(tmp_path, traders=20, speed=SPEED) as venue,
        server(tmp_path, venue, **ONLY) as program,
        httpx2.AsyncClient(base_url=program.url, timeout=20) as http,
    ):
        await until(http, "/api/v1/cbbi", lambda answer: answer.status_code == 200)
        name = "/api/v1/cbbi/components/RHODL"
        before = await until(http, name, lambda answer: answer.json().get("count", 0) >= 50)
        as_of = (await http.get("/api/v1/connectors/cbbi")).json()["last_success"]

        await break_host(http, venue.url, kind="onchain_restate", host="cbbi", metric="RHODL", days=30, by=0.02)
        await again(http, "cbbi")
        await until(
            http, "/api/v1/connectors/cbbi", lambda answer: (answer.json()["detail"].get("restated") or 0) > 100
        )
        old = await history(http, name, as_of=as_of)
        new = await history(http, name)
        changed = [t for t in old if new[t]["value"] != old[t]["value"]]
        assert len(changed) > 60
        assert {new[t]["revision"] for t in changed} == {1}
        assert {old[t]["revision"] for t in changed} == {0}
        assert all(new[t]["restated"] for t in changed)
        assert {row["as_of"] for row in before["history"]} <= set(old)


async def test_a_connector_stays_as_it_was_chosen_and_its_last_values_are_served_after_a_restart(
    tmp_path: Path,
) -> None:
    async with paper_venue(tmp_path, traders=20, speed=SPEED) as venue:
        async with (
            server(tmp_path, venue, **ONLY) as program,
            httpx2.AsyncClient(base_url=program.url, timeout=20) as http,
        ):
            await until(http, f"{BTC}/summary", is_whole)
            confidence = (await http.get("/api/v1/cbbi")).json()["confidence"]
            stopped = await http.post("/api/v1/connectors/cbbi/stop")
            assert stopped.json()["status"] == "stopped"
            assert await program.stop() == 0
        async with (
            server(tmp_path, None, **venue_clock(venue), **ONLY) as program,
            httpx2.AsyncClient(base_url=program.url, timeout=20) as http,
        ):
            assert is_whole(await http.get(f"{BTC}/summary"))  # from the store, though no source can be reached
            assert (await http.get("/api/v1/cbbi")).json()["confidence"] == confidence
            listed = {each["name"]: each["status"] for each in (await http.get("/api/v1/connectors")).json()}
            assert listed["cbbi"] == "stopped"
            assert (await http.post("/api/v1/connectors/cbbi/start")).status_code == 200
            assert (await http.get("/api/v1/connectors/cbbi")).json()["status"] != "stopped"
