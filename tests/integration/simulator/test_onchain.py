"""The on-chain hosts over a real connection: beside the venue's own paths, for a time, and without holding it up."""

import asyncio
import gzip
import json
import time
from datetime import UTC, datetime

import httpx2
import pytest
import websockets

from market_scraper.runtime.clock import ScaledClock
from market_scraper.simulator.server import PaperVenue
from tests.integration.simulator.conftest import Start, channel, control, frames, info, subscribe

SOMEBODY = {"user-agent": "somebody/1.0"}
CBBI = "/cbbi/data/latest.json"
MEGABYTE = 2**20


@pytest.fixture
async def venue(start: Start) -> PaperVenue:
    return await start()


async def test_the_hosts_are_served_beside_the_venue(venue: PaperVenue) -> None:
    assert (await info(venue, type="allMids")).status_code == 200
    async with httpx2.AsyncClient(base_url=venue.url, headers=SOMEBODY) as client:
        for path in ("/stats", "/charts/hash-rate", "/fng/", "/api/blocks/tip/height", "/health", "/_truth/onchain"):
            assert (await client.get(path)).status_code == 200, path
        counted = (await client.get("/_stats")).json()["onchain"]
    assert counted["blockchain_info"]["requests"] == 2
    assert counted["bitview"]["requests"] == 2


async def test_a_whole_history_comes_packed_and_once(venue: PaperVenue) -> None:
    async with httpx2.AsyncClient(base_url=venue.url, headers=SOMEBODY) as client:
        async with client.stream("GET", CBBI, headers={"accept-encoding": "gzip"}) as answer:
            packed = b"".join([part async for part in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == "gzip"
        assert len(packed) < MEGABYTE < len(gzip.decompress(packed))
        assert "Confidence" in json.loads(gzip.decompress(packed))
        again = await client.get(CBBI, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_histories_do_not_hold_up_the_tape(venue: PaperVenue) -> None:
    async with websockets.connect(venue.ws_url) as socket, httpx2.AsyncClient(headers=SOMEBODY, timeout=60) as client:
        await subscribe(socket, type="trades", coin="BTC")
        await frames(socket, channel("trades"))
        history = asyncio.create_task(client.get(f"{venue.url}/coinmetrics/data/master/csv/btc.csv"))
        heard = 0
        while not history.done():
            mids = await client.post(f"{venue.url}/info", json={"type": "allMids"})
            heard += mids.status_code == 200
        assert (await history).status_code == 200
    assert heard > 5


async def test_the_eleventh_question_in_six_seconds_is_one_too_many(start: Start) -> None:
    venue = await start(speed=0.1)  # ten slow seconds of ours are one of theirs: all fall into one window
    async with httpx2.AsyncClient(base_url=venue.url) as client:
        path = "/v4/timeseries/asset-metrics?assets=btc&metrics=TxCnt&limit_per_asset=1"
        answers = [await client.get(path) for _ in range(11)]
        assert [answer.status_code for answer in answers] == [200] * 10 + [429]
        assert answers[0].headers["x-ratelimit-remaining"] == "9"
        assert (await client.get("/_stats")).json()["onchain"]["answers_429"] == 1


async def test_next_pages_are_addresses_of_this_venue(venue: PaperVenue) -> None:
    async with httpx2.AsyncClient() as client:
        first = await client.get(f"{venue.url}/v4/timeseries/asset-metrics?assets=btc&metrics=TxCnt,AdrActCnt")
        second = await client.get(first.json()["next_page_url"])
    assert first.json()["next_page_url"].startswith(f"{venue.url}/v4/")
    assert second.json()["data"][-1]["time"] < first.json()["data"][0]["time"]


async def test_a_stalled_answer_begins_and_ends_with_the_fault(start: Start) -> None:
    venue = await start(speed=20.0)
    await control(venue, {"kind": "onchain_stall", "host": "fear_greed", "for_s": 20})
    async with httpx2.AsyncClient(timeout=30) as client:
        begun = time.monotonic()
        async with client.stream("GET", f"{venue.url}/fng/") as answer:
            parts = [part async for part in answer.aiter_raw()]
        assert b"".join(parts) == b'{"'
        assert time.monotonic() - begun > 0.5
        assert (await client.get(f"{venue.url}/fng/")).json()["metadata"] == {"error": None}


async def test_a_huge_answer_is_streamed_and_may_be_left(venue: PaperVenue) -> None:
    await control(venue, {"kind": "onchain_huge", "host": "cbbi"})
    async with httpx2.AsyncClient() as client:
        read = 0
        async with client.stream("GET", f"{venue.url}{CBBI}") as answer:
            async for part in answer.aiter_raw():
                read += len(part)
                if read > 2 * MEGABYTE:
                    break
        assert (await client.get(f"{venue.url}/stats")).status_code == 200
        counted = (await client.get(f"{venue.url}/_stats")).json()["onchain"]
    assert counted["cbbi"]["sent_bytes"] < 40 * MEGABYTE


async def test_a_fault_is_over_when_its_time_is(start: Start) -> None:
    venue = await start(speed=20.0)
    await control(venue, {"kind": "onchain_status", "status": 500, "for_s": 30})  # 1.5 s for three questions
    async with httpx2.AsyncClient(base_url=venue.url, headers=SOMEBODY) as client:
        assert {(await client.get(path)).status_code for path in ("/stats", "/fng/", "/health")} == {500}
        assert (await info(venue, type="allMids")).status_code == 200
        for _ in range(200):
            await asyncio.sleep(0.05)
            if well := (await client.get("/stats")).status_code == 200:
                break
        assert well


async def test_the_truth_of_a_day_is_told_once_it_is_over(venue: PaperVenue) -> None:
    today = ScaledClock(origin_s=1_790_000_000.0).now_ms() // 86_400_000
    async with httpx2.AsyncClient(base_url=venue.url) as client:
        assert (await client.get("/_truth/onchain")).json()["day"] == today - 1
        assert (await client.get(f"/_truth/onchain?day={today + 1}")).status_code == 409
        rows = await client.get("/v4/timeseries/asset-metrics?assets=btc&metrics=TxCnt&limit_per_asset=1")
        newest = rows.json()["data"][0]  # for some hours after midnight the source has not finished yesterday
        told = datetime.fromisoformat(newest["time"].split("T")[0]).replace(tzinfo=UTC).timestamp() // 86_400
        truth = (await client.get(f"/_truth/onchain?day={told:.0f}")).json()
    assert today - 2 <= told <= today - 1
    assert newest["TxCnt"] == str(truth["transaction_count"])
