import csv
import gzip
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_scraper.connectors.onchain.sieve import Sieve, day, decode, iso_day, moment, number, scaled
from market_scraper.domain.errors import InvalidInput
from tests.unit.connectors.onchain.recorded import day_ms

DAY = day_ms("2026-08-18")

anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.integers())


@pytest.mark.parametrize(
    ("raw", "value"), [(7, 7.0), ("7", 7.0), ("4.97102696296296e-08", 4.97102696296296e-08), ("1.05E+12", 1.05e12)]
)
def test_numbers_come_as_such_or_as_text_in_any_notation(raw: object, value: float) -> None:
    assert number(raw) == value


@pytest.mark.parametrize("raw", [None, True, "", " 7", "1_000", "nan", "inf", float("nan"), "1e999", 10**400, [], "٧"])
def test_what_is_no_finite_number_is_refused(raw: object) -> None:
    with pytest.raises(InvalidInput):
        number(raw)


def test_a_stamp_within_a_day_means_that_day() -> None:
    assert day("1787011200") == day("1787031000") == day(1787097599.9) == day(1787011200_000, unit_ms=1) == DAY
    assert iso_day(DAY) == "2026-08-18"


@pytest.mark.parametrize("raw", ["0", "-5", "1230940799", "1787011200000", "1e308", "x", None])
def test_a_stamp_in_another_unit_is_no_time(raw: object) -> None:
    with pytest.raises(InvalidInput):
        moment(raw)


@settings(deadline=None)
@given(raw=anything, unit_ms=st.sampled_from([1, 1_000]))
def test_stamps_raise_nothing_but_invalid_input(raw: object, unit_ms: int) -> None:
    try:
        assert day(raw, unit_ms) <= moment(raw, unit_ms)
    except InvalidInput:
        pass


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_an_answer_or_invalid_input(body: bytes) -> None:
    try:
        decode(body, dict[str, object])
    except InvalidInput:
        pass


def test_units_are_changed_to_the_last_digit() -> None:
    sieve = Sieve()
    sieve.take("supply", DAY, 1998000000000000, scale=1e-8)
    sieve.take("hash_rate", DAY, "1.05e12", scale=1e-9)
    assert [observation.value for observation in sieve.answer().observations] == [19_980_000.0, 1_050.0]


def written(raw: str, places: int) -> float:
    """The number that one gets by moving the point in the text."""
    whole, _, rest = raw.partition(".")
    moved = whole.rjust(places + 1, "0")
    return float(f"{moved[:-places]}.{moved[-places:]}{rest}")


@pytest.mark.parametrize("as_text", [True, False])
def test_every_recorded_hash_rate_is_read_to_its_last_digit(recordings: Path, as_text: bool) -> None:
    texts = [text for text in hash_rates(recordings) if re.fullmatch(r"[0-9]+\.[0-9]+", text)]
    assert len(texts) > 1_000
    wrong = [raw for raw in texts if scaled(raw if as_text else float(raw), 1e-6) != written(raw, 6)]
    assert wrong == []


def hash_rates(recordings: Path) -> list[str]:
    """In TH/s, as the provider wrote them."""
    with gzip.open(recordings / "onchain" / "btc_hashrate_2009_2026.csv.gz", "rt") as lines:
        return [row["hashrate"] for row in csv.DictReader(lines)]


@pytest.mark.parametrize(
    ("raw", "scale", "value"),
    [
        ("932513615.580635", 1e-6, 932.513615580635),
        (932513615.580635, 1e-6, 932.513615580635),
        ("4.97102696296296e-08", 1e-6, 4.97102696296296e-14),
        ("1e-999999999999999999999999", 1e-6, 0.0),
        ("0e999999999999999999999999", 1e-6, 0.0),
        ("-0.5", 1e-6, -5e-7),
        (10**20, 1e-18, 100.0),
    ],
)
def test_a_change_of_unit_moves_the_point_and_nothing_else(raw: object, scale: float, value: float) -> None:
    assert scaled(raw, scale) == value


@settings(deadline=None)
@given(raw=anything | st.from_regex(r"[+-]?[0-9]{1,30}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,25})?", fullmatch=True))
def test_changing_units_raises_nothing_but_invalid_input(raw: object) -> None:
    try:
        assert scaled(raw, 1e-6) == pytest.approx(number(raw) / 1e6, rel=1e-12, abs=1e-300)
    except InvalidInput:
        pass


def test_a_value_that_cannot_be_is_left_out_and_noted_once_a_metric() -> None:
    sieve = Sieve()
    kept: list[Any] = [sieve.take("cbbi.Puell", DAY, raw) for raw in (0.5, 1.01, None, -0.1, "x", 0)]
    assert kept == [0.5, None, None, None, None, 0.0]
    (note,) = sieve.answer().notes
    assert (note.kind, note.metric) == ("refused", "cbbi.Puell")
    assert note.text == "3 refused, the last: 2026-08-18: 'x' is no number"


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["nupl", "supply", "fear_greed"]), st.integers(0, 9), anything)))
def test_whatever_comes_an_answer_holds_only_possible_values_oldest_first(said: list[tuple[str, int, object]]) -> None:
    sieve = Sieve()
    for metric, days, raw in said:
        sieve.take(metric, DAY + days * 86_400_000, raw)
    answer = sieve.answer()
    times = [observation.t_ms for observation in answer.observations]
    assert times == sorted(times)
    assert len(answer.notes) <= 3
    bounds = {"nupl": (-1e3, 1.0), "supply": (0.0, 21e6), "fear_greed": (0.0, 100.0)}
    for observation in answer.observations:
        least, most = bounds[observation.metric]
        assert least <= observation.value <= most
