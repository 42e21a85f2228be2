"""A lower bound of the venue's time."""

from hypothesis import given
from hypothesis import strategies as st

from market_scraper.collectors.venue_time import SANE_MS, VenueTime

NOW = 1_700_000_040_000


def test_before_the_first_bar_it_is_unknown() -> None:
    assert VenueTime().at_least_ms(5.0) is None


def test_it_grows_with_our_seconds_and_never_falls_behind_what_was_seen() -> None:
    time = VenueTime()
    time.note(NOW, NOW, 100.0)
    assert time.at_least_ms(130.0) == NOW + 30_000
    time.note(NOW - 60_000, NOW, 131.0)
    assert time.at_least_ms(131.0) == NOW + 31_000
    time.note(NOW + 60_000, NOW, 132.0)
    assert time.at_least_ms(132.0) == NOW + 60_000


def test_a_bar_of_another_day_is_not_believed() -> None:
    time = VenueTime()
    time.note(NOW + SANE_MS + 1, NOW, 100.0)
    assert time.at_least_ms(100.0) is None


@given(st.lists(st.tuples(st.integers(0, 600_000), st.integers(0, 5_000)), min_size=1), st.integers(-(10**7), 10**7))
def test_it_is_never_ahead_of_the_venue_however_late_a_bar_is_heard_and_whatever_our_clock_says(
    heard: list[tuple[int, int]], skew_ms: int
) -> None:
    time = VenueTime()
    for venue_ms, late_ms in sorted(heard):
        open_ms = (NOW + venue_ms) // 60_000 * 60_000
        at_s = (venue_ms + late_ms) / 1000
        time.note(open_ms, NOW + venue_ms + late_ms + skew_ms, at_s)
        bound = time.at_least_ms(at_s)
        assert bound is not None
        assert bound <= NOW + venue_ms + late_ms
