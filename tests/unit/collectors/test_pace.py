"""An even pace for questions."""

from hypothesis import given
from hypothesis import strategies as st

from market_scraper.collectors.pace import Pace


def test_turns_come_evenly() -> None:
    pace = Pace(60.0, burst=0)
    assert [pace.turn(0.0) for _ in range(4)] == [0.0, 1.0, 2.0, 3.0]


def test_turns_that_nobody_took_may_be_taken_at_once_up_to_the_burst() -> None:
    pace = Pace(60.0, burst=3)
    pace.turn(0.0)
    waits = [pace.turn(100.0) for _ in range(5)]
    assert waits == [0.0, 0.0, 0.0, 0.0, 1.0]


@given(st.lists(st.floats(0, 10), max_size=200))
def test_no_minute_holds_more_than_its_turns_and_the_burst(pauses: list[float]) -> None:
    pace, now_s, taken = Pace(30.0, burst=5), 0.0, []
    for pause in pauses:
        now_s += pause
        now_s += pace.turn(now_s)
        taken.append(now_s)
    for first in taken:
        assert sum(first <= t < first + 60.0 for t in taken) <= 30 + 5 + 1
