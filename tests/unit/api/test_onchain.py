"""On-chain answers: every value with its marks, the rest served when a part is down, and what was known then."""

from pathlib import Path
from typing import Any

import pytest

from market_scraper.api.onchain import PARTS
from market_scraper.domain.derived import SERVED
from market_scraper.domain.onchain import AGE_BANDS, CBBI_COMPONENTS, DAY_MS, TERMS, ReadingState
from market_scraper.domain.values import iso
from market_scraper.ports.stores import ReadingRow
from tests.onchain_facts import BITVIEW, CBBI, CM, FLOW, INFO, NOW_MS, TODAY_MS, everything, reading, series
from tests.unit.api.parts import HOUR, World, full_world

BTC = "/api/v1/onchain/btc"
MARKS = {"value", "unit", "as_of", "known_at", "source", "state"}
FIELDS = {
    "network": {"hash_rate", "difficulty", "block_height", "supply"},
    "sentiment": {"fear_greed", "cbbi_confidence"},
    "valuation": {"mvrv", "puell", "nupl", "cbbi_components"},
    "activity": {"active_addresses", "transaction_count", "supply"},
    "sopr": {"sopr", "sth_sopr", "lth_sopr"},
    "nupl": {"nupl"},
    "mvrv": {"mvrv"},
    "exchange-flows": {"inflow", "outflow", "netflow", "exchange_supply"},
    "hodl-waves": {"waves"},
    "summary": {
        "network", "sentiment", "valuation", "activity", "sopr", "nupl", "mvrv", "exchange_flows", "hodl_waves"
    },
}  # fmt: skip


def values_in(answer: Any) -> list[dict[str, Any]]:
    """Every value in an answer, however deep it lies."""
    if not isinstance(answer, dict):
        return []
    if "state" in answer:
        return [answer]
    return [found for part in answer.values() for found in values_in(part)]


async def get(world: World, path: str, **params: Any) -> tuple[int, Any]:
    async with world.client() as client:
        answer = await client.get(path, params=params)
        return answer.status_code, answer.json()


async def test_every_value_has_its_marks_and_its_terms() -> None:
    world = await full_world()
    for part, fields in FIELDS.items():
        status, answer = await get(world, f"{BTC}/{part}")
        assert (status, answer.keys()) == (200, fields)
        assert values_in(answer)
        for value in values_in(answer):
            assert value.keys() >= MARKS
            assert value["state"] == value["flags"][0] == "final", value
            terms = TERMS[value["source"]]
            told = (value["license"], value["attribution"], value["source_url"])
            assert told == (terms.license, terms.attribution, terms.url)
            assert value["as_of"].endswith("Z")
            assert value["age_s"] >= 0
        assert "price" not in str(answer).lower()


async def test_the_summary_holds_what_the_parts_say() -> None:
    world = await full_world()
    _, summary = await get(world, f"{BTC}/summary")
    for part in FIELDS.keys() - {"summary"}:
        assert summary[part.replace("-", "_")] == (await get(world, f"{BTC}/{part}"))[1]


async def test_netflow_is_in_minus_out_and_the_waves_sum_to_one() -> None:
    world = await full_world()
    _, flows = await get(world, f"{BTC}/exchange-flows")
    _, waves = await get(world, f"{BTC}/hodl-waves")

    assert flows["netflow"]["value"] == flows["inflow"]["value"] - flows["outflow"]["value"] == -1_000.5
    assert flows["netflow"]["as_of"] == flows["inflow"]["as_of"]
    assert list(waves["waves"]) == list(AGE_BANDS)
    assert sum(wave["value"] for wave in waves["waves"].values()) == pytest.approx(1.0)


async def test_nupl_and_mvrv_are_checked_by_the_other_source_and_by_each_other() -> None:
    world = await full_world()
    _, answer = await get(world, f"{BTC}/valuation")

    assert answer["nupl"]["value"] == pytest.approx(1 - 1 / answer["mvrv"]["value"])
    assert answer["mvrv"]["checked_by"].keys() >= {"value", "as_of", "source"}
    assert answer["mvrv"]["checked_by"]["source"] == answer["nupl"]["checked_by"]["source"] == "coin_metrics"
    assert answer["cbbi_components"].keys() == set(CBBI_COMPONENTS)


