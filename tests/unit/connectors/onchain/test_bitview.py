import json

import pytest

from market_scraper.connectors.onchain.bitview import Bitview
from market_scraper.connectors.onchain.bitview_series import SERIES
from market_scraper.connectors.onchain.fetch import Refused
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.onchain import AGE_BANDS, DAY_MS, METRICS, Answer, Source, age_metric
from tests.fakes import FakeFetch
from tests.unit.connectors.onchain.bitview_host import BULK, ROOT, SEARCH, BitviewHost
from tests.unit.connectors.onchain.recorded import day_ms

NOW = day_ms("2026-10-20") + 9 * 3_600_000
LAST = "2026-10-20"
KNOWN = dict.fromkeys(SERIES, day_ms("2026-10-19"))


def newest(answer: Answer) -> dict[str, int]:
    return {each.metric: each.t_ms for each in answer.observations}


def searches(fetch: FakeFetch) -> list[str]:
    return [params["q"] for url, params in fetch.asked if url == SEARCH]


async def test_new_days_take_two_requests_and_one_for_the_height() -> None:
    fetch = FakeFetch(BitviewHost(LAST))

    answer = await Bitview(fetch, ROOT).read(KNOWN, NOW)

    assert [params.get("start") for _, params in fetch.asked] == ["2026-10-13", "2026-10-13", None]
    assert set(newest(answer)) == set(METRICS_GIVEN)
    of_today = {each.metric: each.value for each in answer.observations if each.t_ms >= day_ms(LAST)}
    assert of_today["hash_rate"] == pytest.approx(1_100.0)
    assert sum(of_today[age_metric(band)] for band in AGE_BANDS) == pytest.approx(of_today["supply"])
    assert newest(answer)["block_height"] == NOW
    assert of_today["block_height"] == 970_695.0
    assert answer.notes == ()
    assert answer.next_in_s is None


METRICS_GIVEN = [metric for metric, kind in METRICS.items() if Source.BITVIEW in kind.sources]


async def test_it_gives_what_the_table_of_metrics_says() -> None:
    assert set(Bitview.metrics) == set(METRICS_GIVEN)


async def test_a_first_read_brings_the_whole_history_in_slices_oldest_first() -> None:
    fetch = FakeFetch(BitviewHost(LAST))

    answer = await Bitview(fetch, ROOT).read({}, NOW)

    slices = [(params["start"], params.get("end")) for url, params in fetch.asked if url == BULK]
    assert slices[::2] == slices[1::2]
    assert slices[0] == ("2009-01-03", "2011-09-30")
    assert [end for _, end in slices[::2]][:-1] == [start for start, _ in slices[2::2]]
    assert slices[-1][1] is None
    supply = [each.t_ms for each in answer.observations if each.metric == "supply"]
    assert supply == [day_ms("2009-01-03"), *range(day_ms("2009-01-09"), NOW, DAY_MS)]
    assert [each.t_ms for each in answer.observations] == sorted(each.t_ms for each in answer.observations)
    assert {each.t_ms for each in answer.observations if each.provisional} == {day_ms("2026-10-19"), day_ms(LAST)}


@pytest.mark.parametrize("quiet", [False, True])
async def test_a_renamed_series_is_noted_with_what_the_host_calls_it_now_and_the_others_stay(quiet: bool) -> None:
    fetch = FakeFetch(BitviewHost(LAST, renamed={"puell_multiple": "puell_ratio"}, quiet=quiet))

    answer = await Bitview(fetch, ROOT).read(KNOWN, NOW)

    assert set(newest(answer)) == set(METRICS_GIVEN) - {"puell"}
    assert [(note.kind, note.metric) for note in answer.notes] == [("schema_drift", "puell")]
    assert "puell_ratio" in answer.notes[0].text
    assert "puell_multiple" in answer.notes[0].text
    assert "mvrv" not in answer.notes[0].text  # the search finds it alike, but it is known under its own name


