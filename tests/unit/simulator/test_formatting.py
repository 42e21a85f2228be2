"""Numbers as strings: every recorded form, and none that the venue never writes."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.simulator.formatting import amount_text, lots_text

NUMBER = re.compile(r"-?(0|[1-9]\d*)\.(\d*[1-9]|0)")


@pytest.mark.parametrize(
    ("lots", "decimals", "text"),
    [
        (2665, 5, "0.02665"),
        (11, 0, "11.0"),
        (8_000, 5, "0.08"),
        (636_890, 1, "63689.0"),
        (-1781, 5, "-0.01781"),
        (0, 5, "0.0"),
        (-4_602_211_767_536, 6, "-4602211.767536"),
    ],
)
def test_sizes_and_prices_are_written_as_recorded(lots: int, decimals: int, text: str) -> None:
    assert lots_text(lots, decimals) == text


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (917841122.7465319633, 10, "917841122.7465319633"),
        (0.0, 6, "0.0"),
        (-0.0, 6, "0.0"),
        (-0.0000001, 6, "0.0"),
        (0.0000000093, 10, "0.0000000093"),
        (1e22, 10, "10000000000000000000000.0"),
        (83655.5, 8, "83655.5"),
    ],
)
def test_amounts_are_written_without_exponent_and_with_a_fraction(value: float, places: int, text: str) -> None:
    assert amount_text(value, places) == text


@given(st.integers(-(10**18), 10**18), st.integers(0, 8))
def test_lots_are_written_exactly(lots: int, decimals: int) -> None:
    text = lots_text(lots, decimals)
    assert NUMBER.fullmatch(text)
    assert Decimal(text) == Decimal(lots).scaleb(-decimals)


@given(st.floats(-1e15, 1e15), st.integers(1, 10))
def test_amounts_always_look_like_the_venues(value: float, places: int) -> None:
    assert NUMBER.fullmatch(amount_text(value, places))
