import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.connectors.onchain.day_index import day_of_index, day_of_text
from market_scraper.connectors.onchain.sieve import iso_day
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.onchain import DAY_MS


@pytest.mark.parametrize(
    ("index", "day"),
    [(0, "2009-01-03"), (1, "2009-01-09"), (2, "2009-01-10"), (6_493, "2026-10-19")],  # 6,492 days after 2009-01-09
)
def test_the_day_index_has_a_hole_after_the_genesis_block(index: int, day: str) -> None:
    assert iso_day(day_of_index(index)) == day


@pytest.mark.parametrize(
    "text",
    ["2026-10-19", "2026-10-19T00:00:00.000000000Z", "2026-10-19T00:00:00Z", "2026-10-19 00:00:00+00:00"],
)
def test_a_day_is_read_with_nine_fractional_digits_and_with_none(text: str) -> None:
    assert iso_day(day_of_text(text)) == "2026-10-19"


@pytest.mark.parametrize(
    "raw",
    ["2026-10-19T01:00:00.000000000Z", "2026-02-30", "2026-W43-1", "20261019", "", None, 1792368000, "٢٠٢٦-10-19"],
)
def test_what_is_no_whole_day_is_refused(raw: object) -> None:
    with pytest.raises(InvalidInput):
        day_of_text(raw)


@given(raw=st.text() | st.dates().map(str) | st.datetimes().map(str))
def test_only_invalid_input_comes_of_any_text(raw: str) -> None:
    try:
        assert day_of_text(raw) % DAY_MS == 0
    except InvalidInput:
        pass