async def test_of_several_renamed_series_the_new_names_are_found_in_one_read() -> None:
    gone = {"mvrv": "mvrv_now", "nupl": "nupl_now", "puell_multiple": "puell_now"}
    fetch = FakeFetch(BitviewHost(LAST, renamed=gone))
    bitview = Bitview(fetch, ROOT)

    for _ in range(2):
        answer = await bitview.read(KNOWN, NOW)

        told = " ".join(note.text for note in answer.notes)
        assert all(f"{old} is not served by day; is it now {new} or" in told for old, new in gone.items())
    assert sorted(searches(fetch)) == sorted(gone)  # once for each


async def test_the_host_is_asked_for_some_new_names_a_read() -> None:
    gone = {SERIES[age_metric(band)].names[0]: f"age_{band}" for band in AGE_BANDS[:10]}
    fetch = FakeFetch(BitviewHost(LAST, renamed=gone))
    bitview = Bitview(fetch, ROOT)

    counts = []
    for _ in range(3):
        answer = await bitview.read(KNOWN, NOW)
        counts.append(len(searches(fetch)))

    assert counts == [8, 10, 10]
    assert all(new in " ".join(note.text for note in answer.notes) for new in gone.values())


async def test_a_search_that_fails_is_left_for_the_next_read() -> None:
    host = BitviewHost(LAST, renamed={"mvrv": "mvrv_now", "nupl": "nupl_now"})
    is_down = True

    def hosts(url: str, params: dict[str, str]) -> bytes | Exception:
        down = SourceError("bitview", "HTTP 500", retry_after_s=60.0)
        return down if url == SEARCH and is_down else host(url, params)

    fetch = FakeFetch(hosts)
    bitview = Bitview(fetch, ROOT)
    await bitview.read(KNOWN, NOW)
    assert len(searches(fetch)) == 1
    is_down = False
    answer = await bitview.read(KNOWN, NOW)
    assert [note.text.partition("now ")[2] for note in answer.notes] == [
        "mvrv_now or price_close?",
        "nupl_now or price_close?",
    ]


@pytest.mark.parametrize(
    ("lost", "suggested"),
    [
        ("mvrv", "mvrv_ratio"),
        ("sth_sopr_24h", "sth_mvrv_z or sth_mvrv or mvrv_ratio"),
        ("lth_sopr_24h", "lth_mvrv or mvrv_ratio"),
    ],
)
async def test_what_is_known_to_be_another_series_is_not_suggested(lost: str, suggested: str) -> None:
    host = BitviewHost(LAST, renamed={lost: "gone"})
    found = b'["sth_mvrv_z", "sth_mvrv", "lth_mvrv", "nupl", "sopr_24h", "lth_sopr_24h", "a b", "mvrv_ratio"]'
    fetch = FakeFetch(lambda url, params: found if url == SEARCH else host(url, params))

    (note,) = (await Bitview(fetch, ROOT).read(KNOWN, NOW)).notes

    assert note.text == f"{lost} is not served by day; is it now {suggested}?"


async def test_the_next_best_name_is_read_where_there_is_one() -> None:
    fetch = FakeFetch(BitviewHost(LAST, renamed={"supply": "supply_btc"}))

    answer = await Bitview(fetch, ROOT).read(KNOWN, NOW)

    assert newest(answer)["supply"] == day_ms(LAST)
    assert "circulating_supply is read instead" in answer.notes[0].text


async def test_a_lost_helper_of_dates_costs_nothing_but_a_note() -> None:
    answer = await Bitview(FakeFetch(BitviewHost(LAST, renamed={"date": "day"})), ROOT).read(KNOWN, NOW)

    assert set(newest(answer)) == set(METRICS_GIVEN)
    assert ["date" in note.text for note in answer.notes] == [True]


async def test_a_series_that_is_back_comes_with_its_whole_history() -> None:
    host = BitviewHost(LAST, renamed={"mvrv": "mvrv_now"})
    bitview = Bitview(FakeFetch(host), ROOT)
    had = newest(await bitview.read({}, NOW))

    host.renamed.clear()
    had |= newest(await bitview.read(had, NOW))
    whole = await bitview.read(had, NOW)

    assert "mvrv" not in had
    mvrv = [each.t_ms for each in whole.observations if each.metric == "mvrv"]
    assert mvrv[0] < day_ms("2012-01-01")
    assert mvrv[-1] == day_ms(LAST)


