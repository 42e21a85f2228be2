from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from market_scraper.connectors.onchain.exchange_flow import CSV_URL, ExchangeFlow, addresses
from market_scraper.connectors.onchain.fetch import Fetched, Refused
from market_scraper.domain.errors import SourceError
from market_scraper.domain.onchain import METRICS, Answer, Source
from tests.fakes import FakeFetch
from tests.unit.connectors.onchain.coin_metrics_host import API, Table, api, csv_file, table
from tests.unit.connectors.onchain.recorded import day_ms

NOW = day_ms("2026-10-20") + 4 * 3_600_000
NAMES = ["AssetEODCompletionTime", "FlowInExNtv", "FlowOutExNtv", "SplyExNtv"]
# Invented, in the size of the real ones: no recording holds flows in coins.
ROWS = table("2011-01-01", "2026-10-19", FlowInExNtv="32455.35", FlowOutExNtv="34643.60", SplyExNtv="2504439.23")
KNOWN = dict.fromkeys(ExchangeFlow.metrics, day_ms("2026-10-18"))
DOWN = SourceError("host", "HTTP 500", retry_after_s=60.0)


def hosts(
    of_api: Table | Exception = ROWS, of_csv: bytes | Exception | None = None
) -> Callable[[str, dict[str, str]], bytes | Exception]:
    def answer(url: str, params: dict[str, str]) -> bytes | Exception:
        if url.endswith(".csv"):
            return csv_file(ROWS, NAMES) if of_csv is None else of_csv
        return of_api if isinstance(of_api, Exception) else api(of_api, params)

    return answer


def source(fetch: FakeFetch) -> ExchangeFlow:
    v4 = "https://community-api.coinmetrics.io/v4"
    return ExchangeFlow(fetch, v4, v4)


def newest(answer: Answer) -> dict[str, int]:
    return {each.metric: each.t_ms for each in answer.observations}


V4 = "https://community-api.coinmetrics.io/v4"


OWN = "http://127.0.0.1:9"
OWN_CSV = f"{OWN}/coinmetrics/data/master/csv/btc.csv"


@pytest.mark.parametrize(
    ("url", "api_bases", "csv"),
    [
        (V4, [V4], CSV_URL),
        (f"{V4}/", [f"{V4}/"], CSV_URL),
        (f"{V4}/timeseries/asset-metrics", [f"{V4}/timeseries/asset-metrics"], CSV_URL),
        (f"{OWN}/v4", [f"{OWN}/v4"], OWN_CSV),
        (
            f"{OWN}/cm/timeseries/asset-metrics",
            [f"{OWN}/cm/timeseries/asset-metrics"],
            OWN_CSV.replace("/c", "/cm/c", 1),
        ),
        (OWN, [V4, OWN], OWN_CSV),
        (f"{OWN}/coinmetrics/data", [V4, f"{OWN}/coinmetrics/data"], OWN_CSV),
        (
            "https://community-api.coinmetrics.io",
            [V4],
            "https://community-api.coinmetrics.io/coinmetrics/data/master/csv/btc.csv",
        ),
        (CSV_URL, [V4], CSV_URL),
        ("https://mirror.example/btc.csv", [V4], "https://mirror.example/btc.csv"),
    ],
)
def test_one_setting_says_where_api_and_csv_are(url: str, api_bases: list[str], csv: str) -> None:
    assert addresses(url, V4) == (tuple(api_bases), csv)


NOT_FOUND = Refused("host", 404, b"", retry_after_s=None)


@pytest.mark.parametrize("of_coin_metrics", [DOWN, NOT_FOUND, "without flows"])
async def test_a_root_that_serves_the_api_alone_is_found_and_then_asked_first(of_coin_metrics: Exception | str) -> None:
    def host(url: str, params: dict[str, str]) -> bytes | Exception:
        if url == f"{OWN}/v4/timeseries/asset-metrics":
            return api(ROWS, params)
        if url == API and isinstance(of_coin_metrics, Exception):
            return of_coin_metrics
        return api(ROWS, params, forbidden=NAMES[1:]) if url == API else NOT_FOUND

    fetch = FakeFetch(host)
    flows = ExchangeFlow(fetch, OWN, V4)

    first = await flows.read({}, NOW)
    assert newest(first) == dict.fromkeys(ExchangeFlow.metrics, day_ms("2026-10-19"))
    assert len(first.observations) == len(ROWS) * 3
    assert {urlsplit(url).netloc for url, _ in fetch.asked} == {urlsplit(OWN).netloc, urlsplit(V4).netloc}
    fetch.asked.clear()
    second = await flows.read(newest(first), NOW)
    assert [url for url, _ in fetch.asked] == [f"{OWN}/v4/timeseries/asset-metrics"]
    assert second.notes == ()


