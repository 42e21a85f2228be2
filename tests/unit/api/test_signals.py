"""Signal answers: now, before, and why."""

from market_scraper.domain.events import SignalGenerated
from market_scraper.domain.values import Recommendation, iso
from market_scraper.ports.bus import Envelope
from tests.unit.api.parts import ANN, BOB, BTC, EVE, HOUR, NOW_MS, World, contribution, full_world, signal


async def test_the_current_signal_has_the_fields_of_the_contract() -> None:
    world = await full_world()

    answer = (await world.client().get("/api/v1/signals/current")).json()

    assert {
        "id", "timestamp", "symbol", "recommendation", "confidence", "calibrated", "long_bias", "short_bias",
        "net_exposure", "head_count_bias", "dollar_bias", "traders_long", "traders_short", "traders_flat",
        "effective_voters", "coverage", "price", "state",
    } <= answer.keys()  # fmt: skip
    assert (answer["id"], answer["recommendation"], answer["state"]) == (f"{3:024x}", "BUY", "live")


async def test_the_current_signal_is_never_an_old_one() -> None:
    world = await full_world()
    async with world.client() as client:
        await client.get("/api/v1/signals/current")
        world.views.signals.now[BTC] = signal(4, t_ms=NOW_MS)
        assert (await client.get("/api/v1/signals/current")).json()["id"] == f"{4:024x}"


async def test_before_the_first_signal_it_is_neutral_and_warming_up() -> None:
    answer = (await World().client().get("/api/v1/signals/current?symbol=ETH")).json()

    assert (answer["symbol"], answer["recommendation"], answer["state"]) == ("ETH", "NEUTRAL", "warming_up")
    assert answer["id"] is None


async def test_a_signal_of_the_past_is_the_one_that_was_known_then() -> None:
    world = await full_world()
    async with world.client() as client:

        async def at(ms: int) -> tuple[int, str]:
            answer = await client.get("/api/v1/signals/current", params={"as_of": iso(ms)})
            return answer.status_code, answer.json().get("id") or answer.json()["code"]

        assert await at(NOW_MS - HOUR * 2 + 200) == (200, f"{2:024x}")
        assert await at(NOW_MS - HOUR * 2 + 199) == (200, f"{1:024x}")
        assert await at(NOW_MS - HOUR * 9) == (404, "no_history")


async def test_history_holds_the_stored_ones_and_those_that_wait_to_be_stored() -> None:
    world = await full_world()
    fresh = signal(4, t_ms=NOW_MS - 500, recommendation=Recommendation.SELL, confidence=1.0)
    world.app.state.api.hub.show(Envelope(1, "BTC", SignalGenerated(known_at_ms=NOW_MS, signal=fresh)))
    async with world.client() as client:
        listed = (await client.get("/api/v1/signals")).json()
        first = (await client.get("/api/v1/signals?limit=1")).json()
        second = (await client.get("/api/v1/signals", params={"limit": 5, "cursor": first["next_cursor"]})).json()
        buys = (await client.get("/api/v1/signals?recommendation=BUY")).json()
        stats = (await client.get("/api/v1/signals/stats?hours=12")).json()
        by_id = await client.get(f"/api/v1/signals/{fresh.id}")

    assert [s["id"] for s in listed["signals"]] == [f"{n:024x}" for n in (4, 3, 2, 1)]
    assert (listed["total"], buys["total"], buys["count"]) == (4, 3, 3)
    assert [s["id"] for s in first["signals"] + second["signals"]] == [f"{n:024x}" for n in (4, 3, 2, 1)]
    assert (stats["total_signals"], stats["buy_signals"], stats["sell_signals"]) == (4, 3, 1)
    assert abs(stats["avg_confidence"] - (3 * 0.6 + 1.0) / 4) < 1e-12
    assert stats["period_hours"] == 12
    assert by_id.status_code == 200


async def test_an_explanation_says_who_joined_left_and_moved() -> None:
    world = await full_world()
    later = signal(
        9, t_ms=NOW_MS - 100, net_exposure=0.5, left_out={"hedged": 2}, contributions=(contribution(ANN, 0.5),)
    )
    world.app.state.api.hub.show(Envelope(1, "BTC", SignalGenerated(known_at_ms=NOW_MS, signal=later)))

    answer = (await world.client().get(f"/api/v1/signals/{later.id}/explain")).json()

    assert answer["previous"]["id"] == f"{3:024x}"
    assert answer["left_out"] == {"hedged": 2}
    assert [(c["address"], c["kind"]) for c in answer["changes"]] == [(ANN, "changed"), (BOB, "left")]
    assert abs(sum(c["change"] for c in answer["changes"]) - answer["net_exposure_change"]) < 1e-12
    assert sum(c["share"] for c in answer["contributions"]) == answer["signal"]["net_exposure"]


async def test_ids_are_24_hex_digits_and_unknown_ones_are_not_found() -> None:
    world = await full_world()
    async with world.client() as client:
        for path in ("", "/explain"):
            malformed = await client.get(f"/api/v1/signals/xyz{path}")
            unknown = await client.get(f"/api/v1/signals/{'F' * 24}{path}")
            assert (malformed.status_code, malformed.json()["code"]) == (400, "bad_signal_id")
            assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_signal")


async def test_what_a_client_has_already_is_not_sent_again() -> None:
    world = await full_world()
    async with world.client() as client:
        path = f"/api/v1/signals/{3:024x}"
        tag = (await client.get(path)).headers["etag"]
        same = await client.get(path, headers={"If-None-Match": f'"x", W/{tag}'})
        other = await client.get(path, headers={"If-None-Match": '"x"'})

    assert (same.status_code, same.content) == (304, b"")
    assert other.status_code == 200


async def test_an_explanation_does_not_claim_that_one_joined_or_left_who_may_have_been_among_the_others() -> None:
    world = await full_world()
    later = signal(
        9,
        t_ms=NOW_MS - 100,
        others=7,
        others_share=-0.1,
        contributions=(contribution(ANN, 0.5), contribution(EVE, 0.2)),
    )
    after = signal(10, t_ms=NOW_MS - 50, contributions=(contribution(BOB, 0.4), contribution(ANN, 0.3)))
    for each in (later, after):
        world.app.state.api.hub.show(Envelope(1, "BTC", SignalGenerated(known_at_ms=NOW_MS, signal=each)))
    async with world.client() as client:
        first = (await client.get(f"/api/v1/signals/{later.id}/explain")).json()
        second = (await client.get(f"/api/v1/signals/{after.id}/explain")).json()

    assert (first["others"], first["others_share"]) == (7, -0.1)
    moved = {c["address"]: (c["kind"], c["share_before"], c["share_after"], c["change"]) for c in first["changes"]}
    assert moved[EVE] == ("joined", 0.0, 0.2, 0.2)  # before it, everybody was named
    assert moved[BOB] == ("fell", 0.1, None, None)
    assert first["changes"][-1]["address"] == BOB
    assert [(c["address"], c["kind"]) for c in second["changes"]] == [(ANN, "changed"), (EVE, "left"), (BOB, "rose")]
    assert (second["others"], second["others_share"]) == (0, 0.0)
