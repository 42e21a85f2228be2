"""Bitview by the facts: days that are not counted linearly, strict parameters, weights, and its own errors."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.simulator.onchain.bitview import MOST_WEIGHT
from market_scraper.simulator.onchain.bitview_series import SERIES, Reading, day_of, index_of
from market_scraper.simulator.onchain.chain import AGE_BANDS
from market_scraper.simulator.onchain.days import DAY_MS, GENESIS, SECOND_BLOCK
from tests.unit.simulator.onchain.asking import NOW, TODAY, Asking, at

LENGTH = index_of(TODAY) + 1
BANDS = [f"utxos_{name}_old_supply" for name, *_ in AGE_BANDS]


async def day1(paper: Asking, series: str, **bounds: str | int) -> dict[str, Any]:
    wrapped: dict[str, Any] = await paper.json(f"/api/series/{series}/day1", **bounds)
    return wrapped


def test_day_indexes_jump_over_the_days_without_blocks() -> None:
    assert [day_of(index) for index in (0, 1, 2)] == [GENESIS, SECOND_BLOCK, SECOND_BLOCK + 1]
    assert day_of(index_of(at("2026-11-20T00:00:00") // DAY_MS)) == at("2026-11-20T00:00:00") // DAY_MS


async def test_a_series_is_wrapped_and_has_no_total() -> None:
    paper = Asking()
    wrapped = await day1(paper, "mvrv", start=-3)
    assert {**wrapped, "data": [], "stamp": ""} == {
        "version": 12,
        "index": "day1",
        "type": "f32",
        "start": LENGTH - 3,
        "end": LENGTH,
        "stamp": "",
        "data": [],
    }
    assert len(wrapped["data"]) == 3
    assert at(wrapped["stamp"].removesuffix("Z")) == paper.chain.tip_ms(NOW) // 1000 * 1000


async def test_the_date_series_labels_rows() -> None:
    first = await day1(Asking(), "date", end=3)
    last = await day1(Asking(), "date", start=-2)
    assert first["data"] == ["2009-01-03", "2009-01-09", "2009-01-10"]
    assert last["data"] == ["2026-11-21", "2026-11-22"]
    assert first["type"] == "Date"


@pytest.mark.parametrize(
    ("bounds", "extent"),
    [
        ({"start": -3}, (LENGTH - 3, LENGTH)),
        ({"from": 10, "to": 12}, (10, 12)),
        ({"s": "2026-11-20", "e": "2026-11-21"}, (LENGTH - 3, LENGTH - 2)),
        ({"start": "2026-11-20T00:00:00Z"}, (LENGTH - 3, LENGTH)),
        ({"start": 10, "limit": 5}, (10, 15)),
        ({"start": 10, "end": 12, "limit": 5}, (10, 12)),
        ({"start": LENGTH + 9}, (LENGTH, LENGTH)),
        ({"f": 0, "c": 2}, (0, 2)),
    ],
)
async def test_bounds_may_be_written_in_many_ways(bounds: dict[str, str | int], extent: tuple[int, int]) -> None:
    wrapped = await Asking().json("/api/series/mvrv/day1", **bounds)
    assert (wrapped["start"], wrapped["end"]) == extent
    assert len(wrapped["data"]) == extent[1] - extent[0]


async def test_identities_hold_within_one_answer() -> None:
    names = ["mvrv", "nupl", "supply", *BANDS]
    bulk = await Asking().json("/api/series/bulk", series=",".join(names), index="day1", start=-400)
    columns = {name: wrapped["data"] for name, wrapped in zip(names, bulk, strict=True)}
    for row in range(400):
        assert math.isclose(columns["nupl"][row], 1 - 1 / columns["mvrv"][row], abs_tol=1e-7)
        assert math.isclose(sum(columns[band][row] for band in BANDS), columns["supply"][row], abs_tol=1e-6)


async def test_units_are_coins_and_hashes_a_second() -> None:
    paper = Asking()
    end = (TODAY - 3) * DAY_MS  # of the day behind which the range ends
    bounds: dict[str, str | int] = {"start": -6, "end": -4}
    assert (await day1(paper, "supply", **bounds))["data"][-1] == paper.chain.supply_at(end) / 1e8
    assert math.isclose((await day1(paper, "hash_rate", **bounds))["data"][-1], paper.chain.hash_rate_at(end))


async def test_the_last_two_days_move_and_the_others_stay() -> None:
    async def said(moment: str) -> list[float]:
        data: list[float] = (await day1(Asking(at(moment)), "mvrv", start="2026-11-18", end="2026-11-23"))["data"]
        return data

    earlier, later = await said("2026-11-22T09:00:00"), await said("2026-11-22T15:00:00")
    assert earlier[:3] == later[:3]
    assert earlier[3] != later[3]
    assert earlier[4] != later[4]
    assert abs(earlier[3] / later[3] - 1) < 0.01


async def test_a_range_of_old_days_is_not_sent_again_and_one_that_moves_is_after_the_next_block() -> None:
    paper = Asking()
    old = await paper.get("/api/series/mvrv/day1", start=0, end=10)
    new = await paper.get("/api/series/mvrv/day1", start=-3)
    assert old.headers["cache-control"] == "public, no-cache, stale-if-error=86400"
    await paper.clock.advance(3_600)
    old_again = await paper.get("/api/series/mvrv/day1", {"if-none-match": old.headers["etag"]}, start=0, end=10)
    new_again = await paper.get("/api/series/mvrv/day1", {"if-none-match": new.headers["etag"]}, start=-3)
    assert (old_again.status_code, new_again.status_code) == (304, 200)


@pytest.mark.parametrize(
    ("path", "params", "status", "code"),
    [
        ("/api/series/mvrv/day1", {"cache": "no"}, 400, "parse_error"),
        ("/api/series/mvrv/day1", {"start": "then"}, 400, "parse_error"),
        ("/api/series/mvrv/height", {}, 400, "series_unsupported_index"),
        ("/api/series/sopr/day1", {}, 400, "series_unsupported_index"),
        ("/api/series/mvrw/day1", {}, 404, "series_not_found"),
        ("/api/series/bulk", {"index": "day1"}, 400, "no_series"),
        ("/api/series/bulk", {"index": "day1", "series": "mvrv,nope"}, 404, "series_not_found"),
        ("/api/series/bulk", {"index": "day1", "series": ",".join(["mvrv"] * 33)}, 400, "parse_error"),
        ("/api/series/bulk", {"index": "day1", "series": ",".join(BANDS)}, 400, "weight_exceeded"),
        ("/api/series/nope", {}, 404, "series_not_found"),
        ("/api/series/mvrv/day1/fortune", {}, 404, "not_found"),
    ],
)
async def test_errors_have_its_shape(path: str, params: dict[str, str], status: int, code: str) -> None:
    answer = await Asking().get(path, None, **params)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()["error"]) == {"type", "code", "message", "doc_url"}
    assert answer.json()["error"]["code"] == code


async def test_a_request_may_be_as_heavy_as_the_limit() -> None:
    values = MOST_WEIGHT // 8 // len(BANDS)
    asked: dict[str, str | int] = {"series": ",".join(BANDS), "index": "day1", "start": 0}
    assert (await Asking().get("/api/series/bulk", None, **asked, end=values)).status_code == 200
    assert (await Asking().get("/api/series/bulk", None, **asked, end=values + 1)).status_code == 400


async def test_the_bare_parts_of_a_series() -> None:
    paper = Asking()
    wrapped = await day1(paper, "supply", start=-2)
    assert await paper.json("/api/series/supply/day1/data", start=-2) == wrapped["data"]
    assert await paper.json("/api/series/supply/day1/latest") == wrapped["data"][-1]
    assert await paper.json("/api/series/supply/day1/len") == LENGTH
    assert await paper.json("/api/series/supply/1d/version") == 12
    assert await paper.json("/api/series/supply") == {"description": None, "indexes": ["day1"], "type": "f64"}
    assert (
        await paper.get("/api/series/supply/day1", start=-1, format="csv")
    ).text == f"supply\n{wrapped['data'][-1]}\n"


async def test_search_finds_what_it_might_be_called() -> None:
    found = await Asking().json("/api/series/search", q="sopr_24h", limit=3)
    assert found[0] == "sopr_24h"
    assert len(found) == 3
    assert await Asking().json("/api/series/search", q="mvvr") != []


async def test_the_tip_is_the_same_wherever_it_is_asked() -> None:
    paper = Asking()
    height = paper.chain.height_at(NOW)
    assert (await paper.get("/api/blocks/tip/height")).text == str(height)
    assert (await paper.json("/health"))["tip_height"] == height
    assert (await paper.json("/stats"))["n_blocks_total"] == height


@given(st.sampled_from(sorted(SERIES)), st.integers(0, LENGTH - 1))
def test_every_series_has_a_number_or_nothing_for_every_day(name: str, index: int) -> None:
    paper = Asking()
    value = Reading(paper.chain, paper.mood, NOW).value(SERIES[name], day_of(index))
    assert value is None or math.isfinite(value)
