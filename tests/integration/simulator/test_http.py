"""REST over a real connection: errors as the venue's, the budget at exactly its number, faults of answers."""

import asyncio
import gzip
import json

import httpx2
import pytest

from market_scraper.simulator.faults import Answer
from market_scraper.simulator.options import VenueOptions
from tests.integration.simulator.conftest import SMALL, Start, control, info

ANYBODY = "0x" + "0" * 40


async def test_errors_are_the_venues(start: Start) -> None:
    venue = await start()
    async with httpx2.AsyncClient(base_url=venue.url) as client:
        assert (await client.get("/info")).status_code == 405
        for body in (b"{", b"[]", b'{"type":"nope"}', b'{"type":"clearinghouseState","user":"0x1"}'):
            answer = await client.post("/info", content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 422
            assert answer.text == "Failed to deserialize the JSON body into the target type"
            assert answer.headers["content-type"].startswith("text/plain")
        plain = await client.post("/info", content=b'{"type":"allMids"}', headers={"content-type": "text/plain"})
        assert plain.status_code == 422
    asked = {"coin": "BTC", "interval": "2m", "startTime": 0}
    assert (await info(venue, type="candleSnapshot", req=asked)).status_code == 422
    broken = await info(venue, type="candleSnapshot", req=asked | {"coin": "#140", "interval": "1m"})
    assert (broken.status_code, broken.text) == (500, "null")


async def test_exactly_1200_weight_a_minute_are_answered_and_the_rest_gets_429(start: Start) -> None:
    venue = await start()
    async with httpx2.AsyncClient(base_url=venue.url) as client:

        async def ask(**payload: object) -> int:
            return (await client.post("/info", json=payload)).status_code

        assert [await ask(type="meta") for _ in range(59)] == [200] * 59  # 1180
        assert [await ask(type="clearinghouseState", user=ANYBODY) for _ in range(9)] == [200] * 9  # 1198
        assert await ask(type="meta") == 429
        assert await ask(type="allMids") == 200  # exactly 1200
        assert await ask(type="allMids") == 429
        stats = (await client.get("/_stats")).json()
    assert (stats["weight_used"], stats["weight_peak"], stats["answers_429"]) == (1200, 1200, 2)


async def test_the_leaderboard_is_one_blob_plain_or_packed(start: Start) -> None:
    venue = await start()
    async with httpx2.AsyncClient() as client:
        plain = await client.get(venue.leaderboard_url, headers={"accept-encoding": "identity"})
        async with client.stream("GET", venue.leaderboard_url, headers={"accept-encoding": "gzip"}) as answer:
            packed = b"".join([part async for part in answer.aiter_raw()])
    rows = plain.json()["leaderboardRows"]
    assert "content-encoding" not in plain.headers
    assert [row["ethAddress"] for row in json.loads(gzip.decompress(packed))["leaderboardRows"]] == [
        row["ethAddress"] for row in rows
    ]
    assert len(rows) >= 20


async def test_faults_of_answers_hit_the_type_they_name_and_end(start: Start) -> None:
    venue = await start(speed=10.0)
    await control(venue, {"kind": "answer", "type": "meta", "status": 429, "for_s": 5})
    assert (await info(venue, type="meta")).status_code == 429
    assert (await info(venue, type="allMids")).status_code == 200
    assert venue.venue.stats()["answers_429"] == 0  # the client is not to blame
    await asyncio.sleep(0.6)
    assert (await info(venue, type="meta")).status_code == 200


async def test_answers_can_be_slow_stalled_and_renamed(start: Start) -> None:
    venue = await start()
    await control(
        venue,
        {"kind": "slow", "type": "perpDexs", "by_s": 0.3},
        {"kind": "stall", "type": "meta", "for_s": 20},
        {"kind": "rename", "type": "clearinghouseState", "old": "withdrawable", "new": "available"},
    )
    loop = asyncio.get_running_loop()
    asked_s = loop.time()
    assert (await info(venue, type="perpDexs")).status_code == 200
    assert loop.time() - asked_s >= 0.3
    async with httpx2.AsyncClient(timeout=0.5) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.post(f"{venue.url}/info", json={"type": "meta"})
    state = (await info(venue, type="clearinghouseState", user=ANYBODY)).json()
    assert "available" in state
    assert "withdrawable" not in state


async def test_a_schedule_given_at_the_start_is_carried_out(start: Start) -> None:
    venue = await start(VenueOptions(traders=60, symbols=("BTC",), history_days=2, faults=(Answer(status=500),)))
    answer = await info(venue, type="allMids")
    assert (answer.status_code, answer.text) == (500, "null")


async def test_the_truth_is_told_for_past_moments_only(start: Start) -> None:
    venue = await start()
    now_ms = venue.venue.now_ms()
    async with httpx2.AsyncClient(base_url=venue.url) as client:
        then = (await client.get("/_truth", params={"coin": "BTC", "at_ms": now_ms})).json()
        again = (await client.get("/_truth", params={"coin": "BTC", "at_ms": now_ms})).json()
        future = await client.get("/_truth", params={"coin": "BTC", "at_ms": now_ms + 60_000})
        bad = await client.get("/_truth", params={"coin": "NOPE", "at_ms": now_ms})
        people = (await client.get("/_truth/traders")).json()["traders"]
        user, size = next(iter(then["sizes"].items()))
        one = (await client.get("/_truth", params={"coin": "BTC", "at_ms": now_ms, "user": user})).json()
    assert then == again
    assert one["sizes"] == {user: size}
    assert (future.status_code, bad.status_code) == (409, 422)
    assert len(people) == SMALL.traders
    assert {"user", "kind", "skill"} <= people[0].keys()
    lots = [round(float(size) * 1e5) for size in then["sizes"].values()]
    assert sum(lots) == 0


async def test_a_mistaken_fault_is_refused_with_a_word(start: Start) -> None:
    venue = await start()
    async with httpx2.AsyncClient() as client:
        answer = await client.post(f"{venue.url}/_control", json=[{"kind": "nope"}])
    assert answer.status_code == 422
    assert "nope" in answer.json()["detail"]


async def test_an_off_tape_change_moves_the_truth_without_a_print(start: Start) -> None:
    venue = await start()
    now_ms = venue.venue.now_ms()
    user = next(iter(venue.world.sizes_at("BTC", now_ms)))
    await control(venue, {"kind": "off_tape", "coin": "BTC", "user": user, "lots": 777})
    change = venue.world.off_tape_log[0]
    assert (change.user, change.after_lots) == (user, 777)
    async with httpx2.AsyncClient() as client:
        log = (await client.get(f"{venue.url}/_truth/off_tape")).json()["changes"]
    assert log[0]["user"] == user
