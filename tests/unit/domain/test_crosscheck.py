"""What may be served of each metric, and how far it is to be trusted."""

import gzip
import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.domain.crosscheck import Silence, grouped, judge, silence_at
from market_scraper.domain.derived import NETFLOW, SERVED, compute, wave_metric
from market_scraper.domain.onchain import (
    AGE_BANDS,
    CBBI_COMPONENTS,
    CBBI_CONFIDENCE,
    DAY_MS,
    METRICS,
    Judged,
    Observation,
    Reading,
    ReadingState,
    Source,
    age_metric,
    cbbi_metric,
)
from market_scraper.domain.revisions import Revisions
from tests.onchain_facts import BITVIEW, CBBI, CM, FLOW, GREED, INFO, NOW_MS, TODAY_MS, everything, reading, series

MINUTE_MS = 60_000
FINAL, MISSING, STALE, FROZEN, DISPUTED, PROVISIONAL, REVISED = (
    ReadingState.FINAL,
    ReadingState.MISSING,
    ReadingState.STALE,
    ReadingState.FROZEN,
    ReadingState.DISPUTED,
    ReadingState.PROVISIONAL,
    ReadingState.REVISED,
)


def judged(readings: Iterable[Reading], metric: str, now_ms: int = NOW_MS) -> Judged:
    return judge(grouped(readings), now_ms)[metric]


def served(one: Judged) -> tuple[Source, float]:
    assert one.reading is not None
    return one.reading.source, one.reading.value


def test_six_well_sources_that_agree_give_final_values_alone() -> None:
    verdicts = judge(grouped(everything()), NOW_MS)
    assert {one.state for one in verdicts.values()} == {FINAL}, {n: o.reason for n, o in verdicts.items() if o.reason}


# -- choice, age -----------------------------------------------------------------------------------------------------


def test_a_good_value_is_final() -> None:
    one = judged([reading(BITVIEW, "sopr", 1.01)], "sopr")
    assert (one.state, one.flags, one.reason, one.since_ms) == (FINAL, (FINAL,), None, None)
    assert served(one) == (BITVIEW, 1.01)


def test_without_any_reading_a_metric_is_missing_since_we_began_to_ask_and_says_why() -> None:
    all_ = judge({}, NOW_MS, Silence(since_ms=NOW_MS - 5, reasons={BITVIEW: "HTTP 500", GREED: "timed out"}))
    assert set(all_) == set(SERVED) >= set(METRICS)
    assert {one.state for one in all_.values()} == {MISSING}
    mvrv = all_["mvrv"]
    assert (mvrv.reading, mvrv.since_ms, mvrv.flags) == (None, NOW_MS - 5, (MISSING,))
    assert mvrv.reason == "none of bitview, coin_metrics has given it yet; bitview: HTTP 500"


def test_then_a_metric_was_missing_since_the_first_fact_or_at_that_moment_at_least() -> None:
    facts = [reading(CM, "mvrv", 1.5, days_ago=n, known_at_ms=NOW_MS - n * DAY_MS) for n in (2, 5, 3)]
    sopr = judge(grouped(facts), NOW_MS, silence_at(facts, NOW_MS))["sopr"]
    assert (sopr.state, sopr.since_ms) == (MISSING, NOW_MS - 5 * DAY_MS)
    assert judge({}, NOW_MS, silence_at([], NOW_MS))["sopr"].since_ms == NOW_MS


def test_the_next_source_steps_in_when_the_first_is_stale_or_silent() -> None:
    late = reading(INFO, "supply", 20e6, t_ms=NOW_MS - 2 * 3_600_000 - 1)
    other = reading(BITVIEW, "supply", 20e6 + 1)
    assert served(judged([late, other], "supply")) == (BITVIEW, 20e6 + 1)
    assert served(judged([other], "supply")) == (BITVIEW, 20e6 + 1)
    fresh = reading(INFO, "supply", 20e6, t_ms=NOW_MS - 2 * 3_600_000)
    assert served(judged([fresh, other], "supply")) == (INFO, 20e6)


