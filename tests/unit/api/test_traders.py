"""Trader answers: what is claimed, of whom, and from which moment."""

import msgspec

from market_scraper.domain.positions import PositionState
from market_scraper.domain.traders import Choice, Performance
from market_scraper.domain.values import iso
from tests.unit.api.parts import ANN, BOB, BTC, ETH, EVE, HOUR, NOW_MS, World, address, full_world, position, rated


async def test_tracked_traders_are_listed_best_first_with_their_position() -> None:
    world = await full_world()

    answer = (await world.client().get("/api/v1/traders")).json()

    assert [t["address"] for t in answer["traders"]] == [ANN, BOB]
    assert answer["total"] == answer["count"] == 2
    assert answer["symbol"] == "BTC"
    first = answer["traders"][0]["position"]
    assert first["size"] == 1.5
    assert first["state"] == "exact"
    assert first["unrealized_pnl"] == 1.5 * 1_000
    assert first["as_of"] == iso(NOW_MS - 500).replace("500Z", "500000Z")
    assert answer["traders"][1]["position"]["size"] == -0.5


async def test_the_list_can_be_filtered_and_sorted() -> None:
    world = await full_world()
    async with world.client() as client:

        async def listed(query: str) -> list[str]:
            return [t["address"] for t in (await client.get(f"/api/v1/traders?{query}")).json()["traders"]]

        assert await listed("min_score=70") == [ANN]
        assert await listed("tag=nobody") == []
        assert await listed("sort=pnl") == [ANN, BOB]
        assert await listed("sort=address&symbol=eth&has_position=true") == [ANN]
        assert await listed("has_position=false") == []


async def test_a_class_is_shown_with_its_reason_as_a_tag_and_in_the_list() -> None:
    world = await full_world()
    world.views.traders.put(
        rated(BOB, score=60.0, account_value=1e6, month=Performance(pnl=0.0, roi=0.0, vlm=0.0)),
    )
    world.views.positions.put(position(ANN, net_share=0.05, version=2))
    async with world.client() as client:
        ann = (await client.get(f"/api/v1/traders/{ANN}")).json()
        bob = (await client.get(f"/api/v1/traders/{BOB}")).json()
        eve = (await client.get(f"/api/v1/traders/{EVE}")).json()
        hedged = (await client.get("/api/v1/traders?tag=hedged")).json()["traders"]

    assert (ann["class"]["name"], ann["class"]["vote"]) == ("hedged", 0.0)
    assert "5.0 %" in ann["class"]["reason"]
    assert "hedged" in ann["tags"]
    assert bob["class"]["name"] == "dormant"
    assert eve["class"] is None
    assert [(one["address"], "hedged" in one["tags"]) for one in hedged] == [(ANN, True)]


async def test_a_trader_whose_tape_stands_still_is_not_exact_any_more() -> None:
    world = await full_world()
    async with world.client() as client:
        assert (await client.get(f"/api/v1/traders/{ANN}")).json()["position"]["state"] == "exact"
        await world.clock.advance(6)
        late = (await client.get(f"/api/v1/traders/{ANN}")).json()["position"]
        in_list = (await client.get("/api/v1/traders")).json()["traders"][0]["position"]

    assert late["state"] == in_list["state"] == "unsure"
    assert late["because"] == "stale"
    assert 0 < late["doubt"] < 1


async def test_a_prepared_list_is_not_given_again_after_a_quarter_of_a_second_or_near_staleness() -> None:
    world = await full_world()
    async with world.client() as client:
        await client.get("/api/v1/traders")
        world.views.positions.put(position(ANN, lots=0))
        again = (await client.get("/api/v1/traders")).json()["traders"][0]["position"]["size"]
        await world.clock.advance(0.3)
        later = (await client.get("/api/v1/traders")).json()["traders"][0]["position"]["size"]
        await world.clock.advance(3.8)  # exact for less than a second more: nothing is prepared now
        await client.get("/api/v1/traders")
        world.views.positions.put(position(ANN, lots=100_000))
        fresh = (await client.get("/api/v1/traders")).json()["traders"][0]["position"]["size"]

    assert (again, later, fresh) == (1.5, 0, 1.0)


