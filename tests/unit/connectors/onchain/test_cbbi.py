"""The CBBI parser, on every recorded file."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_scraper.connectors.onchain.cbbi import METRIC_OF, parse
from market_scraper.connectors.onchain.sieve import Sieve
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.onchain import CBBI_COMPONENTS, DAY_MS, Answer, Source
from market_scraper.domain.revisions import Revisions
from tests.unit.connectors.onchain.recorded import RECORDED_AT_MS, cbbi_file, cbbi_files, day_ms

FIRST, LAST = day_ms("2026-08-16"), day_ms("2026-08-18")
STAMPS = [str(t_ms // 1000) for t_ms in range(FIRST, LAST + 1, DAY_MS)]


def read(body: bytes, now_ms: int = RECORDED_AT_MS) -> Answer:
    sieve = Sieve()
    parse(body, sieve, now_ms)
    return sieve.answer()


def by_day(answer: Answer) -> dict[tuple[str, int], float]:
    return {(observation.metric, observation.t_ms): observation.value for observation in answer.observations}


def wire(**changed: object) -> dict[str, object]:
    """A good file of three days; all parts are 0.5."""
    names = ("Price", *CBBI_COMPONENTS, "Confidence")
    return {name: dict.fromkeys(STAMPS, 60_000.0 if name == "Price" else 0.5) for name in names} | changed


def small(**changed: object) -> Answer:
    return read(json.dumps(wire(**changed)).encode())


def test_a_day_of_2017_is_read_as_the_file_of_2024_has_it(recordings: Path) -> None:
    found, t_ms = by_day(read(cbbi_file(recordings, "20240717"))), day_ms("2017-11-23")
    assert {metric: value for (metric, t), value in found.items() if t == t_ms} == {
        "cbbi.PiCycle": 0.9524,
        "cbbi.RUPL": 0.9276,
        "cbbi.RHODL": 0.9254,
        "cbbi.Puell": 0.8181,
        "cbbi.2YMA": 0.8229,
        "cbbi.Trolololo": 0.7013,
        "cbbi.MVRV": 0.875,
        "cbbi.ReserveRisk": 0.9297,
        "cbbi.Woobull": 0.8177,
        "cbbi_confidence": 0.8634,
    }


def test_nulls_are_no_values_at_either_end_of_the_newest_file(recordings: Path) -> None:
    found = by_day(read(cbbi_file(recordings, "20260819T083421Z")))
    first, last = day_ms("2011-06-27"), day_ms("2026-08-18")
    assert {metric for metric, t_ms in found if t_ms == first} == set(METRIC_OF.values()) - {
        "cbbi.PiCycle",
        "cbbi.Puell",
        "cbbi.ReserveRisk",
    }
    assert found["cbbi_confidence", first] == 0.6797
    assert {metric for metric, t_ms in found if t_ms == last} == set(METRIC_OF.values()) - {"cbbi.Woobull"}
    assert (found["cbbi.Puell", last], found["cbbi_confidence", last]) == (0.7603, 0.3404)
    assert found["cbbi.Trolololo", day_ms("2012-07-31")] == 0.0


def test_every_recorded_file_is_read_whole_and_without_a_price(recordings: Path) -> None:
    """Counted on the files themselves: all numbers in all parts but the price."""
    for path in cbbi_files(recordings):
        body = gzip.decompress(path.read_bytes())
        parts = json.loads(body)
        numbers = sum(value is not None for name in METRIC_OF for value in parts[name].values())
        answer = read(body)
        assert len(answer.observations) == numbers, path.name
        assert answer.notes == (), path.name
        assert {observation.metric for observation in answer.observations} == set(METRIC_OF.values())
        newest_ms = max(observation.t_ms for observation in answer.observations)
        moving = {observation.t_ms for observation in answer.observations if observation.provisional}
        assert moving == {newest_ms, newest_ms - DAY_MS}, path.name


def test_the_5431_restated_days_of_a_recorded_file_are_revisions_and_no_new_days(recordings: Path) -> None:
    """One of the 5,431 is the newest day, whose provisional value is taken back (null)."""
    revisions = Revisions(Source.CBBI)
    stamps = ("20260815T010454Z", "20260815T024942Z", "20260815T042734Z")
    files = [read(cbbi_file(recordings, stamp)) for stamp in stamps]
    before, settled, restated = (answer.observations for answer in files)
    revisions.take(before, day_ms("2026-08-15"))
    assert {(new.metric, new.restated) for new in revisions.take(settled, day_ms("2026-08-15") + 1)} == {
        ("cbbi.Puell", False),
        ("cbbi_confidence", False),
    }  # the newest day still moved
    new = revisions.take(restated, day_ms("2026-08-15") + 2)
    woobull = {reading.t_ms: reading for reading in new if reading.metric == "cbbi.Woobull"}
    confidence = [reading for reading in new if reading.metric == "cbbi_confidence"]
    assert (len(woobull), len(confidence), len(new)) == (5_430, 5_377, 5_430 + 5_377)
    assert {reading.t_ms for reading in new} <= {observation.t_ms for observation in before}
    assert day_ms("2026-08-14") not in woobull
    (gone,) = revisions.take_back(files[-1].withdrawn, day_ms("2026-08-15") + 2)
    assert (gone.metric, gone.t_ms, gone.value, gone.withdrawn) == ("cbbi.Woobull", day_ms("2026-08-14"), 0.2437, True)
    assert len({*woobull, gone.t_ms}) == 5_431
    assert all(reading.revision > 0 for reading in new)
    final = [reading for reading in woobull.values() if reading.t_ms < day_ms("2026-08-13")]
    assert len(final) == 5_429
    assert all(reading.restated for reading in final)


def test_a_value_outside_0_and_1_is_refused_and_the_day_keeps_its_other_parts() -> None:
    answer = small(Puell=dict.fromkeys(STAMPS, 0.5) | {STAMPS[-1]: 1.2})
    assert ("cbbi.Puell", LAST) not in by_day(answer)
    assert by_day(answer)["cbbi.MVRV", LAST] == 0.5
    assert [(note.kind, note.metric) for note in answer.notes] == [("refused", "cbbi.Puell")]


def test_a_confidence_that_is_not_the_mean_is_noted() -> None:
    answer = small(Confidence=dict.fromkeys(STAMPS, 0.5) | {STAMPS[1]: 0.5002})
    (note,) = answer.notes
    assert (note.kind, note.metric) == ("disputed", "cbbi_confidence")
    assert "1 days, the last: 0.5002 instead of 0.5000 on 2026-08-17" in note.text


def test_the_mean_is_of_the_parts_that_are_not_null() -> None:
    one_null = dict.fromkeys(STAMPS, 0.5) | {STAMPS[-1]: None}
    other = dict.fromkeys(STAMPS, 0.5) | {STAMPS[-1]: 0.9}
    assert small(Woobull=one_null, Puell=other, Confidence=other | {STAMPS[-1]: 0.55}).notes == ()


def test_a_renamed_part_is_schema_drift_and_the_others_are_read() -> None:
    parts = wire()
    parts["PuellMultiple"] = parts.pop("Puell")
    answer = read(json.dumps(parts).encode())
    (note,) = answer.notes
    assert (note.kind, note.metric) == ("schema_drift", "cbbi.Puell")
    assert "PuellMultiple" in note.text
    assert len(answer.observations) == 9 * 3


def test_a_part_of_another_shape_or_with_fewer_days_does_not_take_the_others_down() -> None:
    answer = small(Puell=[1, 2], MVRV={STAMPS[0]: 0.5, "never": 0.5, "1e300": 0.5})
    assert len(answer.observations) == 3 * 8 + 1
    assert {(note.kind, note.metric) for note in answer.notes} == {
        ("refused", "cbbi.Puell"),
        ("missing_metric", "cbbi.MVRV"),
        ("refused", None),
    }


def test_numbers_in_scientific_notation_or_as_text_are_numbers() -> None:
    body = json.dumps(wire()).replace("0.5", "5E-1").replace("60000.0", '"x"').encode()
    assert read(body).observations == small().observations
    assert small(Puell=dict.fromkeys(STAMPS, "5e-1")).observations == small().observations


def test_days_that_have_not_begun_are_refused() -> None:
    answer = read(json.dumps(wire()).encode(), now_ms=LAST - 1)
    assert max(observation.t_ms for observation in answer.observations) == LAST - DAY_MS
    assert "2026-08-18 has not begun" in answer.notes[0].text


def test_of_two_stamps_of_a_day_the_first_stands() -> None:
    part = dict.fromkeys(STAMPS, 0.5) | {f"{STAMPS[0]}.5": 0.9}
    answer = small(**dict.fromkeys(METRIC_OF, part))
    assert answer.observations == small().observations
    assert answer.notes[0].text == "1 days refused, the last: 2026-08-16 comes twice"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"Price": {"1787011200": 1}}', json.dumps(wire()).encode()[:-9]])
def test_what_is_no_such_file_is_invalid_input(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        read(body)


values = st.none() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=5) | st.lists(st.none(), max_size=1)
parts = values | st.dictionaries(st.sampled_from(STAMPS) | st.text(max_size=12), values, max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["Price", *METRIC_OF, "New"]), parts))
def test_any_json_is_read_or_invalid_input(changed: dict[str, object]) -> None:
    for body in (json.dumps(changed), json.dumps(wire(**changed))):
        try:
            answer = read(body.encode())
        except InvalidInput:
            continue
        assert all(0 <= observation.value <= 1 for observation in answer.observations)
