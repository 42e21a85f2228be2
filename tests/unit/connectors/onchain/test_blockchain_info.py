"""Blockchain.com's figures and charts, in our units."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_scraper.connectors.onchain.blockchain_info import FIELDS, parse_chart, parse_stats
from market_scraper.connectors.onchain.sieve import Sieve
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.onchain import DAY_MS, Answer
from tests.unit.connectors.onchain.recorded import RECORDED_AT_MS, chart, day_ms, hash_rate_chart

STATS = {
    "timestamp": 1_789_999_800_000,
    "market_price_usd": 72525.0,
    "hash_rate": 1.05e12,
    "total_fees_btc": -512345678,
    "n_tx": 498765,
    "totalbc": 1998000000000000,
    "n_blocks_total": 970695,
    "difficulty": 1.4e14,
    "trade_volume_usd": 4.7e8,
}
T_MS = 1_789_999_800_000


def stats(changed: Mapping[str, object] = STATS, *, now_ms: int = RECORDED_AT_MS) -> Answer:
    sieve = Sieve()
    parse_stats(json.dumps({**STATS, **changed}).encode(), sieve, now_ms)
    return sieve.answer()


def charted(body: bytes, metric: str = "hash_rate", *, since_ms: int = 0, now_ms: int = RECORDED_AT_MS) -> Answer:
    sieve = Sieve()
    parse_chart(body, metric, sieve, since_ms=since_ms, now_ms=now_ms)
    return sieve.answer()


def values(answer: Answer) -> dict[str, float]:
    return {observation.metric: observation.value for observation in answer.observations}


def by_day(answer: Answer) -> dict[int, float]:
    return {observation.t_ms: observation.value for observation in answer.observations}


def test_figures_come_in_exahashes_and_bitcoin_at_the_moment_of_their_stamp() -> None:
    answer = stats()
    assert values(answer) == {
        "hash_rate": 1050.0,
        "difficulty": 1.4e14,
        "block_height": 970_695.0,
        "supply": 19_980_000.0,
        "transaction_count": 498_765.0,
    }
    assert {observation.t_ms for observation in answer.observations} == {T_MS}
    assert answer.notes == ()


def test_scientific_notation_is_a_number() -> None:
    scientific = {name: f"{value:E}" for name, value in STATS.items() if name != "timestamp"}
    assert values(stats(scientific)) == pytest.approx(values(stats()), rel=1e-6)


@pytest.mark.parametrize("bad", [-1, 0, 1e30, "many", [], True])
def test_a_figure_that_cannot_be_is_refused_and_noted_and_the_others_stay(bad: object) -> None:
    answer = stats({"hash_rate": bad})
    assert set(values(answer)) == set(FIELDS) - {"hash_rate"}
    assert [(note.kind, note.metric) for note in answer.notes] == [("refused", "hash_rate")]


def test_a_figure_that_is_gone_is_noted() -> None:
    answer = stats({"totalbc": None})
    assert [(note.kind, note.metric) for note in answer.notes] == [("missing_metric", "supply")]


def test_a_host_whose_clock_is_a_little_ahead_speaks_of_now() -> None:
    answer = stats(now_ms=T_MS - 2_000)
    assert {observation.t_ms for observation in answer.observations} == {T_MS - 2_000}


@pytest.mark.parametrize("stamp", [None, "x", 1_789_999_800, T_MS + 10 * DAY_MS, -1, 0])
def test_figures_of_no_possible_time_are_refused_whole(stamp: object) -> None:
    with pytest.raises(InvalidInput):
        stats({"timestamp": stamp})


def test_the_recorded_chart_is_read_in_exahashes(recordings: Path) -> None:
    """Two points by hand: 193156789.34856734 TH/s on 2022-07-21, 243778056.23455927 TH/s on 2022-12-20."""
    found = by_day(charted(hash_rate_chart(recordings)))
    assert len(found) == 179
    assert min(found) == day_ms("2022-06-25")
    assert found[day_ms("2022-07-21")] == 193.15678934856734
    assert found[day_ms("2022-12-20")] == 243.77805623455927


def test_a_chart_gives_whole_days_after_those_that_are_held_and_the_last_point_of_each() -> None:
    now_ms = day_ms("2026-08-18") + 5_000
    held, today = day_ms("2026-08-15") // 1000, day_ms("2026-08-18") // 1000
    points = [(held, 1), (held + 86_400, 3), (held + 86_400 + 50_000, 4), (held + 86_400 + 9, 2), (today, 9)]
    answer = charted(chart([*points, (today - 86_400, 5)]), "supply", since_ms=held * 1000, now_ms=now_ms)
    assert by_day(answer) == {day_ms("2026-08-16"): 4.0, day_ms("2026-08-17"): 5.0}
    assert answer.notes == ()


def test_points_whose_time_is_text_are_points() -> None:
    day = day_ms("2026-08-15") // 1000
    values = [{"x": str(day), "y": 1.5}, {"x": f"{day + 86_400:.9E}", "y": "2"}, {"x": "soon", "y": 3}, {"y": 4}]
    answer = charted(json.dumps({"status": "ok", "unit": "BTC", "values": values}).encode(), "supply")
    assert by_day(answer) == {day_ms("2026-08-15"): 1.5, day_ms("2026-08-16"): 2.0}
    assert answer.notes[0].text.startswith("2 refused")


def test_points_that_cannot_be_are_refused_and_the_zeros_of_the_beginning_are_nothing() -> None:
    day = day_ms("2026-08-15") // 1000
    points: list[tuple[float, object]] = [(day, 0), (day + 86_400, -4), (day + 172_800, None), (5, 1), (day, 0.0)]
    answer = charted(chart([*points, (day + 259_200, "2.1e6")]), "supply")
    assert by_day(answer) == {day_ms("2026-08-18"): 2.1e6}
    assert [(note.kind, note.metric) for note in answer.notes] == [("refused", "supply")]
    assert answer.notes[0].text.startswith("2 refused")


@pytest.mark.parametrize(
    "body",
    [
        chart([(1.7e9, 1)], unit="Hash Rate GH/s"),
        chart([(1.7e9, 1)], unit="Hash Rate TH/s", status="error"),
        chart([], unit="Hash Rate TH/s"),
        chart([(1.7e9, 1)], unit="Hash Rate TH/s")[:-9],
        b"{}",
    ],
)
def test_a_chart_in_another_unit_or_shape_is_refused_whole(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        charted(body)


values_ = st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=8)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*STATS]), values_))
def test_any_figures_are_read_or_invalid_input(changed: dict[str, object]) -> None:
    try:
        answer = stats(changed)
    except InvalidInput:
        return
    assert all(
        0 < observation.value < 1e18 and observation.t_ms <= RECORDED_AT_MS for observation in answer.observations
    )


points_ = values_ | st.fixed_dictionaries({"x": values_}, optional={"y": values_})


@settings(deadline=None)
@given(st.fixed_dictionaries({"status": st.just("ok"), "unit": st.just("TH/s"), "values": values_ | st.lists(points_)}))
def test_any_chart_is_read_or_invalid_input(wire: dict[str, object]) -> None:
    try:
        answer = charted(json.dumps(wire).encode())
    except InvalidInput:
        return
    assert all(observation.value >= 0 for observation in answer.observations)
