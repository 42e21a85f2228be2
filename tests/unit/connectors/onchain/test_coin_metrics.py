import json

import pytest

from market_scraper.connectors.onchain.coin_metrics import CoinMetrics
from market_scraper.connectors.onchain.fetch import Refused
from market_scraper.connectors.onchain.sieve import iso_day
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.onchain import DAY_MS, METRICS, Answer, Source
from tests.fakes import FakeFetch
from tests.unit.connectors.onchain.coin_metrics_host import API, api, api_page, table
from tests.unit.connectors.onchain.recorded import day_ms

NOW = day_ms("2026-10-20") + 4 * 3_600_000
ROWS = table(
    "2009-01-03",
    "2026-10-19",
    AdrActCnt="612345",
    TxCnt="498765",
    SplyCur="19950000.12345678",
    HashRate="1134974870.44",
    CapMVRVCur="1.5518",
)


def newest(answer: Answer) -> dict[str, int]:
    return {each.metric: each.t_ms for each in answer.observations}


async def test_the_whole_history_takes_one_request_and_the_next_read_a_week() -> None:
    fetch = FakeFetch(lambda _, params: api(ROWS, params))
    source = CoinMetrics(fetch, "https://community-api.coinmetrics.io/v4")

    first = await source.read({}, NOW)
    second = await source.read(newest(first), NOW)

    assert [params["start_time"] for _, params in fetch.asked] == ["2009-01-03", "2026-10-13"]
    assert {url for url, _ in fetch.asked} == {API}
    assert newest(first) == dict.fromkeys(source.metrics, day_ms("2026-10-19"))
    assert len(second.observations) == 7 * 5
    assert not any(each.provisional for each in second.observations)
    assert first.notes == second.notes == ()


async def test_the_query_asks_for_full_pages_from_the_start_and_spares_the_others_one_paid_metric() -> None:
    fetch = FakeFetch(lambda _, params: api(ROWS, params))
    await CoinMetrics(fetch, "https://community-api.coinmetrics.io").read({}, NOW)

    _, params = fetch.asked[0]
    assert set(params.pop("metrics").split(",")) == {
        *("AdrActCnt", "TxCnt", "SplyCur", "HashRate", "CapMVRVCur", "AssetEODCompletionTime")
    }
    assert params == {
        "assets": "btc",
        "frequency": "1d",
        "start_time": "2009-01-03",
        "page_size": "10000",
        "paging_from": "start",
        "ignore_forbidden_errors": "true",
        "ignore_unsupported_errors": "true",
    }


async def test_it_gives_what_the_table_of_metrics_says() -> None:
    named = {metric for metric, kind in METRICS.items() if Source.COIN_METRICS in kind.sources}
    assert set(CoinMetrics.metrics) == named


@pytest.mark.parametrize("heeds", [True, False])
async def test_one_forbidden_metric_is_noted_and_the_others_stay(heeds: bool) -> None:
    def host(_: str, params: dict[str, str]) -> bytes | Exception:
        try:
            return api(ROWS, params, forbidden=["HashRate"], heeds=heeds)
        except Refused as error:
            return error

    answer = await CoinMetrics(FakeFetch(host), API).read({}, NOW)

    assert set(newest(answer)) == {"active_addresses", "transaction_count", "supply", "mvrv"}
    assert [(note.kind, note.metric) for note in answer.notes] == [("missing_metric", "hash_rate")]
    assert all(each.published_ms is not None for each in answer.observations)


async def test_a_forbidden_stamp_costs_only_itself() -> None:
    def host(_: str, params: dict[str, str]) -> bytes | Exception:
        try:
            return api(ROWS, params, forbidden=["AssetEODCompletionTime"], heeds=False)
        except Refused as error:
            return error

    answer = await CoinMetrics(FakeFetch(host), API).read(dict.fromkeys(CoinMetrics.metrics, NOW - DAY_MS), NOW)

    assert set(newest(answer)) == set(CoinMetrics.metrics)
    assert [each.t_ms for each in answer.observations if each.provisional] == [day_ms("2026-10-19")] * 5


async def test_when_all_are_forbidden_the_source_is_failing() -> None:
    refused = Refused("host", 403, b"", retry_after_s=None)
    with pytest.raises(SourceError, match="403"):
        await CoinMetrics(FakeFetch(lambda *_: refused), API).read({}, NOW)


NOT_FOUND = Refused("host", 404, b"", retry_after_s=None)


def serving(only: str) -> FakeFetch:
    return FakeFetch(lambda url, params: api(ROWS, params) if url == only else NOT_FOUND)


