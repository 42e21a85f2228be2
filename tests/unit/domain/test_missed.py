"""How many prints a gap hid. Told too few, everybody in it looks surer than he is."""

import pytest

from market_scraper.domain.market import Candle, Print
from market_scraper.domain.missed import STEPS_HELD, Made, PrintCounts
from market_scraper.domain.positions import TapeGap
from tests.facts import address

MINUTE = 1_200_000  # the minute in which the gap begins
GAP = TapeGap(MINUTE + 30_000, MINUTE + 50_000)
ASKED = MINUTE + 52_000


def print_(time_ms: int, lots: int = 2) -> Print:
    return Print(time_ms, time_ms, lots, 60_000.0, address(1), address(2))


def bar(minute: int, n: int | None, v: float = 0.0) -> Candle:
    return Candle(t_ms=MINUTE + 60_000 * minute, o=1.0, h=1.0, l=1.0, c=1.0, v=v, n=n)


def heard(*seconds: float) -> PrintCounts:
    """A count that began two minutes before, and prints so many seconds into the minute."""
    counts = PrintCounts(sz_decimals=5)
    counts.count([print_(MINUTE - 120_000)])
    for second in seconds:
        counts.count([print_(MINUTE + round(second * 1000))])
    return counts


def test_what_the_bar_holds_and_we_did_not_count_was_missed() -> None:
    counts = heard(1, 2, 30, 51)
    assert counts.missed(GAP, (), [bar(0, 104, v=0.00158)], ASKED) == Made(prints=100, lots=150)


def test_what_we_counted_after_the_bar_was_made_is_not_in_it() -> None:
    assert heard(1, 51, 53, 54).missed(GAP, (), [bar(0, 12)], ASKED) == Made(prints=10, lots=0)


def test_a_gap_over_the_turn_of_the_minute_is_in_two_bars() -> None:
    gap = TapeGap(MINUTE + 50_000, MINUTE + 70_000)
    found = heard(1, 50, 71).missed(gap, (), [bar(0, 32), bar(1, 21)], MINUTE + 72_000)
    assert found == Made(prints=50, lots=0)


def test_a_block_at_the_very_end_of_a_minute_belongs_to_that_minute() -> None:
    """The gap begins with the first millisecond of the next one."""
    gap = TapeGap(MINUTE - 1, MINUTE + 20_000)
    counts = heard(21)
    counts.count([print_(MINUTE - 1)])
    assert counts.missed(gap, (), [bar(0, 6)], MINUTE + 22_000) == Made(prints=5, lots=0)


def test_where_the_newest_minute_has_no_bar_yet_nothing_of_it_is_taken_off() -> None:
    """The question was put before the turn of the minute, and waited for its weight."""
    assert heard(1, 51, 61, 62).missed(GAP, (), [bar(0, 12)], MINUTE + 63_000) == Made(prints=10, lots=0)


def test_a_bar_that_is_behind_our_own_tape_makes_no_negative_number() -> None:
    assert heard(1, 2, 3).missed(GAP, (), [bar(0, 2)], ASKED) == Made(prints=0, lots=0)


@pytest.mark.parametrize(
    ("bars", "before"),
    [
        ([], ()),
        ([bar(0, None)], ()),
        ([bar(0, 50)], (TapeGap(MINUTE + 5_000, MINUTE + 9_000),)),
        ([bar(0, 50)], (TapeGap(MINUTE - 5_000, MINUTE + 1),)),
    ],
    ids=["no bar", "no number", "another gap in the minute", "one that reaches into it"],
)
def test_no_number_is_better_than_a_wrong_one(bars: list[Candle], before: tuple[TapeGap, ...]) -> None:
    assert heard(1).missed(GAP, before, bars, ASKED) is None


def test_gaps_of_other_minutes_do_no_harm() -> None:
    before = (TapeGap(MINUTE - 9_000, MINUTE), TapeGap(MINUTE + 53_000, MINUTE + 55_000))
    assert heard(1).missed(GAP, before, [bar(0, 5)], ASKED) == Made(prints=4, lots=0)


def test_a_count_that_began_within_the_minute_tells_nothing() -> None:
    counts = PrintCounts(sz_decimals=5)
    counts.count([print_(MINUTE + 1_000)])
    assert counts.missed(GAP, (), [bar(0, 50)], ASKED) is None


def test_what_is_no_longer_held_is_not_taken_for_nothing() -> None:
    counts = heard()
    for i in range(STEPS_HELD):
        counts.count([print_(MINUTE + i)])
    assert counts.between(MINUTE - 1, ASKED) == Made(STEPS_HELD, 2 * STEPS_HELD)
    assert counts.between(MINUTE - 120_001, ASKED) is None


def test_a_frame_of_two_blocks_is_counted_by_its_blocks() -> None:
    counts = heard()
    counts.count([print_(MINUTE + 1), print_(MINUTE + 1), print_(MINUTE + 5)])
    assert counts.between(MINUTE, MINUTE + 4) == Made(2, 4)