def test_when_all_are_stale_the_newest_is_served_and_says_since_when() -> None:
    old = reading(CM, "mvrv", 1.5, days_ago=20)
    older = reading(BITVIEW, "mvrv", 1.6, days_ago=21)
    one = judge(grouped([old, older]), NOW_MS, Silence(reasons={CM: "HTTP 403"}))["mvrv"]
    assert (served(one), one.state) == ((CM, 1.5), STALE)
    assert one.since_ms == old.t_ms + 3 * DAY_MS
    assert one.reason is not None
    assert "given nothing newer" in one.reason
    assert "HTTP 403" in one.reason


@pytest.mark.parametrize(
    ("source", "hours", "state"),
    [(BITVIEW, 26, STALE), (BITVIEW, 4.01, STALE), (BITVIEW, 3.9, FINAL), (INFO, 2.01, STALE), (INFO, 1.9, FINAL)],
)
def test_a_height_is_of_a_moment_and_stale_after_hours_whoever_gave_it(
    source: Source, hours: float, state: ReadingState
) -> None:
    height = reading(source, "block_height", 970_000, t_ms=NOW_MS - round(hours * 3_600_000))
    one = judged([height], "block_height")
    assert (one.state, served(one)) == (state, (source, 970_000))
    if state is STALE:
        assert one.since_ms == height.t_ms + (4 if source is BITVIEW else 2) * 3_600_000
    of_days = reading(BITVIEW, "difficulty", 1.4e14, t_ms=NOW_MS - 26 * 3_600_000)
    assert judged([of_days], "difficulty").state is FINAL


def test_states_come_worst_first_and_the_worst_one_is_the_state() -> None:
    days = [
        reading(BITVIEW, "mvrv", 1.5, days_ago=days_ago, provisional=True, restated=True) for days_ago in (12, 11, 10)
    ]
    one = judged([*days, reading(CM, "mvrv", 2.5, days_ago=10)], "mvrv")
    assert one.flags == (STALE, FROZEN, DISPUTED, PROVISIONAL, REVISED)
    assert one.state is STALE


def test_provisional_and_restated_values_say_so() -> None:
    assert judged([reading(BITVIEW, "sopr", 1.0, provisional=True)], "sopr").flags == (PROVISIONAL,)
    assert judged([reading(BITVIEW, "sopr", 1.0, restated=True)], "sopr").flags == (REVISED,)
    # A value that moved while it was provisional is a further revision, but nothing that was final has changed.
    assert judged([reading(BITVIEW, "sopr", 1.0, revision=3)], "sopr").flags == (FINAL,)


# -- frozen ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("repeats", [2, 3, 4])
def test_a_component_with_the_same_digits_for_three_days_is_frozen(repeats: int) -> None:
    values = [0.31, *[0.42001 + n / 1e6 for n in range(repeats)]]
    one = judged(series(CBBI, "cbbi.Puell", *values, newest_days_ago=1), "cbbi.Puell")
    assert one.state is (FROZEN if repeats >= 3 else FINAL)
    assert one.since_ms == (TODAY_MS - repeats * DAY_MS if repeats >= 3 else None)


@pytest.mark.parametrize("bound", [0.0, 1.0])
def test_a_component_that_is_clipped_at_its_bound_is_not_frozen(bound: float) -> None:
    assert judged(series(CBBI, "cbbi.PiCycle", *[bound] * 8, newest_days_ago=1), "cbbi.PiCycle").state is FINAL


def test_neighbours_that_agree_in_four_digits_only_are_not_frozen() -> None:
    assert judged(series(BITVIEW, "sopr", 0.98404193, 0.98398864, 0.98400307), "sopr").state is FINAL
    assert judged(series(BITVIEW, "sopr", 0.98404193, 0.98404193, 0.98404193), "sopr").state is FROZEN


def test_an_age_that_no_coin_has_yet_is_not_frozen() -> None:
    assert judged(series(BITVIEW, "age.over_15y", *[0.0] * 8), "age.over_15y").state is FINAL
    assert judged(series(BITVIEW, "age.over_15y", *[9.0] * 8), "age.over_15y").state is FROZEN


def test_whole_points_and_the_difficulty_may_stay_where_they_are() -> None:
    assert judged(series(GREED, "fear_greed", 30, 31, 31, 31, 31), "fear_greed").state is FINAL
    assert judged(series(GREED, "fear_greed", 31, 31, 31, 31, 31), "fear_greed").state is FROZEN
    assert judged(series(BITVIEW, "difficulty", *[1.4e14] * 14), "difficulty").state is FINAL