async def test_a_label_comes_as_the_source_gave_it() -> None:
    _, answer = await get(await full_world(), f"{BTC}/sentiment")
    assert (answer["fear_greed"]["value"], answer["fear_greed"]["label"]) == (47, "Neutral")
    assert (answer["fear_greed"]["unit"], answer["cbbi_confidence"]["unit"]) == ("points", "share")


async def test_a_part_that_is_down_is_marked_and_the_rest_is_served() -> None:
    world = World()
    world.views.onchain.put([each for each in everything() if each.source is not CM])
    world.views.health.put("coin_metrics", status="unhealthy", reason="coin_metrics: HTTP 500")

    status, answer = await get(world, f"{BTC}/activity")

    assert status == 200
    gone = answer["active_addresses"]
    assert (gone["value"], gone["state"], gone["as_of"], gone["source"]) == (None, "missing", None, None)
    assert gone["since"] == iso(NOW_MS - 9_000).replace(".000", "")
    assert "HTTP 500" in gone["reason"]
    assert answer["supply"]["state"] == "final"


async def test_with_every_source_down_each_answer_says_what_is_missing_since_when_and_comes_back_by_itself() -> None:
    world = World()
    async with world.client() as client:
        for part, fields in FIELDS.items():
            answer = await client.get(f"{BTC}/{part}")
            assert (answer.status_code, answer.json()["code"]) == (503, "source_unavailable")
            assert int(answer.headers["retry-after"]) > 0
            assert answer.json().keys() == fields | {"detail", "code"}
            values = values_in(answer.json())
            assert {value["state"] for value in values} == {"missing"}
            assert all(value["since"] and value["reason"] for value in values)
        for path in ("", "/components", "/components/puell"):
            answer = await client.get(f"/api/v1/cbbi{path}")
            assert (answer.status_code, answer.json()["code"]) == (503, "source_unavailable")
        world.views.onchain.put(everything())
        for part in FIELDS:
            assert (await client.get(f"{BTC}/{part}")).status_code == 200


async def test_a_new_reading_shows_at_once_and_an_unchanged_answer_is_not_sent_again() -> None:
    world = await full_world()
    async with world.client() as client:
        first = await client.get(f"{BTC}/summary")
        again = await client.get(f"{BTC}/summary", headers={"If-None-Match": first.headers["etag"]})
        await world.clock.advance(1.0)
        older = await client.get(f"{BTC}/summary", headers={"If-None-Match": first.headers["etag"]})
        world.views.onchain.put([reading(BITVIEW, "sopr", 1.5)])
        other = await client.get(f"{BTC}/summary", headers={"If-None-Match": first.headers["etag"]})

    assert [answer.status_code for answer in (first, again, older, other)] == [200, 304, 304, 200]
    assert other.json()["sopr"]["sopr"]["value"] == 1.5


async def test_a_value_gets_older_without_any_event() -> None:
    world = await full_world()
    _, before = await get(world, f"{BTC}/sopr")
    await world.clock.advance(3 * 86_400)
    _, after = await get(world, f"{BTC}/sopr")

    assert after["sopr"]["age_s"] == before["sopr"]["age_s"] + 3 * 86_400
    assert (after["sopr"]["state"], after["sopr"]["value"]) == ("stale", before["sopr"]["value"])
    assert "nothing newer" in after["sopr"]["reason"]


# -- what was known then ---------------------------------------------------------------------------------------------


async def restated() -> World:
    """MVRV of yesterday: 1.5 when first seen, 1.8 an hour ago."""
    world = World()
    first = reading(BITVIEW, "mvrv", 1.5, days_ago=1, known_at_ms=NOW_MS - 5 * HOUR)
    other = reading(BITVIEW, "mvrv", 1.8, days_ago=1, known_at_ms=NOW_MS - HOUR, revision=1, restated=True)
    await world.store.write([ReadingRow(reading=first), ReadingRow(reading=other)])
    world.views.onchain.put([other])
    return world


