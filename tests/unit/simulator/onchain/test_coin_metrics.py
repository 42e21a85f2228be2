"""Coin Metrics by the facts: pages, strings, what is free, when a day is there, and ten requests in six seconds."""

import asyncio
import csv
import io
import math
from typing import Any

import pytest

from market_scraper.simulator.onchain.chain import COIN
from market_scraper.simulator.onchain.days import DAY_MS, GENESIS, iso_seconds
from tests.unit.simulator.onchain.asking import NOW, TODAY, Asking, at

ROWS = "/v4/timeseries/asset-metrics"
CATALOG = "/v4/catalog-v2/asset-metrics"
CSV = "/coinmetrics/data/master/csv/btc.csv"


@pytest.fixture(scope="module")
def table() -> list[dict[str, str]]:
    """The CSV of now."""
    return list(csv.DictReader(io.StringIO(asyncio.run(Asking().get(CSV)).text)))


async def rows(paper: Asking, metrics: str, **params: str | int) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = (await paper.json(ROWS, assets="btc", metrics=metrics, **params))["data"]
    return data


def stamp(day: int) -> str:
    return f"{iso_seconds(day * DAY_MS)[:-1]}.000000000Z"


async def test_a_row_is_strings_with_nine_fractional_digits_in_its_time() -> None:
    paper = Asking()
    (row,) = await rows(paper, "AdrActCnt,HashRate,FlowInExNtv,AssetEODCompletionTime", limit_per_asset=1)
    day = TODAY - 1
    assert list(row) == ["asset", "time", "AdrActCnt", "HashRate", "FlowInExNtv", "AssetEODCompletionTime"]
    assert (row["asset"], row["time"]) == ("btc", "2026-11-21T00:00:00.000000000Z")
    assert row["AdrActCnt"] == str(paper.chain.addresses(day))
    assert math.isclose(float(row["HashRate"]), paper.chain.hash_rate_at(TODAY * DAY_MS) / 1e12)
    assert at("2026-11-22T03:15:00") <= int(row["AssetEODCompletionTime"]) * 1000 <= at("2026-11-22T03:25:00")


async def test_a_day_is_there_once_it_is_complete() -> None:
    async def newest(moment: str) -> str:
        return str((await rows(Asking(at(moment)), "TxCnt", limit_per_asset=1))[0]["time"])

    assert await newest("2026-11-22T03:14:59") == stamp(TODAY - 2)
    assert await newest("2026-11-22T03:30:00") == stamp(TODAY - 1)


async def test_the_first_page_is_the_newest_hundred_rows_unless_asked_otherwise() -> None:
    page = await Asking().json(ROWS, assets="btc", metrics="TxCnt")
    assert len(page["data"]) == 100
    assert page["data"][-1]["time"] == stamp(TODAY - 1)
    assert page["next_page_token"].startswith("0.")
    oldest = await rows(Asking(), "TxCnt", paging_from="start", page_size=2)
    assert [row["time"] for row in oldest] == [stamp(GENESIS), stamp(GENESIS + 1)]


@pytest.mark.parametrize("start", ["start", "end"])
async def test_pages_followed_to_their_end_are_every_day_once(start: str) -> None:
    paper = Asking()
    begin = stamp(TODAY - 25)
    page = await paper.json(ROWS, assets="btc", metrics="TxCnt", start_time=begin, page_size=10, paging_from=start)
    seen = [row["time"] for row in page["data"]]
    while "next_page_url" in page:
        page = await paper.json(page["next_page_url"])
        times = [row["time"] for row in page["data"]]
        seen = seen + times if start == "start" else times + seen
    assert seen == [stamp(day) for day in range(TODAY - 25, TODAY)]


async def test_bounds_may_be_exclusive() -> None:
    bounds: dict[str, str | int] = {"start_time": "2026-11-01", "end_time": "2026-11-03"}
    assert len(await rows(Asking(), "TxCnt", **bounds)) == 3
    assert len(await rows(Asking(), "TxCnt", **bounds, start_inclusive="false", end_inclusive="false")) == 1


async def test_a_paid_metric_fails_the_whole_request_unless_it_is_to_be_ignored() -> None:
    paper = Asking()
    refused = await paper.get(ROWS, assets="btc", metrics="TxCnt,CapRealUSD")
    assert refused.status_code == 403
    assert refused.json() == {
        "error": {"type": "forbidden", "message": "Requested resource is not available with supplied credentials."}
    }
    (row,) = await rows(paper, "TxCnt,CapRealUSD", ignore_forbidden_errors="true", limit_per_asset=1)
    assert set(row) == {"asset", "time", "TxCnt"}


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"metrics": "ActiveCnt"}, 400),
        ({"metrics": "TxCnt", "cache": "no"}, 400),
        ({"metrics": "TxCnt", "assets": "doge"}, 400),
        ({"metrics": "TxCnt", "page_size": "10001"}, 400),
        ({"metrics": "TxCnt", "start_time": "soon"}, 400),
        ({"metrics": "TxCnt", "frequency": "1h"}, 403),
        ({"metrics": ""}, 400),
    ],
)
async def test_what_is_wrong_is_told_in_an_error(params: dict[str, str], status: int) -> None:
    answer = await Asking().get(ROWS, None, **{"assets": "btc", **params})
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"type", "message"}