def test_many_looks_at_one_day_are_no_days_in_a_row() -> None:
    looks = [reading(INFO, "hash_rate", 900.0, t_ms=NOW_MS - n * MINUTE_MS) for n in range(60)]
    assert judged(looks, "hash_rate").state is FINAL


# -- two sources -----------------------------------------------------------------------------------------------------


def test_a_second_source_that_agrees_is_named_and_one_that_does_not_makes_a_dispute() -> None:
    ours = series(BITVIEW, "mvrv", 1.50, 1.51, 1.52)
    agrees = judged([*ours, *series(CM, "mvrv", 1.49, 1.50, newest_days_ago=1)], "mvrv")
    assert agrees.state is FINAL
    assert agrees.checked_by is not None
    assert (agrees.checked_by.source, agrees.checked_by.value) == (CM, 1.50)
    disputes = judged([*ours, *series(CM, "mvrv", 1.49, 3.0, newest_days_ago=1)], "mvrv")
    assert (disputes.state, disputes.since_ms) == (DISPUTED, TODAY_MS - DAY_MS)
    assert disputes.reason == "coin_metrics says 3 where bitview says 1.51"


def test_moments_of_a_day_are_compared_with_the_other_s_value_of_that_day() -> None:
    moments = [reading(INFO, "hash_rate", value, t_ms=NOW_MS - n * 600_000) for n, value in enumerate((900.0, 20.0))]
    assert judged([*moments, reading(BITVIEW, "hash_rate", 1_000.0)], "hash_rate").state is FINAL
    assert judged([*moments, reading(BITVIEW, "hash_rate", 1_300.0)], "hash_rate").state is DISPUTED
    # Another day is another matter.
    assert judged([*moments, reading(CM, "hash_rate", 1_300.0, days_ago=1)], "hash_rate").state is FINAL


def test_a_dispute_of_long_ago_says_nothing_of_today() -> None:
    ours = series(BITVIEW, "mvrv", *[1.5 + n / 100 for n in range(10)])
    one = judged([*ours, reading(CM, "mvrv", 9.0, days_ago=5)], "mvrv")
    assert (one.state, one.checked_by) == (FINAL, None)


def test_nupl_is_checked_by_the_mvrv_of_the_other_source_also_near_zero() -> None:
    nupl = reading(BITVIEW, "nupl", 0.01)
    near = judged([nupl, reading(CM, "mvrv", 1.03)], "nupl")
    assert near.state is FINAL
    assert near.checked_by is not None
    assert near.checked_by.value == pytest.approx(1 - 1 / 1.03)
    assert judged([nupl, reading(CM, "mvrv", 1.2)], "nupl").state is DISPUTED


def test_nupl_is_computed_from_the_other_source_s_mvrv_while_its_own_is_missing() -> None:
    one = judged([reading(CM, "mvrv", 2.0, days_ago=1)], "nupl")
    assert (served(one), one.state) == ((CM, 0.5), FINAL)
    assert judged([reading(CM, "mvrv", 0.0)], "nupl").state is MISSING


@pytest.mark.parametrize(
    ("apart", "minutes", "state"),
    [(3, 180, FINAL), (4, 180, DISPUTED), (4, 30, FINAL), (4, 31, DISPUTED), (400, 0, FINAL)],
)
def test_heights_dispute_when_they_are_more_than_three_blocks_apart_for_half_an_hour(
    apart: int, minutes: int, state: ReadingState
) -> None:
    moments = [NOW_MS - 400 * MINUTE_MS, *(sorted({NOW_MS - minutes * MINUTE_MS, NOW_MS}))]
    ours = [reading(INFO, "block_height", 970_000 + n, t_ms=t_ms) for n, t_ms in enumerate(moments)]
    theirs = [
        reading(BITVIEW, "block_height", 970_000 + n - (apart if n else 0), t_ms=t_ms - 5 * MINUTE_MS)
        for n, t_ms in enumerate(moments)
    ]
    one = judged([*ours, *theirs], "block_height")
    assert one.state is state
    assert one.checked_by is not None