async def test_a_detail_has_one_position_for_each_symbol_and_says_what_nobody_knows() -> None:
    world = await full_world()

    detail = (await world.client().get(f"/api/v1/traders/{ANN}")).json()

    btc, eth = detail["positions"]
    assert (btc["coin"], btc["size"], btc["leverage"], btc["liquidation_price"]) == ("BTC", 1.5, 5, 20_000)
    assert (eth["coin"], eth["size"], eth["state"], eth["unrealized_pnl"]) == ("ETH", None, "inferred", None)
    assert detail["performance"]["month"]["roi"] == 0.1
    assert detail["performance"]["day"] is None
    assert sum(detail["score_detail"]["parts"].values()) == detail["score"] == 90


async def test_one_who_was_only_seen_on_the_tape_is_followed_and_flat_is_zero() -> None:
    world = await full_world()

    detail = (await world.client().get(f"/api/v1/traders/{EVE.upper().replace('0X', '0x')}")).json()

    assert detail["address"] == EVE
    assert detail["score"] is None
    assert detail["active"] is False
    assert detail["position"]["size"] == 0
    assert detail["position"]["unrealized_pnl"] == 0
    assert detail["positions"][1]["state"] == "unknown"


async def test_an_unknown_base_claims_no_size_but_tells_the_net_change() -> None:
    world = await full_world()
    world.views.positions.put(
        position(EVE, lots=None, state=PositionState.UNKNOWN, net_lots=-25_000, entry_px=None, confirmed_ms=None)
    )

    shown = (await world.client().get(f"/api/v1/traders/{EVE}")).json()["position"]

    assert (shown["size"], shown["net_change"], shown["state"], shown["doubt"]) == (None, -0.25, "unknown", None)


async def test_strangers_and_malformed_addresses_are_told_apart() -> None:
    world = await full_world()
    async with world.client() as client:
        stranger = await client.get(f"/api/v1/traders/{address(99)}")
        malformed = await client.get("/api/v1/traders/0x12/positions")

    assert (stranger.status_code, stranger.json()["code"]) == (404, "unknown_trader")
    assert (malformed.status_code, malformed.json()["code"]) == (400, "bad_address")


async def test_pages_read_one_version_while_the_list_changes() -> None:
    world = await full_world()
    world.views.traders.put(*(rated(address(100 + n), score=50.0 - n) for n in range(5)))
    async with world.client() as client:
        first = (await client.get("/api/v1/traders?limit=3")).json()
        world.views.traders.put(rated(address(999), score=100.0))
        world.views.traders.captured_at_ms = NOW_MS
        second = (await client.get("/api/v1/traders", params={"limit": 3, "cursor": first["next_cursor"]})).json()
        third = (await client.get("/api/v1/traders", params={"limit": 3, "cursor": second["next_cursor"]})).json()

    seen = [t["address"] for page in (first, second, third) for t in page["traders"]]
    assert seen == [ANN, BOB, *(address(100 + n) for n in range(5))]
    assert first["total"] == second["total"] == 7
    assert first["captured_at"] == third["captured_at"]
    assert third["next_cursor"] is None


async def test_cursors_of_a_version_that_is_gone_and_garbage_are_told_apart() -> None:
    world = await full_world()
    async with world.client() as client:
        cursor = (await client.get("/api/v1/traders?limit=1")).json()["next_cursor"]
        for score in range(20):
            await client.get(f"/api/v1/traders?limit=1&min_score={score}")
        gone = await client.get("/api/v1/traders", params={"limit": 1, "cursor": cursor})
        other_list = await client.get("/api/v1/traders", params={"limit": 1, "cursor": cursor, "sort": "pnl"})
        garbage = await client.get("/api/v1/traders?cursor=%E2%98%83")

    assert [(r.status_code, r.json()["code"]) for r in (gone, other_list, garbage)] == [
        (422, "cursor_expired"),
        (422, "bad_cursor"),
        (422, "bad_cursor"),
    ]


