"""The position rule: its edges, and that its confidence is what the recordings say."""

from math import inf, nan
from pathlib import Path

import pytest
from bench.inference_precision import count

from market_scraper.domain.inference import DAY_ROI, DAY_VOLUME, MEASURED, PNL_RATIO, infer, is_shown, precision
from market_scraper.domain.rules import InferenceRules
from market_scraper.domain.traders import Inference, LeaderboardRow, Performance
from market_scraper.domain.values import Address

RULES = InferenceRules()
NO = Inference(False, 0.0, ())


def row(*, roi: float = 0.0, pnl: float = 0.0, volume: float = 0.0, account: float = 1_000_000.0) -> LeaderboardRow:
    return LeaderboardRow(trader=Address("0x" + "1" * 40), account_value=account, day=Performance(pnl, roi, volume))


def test_the_table_is_what_the_recordings_say(recordings: Path) -> None:
    measured = count(recordings / "hl_whale_snapshots", RULES)

    assert measured == MEASURED
    yes = [m for fired, m in measured.items() if fired]
    no = [m for fired, m in measured.items() if not fired]
    true_positives, false_positives = sum(m.holders for m in yes), sum(m.empty for m in yes)
    assert (true_positives, false_positives) == (10_732, 10_064)
    assert (sum(m.holders for m in no), sum(m.empty for m in no)) == (0, 4)
    assert true_positives / (true_positives + false_positives) == pytest.approx(0.516, abs=0.0005)


def test_the_guide_shows_the_table_and_the_matrix() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "TRADER_FILTER_GUIDES.md").read_text()

    for measured in MEASURED.values():
        assert f"| {measured.n:,} | {measured.holders:,} |" in guide
    for figure in ("10,732 (TP)", "10,064 (FP)", "0 (FN)", "4 (TN)", "Precision 0.516, recall 1.000, accuracy 0.516"):
        assert figure in guide


def test_an_indicator_fires_above_its_threshold_and_not_at_it() -> None:
    assert infer(row(roi=0.0001, pnl=1_000.0, volume=100_000.0), RULES) == NO
    assert infer(row(roi=0.00011), RULES).indicators == (DAY_ROI,)
    assert infer(row(pnl=1_001.0), RULES).indicators == (PNL_RATIO,)
    assert infer(row(volume=100_000.01), RULES).indicators == (DAY_VOLUME,)


def test_a_loss_says_as_much_as_a_gain() -> None:
    assert infer(row(roi=-0.01, pnl=-5_000.0), RULES).indicators == (DAY_ROI, PNL_RATIO)


def test_confidence_is_the_share_of_holders_among_those_with_the_same_indicators() -> None:
    assert infer(row(roi=0.01, pnl=5_000.0), RULES).confidence == pytest.approx(5_196 / 13_420)
    assert infer(row(roi=0.01, pnl=5_000.0, volume=1e6), RULES).confidence == pytest.approx(5_503 / 7_321)


def test_a_set_that_was_never_recorded_borrows_from_the_sets_that_contain_it() -> None:
    assert (DAY_VOLUME,) not in MEASURED
    assert precision((DAY_VOLUME,)) == pytest.approx((5_503 + 29) / (7_321 + 35))
    assert precision(()) == 0.0


@pytest.mark.parametrize("account", [0.0, -5.0, nan, inf])
def test_without_an_account_value_above_zero_there_is_no_ratio(account: float) -> None:
    assert infer(row(pnl=5_000.0, account=account), RULES) == NO


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_what_is_not_finite_never_fires(bad: float) -> None:
    assert infer(row(roi=bad, pnl=bad, volume=bad), RULES) == NO


def test_a_missing_day_window_or_a_rule_switched_off_says_no() -> None:
    assert infer(LeaderboardRow(trader=Address("0x" + "1" * 40), account_value=1e6), RULES) == NO
    assert infer(row(roi=1.0, volume=1e9), InferenceRules(enabled=False)) == NO


def test_what_is_below_the_confidence_threshold_stays_the_rules_word_but_is_not_shown() -> None:
    unsure, sure = infer(row(roi=0.01, pnl=5_000.0), RULES), infer(row(roi=0.01, volume=1e6), RULES)

    assert (unsure.has_position, is_shown(unsure, RULES)) == (True, False)
    assert (sure.has_position, is_shown(sure, RULES)) == (True, True)
    assert not is_shown(NO, InferenceRules(confidence_threshold=0.0))