async def test_a_root_with_nothing_at_all_is_failing_and_says_what_was_tried() -> None:
    fetch = FakeFetch(lambda *_: NOT_FOUND)
    with pytest.raises(SourceError, match="the CSV: HTTP 404; the API: HTTP 404; the API of its own address: HTTP 404"):
        await ExchangeFlow(fetch, OWN, V4).read({}, NOW)
    assert len(fetch.asked) == 4  # under its own address the API may stand with or without /v4


async def test_the_history_comes_from_the_csv_and_new_days_in_kilobytes_from_the_api() -> None:
    fetch = FakeFetch(hosts())
    flows = source(fetch)

    first = await flows.read({}, NOW)
    second = await flows.read(newest(first), NOW)

    assert [url for url, _ in fetch.asked] == [CSV_URL, API]
    assert len(first.observations) == len(ROWS) * 3
    assert first.observations[0].value == 32_455.35
    assert second.observations == tuple(each for each in first.observations if each.t_ms >= day_ms("2026-10-06"))


async def test_it_gives_what_the_table_of_metrics_says() -> None:
    named = {metric for metric, kind in METRICS.items() if Source.EXCHANGE_FLOW in kind.sources}
    assert set(ExchangeFlow.metrics) == named


async def test_without_the_csv_the_history_comes_from_the_api_and_that_is_noted() -> None:
    answer = await source(FakeFetch(hosts(of_csv=DOWN))).read({}, NOW)

    assert len(answer.observations) == len(ROWS) * 3
    assert [note.kind for note in answer.notes] == ["fallback"]


@pytest.mark.parametrize("csv", [b"404: Not Found", b"time,PriceUSD\n2026-10-19,1\n"])
async def test_a_csv_that_is_none_is_no_history(csv: bytes) -> None:
    answer = await source(FakeFetch(hosts(of_csv=csv))).read({}, NOW)

    assert len(answer.observations) == len(ROWS) * 3


async def test_without_the_api_new_days_come_from_the_csv_and_an_unchanged_one_is_not_read_again() -> None:
    fetch = FakeFetch(hosts(of_api=DOWN))
    flows = source(fetch)

    first = await flows.read(KNOWN, NOW)
    second = await flows.read(newest(first), NOW)

    assert newest(first) == dict.fromkeys(ExchangeFlow.metrics, day_ms("2026-10-19"))
    assert [note.kind for note in first.notes] == ["fallback"]
    assert second.unchanged
    assert second.observations == ()


async def test_a_csv_whose_values_were_not_taken_over_is_read_again() -> None:
    flows = source(FakeFetch(hosts(of_api=DOWN)))
    first = await flows.read(KNOWN, NOW)

    again = await flows.read(KNOWN, NOW)

    assert again.observations == first.observations


def cut(rows: Table, at: str) -> bytes:
    """The file up to the middle of a row."""
    whole = csv_file(rows, NAMES)
    return whole[: whole.index(at.encode()) + 14]


HALF = cut(ROWS, "2020-03-01")
NO_LINE_END = csv_file(ROWS, NAMES)[:-1]
ONE_BAD_ROW = csv_file(ROWS, NAMES).replace(b"2015-07-01,", b"2015-07-0?,")


@pytest.mark.parametrize(
    ("file", "asked_from"), [(HALF, "2020-03-01"), (NO_LINE_END, "2026-10-19"), (ONE_BAD_ROW, "2015-07-01")]
)
async def test_what_is_missing_in_half_a_file_comes_from_the_api_and_the_file_is_not_kept(
    file: bytes, asked_from: str
) -> None:
    fetch = FakeFetch(hosts(of_csv=file))
    answer = await source(fetch).read({}, NOW)

    whole = await source(FakeFetch(hosts())).read({}, NOW)
    assert sorted(answer.observations, key=str) == sorted(whole.observations, key=str)
    assert [params.get("start_time") for _, params in fetch.asked] == [None, asked_from]
    assert [each.t_ms for each in answer.observations] == sorted(each.t_ms for each in answer.observations)
    assert fetch.kept == []


