"""Untidiness has the bounds that the design gives it, for these bounds are what a client leans on."""

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from market_scraper.simulator.lateness import TIDY, UntidyOptions, WanderingDelay, snapshot_cut


@given(st.integers(0, 2**32), st.integers(0, 10**13))
def test_a_snapshots_stamp_lies_within_two_seconds_of_its_true_cut(seed: int, now_ms: int) -> None:
    rng = random.Random(seed)
    cut = snapshot_cut(UntidyOptions(), rng, now_ms)
    assert abs(cut.stamp_ms - cut.true_ms) <= 2000
    assert now_ms - 1500 <= cut.true_ms <= now_ms
    assert abs(cut.stamp_ms - now_ms) <= 400


def test_snapshots_use_the_whole_of_lag_and_skew() -> None:
    rng = random.Random(1)
    offsets = [cut.stamp_ms - cut.true_ms for cut in (snapshot_cut(UntidyOptions(), rng, 0) for _ in range(3000))]
    assert min(offsets) < -200
    assert max(offsets) > 1700


def test_a_sockets_delay_wanders_slowly_between_0_and_2_seconds() -> None:
    delay = WanderingDelay(2000, random.Random(7), 0)
    values = [delay.at(now_ms) for now_ms in range(0, 600_000, 100)]
    assert min(values) >= 0
    assert max(values) <= 2000
    assert max(values) - min(values) > 1500
    assert max(abs(b - a) for a, b in itertools.pairwise(values)) <= 41


def test_a_tidy_venue_has_no_delay_and_true_stamps() -> None:
    assert WanderingDelay(TIDY.socket_delay_ms, random.Random(1), 0).at(5_000) == 0
    cut = snapshot_cut(TIDY, random.Random(1), 77)
    assert (cut.true_ms, cut.stamp_ms) == (77, 77)