def test_a_height_that_was_taken_at_another_time_is_no_check() -> None:
    ours = [reading(INFO, "block_height", 970_000, t_ms=NOW_MS)]
    theirs = [reading(BITVIEW, "block_height", 960_000, t_ms=NOW_MS - n * 3_600_000) for n in (2, 1)]
    assert judged([*ours, *theirs], "block_height").checked_by is None


# -- identities ------------------------------------------------------------------------------------------------------


def test_nupl_and_mvrv_of_one_source_must_be_of_the_same_caps() -> None:
    def both(nupl: float) -> dict[str, Judged]:
        return judge(grouped([reading(BITVIEW, "mvrv", 2.0), reading(BITVIEW, "nupl", nupl)]), NOW_MS)

    assert {both(0.501)[name].state for name in ("nupl", "mvrv")} == {FINAL}
    broken = both(0.52)
    assert {broken[name].state for name in ("nupl", "mvrv")} == {DISPUTED}
    assert broken["nupl"].reason == "NUPL 0.5200 is not 1 - 1/MVRV of MVRV 2.0000, which is 0.5000"


def ages(total: float = 20e6, *, days_ago: int = 0) -> list[Reading]:
    return [reading(BITVIEW, age_metric(band), total / len(AGE_BANDS), days_ago=days_ago) for band in AGE_BANDS]


def test_age_bands_sum_to_the_supply_of_the_same_day() -> None:
    supply = reading(BITVIEW, "supply", 20e6)
    good = judge(grouped([*ages(), supply]), NOW_MS)
    assert {good[age_metric(band)].state for band in AGE_BANDS} == {FINAL}
    shares = [good[wave_metric(band)].reading for band in AGE_BANDS]
    assert sum(share.value for share in shares if share is not None) == pytest.approx(1.0)
    bad = judge(grouped([*ages(19.9e6), supply]), NOW_MS)
    assert {bad[name(band)].state for band in AGE_BANDS for name in (age_metric, wave_metric)} == {DISPUTED}
    # One band short is no proof against the others, and the supply of another day is another supply.
    assert judged([*ages(19e6)[1:], supply], age_metric("over_15y")).state is FINAL
    assert judged([*ages(19e6), reading(BITVIEW, "supply", 20e6, days_ago=1)], age_metric("over_15y")).state is FINAL


def test_netflow_is_inflow_minus_outflow_of_the_newest_day_that_both_have() -> None:
    flows = [
        *series(FLOW, "inflow", 100.0, 250.0, newest_days_ago=1),
        *series(FLOW, "outflow", 40.0, newest_days_ago=2),
    ]
    one = judged(flows, NETFLOW)
    assert one.reading is not None
    assert (one.reading.value, one.reading.t_ms) == (60.0, TODAY_MS - 2 * DAY_MS)
    one = judged([*flows, reading(FLOW, "outflow", 300.0, days_ago=1, provisional=True)], NETFLOW)
    assert (served(one), one.state) == ((FLOW, -50.0), PROVISIONAL)


def test_netflow_has_no_digits_that_nobody_published() -> None:
    flows = [reading(FLOW, "inflow", 37257.50652336), reading(FLOW, "outflow", 33742.60507099)]
    assert 37257.50652336 - 33742.60507099 == 3514.9014523700025
    assert served(judged(flows, NETFLOW)) == (FLOW, 3514.90145237)


def cbbi(days_ago: int, confidence: float, known_at_ms: int = NOW_MS, **parts: float) -> list[Reading]:
    named = {name.lstrip("_"): value for name, value in parts.items()}
    return [
        reading(CBBI, CBBI_CONFIDENCE, confidence, days_ago=days_ago, known_at_ms=known_at_ms),
        *(reading(CBBI, cbbi_metric(name), value, days_ago=days_ago) for name, value in named.items()),
    ]


def test_confidence_is_the_mean_of_that_day_s_components() -> None:
    assert judged(cbbi(1, 0.3, Puell=0.2, RUPL=0.4), CBBI_CONFIDENCE).state is FINAL
    one = judged([*cbbi(2, 0.3, Puell=0.2, RUPL=0.4), *cbbi(1, 0.3101, Puell=0.2, RUPL=0.4)], CBBI_CONFIDENCE)
    assert (one.state, one.since_ms) == (DISPUTED, TODAY_MS - DAY_MS)
    assert one.reason == "its 2 components average 0.3000, not 0.3101"
    assert judged(cbbi(1, 30.0), CBBI_CONFIDENCE).state is FINAL  # without components nothing can be said