async def test_without_the_api_half_a_file_gives_what_it_has_and_is_read_again_until_it_is_whole() -> None:
    of_csv = HALF
    fetch = FakeFetch(lambda url, _: of_csv if url == CSV_URL else DOWN)
    flows = source(fetch)

    first = await flows.read({}, NOW)
    again = await flows.read(newest(first), NOW)
    assert newest(first) == dict.fromkeys(ExchangeFlow.metrics, day_ms("2020-02-29"))
    assert not again.unchanged
    assert {each.next_in_s for each in (first, again)} == {None}  # in half an hour, not at once
    of_csv = csv_file(ROWS, NAMES)
    last = await flows.read(newest(first), NOW)
    days = {each.t_ms for each in (*first.observations, *last.observations)}
    assert days == set(ROWS)
    assert (await flows.read(newest(last), NOW)).unchanged


async def test_a_metric_that_the_api_lacks_comes_from_the_csv() -> None:
    lacking = {
        t_ms: {name: cell for name, cell in cells.items() if name != "SplyExNtv"} for t_ms, cells in ROWS.items()
    }

    def host(url: str, params: dict[str, str]) -> bytes:
        names = [name for name in params.get("metrics", "").split(",") if name != "SplyExNtv"]
        return csv_file(ROWS, NAMES) if url == CSV_URL else api(lacking, params | {"metrics": ",".join(names)})

    answer = await source(FakeFetch(host)).read(KNOWN, NOW)

    assert newest(answer) == dict.fromkeys(ExchangeFlow.metrics, day_ms("2026-10-19"))
    assert {note.kind for note in answer.notes} == {"missing_metric", "fallback"}


async def test_when_both_are_down_the_source_is_failing() -> None:
    with pytest.raises(SourceError, match="the CSV: the CSV holds no exchange flows; the API: HTTP 500") as caught:
        await source(FakeFetch(hosts(of_api=DOWN, of_csv=b"time,PriceUSD\n2026-10-19,1\n"))).read({}, NOW)
    assert caught.value.retry_after_s == 60.0


async def test_a_metric_that_neither_has_is_noted_and_the_big_file_is_not_read_again_for_it() -> None:
    names = [name for name in NAMES if name != "SplyExNtv"]
    rows = {t_ms: {name: cells[name] for name in names} for t_ms, cells in ROWS.items()}
    sizes: list[int] = []

    class Counting(FakeFetch):
        async def get(self, *args: Any, **kwargs: Any) -> Fetched:
            fetched = await super().get(*args, **kwargs)
            sizes.append(len(fetched.body))
            return fetched

    def host(url: str, params: dict[str, str]) -> bytes:
        if url == CSV_URL:
            return csv_file(rows, names)
        return api(rows, params | {"metrics": params["metrics"].replace("SplyExNtv,", "")})

    flows = source(Counting(host))
    had = newest(await flows.read({}, NOW))
    await flows.read(had, NOW)
    sizes.clear()

    answer = await flows.read(had, NOW)

    assert set(newest(answer)) == {"inflow", "outflow"}
    assert {(note.kind, note.metric) for note in answer.notes} == {("missing_metric", "exchange_supply")}
    assert sum(sizes) < 10_000


async def test_days_younger_than_two_days_are_provisional_from_either_of_them() -> None:
    for of_api in (ROWS, DOWN):
        answer = await source(FakeFetch(hosts(of_api))).read(KNOWN, NOW)

        assert {each.t_ms for each in answer.observations if each.provisional} == {day_ms("2026-10-19")}


async def test_no_price_in_dollars_is_read() -> None:
    fetch = FakeFetch(hosts())
    flows = source(fetch)
    await flows.read(newest(await flows.read({}, NOW)), NOW)

    assert "USD" not in "".join(params.get("metrics", "") for _, params in fetch.asked)
