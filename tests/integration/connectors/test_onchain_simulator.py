"""The six real connectors against the paper venue's hosts: what they read is what is true, in our units."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from market_scraper.app.onchain import onchain_sources
from market_scraper.config.sections import Onchain
from market_scraper.connectors.onchain.fetch import Fetch
from market_scraper.domain.onchain import AGE_BANDS, CBBI_COMPONENTS, DAY_MS, METRICS, Source, age_metric, cbbi_metric
from market_scraper.runtime.clock import ScaledClock, real_timeout
from market_scraper.simulator.options import VenueOptions
from market_scraper.simulator.server import PaperVenue

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPEED = 20.0
"""A host that is not known is asked nine times in six venue seconds."""

THEN_S = 1_528_113_600.0
"""2018-06-04 12:00 UTC: every source has a history by then, and a short one."""


def origin_s(now_s: float) -> float:
    """Where a clock of this speed must begin for its now to be then: then = origin + (now - origin) x speed."""
    return (now_s * SPEED - THEN_S) / (SPEED - 1)


@dataclass(frozen=True)
class Read:
    """What each source said, by metric: (t, value), oldest first; and what is true of yesterday."""

    said: dict[Source, dict[str, list[tuple[int, float]]]]
    notes: dict[Source, list[str]]
    truth: dict[str, Any]
    requests: dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def read() -> AsyncIterator[Read]:
    clock = ScaledClock(origin_s=origin_s(ScaledClock().now_ms() / 1000), speed=SPEED)
    options = VenueOptions(traders=20, symbols=("BTC",), history_days=2, warm_up_s=1, speed=SPEED)
    said: dict[Source, dict[str, list[tuple[int, float]]]] = {}
    notes: dict[Source, list[str]] = {}
    async with (
        PaperVenue(options, clock) as venue,
        Fetch(clock=clock, deadline=real_timeout, timeout_s=60.0) as fetch,
        httpx2.AsyncClient(base_url=venue.url, timeout=60.0) as client,
    ):
        truth = (await client.get("/_truth/onchain")).json()
        where = Onchain(**{f"{source.value}_url": venue.url for source in Source})
        for source in onchain_sources(fetch, where):
            answer = await source.read({}, clock.now_ms())
            by_metric = said.setdefault(source.name, {})
            for each in answer.observations:
                by_metric.setdefault(each.metric, []).append((each.t_ms, each.value))
            notes[source.name] = [note.text for note in answer.notes]
        yield Read(said, notes, truth, (await client.get("/_stats")).json()["onchain"])


def of_yesterday(read: Read, source: Source, metric: str) -> float:
    return dict(read.said[source][metric])[read.truth["day"] * DAY_MS]


async def test_every_source_gives_all_that_it_may_and_has_nothing_to_remark(read: Read) -> None:
    given = {(source, metric) for source, values in read.said.items() for metric in values}
    assert given == {(source, metric.name) for metric in METRICS.values() for source in metric.sources}
    assert {source: said for source, said in read.notes.items() if said} == {}


async def test_histories_come_oldest_first_each_day_once(read: Read) -> None:
    for source, values in read.said.items():
        for metric, rows in values.items():
            times = [t_ms for t_ms, _ in rows]
            assert times == sorted(set(times)), (source, metric)


async def test_hash_rate_supply_and_difficulty_are_one_and_the_same_in_every_sources_units(read: Read) -> None:
    for metric in ("hash_rate", "supply", "difficulty", "transaction_count"):
        for source in METRICS[metric].sources:
            assert of_yesterday(read, source, metric) == pytest.approx(read.truth[metric], rel=1e-3), (source, metric)


async def test_activity_and_flows_are_true(read: Read) -> None:
    truth, flows = read.truth, read.truth["flows"]
    assert of_yesterday(read, Source.COIN_METRICS, "active_addresses") == truth["active_addresses"]
    told = {name: of_yesterday(read, Source.EXCHANGE_FLOW, name) for name in ("inflow", "outflow", "exchange_supply")}
    assert told == pytest.approx(
        {"inflow": flows["inflow"], "outflow": flows["outflow"], "exchange_supply": flows["held"]}, rel=0.005
    )


async def test_ratios_and_age_bands_are_true(read: Read) -> None:
    truth = read.truth
    for metric in ("mvrv", "sopr", "sth_sopr", "lth_sopr", "puell"):
        assert of_yesterday(read, Source.BITVIEW, metric) == pytest.approx(truth["valuation"][metric], rel=0.02)
    assert of_yesterday(read, Source.COIN_METRICS, "mvrv") == pytest.approx(truth["valuation"]["mvrv"])
    bands = {band: of_yesterday(read, Source.BITVIEW, age_metric(band)) for band in AGE_BANDS}
    assert bands == pytest.approx(truth["ages"], rel=0.02)
    assert sum(bands.values()) == pytest.approx(truth["supply"], rel=1e-3)


async def test_sentiment_is_true(read: Read) -> None:
    truth = read.truth
    assert of_yesterday(read, Source.FEAR_GREED, "fear_greed") == truth["fear_greed"]
    for name in CBBI_COMPONENTS:
        rows = dict(read.said[Source.CBBI][cbbi_metric(name)])
        told = rows.get(truth["day"] * DAY_MS)
        assert told is None or told == pytest.approx(truth["cbbi"][name], abs=0.04), name
    assert (truth["day"] - 10) * DAY_MS in dict(read.said[Source.CBBI]["cbbi_confidence"])


async def test_nobody_was_told_to_slow_down(read: Read) -> None:
    assert read.requests["answers_429"] == 0
    assert read.requests["cbbi"]["requests"] == 1
    assert read.requests["coin_metrics_csv"]["requests"] == 1