def test_what_was_taken_back_counts_as_never_said() -> None:
    gone = msgspec.structs.replace(reading(CBBI, "cbbi.Woobull", 0.9, days_ago=1, revision=1), withdrawn=True)
    before = reading(CBBI, "cbbi.Woobull", 0.8, days_ago=2)
    verdict = judge(grouped([*cbbi(1, 0.3, Puell=0.2, RUPL=0.4), before, gone]), NOW_MS)
    assert verdict[CBBI_CONFIDENCE].state is FINAL
    assert (served(verdict["cbbi.Woobull"]), verdict["cbbi.Woobull"].state) == ((CBBI, 0.8), FINAL)
    nobody = msgspec.structs.replace(reading(CM, "mvrv", 2.0), withdrawn=True)
    assert judged([nobody], "nupl").state is MISSING
    assert compute((CM, "nupl"), grouped([nobody])) == []


@given(st.lists(st.sampled_from(list(SERVED)), max_size=30), st.randoms(use_true_random=False))
def test_whatever_is_held_every_metric_gets_a_verdict_with_its_worst_flag_as_state(
    names: list[str], rng: random.Random
) -> None:
    readings = {}
    for name in names:
        metric = SERVED[name]
        at = (rng.choice(metric.sources), name, TODAY_MS - rng.randrange(8) * DAY_MS)
        readings[at] = reading(at[0], name, rng.choice([0.0, 1.0, rng.uniform(-2, 1e6)]), t_ms=at[2])
    for one in judge(grouped(readings.values()), NOW_MS).values():
        assert one.flags[0] is one.state
        assert (one.reading is None) == (one.state is MISSING)
        assert (one.reason is None) == (one.state is FINAL)
        order = [list(ReadingState).index(flag) for flag in one.flags]
        assert all(a < b for a, b in pairwise(order))


# -- recorded --------------------------------------------------------------------------------------------------------


Pull = tuple[int, list[Observation], list[tuple[str, int]]]


def recorded_pulls(folder: Path) -> list[Pull]:
    """When it was captured, and its newest 40 days with and without a value, of each recording of August 2026."""
    pulls = []
    for path in sorted(folder.glob("cbbi/latest_2026*.json.gz")):
        at = datetime.strptime(path.name, "latest_%Y%m%dT%H%M%SZ.json.gz").replace(tzinfo=UTC)
        maps = json.loads(gzip.decompress(path.read_bytes()))
        names = {"Confidence": CBBI_CONFIDENCE} | {name: cbbi_metric(name) for name in CBBI_COMPONENTS}
        days = [
            (metric, int(t) * 1000, value)
            for name, metric in names.items()
            for t, value in list(maps[name].items())[-40:]
        ]
        said = [Observation(metric=metric, t_ms=t_ms, value=value) for metric, t_ms, value in days if value is not None]
        none = [(metric, t_ms) for metric, t_ms, value in days if value is None]
        pulls.append((int(at.timestamp() * 1000), said, none))
    return pulls


def test_recorded_cbbi_is_served_without_a_false_alarm(recordings: Path) -> None:
    revisions, newest = Revisions(CBBI), {}
    behind = []
    for captured_ms, said, none in recorded_pulls(recordings):
        for one in (*revisions.take(said, captured_ms), *revisions.take_back(none, captured_ms)):
            newest[one.metric, one.t_ms] = one
        verdicts = judge(grouped(newest.values()), captured_ms)
        of_cbbi = [verdicts[name] for name in (CBBI_CONFIDENCE, *map(cbbi_metric, CBBI_COMPONENTS))]
        assert not {flag for one in of_cbbi for flag in one.flags} & {MISSING, STALE, FROZEN, DISPUTED}
        confidence, woobull = verdicts[CBBI_CONFIDENCE].reading, verdicts["cbbi.Woobull"].reading
        assert confidence is not None
        assert woobull is not None
        behind.append((confidence.t_ms - woobull.t_ms) // DAY_MS)
    # Null on the newest days, once again after it had a value: its own newest day is served, under its own date.
    assert behind == [0, 0, 0, 1, 2, 2, 1, 2, 2, 1, 2, 2, 1, 2, 2, 1]
