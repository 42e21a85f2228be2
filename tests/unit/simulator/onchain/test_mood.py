"""Prices, ratios and feelings: within their bounds on every day, and true to their identities."""

import math

from hypothesis import given
from hypothesis import strategies as st

from market_scraper.simulator.onchain.days import DAY_MS, FIRST_PRICE
from market_scraper.simulator.onchain.mood import CBBI_FIRST, CBBI_LATE, FEAR_GREED_FIRST, Mood, confidence
from tests.unit.simulator.onchain.asking import TODAY

MOOD = Mood(1)


@given(st.integers((FIRST_PRICE + 1) * DAY_MS, TODAY * DAY_MS))
def test_ratios_are_possible_and_nupl_follows_from_mvrv(moment: int) -> None:
    values = MOOD.valuation_at(moment)
    assert values is not None
    assert math.isclose(values.mvrv, values.price / values.paid)
    assert math.isclose(values.nupl, (values.price - values.paid) / values.price, abs_tol=1e-12)
    assert 0.3 < values.mvrv < 40
    assert all(0 < ratio < 100 for ratio in (values.sopr, values.sth_sopr, values.lth_sopr, values.puell))


def test_there_are_no_ratios_before_there_is_a_price() -> None:
    assert MOOD.valuation_at(FIRST_PRICE * DAY_MS) is None


@given(st.integers(FEAR_GREED_FIRST, TODAY))
def test_fear_and_greed_is_a_whole_number_of_points(day: int) -> None:
    assert 0 <= MOOD.fear_greed(day) <= 100


@given(st.integers(CBBI_FIRST, TODAY))
def test_components_are_clipped_and_late_ones_missing(day: int) -> None:
    parts = MOOD.cbbi(day)
    assert all(value is None or (0.0 <= value <= 1.0 and value == round(value, 4)) for value in parts.values())
    late = {name for name, days in CBBI_LATE.items() if day - CBBI_FIRST < days}
    assert {name for name, value in parts.items() if value is None} == late


def test_confidence_is_the_mean_of_what_is_there() -> None:
    assert confidence({"a": 0.1, "b": None, "c": 0.3}) == 0.2
    assert confidence({"a": None}) is None


def test_no_component_stands_still_for_three_days_within_its_bounds() -> None:
    days = [MOOD.cbbi(day) for day in range(TODAY - 1_000, TODAY)]
    for name in days[0]:
        values = [parts[name] for parts in days]
        still = [
            first
            for first, second, third in zip(values, values[1:], values[2:], strict=False)
            if first == second == third and first not in (0.0, 1.0)
        ]
        assert still == [], name