async def test_as_of_gives_what_was_known_then_through_the_same_cross_examination() -> None:
    world = await restated()
    path = f"{BTC}/mvrv"

    _, now = await get(world, path)
    _, then = await get(world, path, as_of=iso(NOW_MS - 2 * HOUR))
    assert (now["mvrv"]["value"], now["mvrv"]["state"], now["mvrv"]["revision"]) == (1.8, "revised", 1)
    assert (then["mvrv"]["value"], then["mvrv"]["state"], then["mvrv"]["revision"]) == (1.5, "final", 0)
    assert then["mvrv"]["age_s"] == (NOW_MS - 2 * HOUR - TODAY_MS + DAY_MS) / 1000

    status, answer = await get(world, path, as_of=iso(NOW_MS - 6 * HOUR))
    assert (status, answer["code"]) == (404, "no_history")
    status, answer = await get(world, f"{BTC}/sopr", as_of=iso(NOW_MS - 2 * HOUR))
    assert (status, answer["code"]) == (404, "no_history")
    status, answer = await get(world, path, as_of=iso(NOW_MS + 1_000))
    assert (status, answer["code"]) == (422, "bad_parameter")


async def test_what_was_missing_then_says_since_when_and_why() -> None:
    world = await restated()
    _, then = await get(world, f"{BTC}/valuation", as_of=iso(NOW_MS - 2 * HOUR))
    assert then["mvrv"]["state"] == "final"
    for gone in (then["puell"], *then["cbbi_components"].values()):
        assert (gone["value"], gone["state"]) == (None, "missing")
        assert gone["since"] == iso(NOW_MS - 5 * HOUR).replace(".000", "")  # when MVRV, the first fact, was known
        assert gone["reason"]


async def test_what_was_taken_but_is_not_stored_yet_was_known_all_the_same() -> None:
    world = await restated()
    fresh = reading(BITVIEW, "mvrv", 1.9, known_at_ms=NOW_MS - 60_000)
    world.views.onchain.put([fresh])

    _, then = await get(world, f"{BTC}/mvrv", as_of=iso(NOW_MS - 30_000))
    _, before = await get(world, f"{BTC}/mvrv", as_of=iso(NOW_MS - 90_000))
    _, history = await get(world, f"{BTC}/history/mvrv")
    assert (then["mvrv"]["value"], before["mvrv"]["value"]) == (1.9, 1.8)
    assert [past["value"] for past in history["history"]] == [1.9, 1.8]


# -- history ---------------------------------------------------------------------------------------------------------