@pytest.mark.parametrize("base", ["http://h/cm", "http://h/cm/", "http://h/cm/timeseries/asset-metrics"])
async def test_a_base_that_stands_for_v4_is_found_out_once(base: str) -> None:
    served = "http://h/cm/timeseries/asset-metrics"
    fetch = serving(served)
    source = CoinMetrics(fetch, base)

    first = await source.read({}, NOW)
    again = await source.read(newest(first), NOW)

    assert [url for url, _ in fetch.asked] == [f"{base.rstrip('/')}/v4/timeseries/asset-metrics", served, served]
    assert newest(again) == newest(first) == dict.fromkeys(source.metrics, day_ms("2026-10-19"))


@pytest.mark.parametrize(("base", "asks"), [("http://h/cm", 2), ("http://h", 2), (API, 1), ("http://h/x/v4", 1)])
async def test_a_host_without_the_resource_is_asked_at_each_place_once(base: str, asks: int) -> None:
    fetch = serving("")
    with pytest.raises(Refused, match="404"):
        await CoinMetrics(fetch, base).read({}, NOW)
    assert len({url for url, _ in fetch.asked}) == len(fetch.asked) == asks


async def test_a_metric_that_is_forbidden_under_a_base_that_stands_for_v4_costs_only_itself() -> None:
    def host(url: str, params: dict[str, str]) -> bytes | Exception:
        if url != "http://h/cm/timeseries/asset-metrics":
            return NOT_FOUND
        try:
            return api(ROWS, params, forbidden=["HashRate"], heeds=False)
        except Refused as error:
            return error

    answer = await CoinMetrics(FakeFetch(host), "http://h/cm").read({}, NOW)
    assert set(newest(answer)) == {"active_addresses", "transaction_count", "supply", "mvrv"}


async def test_pages_are_followed_until_there_is_none() -> None:
    pages = {
        API: api_page([{"time": "2026-10-18", "TxCnt": "1"}], f"{API}?next_page_token=0.a"),
        f"{API}?next_page_token=0.a": api_page([{"time": "2026-10-19", "TxCnt": "2"}]),
    }
    answer = await CoinMetrics(FakeFetch(lambda url, _: pages[url]), API).read({}, NOW)
    assert [each.value for each in answer.observations] == [1.0, 2.0]


async def test_pages_of_another_host_are_asked_for_at_ours() -> None:
    """Behind a proxy the host tells the address that it has itself."""
    inner = "http://inner.example:8080/timeseries/asset-metrics?next_page_token=0.a"
    pages = {
        API: api_page([{"time": "2026-10-18", "TxCnt": "1"}], inner),
        f"{API}?next_page_token=0.a": api_page([{"time": "2026-10-19", "TxCnt": "2"}], ""),
    }
    answer = await CoinMetrics(FakeFetch(lambda url, _: pages[url]), API).read({}, NOW)
    assert [each.value for each in answer.observations] == [1.0, 2.0]


async def test_a_whole_history_may_come_in_pages_of_thirty_days() -> None:
    days = list(ROWS)

    def host(url: str, _: dict[str, str]) -> bytes:
        first = int(url.partition("?next_page_token=0.")[2] or 0)
        rows = [{"time": iso_day(t_ms), "TxCnt": "5"} for t_ms in days[first : first + 30]]
        more = f"{API}?next_page_token=0.{first + 30}" if first + 30 < len(days) else None
        return api_page(rows, more)

    fetch = FakeFetch(host)
    answer = await CoinMetrics(fetch, API).read({}, NOW)

    assert len(answer.observations) == len(days) > 6_000
    assert len(fetch.asked) == -(-len(days) // 30)


@pytest.mark.parametrize("by", ["url", "token"])
async def test_pages_that_go_round_in_a_circle_end_at_once(by: str) -> None:
    asked = 0

    def host(_: str, __: dict[str, str]) -> bytes:
        nonlocal asked
        asked += 1
        row = {"asset": "btc", "time": "2026-10-18", "TxCnt": "1"}
        turn = asked % 3 if by == "url" else asked
        token = {} if by == "url" else {"next_page_token": f"0.{asked % 3}"}
        return json.dumps({"data": [row], "next_page_url": f"{API}?turn={turn}"} | token).encode()

    with pytest.raises(InvalidInput, match="circle"):
        await CoinMetrics(FakeFetch(host), API).read({}, NOW)
    assert asked == 4


async def test_an_answer_without_rows_for_days_that_were_is_not_taken_for_good() -> None:
    with pytest.raises(InvalidInput, match="no rows"):
        await CoinMetrics(FakeFetch(lambda *_: api_page([])), API).read({}, NOW)


async def test_nulls_on_the_newest_days_leave_the_older_values() -> None:
    rows = dict(ROWS) | {day_ms("2026-10-19"): dict.fromkeys(ROWS[day_ms("2026-10-19")])}
    known = dict.fromkeys(CoinMetrics.metrics, day_ms("2026-10-18"))

    answer = await CoinMetrics(FakeFetch(lambda _, params: api(rows, params)), API).read(known, NOW)

    assert newest(answer) == known
    assert answer.notes == ()
