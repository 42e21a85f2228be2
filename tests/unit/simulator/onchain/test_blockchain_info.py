"""blockchain.info by the facts: GH/s here and TH/s there, satoshi, milliseconds and seconds, samples."""

import math
import re
import statistics
import time

import pytest
from starlette.requests import Request

from market_scraper.simulator.onchain.blockchain_info import CHARTS, BlockchainInfo
from market_scraper.simulator.onchain.days import DAY_MS, GENESIS, SECOND_BLOCK
from market_scraper.simulator.onchain.faults import Spoil
from tests.unit.simulator.onchain.asking import NOW, TODAY, Asking

FIELDS = {
    *("timestamp", "market_price_usd", "hash_rate", "total_fees_btc", "n_btc_mined", "n_tx", "n_blocks_mined"),
    *("minutes_between_blocks", "totalbc", "n_blocks_total", "estimated_transaction_volume_usd", "blocks_size"),
    *("miners_revenue_usd", "miners_revenue_btc", "nextretarget", "difficulty", "estimated_btc_sent"),
    *("total_btc_sent", "trade_volume_btc", "trade_volume_usd"),
}


async def test_stats_have_every_field_in_their_own_units() -> None:
    paper = Asking()
    stats = await paper.json("/stats")
    assert set(stats) == FIELDS
    assert stats["timestamp"] == NOW
    assert math.isclose(stats["hash_rate"], paper.chain.hash_rate_at(NOW) / 1e9, rel_tol=1e-9)
    assert stats["totalbc"] == paper.chain.supply_at(NOW)
    assert stats["n_blocks_total"] == paper.chain.height_at(NOW)
    assert stats["n_btc_mined"] == stats["n_blocks_mined"] * 312_500_000
    assert stats["n_blocks_total"] < stats["nextretarget"] <= stats["n_blocks_total"] + 2_016


async def test_large_numbers_of_stats_come_in_scientific_notation() -> None:
    text = (await Asking().get("/stats")).text
    assert re.search(r'"hash_rate":\d\.\d+E\d+,', text)
    assert re.search(r'"difficulty":\d\.\d+E\d+,', text)


def test_an_answer_of_stats_costs_less_than_a_millisecond() -> None:
    paper = Asking()
    info = BlockchainInfo(paper.chain, paper.mood, lambda: NOW)
    request = Request({"type": "http", "headers": [], "query_string": b"", "path": "/stats", "method": "GET"})
    took = []
    for _ in range(100):
        begun = time.perf_counter()
        info.stats(request, Spoil((), "blockchain_info"))
        took.append(time.perf_counter() - begun)
    assert statistics.median(took) < 0.001


async def test_a_chart_speaks_of_whole_days_up_to_yesterday() -> None:
    paper = Asking()
    chart = await paper.json("/charts/hash-rate", timespan="all", sampled="false")
    assert {**chart, "values": []} == {
        "status": "ok",
        "name": "Hash Rate",
        "unit": "Hash Rate TH/s",
        "period": "day",
        "description": "Hash Rate",
        "values": [],
    }
    days = [point["x"] * 1000 // DAY_MS for point in chart["values"]]
    assert days == list(range(GENESIS, TODAY))
    assert math.isclose(chart["values"][-1]["y"], paper.chain.hash_rate_at(TODAY * DAY_MS) / 1e12)


async def test_a_chart_gives_a_year_unless_asked_otherwise_and_samples_long_ones() -> None:
    paper = Asking()
    assert len((await paper.json("/charts/difficulty"))["values"]) == 365
    assert len((await paper.json("/charts/difficulty", timespan="5weeks"))["values"]) == 35
    assert len((await paper.json("/charts/difficulty", timespan="all"))["values"]) <= 1_500
    ranged = await paper.json("/charts/difficulty", timespan="3days", start="2009-01-09")
    assert [point["x"] for point in ranged["values"]] == [day * 86_400 for day in range(SECOND_BLOCK, SECOND_BLOCK + 3)]


@pytest.mark.parametrize("name", CHARTS)
async def test_every_chart_is_served_with_values_only(name: str) -> None:
    values = (await Asking().json(f"/charts/{name}", timespan="all", sampled="false"))["values"]
    assert all(point["y"] >= 0 for point in values)
    assert values[-1]["x"] == (TODAY - 1) * 86_400


async def test_csv_has_no_header() -> None:
    answer = await Asking().get("/charts/total-bitcoins", timespan="2days", format="csv")
    assert re.fullmatch(r"(2026-11-2[01] 00:00:00,\d+\.\d+\n){2}", answer.text)


async def test_what_is_not_there_or_not_understood_is_an_error() -> None:
    paper = Asking()
    assert (await paper.get("/charts/fortune")).status_code == 404
    assert (await paper.get("/charts/difficulty", timespan="a while")).status_code == 400