async def test_the_past_is_answered_only_from_what_was_known_then() -> None:
    world = await full_world()
    at = iso(NOW_MS - HOUR * 5 + 3 * 60_000 + 50)  # the third fact was true, but known 50 ms later
    async with world.client() as client:
        listed = (await client.get("/api/v1/traders", params={"as_of": at})).json()
        detail = (await client.get(f"/api/v1/traders/{ANN}", params={"as_of": at})).json()
        facts = (await client.get(f"/api/v1/traders/{ANN}/positions", params={"as_of": at})).json()

    assert [(t["address"], t["score"]) for t in listed["traders"]] == [(ANN, 70), (BOB, 65)]
    assert listed["traders"][0]["position"]["size"] == detail["position"]["size"] == 1.0
    assert listed["traders"][1]["position"] is None
    assert detail["display_name"] is None
    assert [f["size"] for f in facts["positions"]] == [1.0, 0.5]


async def test_before_the_first_fact_and_after_now_there_is_no_past() -> None:
    world = await full_world()
    async with world.client() as client:
        for path in ("", f"/{ANN}", f"/{ANN}/positions", f"/{ANN}/signals"):
            early = await client.get(f"/api/v1/traders{path}?as_of=2001-01-01")
            future = await client.get(f"/api/v1/traders{path}?as_of=2101-01-01T00:00:00Z")
            assert (early.status_code, early.json()["code"]) == (404, "no_history"), path
            assert (future.status_code, future.json()["code"]) == (422, "bad_parameter"), path


async def test_position_history_pages_newest_first_and_leaves_out_what_came_later() -> None:
    world = await full_world()
    async with world.client() as client:
        path = f"/api/v1/traders/{ANN}/positions"
        first = (await client.get(path, params={"limit": 2})).json()
        rest = (await client.get(path, params={"limit": 3, "cursor": first["next_cursor"]})).json()

    assert [f["size"] for f in first["positions"] + rest["positions"]] == [2.5, 2.0, 1.5, 1.0, 0.5]
    assert first["count"] == 2
    assert rest["next_cursor"] is None
    assert first["positions"][0]["cause"] == "print"


async def test_tracking_by_hand_is_ordered_and_the_answer_shows_it() -> None:
    world = await full_world()
    async with world.client() as client:
        tracked = await client.post(f"/api/v1/traders/{address(77)}/track")
        await client.post(f"/api/v1/traders/{ANN}/untrack?symbol={ETH}")

    assert tracked.status_code == 200
    assert tracked.json()["choice"] == "track"
    assert world.operations.orders == [(Choice.TRACK, address(77)), (Choice.UNTRACK, ANN)]


async def test_a_process_without_a_performer_says_so() -> None:
    world = World(takes_orders=False)

    answer = await world.client().post(f"/api/v1/traders/{ANN}/track")

    assert (answer.status_code, answer.json()["code"]) == (503, "no_operations")
    assert int(answer.headers["retry-after"]) > 0
    assert BTC in world.symbols


async def test_one_whom_no_leaderboard_has_shows_no_score_and_no_value_rather_than_nought() -> None:
    world = await full_world()
    world.views.traders.put(msgspec.structs.replace(rated(EVE, score=0.0, account_value=0.0), ranked=False))
    async with world.client() as client:
        by_score = (await client.get("/api/v1/traders")).json()["traders"]
        by_value = (await client.get("/api/v1/traders?sort=account_value")).json()["traders"]
        filtered = (await client.get("/api/v1/traders?min_score=-100")).json()["traders"]

    assert (by_score[-1]["address"], by_score[-1]["score"], by_score[-1]["account_value"]) == (EVE, None, None)
    assert by_value[-1]["address"] == EVE
    assert EVE not in [trader["address"] for trader in filtered]
