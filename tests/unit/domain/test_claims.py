"""What may be claimed now."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.domain.claims import chance_of_change, claim
from market_scraper.domain.positions import Cause, PositionState
from tests.facts import mark, position

NOW = 100_000
UNSURE: dict[str, Any] = {"state": PositionState.UNSURE, "since_ms": 50_000}


def test_an_exact_position_is_exact_as_of_the_watermark() -> None:
    said = claim(position(), mark(NOW), NOW)
    assert (said.state, said.as_of_ms, said.doubt, said.because) == (PositionState.EXACT, NOW, None, None)


def test_a_fact_newer_than_the_watermark_speaks_for_its_own_block() -> None:
    assert claim(position(t_ms=NOW + 40), mark(NOW), NOW + 50).as_of_ms == NOW + 40


@pytest.mark.parametrize(("age_ms", "state"), [(5_000, PositionState.EXACT), (5_001, PositionState.UNSURE)])
def test_from_five_seconds_behind_on_nothing_is_exact(age_ms: int, state: PositionState) -> None:
    said = claim(position(), mark(NOW), NOW + age_ms)
    assert said.state is state
    if state is PositionState.UNSURE:
        assert (said.because, said.since_ms, said.as_of_ms) == (Cause.STALE, NOW, NOW)


def test_after_a_gap_it_is_unsure_since_the_gap_began_until_an_answer_of_the_new_stretch() -> None:
    tape = mark(NOW, gaps=((60_000, 80_000),))
    said = claim(position(), tape, NOW)
    assert (said.state, said.because, said.since_ms) == (PositionState.UNSURE, Cause.GAP, 60_000)
    assert claim(position(epoch_ms=80_000), tape, NOW).state is PositionState.EXACT


def test_the_doubt_is_one_less_the_chance_of_no_change_over_all_gaps_given_what_was_seen_before() -> None:
    tape = mark(NOW, gaps=((10_000, 15_000), (60_000, 80_000)), rate_shape=0.5, rate_watch_s=100.0)
    said = claim(position(changes=4, watched_from_ms=0), tape, NOW)
    watched_s = 100.0 + 10.0  # until the first gap began
    assert said.doubt == pytest.approx(1 - (watched_s / (watched_s + 25.0)) ** (0.5 + 4))


def test_who_printed_after_the_gap_was_heard_that_much_longer() -> None:
    tape = mark(NOW, gaps=((10_000, 15_000), (60_000, 80_000)), rate_shape=0.5, rate_watch_s=100.0)
    said = claim(position(changes=5, watched_from_ms=0, t_ms=95_000, epoch_ms=0), tape, NOW)
    watched_s = 100.0 + 95.0 - 25.0  # of the gaps nothing was heard
    assert said.doubt == pytest.approx(1 - (watched_s / (watched_s + 25.0)) ** (0.5 + 5))


@given(
    changes=st.integers(0, 5_000),
    watched_ms=st.integers(0, 10**7),
    gap_ms=st.integers(0, 10**6),
    pace=st.floats(0.1, 5),
)
def test_pace_lengthens_what_was_not_heard_and_spread_takes_from_certainty(
    changes: int, watched_ms: int, gap_ms: int, pace: float
) -> None:
    held = position(changes=changes)

    def told(unheard_ms: float, pace: float = 1.0, spread: float = 0.0) -> float:
        tape = mark(NOW, rate_shape=0.2, rate_watch_s=480.0, pace=pace, spread=spread)
        return chance_of_change(held, tape, watched_ms, (), unheard_ms)

    watched_s = 480.0 + watched_ms / 1000
    plain = 1 - (watched_s / (watched_s + gap_ms / 1000)) ** (0.2 + changes)
    assert told(gap_ms) == pytest.approx(plain, abs=1e-9)
    assert told(gap_ms, pace=pace) == pytest.approx(told(gap_ms * pace), abs=1e-9)
    assert 0.0 <= told(gap_ms, spread=0.5) <= told(gap_ms, spread=0.1) <= told(gap_ms)


def test_a_gap_whose_prints_were_counted_has_its_own_pace_and_no_other_gap_has() -> None:
    held = position(changes=5)
    quiet = mark(NOW, gaps=((0, 20_000, 0.1, 0.02),), pace=1.0, spread=0.5)
    plain = mark(NOW, gaps=((0, 20_000),), pace=0.1, spread=0.02)
    assert chance_of_change(held, quiet, 600_000, quiet.gaps) == pytest.approx(
        chance_of_change(held, plain, 600_000, plain.gaps), rel=1e-12
    )
    both = mark(NOW, gaps=((0, 20_000, 0.1, 0.02), (90_000, 110_000)), pace=1.0, spread=0.5)
    assert chance_of_change(held, both, 600_000, both.gaps[1:]) == chance_of_change(
        held, mark(NOW, pace=1.0, spread=0.5), 600_000, (), 20_000
    )


def test_of_two_gaps_the_livelier_one_says_more_of_how_sure_a_rate_is() -> None:
    held = position(changes=5)
    tape = mark(NOW, gaps=((0, 20_000, 3.0, 0.4), (90_000, 110_000, 1.0, 0.0)))
    alike = mark(NOW, pace=2.0, spread=0.3)
    assert chance_of_change(held, tape, 600_000, tape.gaps) == pytest.approx(
        chance_of_change(held, alike, 600_000, (), 40_000), rel=1e-12
    )


def test_of_many_people_whose_rates_differ_as_many_change_as_the_doubts_told_add_up_to() -> None:
    rng = random.Random(1)
    watched_ms, gap_ms, shape, watch_s = 600_000, 20_000, 0.2, 60.0
    tape = mark(watched_ms + gap_ms, gaps=((watched_ms, watched_ms + gap_ms),), rate_shape=shape, rate_watch_s=watch_s)
    told = changed = 0.0
    for _ in range(20_000):
        pause_s = 1 / rng.gammavariate(shape, 1 / watch_s)
        at_s, seen = rng.expovariate(1) * pause_s, 0
        while at_s < watched_ms / 1000:
            at_s, seen = at_s + rng.expovariate(1) * pause_s, seen + 1
        told += claim(position(changes=seen, watched_from_ms=0), tape, tape.watermark_ms).doubt or 0.0
        changed += at_s < (watched_ms + gap_ms) / 1000
    assert told == pytest.approx(changed, rel=0.05)


def test_who_never_traded_is_surer_than_who_trades_all_the_time() -> None:
    tape = mark(NOW, gaps=((60_000, 80_000),))
    quiet, busy = (claim(position(changes=n), tape, NOW).doubt or 0.0 for n in (0, 500))
    assert quiet < 0.01
    assert busy > 0.9


def test_a_stale_tape_adds_the_time_since_the_watermark() -> None:
    soon, later = (claim(position(), mark(NOW), NOW + ms).doubt or 0.0 for ms in (6_000, 600_000))
    assert 0 < soon < later < 1


def test_doubt_of_an_unsure_position_grows_with_what_was_missed_since() -> None:
    held = position(**UNSURE, because=Cause.CANDIDATES, doubt=0.5)
    before = claim(held, mark(NOW), NOW)
    after = claim(held, mark(NOW, gaps=((60_000, 80_000),)), NOW)
    assert (before.doubt, before.because, before.since_ms) == (0.5, Cause.CANDIDATES, 50_000)
    assert (after.doubt or 0.0) > 0.5


@pytest.mark.parametrize("because", [Cause.DRIFT, Cause.ODD_SIZE])
def test_drift_and_odd_sizes_are_no_knowledge_at_all(because: Cause) -> None:
    assert claim(position(**UNSURE, because=because, doubt=1.0), mark(NOW), NOW).doubt == 1.0


def test_in_a_halted_market_nothing_is_exact_and_the_doubt_is_one() -> None:
    said = claim(position(), mark(NOW, halted_since_ms=70_000), NOW)
    assert (said.state, said.doubt, said.because, said.since_ms) == (PositionState.UNSURE, 1.0, Cause.HALT, 70_000)


@pytest.mark.parametrize("because", [Cause.GAP, Cause.CANDIDATES])
def test_in_a_halted_market_who_was_nearly_sure_is_no_surer_than_the_exact_ones(because: Cause) -> None:
    """Else an unsure trader's vote would count nearly whole where an exact one's counts nothing."""
    said = claim(position(**UNSURE, because=because, doubt=0.01), mark(NOW, halted_since_ms=70_000), NOW)
    assert (said.state, said.doubt, said.because) == (PositionState.UNSURE, 1.0, Cause.HALT)


def test_nothing_is_said_of_the_unknown_however_the_tape_stands() -> None:
    unknown = position(state=PositionState.UNKNOWN, lots=None)
    for tape in (mark(NOW), mark(NOW, halted_since_ms=1), mark(NOW, gaps=((1, 2),))):
        said = claim(unknown, tape, NOW + 60_000)
        assert (said.state, said.doubt, said.because) == (PositionState.UNKNOWN, None, None)


def test_when_the_gaps_since_are_forgotten_nothing_is_left_of_a_claim() -> None:
    said = claim(position(epoch_ms=10), mark(NOW, epoch_ms=90_000), NOW)
    assert (said.state, said.doubt, said.because) == (PositionState.UNSURE, 1.0, Cause.GAP)
