"""The Fear & Greed parser, on everything that was recorded of the index."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_scraper.connectors.onchain.fear_greed import parse
from market_scraper.connectors.onchain.sieve import Sieve
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.onchain import Answer
from tests.unit.connectors.onchain.recorded import (
    RECORDED_AT_MS,
    day_ms,
    fear_greed_answer,
    fear_greed_csv,
    fear_greed_dashboard,
)


def read(body: bytes, now_ms: int = RECORDED_AT_MS) -> Answer:
    sieve = Sieve()
    next_in_s = parse(body, sieve, now_ms)
    return sieve.answer(next_in_s=next_in_s)


def row(day: str, value: object = "47", **more: object) -> dict[str, object]:
    return {"value": value, "value_classification": "Neutral", "timestamp": str(day_ms(day) // 1000)} | more


def answer(*rows: object, error: object = None) -> bytes:
    return json.dumps({"name": "Fear and Greed Index", "data": rows, "metadata": {"error": error}}).encode()


def values(found: Answer) -> dict[int, float]:
    return {observation.t_ms: observation.value for observation in found.observations}


def test_the_recorded_table_is_read_with_the_labels_that_came(recordings: Path) -> None:
    found = read(fear_greed_csv(recordings))
    said = {observation.t_ms: (observation.value, observation.label) for observation in found.observations}
    assert len(said) == 2_644
    assert found.notes == ()
    assert said[day_ms("2018-02-01")] == (30.0, "Fear")
    assert said[day_ms("2021-11-09")] == (84.0, "Extreme Greed")
    assert said[day_ms("2022-06-19")] == (6.0, "Extreme Fear")
    assert said[day_ms("2025-05-02")] == (67.0, "Greed")
    for missing in ("2018-04-14", "2018-04-15", "2018-04-16", "2024-10-26"):
        assert day_ms(missing) not in said


def test_the_recorded_dashboard_is_read_and_agrees_with_the_table_on_every_day(recordings: Path) -> None:
    table, dashboard = values(read(fear_greed_csv(recordings))), values(read(fear_greed_dashboard(recordings)))
    assert len(dashboard) == 3_121
    assert dashboard[day_ms("2026-08-22")] == 71.0
    assert dashboard[day_ms("2026-03-01")] == 14.0
    assert table == {t_ms: dashboard[t_ms] for t_ms in table}


def test_the_next_value_is_expected_a_little_after_the_newest_rows_word() -> None:
    told = read(answer(row("2026-08-18", time_until_update="25675"), row("2026-08-17")))
    assert told.next_in_s is not None
    assert 25_675 < told.next_in_s < 25_675 + 600


@pytest.mark.parametrize("word", [None, "-3", "nan", "1e9", "soon", ""])
def test_a_word_on_the_next_value_that_makes_no_sense_is_none(word: object) -> None:
    told = read(answer(row("2026-08-18", time_until_update=word)))
    assert (told.next_in_s, len(told.observations)) == (None, 1)


def test_half_a_row_and_a_null_leave_the_other_days() -> None:
    bad = [{"value": "47"}, row("2026-08-17", None), row("2026-08-16", "4.7E+1"), row("2026-08-15", "470"), 7, None]
    found = read(answer(row("2026-08-18"), *bad))
    assert values(found) == {day_ms("2026-08-16"): 47.0, day_ms("2026-08-18"): 47.0}
    assert [note.kind for note in found.notes] == ["refused"]


@pytest.mark.parametrize("value", [47, 47.0, "47", "47.0", "4.7e1"])
@pytest.mark.parametrize("stamp", [1787011200, 1787011200.0, "1787011200", "1787011200.0", "1.7870112E9"])
def test_numbers_are_numbers_in_any_notation(value: object, stamp: object) -> None:
    found = read(answer({"value": value, "timestamp": stamp, "time_until_update": 25675.0}))
    assert values(found) == {day_ms("2026-08-18"): 47.0}
    assert (found.notes, found.next_in_s) == ((), 25_795.0)


@pytest.mark.parametrize("word", [7, None, ["Neutral"], {"en": "Neutral"}, True])
def test_a_label_that_is_no_text_is_none_and_the_value_stays(word: object) -> None:
    (said,) = read(answer(row("2026-08-18", value_classification=word))).observations
    assert (said.value, said.label) == (47.0, None)


def test_of_two_rows_of_a_day_the_newest_stands() -> None:
    assert values(read(answer(row("2026-08-18", "50"), row("2026-08-18", "40")))) == {day_ms("2026-08-18"): 50.0}


def test_a_day_that_has_not_begun_is_refused() -> None:
    found = read(answer(row("2026-08-18"), row("2026-08-17")), now_ms=day_ms("2026-08-18") - 1)
    assert values(found) == {day_ms("2026-08-17"): 47.0}
    assert "has not begun" in found.notes[0].text


def test_an_answer_that_is_an_error_with_status_200_fails_the_source() -> None:
    with pytest.raises(SourceError, match="Invalid limit"):
        read(answer(row("2026-08-18"), error="Invalid limit"))


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"data": 7}', answer(row("2026-08-18"))[:-20], b"null"])
def test_another_shape_is_invalid_input(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        read(body)


cells = st.none() | st.text(max_size=8) | st.integers() | st.floats(allow_nan=False) | st.lists(st.none(), max_size=2)
rows = st.lists(
    cells | st.dictionaries(st.sampled_from(["value", "timestamp", "time_until_update"]), cells), max_size=4
)


@settings(deadline=None)
@given(st.fixed_dictionaries({"data": rows | cells, "metadata": cells}))
def test_any_json_is_read_or_invalid_input(wire: dict[str, object]) -> None:
    try:
        found = read(json.dumps(wire).encode())
    except InvalidInput:
        return
    assert all(0 <= observation.value <= 100 for observation in found.observations)


@settings(deadline=None)
@given(at=st.integers(0), byte=st.integers(0, 255))
def test_one_wrong_byte_is_read_or_invalid_input(at: int, byte: int) -> None:
    body = bytearray(fear_greed_answer([{"value": "9", "timestamp": "1787011200"}, {"value": "8", "timestamp": "1"}]))
    body[at % len(body)] = byte
    try:
        read(bytes(body))
    except (InvalidInput, SourceError):
        pass