async def test_when_the_route_is_gone_it_gives_up_soon() -> None:
    fetch = FakeFetch(lambda *_: Refused("bitview", 404, b"Not Found", retry_after_s=None))

    with pytest.raises(SourceError, match="404"):
        await Bitview(fetch, ROOT).read({}, NOW)
    assert len(fetch.asked) <= 14


async def test_one_forbidden_series_is_noted_as_such_and_not_searched_for() -> None:
    host = BitviewHost(LAST)

    def hosts(url: str, params: dict[str, str]) -> bytes | Exception:
        if "nupl" in params.get("series", "").split(","):
            return Refused(
                "bitview", 403, b"""{"error":{"message":"'nupl' needs authentication"}}""", retry_after_s=None
            )
        return host(url, params)

    fetch = FakeFetch(hosts)
    answer = await Bitview(fetch, ROOT).read(KNOWN, NOW)

    assert set(newest(answer)) == set(METRICS_GIVEN) - {"nupl"}
    assert [(note.kind, note.metric) for note in answer.notes] == [("missing_metric", "nupl")]
    assert searches(fetch) == []


@pytest.mark.parametrize("quiet", [False, True])
async def test_without_a_bulk_route_series_come_one_by_one_from_then_on(quiet: bool) -> None:
    host = BitviewHost(LAST, has_bulk=False, quiet=quiet)
    fetch = FakeFetch(host)
    bitview = Bitview(fetch, ROOT)
    whole = await Bitview(FakeFetch(BitviewHost(LAST)), ROOT).read({}, NOW)

    first = await bitview.read({}, NOW)
    asked = len(fetch.asked)
    second = await bitview.read(newest(first), NOW)

    assert set(first.observations) == set(whole.observations)
    assert [note.kind for note in first.notes] == ["fallback"]
    assert asked <= 10 + len(SERIES) + 2  # to find out, each series whole, the days and the height
    assert len(fetch.asked) - asked == len(SERIES) + 2
    assert BULK not in {url for url, _ in fetch.asked[asked:]}
    assert set(newest(second)) == set(METRICS_GIVEN)
    assert {params.get("start") for _, params in fetch.asked[asked:]} == {"2026-10-14", None}


async def test_one_by_one_a_lost_series_is_noted_and_the_next_best_name_read() -> None:
    renamed = {"hash_rate": "hash_rate_now", "supply": "supply_now", "date": "day"}
    host = BitviewHost(LAST, renamed=renamed, has_bulk=False)
    answer = await Bitview(FakeFetch(host), ROOT).read(KNOWN, NOW)

    assert set(newest(answer)) == set(METRICS_GIVEN) - {"hash_rate"}
    told = " ".join(note.text for note in answer.notes)
    assert "hash_rate_now" in told
    assert "circulating_supply is read instead" in told
    assert "days are counted by index" in told


async def test_one_by_one_an_unreadable_series_costs_only_itself() -> None:
    host = BitviewHost(LAST, has_bulk=False)
    fetch = FakeFetch(lambda url, params: b'{"index": "da' if "/nupl/" in url else host(url, params))
    answer = await Bitview(fetch, ROOT).read(KNOWN, NOW)

    assert set(newest(answer)) == set(METRICS_GIVEN) - {"nupl"}
    assert {(note.kind, note.metric) for note in answer.notes} == {("refused", "nupl"), ("fallback", None)}


async def test_one_by_one_a_host_in_trouble_fails_the_read() -> None:
    host = BitviewHost(LAST, has_bulk=False)
    down = SourceError("bitview", "HTTP 500", retry_after_s=60.0)
    with pytest.raises(SourceError, match="500"):
        await Bitview(FakeFetch(lambda url, params: down if "/nupl/" in url else host(url, params)), ROOT).read({}, NOW)


