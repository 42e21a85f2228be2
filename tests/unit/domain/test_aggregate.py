"""What voters add up to, when it is told, and that order of arrival does not matter."""

from math import fsum, isclose
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.domain.aggregate import (
    SHOWN,
    Voter,
    aggregate,
    capped,
    explained,
    recommend,
    should_emit,
    signal_id,
    skill,
    tally,
)
from market_scraper.domain.positions import PositionState
from market_scraper.domain.rules import SignalRules
from market_scraper.domain.signals import Signal, SignalState
from market_scraper.domain.values import Address, Recommendation, Symbol

RULES = SignalRules()
BTC = Symbol("BTC")
T = 1_790_000_000_123


def vote(number: int, size: float, *, equity: float = 1_000.0, weight: float = 1.0) -> Voter:
    return Voter(Address(f"0x{number:040x}"), size, equity, weight, PositionState.EXACT, None)


def signal(voters: list[Voter], previous: Signal | None = None, **changed: object) -> Signal:
    given_by_default: dict[str, object] = {
        "symbol": BTC,
        "t_ms": T,
        "known_at_ms": T + 50,
        "price": 100.0,
        "coverage": 0.9,
        "tape_is_stale": False,
        "rules": RULES,
    }
    return aggregate(voters, previous=previous, **(given_by_default | changed))  # type: ignore[arg-type]


def crowd(net: float) -> list[Voter]:
    """Ten voters with this net exposure at price 100."""
    return [vote(number, net * 10.0) for number in range(10)]


votes = st.lists(
    st.builds(
        vote,
        st.integers(0, 10**6),
        st.floats(-1e6, 1e6),
        equity=st.floats(1.0, 1e9),
        weight=st.floats(1e-6, 10.0),
    ),
    max_size=60,
    unique_by=lambda one: one.trader,
).map(lambda voters: sorted(voters, key=lambda one: one.trader))


def test_four_voters_add_up_as_computed_by_hand() -> None:
    # price 100: convictions +0.5, +1 (clipped from 4), -0.25, 0; weights 1, 0.5, 1, 1: total 3.5
    voters = [vote(1, 5.0), vote(2, 40.0, weight=0.5), vote(3, -2.5), vote(4, 0.0)]

    made = tally(voters, 100.0)

    assert (made.traders_long, made.traders_short, made.traders_flat) == (2, 1, 1)
    assert made.long_bias == pytest.approx((0.5 + 0.5) / 3.5)
    assert made.short_bias == pytest.approx(0.25 / 3.5)
    assert made.net_exposure == made.long_bias - made.short_bias
    assert made.head_count_bias == pytest.approx(1 / 4)
    assert made.dollar_bias == pytest.approx((5 + 40 - 2.5) / 47.5)
    assert made.effective_voters == pytest.approx((0.5 + 0.5 + 0.25) ** 2 / (0.25 + 0.25 + 0.0625))


@given(votes, st.floats(0.01, 1e6), st.randoms(use_true_random=False))
def test_the_digits_are_the_same_for_every_order_of_arrival(voters: list[Voter], price: float, rng: Random) -> None:
    shuffled = list(voters)
    rng.shuffle(shuffled)

    assert tally(shuffled, price) == tally(voters, price)


@given(votes, st.floats(0.01, 1e6))
def test_shares_stay_in_their_bounds_and_contributions_sum_to_the_net(voters: list[Voter], price: float) -> None:
    made = explained(signal(voters, price=price), voters)

    assert 0.0 <= made.long_bias <= 1.0 + 1e-12
    assert 0.0 <= made.short_bias <= 1.0 + 1e-12
    assert made.long_bias + made.short_bias <= 1.0 + 1e-9
    assert 0.5 <= made.confidence < 0.97
    assert 0.0 <= made.effective_voters <= len(voters) + 1e-6
    named = [one.share for one in made.contributions]
    assert isclose(fsum([*named, made.others_share]), made.net_exposure, abs_tol=1e-9)
    assert len(named) + made.others == made.traders_long + made.traders_short
    shares = [abs(one.share) for one in made.contributions]
    assert shares == sorted(shares, reverse=True)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=200))
def test_no_weight_is_more_than_its_greatest_share_of_what_remains(weights: list[float]) -> None:
    even = sum(weights) ** 2 / sum(w * w for w in weights)
    cut = capped(weights)

    assert all(new <= old for new, old in zip(cut, weights, strict=True))
    assert max(cut) <= max(0.05, 2 / even) * fsum(cut) * (1 + 1e-9)


def test_one_heavy_voter_among_many_is_cut_to_five_percent() -> None:
    cut = capped([5.0, *[1.0] * 60])

    assert cut[0] / fsum(cut) == pytest.approx(0.05)
    assert cut[1:] == [1.0] * 60


