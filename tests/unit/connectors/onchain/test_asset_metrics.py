import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.connectors.onchain.asset_metrics import Column, csv_rows, gather, next_url, note_missing, page
from market_scraper.connectors.onchain.coin_metrics import COLUMNS
from market_scraper.connectors.onchain.sieve import Sieve
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.onchain import DAY_MS, Answer
from tests.unit.connectors.onchain.recorded import day_ms

NOW = day_ms("2026-10-21") + 4 * 3_600_000  # 04:00 UTC
FLOW = {"inflow": Column("FlowInExNtv", settles=True)}
SUPPLY = {"supply": Column("SplyCur")}


def row(day: str, **cells: object) -> dict[str, object]:
    return {"asset": "btc", "time": f"{day}T00:00:00.000000000Z"} | cells


def gathered(rows: list[dict[str, object]], columns: dict[str, Column] = COLUMNS, now_ms: int = NOW) -> Answer:
    sieve = Sieve()
    gather(rows, columns, sieve, since_ms=0, now_ms=now_ms)
    return sieve.answer()


def from_csv(text: str, columns: dict[str, Column] = FLOW, now_ms: int = NOW) -> Answer:
    sieve = Sieve()
    names = [column.name for column in columns.values()]
    rows, present = csv_rows(text.encode(), [*names, "AssetEODCompletionTime"], sieve)
    gather(rows, columns, sieve, since_ms=0, now_ms=now_ms)
    note_missing(columns, present, sieve)
    return sieve.answer()


def values(answer: Answer) -> dict[str, float]:
    return {each.metric: each.value for each in answer.observations}


def test_text_numbers_become_our_units() -> None:
    said = values(gathered([row("2026-10-19", AdrActCnt="612345", HashRate="1134974870.44", CapMVRVCur="1.5518")]))

    assert said == {
        "active_addresses": 612_345.0,
        "hash_rate": pytest.approx(1_134.97487044, rel=1e-12),  # EH/s of TH/s
        "mvrv": 1.5518,
    }


def test_scientific_notation_is_a_number_and_null_is_none() -> None:
    said = gathered([row("2009-01-09", HashRate="4.97102696296296e-08", TxCnt=None, SplyCur="")])

    assert values(said) == {"hash_rate": pytest.approx(4.97102696296296e-14)}
    assert said.notes == ()


def test_a_complete_day_is_final_and_says_when_it_became_so() -> None:
    stamp = day_ms("2026-10-21") // 1000 + 3 * 3_600  # 03:00 UTC of the next day
    said = gathered([row("2026-10-20", SplyCur="19900000", AssetEODCompletionTime=str(stamp))], SUPPLY)

    assert said.observations[0].published_ms == stamp * 1000
    assert not said.observations[0].provisional