async def test_history_is_newest_first_in_pages_that_lack_nothing_and_repeat_nothing() -> None:
    world = World()
    await world.store.write([ReadingRow(reading=each) for each in series(CM, "mvrv", *map(float, range(25)))])
    seen: list[float] = []
    cursor = None
    while True:
        _, page = await get(world, f"{BTC}/history/MVRV", limit=10, **({"cursor": cursor} if cursor else {}))
        assert (page["source"], page["count"]) == ("coin_metrics", len(page["history"]))
        seen += [past["value"] for past in page["history"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [float(n) for n in reversed(range(25))]


async def test_a_history_reads_on_in_the_version_that_it_began_with() -> None:
    world = World()
    await world.store.write([ReadingRow(reading=each) for each in series(BITVIEW, "mvrv", 1.0, 2.0, 3.0, 4.0)])
    _, first = await get(world, f"{BTC}/history/mvrv", limit=2)
    await world.clock.advance(10)
    later = [
        reading(BITVIEW, "mvrv", 9.0, days_ago=3, revision=1, known_at_ms=NOW_MS + 5_000, restated=True),
        reading(BITVIEW, "mvrv", 8.0, days_ago=9, known_at_ms=NOW_MS + 5_000),
    ]
    await world.store.write([ReadingRow(reading=each) for each in later])

    _, second = await get(world, f"{BTC}/history/mvrv", limit=9, cursor=first["next_cursor"])
    _, anew = await get(world, f"{BTC}/history/mvrv")
    _, then = await get(world, f"{BTC}/history/mvrv", as_of=iso(NOW_MS + 1_000))
    assert [past["value"] for past in first["history"] + second["history"]] == [4.0, 3.0, 2.0, 1.0]
    assert [past["value"] for past in anew["history"]] == [4.0, 3.0, 2.0, 9.0, 8.0]
    assert [past["value"] for past in then["history"]] == [4.0, 3.0, 2.0, 1.0]


async def test_all_that_was_said_of_a_day_can_be_seen() -> None:
    world = await restated()
    path, day = f"{BTC}/history/mvrv/revisions", iso(TODAY_MS - DAY_MS)[:10]
    _, answer = await get(world, path, day=day)
    assert [(past["revision"], past["value"], past["restated"]) for past in answer["revisions"]] == [
        (0, 1.5, False),
        (1, 1.8, True),
    ]
    unstored = reading(BITVIEW, "mvrv", 2.0, days_ago=1, revision=2, restated=True)
    world.views.onchain.put([unstored])
    assert (await get(world, path, day=day))[1]["count"] == 3
    for params, status, code in (
        ({"day": "2020-01-01"}, 404, "no_history"),
        ({"day": "tea"}, 422, "bad_parameter"),
        ({}, 422, "bad_parameter"),
        ({"day": day, "source": "cbbi"}, 422, "bad_parameter"),
        ({"day": day, "source": "coin_metrics"}, 404, "no_history"),
    ):
        got, answer = await get(world, path, **params)
        assert (got, answer["code"]) == (status, code), params


async def test_the_history_of_a_computed_metric_is_made_of_its_parts_day_by_day() -> None:
    world = World()
    rows = [*series(FLOW, "inflow", *map(float, range(10, 30))), *series(FLOW, "outflow", *[1.0] * 25)]
    gone = TODAY_MS - 2 * DAY_MS
    await world.store.write(
        [ReadingRow(reading=each) for each in rows if (each.metric, each.t_ms) != ("outflow", gone)]
    )
    seen: list[float] = []
    cursor = None
    for _ in range(10):
        _, page = await get(world, f"{BTC}/history/netflow", limit=3, **({"cursor": cursor} if cursor else {}))
        seen += [past["value"] for past in page["history"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [n - 1.0 for n in reversed(range(10, 30)) if n != 27]
    status, answer = await get(world, f"{BTC}/history/netflow/revisions", day="2023-11-11")
    assert (status, answer["code"]) == (422, "bad_parameter")


async def test_the_first_source_that_has_a_history_by_days_is_taken_unless_one_is_named() -> None:
    world = World()
    await world.store.write([ReadingRow(reading=reading(INFO, "difficulty", 1e14, t_ms=NOW_MS))])
    assert (await get(world, f"{BTC}/history/difficulty"))[1]["source"] == "blockchain_info"
    said = [reading(CM, "supply", 2e7), reading(BITVIEW, "supply", 1e7), reading(BITVIEW, "difficulty", 1e14)]
    await world.store.write([ReadingRow(reading=each) for each in said])
    assert (await get(world, f"{BTC}/history/difficulty"))[1]["source"] == "bitview"
    assert (await get(world, f"{BTC}/history/supply"))[1]["source"] == "bitview"
    assert (await get(world, f"{BTC}/history/supply", source="coin_metrics"))[1]["history"][0]["value"] == 2e7
    _, empty = await get(world, f"{BTC}/history/supply", source="blockchain_info")  # difficulty is all it gave
    assert (empty["history"], empty["source"], empty["next_cursor"]) == ([], INFO, None)
    status, answer = await get(world, f"{BTC}/history/supply", source="fear_greed")
    assert (status, answer["code"]) == (422, "bad_parameter")
    status, answer = await get(world, f"{BTC}/history/price")
    assert (status, answer["code"]) == (404, "unknown_metric")
    assert all(name in answer["detail"] for name in SERVED)


# -- CBBI ------------------------------------------------------------------------------------------------------------


async def test_the_cbbi_is_its_confidence_and_nine_numbers() -> None:
    _, answer = await get(await full_world(), "/api/v1/cbbi")

    assert answer["timestamp"] == iso(TODAY_MS - DAY_MS).replace(".000", "")
    assert list(answer["components"]) == list(CBBI_COMPONENTS)
    numbers = list(answer["components"].values())
    assert all(0 <= number <= 1 for number in numbers)
    assert answer["confidence"] == pytest.approx(sum(numbers) / 9, abs=1e-4)
    assert answer["values"].keys() == {"Confidence", *CBBI_COMPONENTS}
    assert all(value.keys() >= MARKS for value in answer["values"].values())


async def test_a_component_of_an_earlier_day_comes_under_its_own_date() -> None:
    world = World()
    newest = TODAY_MS - DAY_MS
    world.views.onchain.put([each for each in everything() if each.metric != "cbbi.Woobull" or each.t_ms < newest])
    _, index = await get(world, "/api/v1/cbbi")
    _, all_ = await get(world, "/api/v1/cbbi/components")
    assert index["components"]["Woobull"] is not None
    assert all_["components"]["Woobull"]["as_of"] == iso(newest - DAY_MS).replace(".000", "")
    assert all_["components"]["Puell"]["as_of"] == iso(newest).replace(".000", "")
    assert all_["timestamp"] == index["timestamp"] == iso(newest).replace(".000", "")


async def test_a_missing_component_is_null_and_marked() -> None:
    world = World()
    world.views.onchain.put([each for each in everything() if each.metric != "cbbi.Woobull"])
    status, index = await get(world, "/api/v1/cbbi")
    assert (status, index["components"]["Woobull"], index["values"]["Woobull"]["state"]) == (200, None, "missing")
    status, one = await get(world, "/api/v1/cbbi/components/Woobull")
    assert (status, one["state"], one["code"]) == (503, "missing", "source_unavailable")


async def test_one_component_is_found_in_any_case_with_its_history() -> None:
    world = await full_world()
    _, one = await get(world, "/api/v1/cbbi/components/picycle", limit=2)
    _, other = await get(world, "/api/v1/cbbi/components/PICYCLE", limit=9, cursor=one["next_cursor"])

    assert (one["name"], one["unit"], one["source"]) == ("PiCycle", "share", CBBI)
    assert "111-day" in one["title"]
    assert one["value"] == one["history"][0]["value"]
    days = [past["as_of"] for past in one["history"] + other["history"]]
    assert len(days) == len(set(days)) == 5
    assert days == sorted(days, reverse=True)
    status, answer = await get(world, "/api/v1/cbbi/components/price")
    assert (status, answer["code"]) == (404, "unknown_component")
    status, answer = await get(world, "/api/v1/cbbi/components/puell", cursor=one["next_cursor"])
    assert (status, answer["code"]) == (422, "bad_cursor")


async def test_the_cbbi_of_the_past_is_what_it_said_then() -> None:
    world = World()
    day: dict[str, Any] = {"days_ago": 1, "known_at_ms": NOW_MS - 3 * HOUR}
    late: dict[str, Any] = {"days_ago": 1, "known_at_ms": NOW_MS - HOUR, "revision": 1, "restated": True}
    rows = [
        reading(CBBI, "cbbi_confidence", 0.4, **day),
        reading(CBBI, "cbbi.Puell", 0.4, **day),
        reading(CBBI, "cbbi_confidence", 0.6, **late),
        reading(CBBI, "cbbi.Puell", 0.6, **late),
    ]
    await world.store.write([ReadingRow(reading=each) for each in rows])
    world.views.onchain.put(rows[2:])
    _, now = await get(world, "/api/v1/cbbi")
    _, then = await get(world, "/api/v1/cbbi", as_of=iso(NOW_MS - 2 * HOUR))
    _, part = await get(world, "/api/v1/cbbi/components/puell", as_of=iso(NOW_MS - 2 * HOUR))
    assert (now["confidence"], now["components"]["Puell"]) == (0.6, 0.6)
    assert (then["confidence"], then["components"]["Puell"], part["value"]) == (0.4, 0.4, 0.4)
    assert [past["value"] for past in part["history"]] == [0.4]
    for path in ("", "/components", "/components/puell"):
        status, answer = await get(world, f"/api/v1/cbbi{path}", as_of=iso(NOW_MS - 4 * HOUR))
        assert (status, answer["code"]) == (404, "no_history")


def test_the_guide_names_every_route_and_every_state() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs/guides/onchain.md").read_text()
    assert [part.path for part in PARTS if f"`{part.path}`" not in text] == []
    assert [state for state in ReadingState if f"| `{state}` |" not in text] == []
