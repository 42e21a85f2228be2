"""Who may be asked, by the room that the budget leaves: of 600 a minute, audits leave 100, and 60 are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.collectors.pace import Pace


@pytest.mark.parametrize(
    ("room", "audit", "first", "again"),
    [(600, True, True, True), (99, False, True, True), (59, False, False, True), (0, False, False, False)],
)
def test_the_less_room_there_is_the_better_must_be_the_reason(room: int, audit: bool, first: bool, again: bool) -> None:
    pace = Pace(600.0)
    assert (pace.may_audit(0.0, room), pace.may_ask(0.0, room), pace.may_ask_again(room)) == (audit, first, again)


def test_with_much_room_all_who_are_wanted_may_be_asked_at_once() -> None:
    pace = Pace(600.0)
    for room in range(300, 100, -1):
        assert pace.may_ask(0.0, room)
        pace.asked(0.0, audit=False)


def test_with_little_room_they_are_asked_evenly() -> None:
    pace = Pace(600.0)
    pace.asked(5.0, audit=False)
    assert [pace.may_ask(now_s, 80) for now_s in (5.0, 5.09, 5.11)] == [False, False, True]


def test_a_flood_does_not_come_again_when_its_minute_is_over() -> None:
    pace = Pace(600.0)
    while pace.may_ask(0.0, 400):
        pace.asked(0.0, audit=False)
    for tick in range(1, 601):  # what is wanted is asked evenly meanwhile
        if pace.may_ask(tick / 10 + 0.01, 100):
            pace.asked(tick / 10 + 0.01, audit=False)
    at_once = 0
    while pace.may_ask(60.02, 500):
        pace.asked(60.02, audit=False)
        at_once += 1
    assert at_once <= 1


def test_who_has_no_room_saves_nothing() -> None:
    pace = Pace(600.0)
    while pace.may_ask(0.0, 400):
        pace.asked(0.0, audit=False)
    for tick in range(1, 401):
        assert not pace.may_ask(tick / 20, 50)
    pace.asked(20.0, audit=False)
    assert not pace.may_ask(20.0, 500)


def test_what_is_saved_while_nobody_may_be_asked_is_there_at_once() -> None:
    pace = Pace(600.0)
    while pace.may_ask(0.0, 400):
        pace.asked(0.0, audit=False)
    at_once = 0
    while pace.may_ask(20.0, 400):
        pace.asked(20.0, audit=False)
        at_once += 1
    assert at_once == 200


@given(st.lists(st.floats(0, 2), max_size=200))
def test_audits_leave_a_sixth_of_every_minute(pauses: list[float]) -> None:
    pace, now_s, taken = Pace(30.0), 100.0, []
    for pause in pauses:
        now_s += pause
        if pace.may_audit(now_s, 30.0):
            pace.asked(now_s, audit=True)
            taken.append(now_s)
    for first in taken:
        assert sum(first <= t < first + 60.0 for t in taken) <= 25 + 2


def test_a_budget_of_one_question_a_minute_is_spent() -> None:
    pace = Pace(1.0)
    assert pace.may_ask_again(1)
    assert pace.may_ask(0.0, 1)
    assert pace.may_audit(0.0, 1)