def test_a_flow_that_is_read_later_was_not_known_before_it_had_settled() -> None:
    """Its row is complete at 03:00, but exchanges' addresses are corrected until d+2: the stamp would look ahead."""
    stamp = day_ms("2026-10-11") // 1000 + 3 * 3_600
    old = gathered([row("2026-10-10", FlowInExNtv="20000", AssetEODCompletionTime=str(stamp))], FLOW)
    young = gathered(
        [row("2026-10-20", FlowInExNtv="20000", AssetEODCompletionTime=str(stamp + 10 * DAY_MS // 1000))], FLOW
    )

    assert (old.observations[0].published_ms, old.observations[0].provisional) == (day_ms("2026-10-12"), False)
    assert (young.observations[0].published_ms, young.observations[0].provisional) == (None, True)


@pytest.mark.parametrize("stamp", [None, "", "soon", "nan", "1", str(NOW), str(NOW // 1000 + 3_600)])
def test_a_young_day_without_a_stamp_that_can_be_true_is_provisional(stamp: str | None) -> None:
    said = gathered([row("2026-10-20", SplyCur="19900000", AssetEODCompletionTime=stamp)], SUPPLY)

    assert said.observations[0].published_ms is None
    assert said.observations[0].provisional


def test_a_day_that_is_not_over_is_provisional_whatever_its_stamp() -> None:
    said = gathered([row("2026-10-21", SplyCur="19900000", AssetEODCompletionTime=str(NOW // 1000))], SUPPLY)

    assert said.observations[0].provisional


def test_flows_move_until_two_days_after_the_day_began_though_the_row_is_complete() -> None:
    stamp = str(day_ms("2026-10-20") // 1000 + 3 * 3_600)
    rows = [row("2026-10-19", FlowInExNtv="23456.12345678", AssetEODCompletionTime=stamp)]

    before = gathered(rows, FLOW, now_ms=day_ms("2026-10-21") - 1)
    after = gathered(rows, FLOW, now_ms=day_ms("2026-10-21"))

    assert [each.provisional for each in (*before.observations, *after.observations)] == [True, False]
    assert before.observations[0].value == 23_456.12345678


def test_one_bad_cell_is_refused_and_noted_and_the_others_stay() -> None:
    said = gathered([row("2026-10-19", TxCnt="-5", SplyCur="2100000000000000", AdrActCnt="n/a", CapMVRVCur="1.5")])

    assert values(said) == {"mvrv": 1.5}
    assert {note.metric for note in said.notes} == {"transaction_count", "supply", "active_addresses"}
    assert {note.kind for note in said.notes} == {"refused"}


@pytest.mark.parametrize(
    "bad",
    [
        row("2026-10-22", SplyCur="1"),  # tomorrow
        row("2009-01-02", SplyCur="1"),  # before the first block
        {"asset": "btc", "SplyCur": "1"},
        {"asset": "btc", "time": "2026-10-19T13:00:00.000000000Z", "SplyCur": "1"},  # an hour is no day
        {"asset": "eth", "time": "2026-10-19T00:00:00.000000000Z", "SplyCur": "1"},
        {"asset": None, "time": "2026-10-19T00:00:00.000000000Z", "SplyCur": "1"},
    ],
)
def test_a_row_that_cannot_be_is_noted_and_the_others_stay(bad: dict[str, object]) -> None:
    said = gathered([row("2026-10-18", SplyCur="19900000"), bad], SUPPLY)

    assert values(said) == {"supply": 19_900_000.0}
    assert [note.kind for note in said.notes] == ["refused"]


def test_a_row_names_its_asset_in_any_case() -> None:
    assert values(gathered([row("2026-10-18", asset="BTC", SplyCur="19900000")], SUPPLY)) == {"supply": 19_900_000.0}
    said = from_csv("time,asset,FlowInExNtv\n2026-10-18,BTC,7\n")
    assert (values(said), said.notes) == ({"inflow": 7.0}, ())


def test_of_two_rows_of_a_day_the_last_one_counts() -> None:
    said = gathered([row("2026-10-18", SplyCur="1"), row("2026-10-18", SplyCur="19900000")], SUPPLY)

    assert [each.value for each in said.observations] == [19_900_000.0]


@pytest.mark.parametrize("empty", ["", None])
def test_a_second_half_filled_row_of_a_day_takes_nothing_from_the_first(empty: str | None) -> None:
    stamp = str(day_ms("2026-10-19") // 1000 + 3 * 3_600)
    good = row("2026-10-18", SplyCur="19900000", TxCnt="5", AssetEODCompletionTime=stamp)
    half = row("2026-10-18", SplyCur=empty, TxCnt="6", AssetEODCompletionTime=empty)
    said = gathered([good, half, row("2026-10-18")])

    assert values(said) == {"supply": 19_900_000.0, "transaction_count": 6.0}
    assert {each.published_ms for each in said.observations} == {int(stamp) * 1000}
    assert not any(each.provisional for each in said.observations)


def test_a_metric_whose_column_is_nowhere_is_noted() -> None:
    said = from_csv("time,FlowOutExNtv\n2026-10-18,7\n")

    assert [(note.kind, note.metric) for note in said.notes] == [("missing_metric", "inflow")]


def test_the_csv_is_read_by_name_whatever_the_order_of_its_columns() -> None:
    one = from_csv("time,asset,FlowInExNtv,FlowOutExNtv\n2026-10-18,btc,32455.35,34643.60\n")
    other = from_csv("FlowOutExNtv,FlowInExNtv,time\n34643.60,32455.35,2026-10-18\n")

    assert one.observations == other.observations
    assert one.observations[0].value == 32_455.35


def test_of_a_half_filled_last_row_the_columns_end_on_their_own_days() -> None:
    said = from_csv("time,FlowInExNtv,ReferenceRateUSD\n2026-10-19,32455.35,1\n2026-10-20,,2\n")

    assert [each.t_ms for each in said.observations] == [day_ms("2026-10-19")]
    assert said.notes == ()


@pytest.mark.parametrize("half", ["2026-10-20,btc,324", "2026-10-20,btc,324,", "2026-10-", '"2026-10-20'])
def test_a_row_cut_in_half_gives_no_half_number(half: str) -> None:
    said = from_csv(f"time,asset,FlowInExNtv,FlowOutExNtv,X\n2026-10-19,btc,32455.35,1,2\n{half}")

    assert [each.value for each in said.observations] == [32_455.35]


def test_the_last_cell_without_a_line_end_may_be_half_a_number() -> None:
    text = "time,FlowInExNtv\n2026-10-18,32455.35\n2026-10-19,34643.60"

    assert [each.value for each in from_csv(text).observations] == [32_455.35]
    assert [each.value for each in from_csv(text + "\n").observations] == [32_455.35, 34_643.60]


def test_a_column_that_is_there_twice_is_not_guessed_at() -> None:
    said = from_csv("time,FlowInExNtv,FlowInExNtv\n2026-10-18,1,2\n")

    assert said.observations == ()
    assert [note.metric for note in said.notes] == ["inflow"]


@pytest.mark.parametrize("body", [b"", b"a,b\n1,2\n", b"\xff\xfe", b"404: Not Found", b'time,x\n"' + b"9" * 200_000])
def test_what_is_no_such_csv_is_invalid_input(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        csv_rows(body, ["x"], Sieve())


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"data": [1]}', b'{"data": [{"time"', b"<html>", b'{"data": null}', b"[" * 100_000]
)
def test_what_is_no_page_is_invalid_input(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        page(body)


ASKED = "https://a.example:8443/proxy/v4/x"


def following(told: object) -> str | None:
    return next_url(page(json.dumps({"data": [], "next_page_url": told}).encode()), ASKED)


@pytest.mark.parametrize(
    ("told", "followed"),
    [
        ("https://a.example:8443/elsewhere?next_page_token=0.MjAy%2BNi0=&m=a,b", None),  # as it came
        ("http://a.example:8443/proxy/v4/x?next_page_token=0.1", f"{ASKED}?next_page_token=0.1"),
        ("HTTPS://A.example:8443/v4/x?next_page_token=0.1", f"{ASKED}?next_page_token=0.1"),
        ("https://inner.example/v4/x?next_page_token=0.MjAy%2BNi0=#top", f"{ASKED}?next_page_token=0.MjAy%2BNi0="),
        ("//b.example?next_page_token=0.1", f"{ASKED}?next_page_token=0.1"),
        ("/v4/x?next_page_token=0.1", f"{ASKED}?next_page_token=0.1"),
        ("?next_page_token=0.1", f"{ASKED}?next_page_token=0.1"),
    ],
)
def test_the_next_page_is_asked_for_where_the_first_one_was(told: str, followed: str | None) -> None:
    assert following(told) == (told if followed is None else followed)


@pytest.mark.parametrize("told", [None, "", " "])
def test_an_empty_address_of_the_next_page_is_none(told: str | None) -> None:
    assert following(told) is None
    assert next_url(page(b'{"data": []}'), ASKED) is None


@pytest.mark.parametrize("told", ["https://b.example/v4/x", "//[", "x", "https://b.example:x/?"])
def test_an_address_elsewhere_that_says_nothing_of_the_next_page_is_invalid_input(told: str) -> None:
    with pytest.raises(InvalidInput):
        following(told)


cells = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.just("1e999")
times = st.dates().map(str) | st.dates().map(lambda day: f"{day}T00:00:00.000000000Z") | st.text(max_size=12)
names = st.sampled_from(["asset", "time", "date", "AssetEODCompletionTime", *(each.name for each in COLUMNS.values())])


@given(rows=st.lists(st.dictionaries(names, cells | times)))
def test_whatever_is_in_a_row_nothing_is_raised_and_nothing_wrong_is_kept(rows: list[dict[str, Any]]) -> None:
    for each in gathered(rows).observations:
        assert 0 <= each.value < float("inf")
        assert each.t_ms % DAY_MS == 0
        assert each.t_ms <= NOW


@given(
    body=st.binary()
    | st.text().map(str.encode)
    | st.lists(st.lists(st.text(max_size=5))).map(
        lambda lines: "\n".join(["time,FlowInExNtv", *(",".join(line) for line in lines)]).encode()
    )
)
def test_whatever_bytes_come_only_invalid_input_is_raised(body: bytes) -> None:
    for parse in (page, lambda raw: csv_rows(raw, ["FlowInExNtv"], Sieve())):
        try:
            parse(body)
        except InvalidInput:
            pass
