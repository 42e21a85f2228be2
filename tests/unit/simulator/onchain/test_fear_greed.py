"""alternative.me by the facts: strings, newest first, days that are missing, and when the next value comes."""

import pytest

from market_scraper.simulator.onchain.days import DAY_MS
from market_scraper.simulator.onchain.mood import FEAR_GREED_FIRST
from tests.unit.simulator.onchain.asking import NOW, TODAY, Asking, at


async def test_the_newest_value_says_when_the_next_one_comes() -> None:
    answer = await Asking().json("/fng/")
    assert answer["name"] == "Fear and Greed Index"
    assert answer["metadata"] == {"error": None}
    (row,) = answer["data"]
    assert row["timestamp"] == str(TODAY * 86_400)
    assert row["value"].isdecimal()
    assert row["time_until_update"] == str(12 * 3_600 + 300)


async def test_a_new_value_lands_minutes_after_midnight() -> None:
    early = await Asking(at("2026-11-22T00:04:59")).json("/fng/")
    late = await Asking(at("2026-11-22T00:05:00")).json("/fng/")
    assert [int(answer["data"][0]["timestamp"]) for answer in (early, late)] == [(TODAY - 1) * 86_400, TODAY * 86_400]
    assert early["data"][0]["time_until_update"] == "1"


async def test_all_of_history_is_newest_first_and_lacks_the_days_that_the_real_one_lacks() -> None:
    rows = (await Asking().json("/fng/", limit=0))["data"]
    days = [int(row["timestamp"]) * 1000 // DAY_MS for row in rows]
    lacking = set(range(FEAR_GREED_FIRST, TODAY + 1)) - set(days)
    assert days == sorted(days, reverse=True)
    assert lacking == {
        at(f"{day}T00:00:00") // DAY_MS for day in ("2018-04-14", "2018-04-15", "2018-04-16", "2024-10-26")
    }
    assert sum("time_until_update" in row for row in rows) == 1
    assert len((await Asking().json("/fng/", limit=7))["data"]) == 7


async def test_labels_go_with_values() -> None:
    rows = (await Asking().json("/fng/", limit=0))["data"]
    edges: dict[str, list[int]] = {}
    for row in rows:
        edges.setdefault(row["value_classification"], []).append(int(row["value"]))
    assert max(edges["Extreme Fear"]) < min(edges["Fear"]) <= max(edges["Fear"]) < min(edges["Neutral"])
    assert max(edges["Neutral"]) < min(edges["Greed"]) <= max(edges["Greed"]) < min(edges["Extreme Greed"])


@pytest.mark.parametrize("params", [{"limit": "many"}, {"format": "csv"}, {"date_format": "us"}])
async def test_errors_come_with_status_200(params: dict[str, str]) -> None:
    answer = await Asking(NOW).json("/fng/", **params)
    assert answer["data"] == []
    assert answer["metadata"]["error"]