def test_a_voter_of_whom_we_are_unsure_is_not_levelled_with_the_sure_ones() -> None:
    weights = [1.0] * 6 + [0.01] * 4

    assert capped(weights) == weights


def test_skill_grows_with_the_score_and_never_vanishes() -> None:
    assert [skill(score) for score in (None, -10.0, 50.0, 105.0)] == [0.05, 0.05, 0.5, 1.05]


def test_one_sided_voters_make_confidence_grow_with_their_number_but_never_certain() -> None:
    few, many = tally(crowd(0.5)[:5], 100.0), tally([vote(n, 5.0) for n in range(5_000)], 100.0)

    assert 0.5 < few.confidence < many.confidence < 0.97


def test_no_voters_give_an_even_chance_and_no_advice() -> None:
    made = signal([])

    assert (made.confidence, made.net_exposure, made.effective_voters) == (0.5, 0.0, 0.0)
    assert (made.recommendation, made.state) == (Recommendation.NEUTRAL, SignalState.WARMING_UP)


def test_advice_is_left_only_below_the_exit_threshold() -> None:
    advice, seen = Recommendation.NEUTRAL, []
    for net in (0.19, 0.2, 0.11, 0.1, 0.09, 0.19, -0.2, -0.1, 0.25):
        advice = recommend(advice, net, RULES)
        seen.append(advice.value)

    assert seen == ["NEUTRAL", "BUY", "BUY", "BUY", "NEUTRAL", "NEUTRAL", "SELL", "SELL", "BUY"]


def test_too_few_voters_or_too_little_coverage_force_neutral() -> None:
    assert signal(crowd(0.5)).recommendation is Recommendation.BUY
    for held_back in (signal(crowd(0.5)[:4]), signal(crowd(0.5), coverage=0.09)):
        assert (held_back.recommendation, held_back.state) == (Recommendation.NEUTRAL, SignalState.WARMING_UP)


def test_a_still_tape_keeps_the_last_advice_and_says_so() -> None:
    live = signal(crowd(0.5))
    still = signal(crowd(0.0), live, tape_is_stale=True, coverage=0.0)

    assert (still.recommendation, still.state) == (Recommendation.BUY, SignalState.STALE)
    assert signal(crowd(0.5), tape_is_stale=True).state is SignalState.WARMING_UP


def test_time_and_known_at_never_fall_and_ids_never_repeat() -> None:
    first = signal(crowd(0.5))
    second = signal(crowd(0.5), first, t_ms=T - 10, known_at_ms=T - 10)

    assert (second.t_ms, second.known_at_ms) == (T + 1, T + 50)
    assert first.id != second.id
    assert signal([], t_ms=T, known_at_ms=T - 500).known_at_ms == T


def test_an_id_is_eight_digits_of_the_second_and_sixteen_of_a_digest() -> None:
    made = signal_id(BTC, T)

    assert len(made) == 24
    assert int(made[:8], 16) == T // 1000
    assert made[8:] != signal_id(Symbol("ETH"), T)[8:] != signal_id(BTC, T, "other")[8:]


def test_a_signal_is_told_when_it_says_something_new_or_the_tape_has_moved_on() -> None:
    told = signal(crowd(0.5))

    assert should_emit(None, told, T, RULES)
    assert not should_emit(told, signal(crowd(0.5), told), T + 59_999, RULES)
    assert should_emit(told, signal(crowd(0.5), told), T + 60_000, RULES)
    assert should_emit(told, signal(crowd(0.0), told), T, RULES)
    assert should_emit(told, signal(crowd(0.5), told, coverage=0.0), T, RULES)
    moved = msgspec.structs.replace(told, confidence=told.confidence - 0.019)
    assert not should_emit(told, moved, T, RULES)
    assert should_emit(told, msgspec.structs.replace(told, confidence=told.confidence - 0.021), T, RULES)


def test_the_largest_contributions_are_named_and_the_others_summed_by_both_sides() -> None:
    """Five hundred voters made thirty kilobytes a signal."""
    voters = [vote(i, 1.0 if i % 3 else -1.0, equity=1_000.0 + i) for i in range(1, SHOWN + 51)]
    made = explained(signal(voters, price=1.0), voters)

    assert (len(made.contributions), made.others) == (SHOWN, 50)
    assert {one.trader for one in made.contributions} == {v.trader for v in voters[:SHOWN]}  # the smaller equity
    assert made.others_share == pytest.approx(made.net_exposure - fsum(one.share for one in made.contributions))
    few = explained(signal(voters[:SHOWN], price=1.0), voters[:SHOWN])
    assert (len(few.contributions), few.others, few.others_share) == (SHOWN, 0, 0.0)
