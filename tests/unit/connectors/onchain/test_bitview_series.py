import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.connectors.onchain.bitview_series import (
    DATE,
    GROUPS,
    MOST_CHARACTERS,
    MOST_NAMES,
    SERIES,
    gather,
    wrapped,
)
from market_scraper.connectors.onchain.day_index import day_of_index
from market_scraper.connectors.onchain.sieve import Sieve
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.onchain import AGE_BANDS, METRICS, Answer, Source, age_metric
from tests.unit.connectors.onchain.bitview_host import wrap
from tests.unit.connectors.onchain.recorded import day_ms

NOW = day_ms("2026-10-20") + 9 * 3_600_000
TODAY = 6_494
"""Index of 2026-10-20."""


def read(
    *items: dict[str, object],
    names: tuple[str, ...] = (DATE, "mvrv"),
    start: str = "2026-10-17",
    end: str | None = None,
) -> Answer:
    sieve = Sieve()
    gather(
        wrapped(json.dumps(items).encode(), names),
        {"mvrv": "mvrv"} if "mvrv" in names else {"hash_rate": "hash_rate"},
        sieve,
        start_ms=day_ms(start),
        end_ms=day_ms(end) if end is not None else None,
        now_ms=NOW,
    )
    return sieve.answer()


def dates(first: int, count: int) -> dict[str, object]:
    texts: list[object] = [f"2026-10-{17 + index - (TODAY - 3):02}" for index in range(first, first + count)]
    return wrap(first, texts)


def days(answer: Answer) -> list[tuple[int, float, bool]]:
    return [(each.t_ms, each.value, each.provisional) for each in answer.observations]


def test_the_last_two_days_are_provisional_and_a_null_is_no_value() -> None:
    answer = read(dates(TODAY - 3, 4), wrap(TODAY - 3, [1.01, None, 1.03, 1.04]))

    assert days(answer) == [
        (day_ms("2026-10-17"), 1.01, False),
        (day_ms("2026-10-19"), 1.03, True),
        (day_ms("2026-10-20"), 1.04, True),
    ]
    assert answer.notes == ()


def test_of_a_server_that_lags_the_last_two_days_that_it_has_are_provisional() -> None:
    answer = read(dates(TODAY - 3, 3), wrap(TODAY - 3, [1.01, 1.02, 1.03]))

    assert [provisional for _, _, provisional in days(answer)] == [False, True, True]


def test_hash_rate_is_counted_in_hashes_there_and_in_exahashes_here() -> None:
    answer = read(wrap(TODAY - 1, [1.1349e21, "1.2E+21"]), names=("hash_rate",), start="2026-10-19")

    assert [value for _, value, _ in days(answer)] == [pytest.approx(1_134.9), pytest.approx(1_200.0)]


def test_a_bulk_of_one_name_comes_without_a_list_around_it() -> None:
    found = wrapped(json.dumps(wrap(7, [1.0])).encode(), ["mvrv"])

    assert not isinstance(found["mvrv"], InvalidInput)


def test_the_hosts_own_dates_count_and_a_difference_from_our_formula_is_noted() -> None:
    answer = read(dates(TODAY - 3, 4) | {"start": TODAY + 5, "end": TODAY + 9}, wrap(TODAY + 5, [1.0, 2.0, 3.0, 4.0]))

    assert next(t_ms for t_ms, _, _ in days(answer)) == day_ms("2026-10-17")
    assert [note.kind for note in answer.notes] == ["schema_drift"]


@pytest.mark.parametrize("texts", [["x", "y", "z", "w"], ["2026-10-17"] * 4, [None] * 4])
def test_dates_that_are_none_are_noted_and_the_formula_counts_where_it_fits(texts: list[object]) -> None:
    answer = read(wrap(TODAY - 3, texts), wrap(TODAY - 3, [1.0, 2.0, 3.0, 4.0]))

    assert [t_ms for t_ms, _, _ in days(answer)] == [day_ms(f"2026-10-{day}") for day in (17, 18, 19, 20)]
    assert [note.kind for note in answer.notes] == ["schema_drift"]


@pytest.mark.parametrize("first", [TODAY - 3 + 6, TODAY - 3 - 6, 0])
def test_without_dates_days_that_do_not_fit_the_question_are_not_guessed(first: int) -> None:
    with pytest.raises(InvalidInput, match="was asked"):
        read(wrap(first, [1.0, 2.0, 3.0, 4.0]), names=("mvrv",))
    if first:
        with pytest.raises(InvalidInput, match="was asked"):
            read(wrap(first, [1.0, 2.0, 3.0, 4.0]), names=("mvrv",), end="2026-10-21")