async def test_ten_requests_in_any_six_seconds_are_answered_and_the_eleventh_refused() -> None:
    paper = Asking()
    statuses = []
    for _ in range(11):
        statuses.append((await paper.get(CATALOG)).status_code)
        await paper.clock.advance(0.5)
    assert statuses == [200] * 10 + [429]
    await paper.clock.advance(0.4)
    assert (await paper.get(CATALOG)).status_code == 429
    await paper.clock.advance(0.2)
    again = await paper.get(CATALOG)
    assert again.status_code == 200
    assert again.headers["x-ratelimit-limit"] == "10"
    assert again.headers["x-ratelimit-remaining"] == "0"


async def test_the_catalogue_says_what_is_free_and_since_when() -> None:
    (listed,) = (await Asking().json(CATALOG, assets="btc"))["data"]
    assert listed["asset"] == "btc"
    metrics = {entry["metric"]: entry["frequencies"] for entry in listed["metrics"]}
    assert {"AdrActCnt", "FlowInExNtv", "SplyExNtv", "CapMVRVCur"} <= set(metrics)
    assert "CapRealUSD" not in metrics
    assert metrics["FlowInExNtv"] == [
        {
            "frequency": "1d",
            "min_time": "2011-06-20T00:00:00.000000000Z",
            "max_time": stamp(TODAY - 1),
            "community": True,
        }
    ]


async def test_flows_are_revised_once_and_then_are_what_changed_on_exchanges() -> None:
    day = at("2026-11-20T00:00:00")
    asked: dict[str, str | int] = {"start_time": "2026-11-20", "end_time": "2026-11-20"}
    metrics = "FlowInExNtv,FlowOutExNtv,SplyExNtv"
    (first,) = await rows(Asking(day + DAY_MS + 12 * 3_600_000), metrics, **asked)
    (second,) = await rows(Asking(day + 2 * DAY_MS), metrics, **asked)
    flows = Asking().chain.flows(day // DAY_MS)
    assert float(second["FlowInExNtv"]) == flows.inflow / COIN
    assert float(second["FlowOutExNtv"]) == flows.outflow / COIN
    assert 0 < abs(float(first["FlowInExNtv"]) / float(second["FlowInExNtv"]) - 1) < 0.005
    assert first["SplyExNtv"] == second["SplyExNtv"]


def test_the_csv_has_all_free_metrics_by_name_and_a_last_row_that_is_half_empty(table: list[dict[str, str]]) -> None:
    header = list(table[0])
    assert header[0] == "time"
    assert header[1:] == sorted(header[1:])
    assert len(header) == 32
    assert [row["time"] for row in table[:2]] == ["2009-01-03", "2009-01-04"]
    assert len(table) == TODAY - GENESIS + 1
    filled = {name for name, cell in table[-1].items() if cell}
    assert filled == {"time", "ReferenceRate", "ReferenceRateETH", "ReferenceRateEUR", "ReferenceRateUSD"}
    assert all(table[-2].values())
    assert table[0]["PriceUSD"] == ""
    assert "e" not in table[300]["HashRate"]


async def test_csv_and_api_say_the_same(table: list[dict[str, str]]) -> None:
    (row,) = await rows(Asking(), "AdrActCnt,SplyCur,CapMVRVCur,FlowInExNtv", limit_per_asset=1)
    assert {name: table[-2][name] for name in row if name not in ("asset", "time")} == {
        name: text for name, text in row.items() if name not in ("asset", "time")
    }


async def test_the_csv_is_not_sent_again_to_who_has_it() -> None:
    paper = Asking()
    etag = (await paper.head(CSV))["etag"]
    assert (await paper.get(CSV, {"if-none-match": etag})).status_code == 304
    await paper.clock.advance(86_400)
    assert (await paper.head(CSV))["etag"] != etag


async def test_other_formats_hold_the_same_rows() -> None:
    asked = {"assets": "btc", "metrics": "TxCnt", "limit_per_asset": "2"}
    table = (await Asking(NOW).get(ROWS, None, **asked, format="csv")).text.splitlines()
    lines = (await Asking(NOW).get(ROWS, None, **asked, format="json_stream")).text.splitlines()
    assert table[0] == "asset,time,TxCnt"
    assert len(table) == 3
    assert len(lines) == 2