def leaving_out(host: BitviewHost, *names: str, alone: bool = False) -> FakeFetch:
    """A host that answers a bulk request as if it had not been asked for some names."""

    def hosts(url: str, params: dict[str, str]) -> bytes | Exception:
        if url != BULK:
            return host(url, params)
        kept = [name for name in params["series"].split(",") if name not in names]
        if not kept:
            return b"[]"
        whole = host(url, params | {"series": ",".join(kept)})
        assert isinstance(whole, bytes)
        items = json.loads(whole)
        return json.dumps(items[0] if alone and len(items) == 1 else items).encode()

    return FakeFetch(hosts)


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("lost", [("nupl",), ("mvrv", "lth_sopr_24h"), ("supply", "circulating_supply"), ("date",)])
async def test_series_that_a_bulk_answer_leaves_out_are_found_and_the_others_stay(
    lost: tuple[str, ...], alone: bool
) -> None:
    fetch = leaving_out(BitviewHost(LAST), *lost, alone=alone)
    answer = await Bitview(fetch, ROOT).read(KNOWN, NOW)

    of_lost = {metric for metric, series in SERIES.items() if set(series.names) <= set(lost)}
    assert set(newest(answer)) == set(METRICS_GIVEN) - of_lost
    assert {note.metric for note in answer.notes if note.kind == "schema_drift"} == of_lost
    assert len(fetch.asked) <= 30


async def test_when_a_bulk_answer_leaves_out_everything_it_gives_up_soon() -> None:
    fetch = leaving_out(BitviewHost(LAST), *BitviewHost(LAST).names())
    with pytest.raises(InvalidInput, match="0 series came"):
        await Bitview(fetch, ROOT).read({}, NOW)
    assert len(fetch.asked) <= 12


async def test_words_instead_of_series_are_not_taken_apart() -> None:
    fetch = FakeFetch(lambda *_: b'{"error": "busy"}')
    with pytest.raises(InvalidInput):
        await Bitview(fetch, ROOT).read({}, NOW)
    assert len(fetch.asked) == 1


async def test_a_request_that_weighs_too_much_is_cut_in_halves() -> None:
    host = BitviewHost(LAST)

    def hosts(url: str, params: dict[str, str]) -> bytes | Exception:
        if params.get("series", "").count(",") > 11:
            return Refused("bitview", 400, b"Request weight 700000 exceeds maximum 650000", retry_after_s=None)
        return host(url, params)

    answer = await Bitview(FakeFetch(hosts), ROOT).read(KNOWN, NOW)

    assert set(newest(answer)) == set(METRICS_GIVEN)
    assert answer.notes == ()


async def test_a_height_in_scientific_notation_is_one() -> None:
    host = BitviewHost(LAST)
    host.height = b"9.70695e5"

    answer = await Bitview(FakeFetch(host), ROOT).read(KNOWN, NOW)

    assert answer.observations[-1].value == 970_695.0


@pytest.mark.parametrize("height", [b"null", b"-1", b"<html>", SourceError("bitview", "HTTP 500", retry_after_s=1.0)])
async def test_without_a_height_the_series_still_come(height: bytes | Exception) -> None:
    host = BitviewHost(LAST)
    host.height = height

    answer = await Bitview(FakeFetch(host), ROOT).read(KNOWN, NOW)

    assert set(newest(answer)) == set(METRICS_GIVEN) - {"block_height"}
    assert [note.metric for note in answer.notes] == ["block_height"]


async def test_nulls_alone_are_no_answer() -> None:
    host = BitviewHost("2026-10-01")  # a server that has stood still for weeks has nothing for the last days

    with pytest.raises(InvalidInput):
        await Bitview(FakeFetch(host), ROOT).read(KNOWN, NOW)


@pytest.mark.parametrize("url", [ROOT, f"{ROOT}/", f"{ROOT}/api", f"{ROOT}/api/series", f"{ROOT}/api/series/bulk"])
async def test_the_setting_may_be_the_host_or_any_part_of_the_address(url: str) -> None:
    fetch = FakeFetch(BitviewHost(LAST))
    await Bitview(fetch, url).read(KNOWN, NOW)
    assert len(fetch.asked) == 3