def test_a_slice_of_the_past_without_dates_is_counted_from_its_first_day() -> None:
    answer = read(wrap(TODAY - 3, [1.0, 2.0]), names=("mvrv",), end="2026-10-19")

    assert days(answer) == [(day_ms("2026-10-17"), 1.0, False), (day_ms("2026-10-18"), 2.0, False)]


@pytest.mark.parametrize(
    "bad",
    [
        wrap(TODAY - 3, [1.0, 2.0]) | {"end": TODAY + 1},  # half of it
        wrap(TODAY - 3, [1.0]) | {"index": "week1"},
        wrap(-5, [1.0]),
        wrap(10**9, [1.0]),
        {"data": [1.0]},
        {"error": "no"},
    ],
)
def test_a_series_that_is_not_whole_is_refused_and_the_others_stay(bad: dict[str, object]) -> None:
    names = (DATE, "mvrv", "nupl")
    found = wrapped(json.dumps([dates(TODAY - 3, 4), bad, wrap(TODAY - 3, [0.1, 0.2, 0.3, 0.4])]).encode(), names)
    sieve = Sieve()
    named = {"mvrv": "mvrv", "nupl": "nupl"}
    gather(found, named, sieve, start_ms=day_ms("2026-10-17"), end_ms=None, now_ms=NOW)
    answer = sieve.answer()

    assert {each.metric for each in answer.observations} == {"nupl"}
    assert [(note.kind, note.metric) for note in answer.notes] == [("refused", "mvrv")]


def test_values_that_cannot_be_are_refused() -> None:
    answer = read(dates(TODAY - 3, 4), wrap(TODAY - 3, [-1.0, "NaN", 1e9, 1.04]))

    assert [value for _, value, _ in days(answer)] == [1.04]
    assert "3 refused" in answer.notes[0].text


def test_another_number_of_series_than_asked_for_cannot_be_told_apart() -> None:
    with pytest.raises(InvalidInput, match="1 series came for 2"):
        wrapped(json.dumps([wrap(1, [])]).encode(), ["a", "b"])


def test_what_is_asked_for_in_one_request_is_within_the_hosts_limits() -> None:
    for group in GROUPS:
        longest = [max(SERIES[metric].names, key=len) for metric in group]
        assert len(longest) + 1 <= MOST_NAMES
        assert len(",".join([DATE, *longest])) <= MOST_CHARACTERS
    assert sorted(metric for group in GROUPS for metric in group) == sorted(SERIES)


def test_the_table_of_series_is_whole_and_asks_for_nothing_that_is_not_there_by_day() -> None:
    named = {metric for metric, kind in METRICS.items() if Source.BITVIEW in kind.sources}
    asked = {name for series in SERIES.values() for name in series.names}

    assert set(SERIES) == named - {"block_height"}
    assert not asked & {"sopr", "asopr", "tx_count", "active_addrs"}
    assert not any(word in name for name in asked for word in ("price", "usd", "cents", "sats"))
    assert SERIES[age_metric(AGE_BANDS[0])].names == ("utxos_under_1h_old_supply",)
    assert SERIES[age_metric(AGE_BANDS[-1])].names == ("utxos_over_15y_old_supply",)


numbers = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
items = st.fixed_dictionaries(
    {
        "index": st.sampled_from(["day1", "dateindex", "height"]) | st.text(max_size=5),
        "start": st.integers(-5, 8_000) | numbers,
        "end": st.integers(-5, 8_000) | numbers,
        "data": st.lists(numbers | st.dates().map(str), max_size=5),
    }
)
spans = st.builds(
    lambda start, data: wrap(start, data), st.integers(0, 8_000), st.lists(numbers | st.dates().map(str), max_size=5)
)


@given(body=st.lists(items | spans, max_size=3) | numbers)
def test_whatever_is_wrapped_only_invalid_input_is_raised_and_nothing_later_than_now_is_kept(body: Any) -> None:
    sieve = Sieve()
    try:
        found = wrapped(json.dumps(body).encode(), [DATE, "mvrv", "nupl"][: len(body) if isinstance(body, list) else 2])
        named = {name: name for name in found if name != DATE}
        gather(found, named, sieve, start_ms=day_of_index(0), end_ms=None, now_ms=NOW)
    except InvalidInput:
        pass
    assert all(each.t_ms <= NOW for each in sieve.answer().observations)


@given(body=st.binary())
def test_whatever_bytes_come_only_invalid_input_is_raised(body: bytes) -> None:
    try:
        wrapped(body, ["mvrv"])
    except InvalidInput:
        pass
