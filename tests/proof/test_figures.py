"""The figures of a proof are themselves right."""

import random

import pytest

from market_scraper.domain.values import iso
from tests.proof.course import Forecast, Gap, forecasts
from tests.proof.figures import deciles
from tests.proof.observer import Shown


def gap_of(doubts: dict[str, float], changed: set[str]) -> Gap:
    return Gap(0, 20_000, [Forecast(each, doubt, each in changed) for each, doubt in doubts.items()])


def test_where_each_goes_his_own_way_both_errors_are_the_binomial_one() -> None:
    rng = random.Random(1)
    doubts = {f"t{i}": 0.3 for i in range(1_000)}
    stretches = [{each for each in doubts if rng.random() < 0.3} for _ in range(200)]
    for decile in deciles([gap_of(doubts, stretches[0])], stretches):
        assert decile.error == pytest.approx((0.3 * 0.7 / 100) ** 0.5)
        assert decile.error_together == pytest.approx(decile.error, rel=0.3)


def test_where_all_move_at_once_a_share_says_little() -> None:
    rng = random.Random(1)
    doubts = {f"t{i}": 0.3 for i in range(1_000)}
    stretches = [set(doubts) if rng.random() < 0.3 else set[str]() for _ in range(200)]
    for decile in deciles([gap_of(doubts, set(doubts))], stretches):
        assert decile.off > 10
        assert 1 < decile.off_together < 2


def said(state: str, because: str | None, since_ms: int) -> Shown:
    return Shown("BTC", 1.0, state, 0.1 if state == "unsure" else None, because, None, iso(since_ms), None)


def test_a_forecast_is_held_against_the_truth_of_the_gaps_two_ends_and_of_no_later_moment() -> None:
    gap = Gap(1_790_000_000_000, 1_790_000_020_000)
    shown = {
        "moved": said("unsure", "gap", gap.since_ms),
        "closed": said("unsure", "gap", gap.since_ms),
        "still": said("unsure", "gap", gap.since_ms),
        "drifted": said("unsure", "drift", gap.since_ms),
        "earlier": said("unsure", "gap", gap.since_ms - 900_000),
        "exact": said("exact", None, gap.since_ms),
    }
    found = forecasts(gap, shown, {"moved": 1.0, "closed": 2.0, "still": 3.0}, {"moved": 4.0, "still": 3.0})
    assert {each.trader: each.changed for each in found} == {"moved": True, "closed": True, "still": False}
