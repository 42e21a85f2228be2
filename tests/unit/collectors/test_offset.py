"""How far the venue's clock is from ours."""

import pytest

from market_scraper.collectors.offset import UNBELIEVED_S, WAY_MS, ClockOffset

NOW = 1_700_000_000_000


def test_before_the_first_frame_it_is_nothing_and_any_time_is_believed() -> None:
    offset = ClockOffset()
    assert (offset.ms, offset.is_known) == (0, False)
    assert offset.believes(NOW + 600_000, NOW, 0.0)


def test_the_quickest_frame_is_nearest_to_the_truth() -> None:
    offset = ClockOffset()
    for delay_ms in (900, 120, 400):
        offset.note(NOW - 5_000 - delay_ms, NOW, 1_000.0)
    assert offset.ms == -5_120


def test_for_ages_it_is_taken_as_if_the_quickest_frame_had_come_a_long_way() -> None:
    offset = ClockOffset()
    assert offset.at_most_ms == 0
    offset.note(NOW - 5_120, NOW, 1_000.0)
    assert offset.at_most_ms == -5_120 + WAY_MS


def test_it_forgets_after_two_windows() -> None:
    offset = ClockOffset()
    for minute in range(20):
        lead = 500 if minute == 0 else 0
        offset.note(NOW + minute * 60_000 + lead, NOW + minute * 60_000, 1_000.0 + minute * 60)
    assert offset.ms == 0


@pytest.mark.parametrize("wrong_by_ms", [-7_200_000, -120_000, 120_000, 7_200_000])
def test_a_clock_of_ours_that_is_wrong_by_minutes_or_hours_is_only_an_offset(wrong_by_ms: int) -> None:
    offset = ClockOffset()
    for second in range(5):
        now_ms = NOW + wrong_by_ms + second * 1000
        assert offset.believes(NOW + second * 1000, now_ms, float(second))
        offset.note(NOW + second * 1000, now_ms, float(second))
    assert offset.ms == -wrong_by_ms


@pytest.mark.parametrize("step_ms", [-120_000, 120_000])
def test_when_our_clock_steps_the_next_frame_says_the_new_offset(step_ms: int) -> None:
    offset = ClockOffset()
    offset.note(NOW, NOW, 1_000.0)
    assert offset.believes(NOW + 1_000, NOW + 1_000 + step_ms, 1_001.0)
    offset.note(NOW + 1_000, NOW + 1_000 + step_ms, 1_001.0)
    assert offset.ms == -step_ms


def test_a_time_from_the_future_is_not_believed_among_good_ones() -> None:
    offset = ClockOffset()
    for second in range(100):
        now_ms, now_s = NOW + second * 1000, 1_000.0 + second
        offset.note(now_ms, now_ms, now_s)
        assert offset.believes(now_ms, now_ms, now_s)
        assert not offset.believes(now_ms + 60_001, now_ms, now_s)


def test_when_all_times_are_from_the_future_for_long_it_is_the_venue_that_has_moved() -> None:
    offset = ClockOffset()
    offset.note(NOW, NOW, 1_000.0)
    ahead = 90_000
    believed = [
        second
        for second in range(1, 60)
        if offset.believes(NOW + second * 1000 + ahead, NOW + second * 1000, 1_000.0 + second)
    ]
    assert believed[0] == UNBELIEVED_S + 1


def test_where_every_socket_runs_late_the_stamps_of_account_answers_keep_ages_from_being_too_young() -> None:
    offset = ClockOffset()
    offset.note_answer(NOW, NOW)  # before any frame it says nothing that anything leans on
    assert offset.at_most_ms == 0
    offset.note(NOW - 1_900, NOW, 1_000.0)
    offset.note_answer(NOW - 1_200, NOW)  # of a node that lags
    offset.note_answer(NOW + 100, NOW)
    assert offset.ms == -1_900
    assert offset.at_most_ms == 100


def test_a_stamp_that_no_late_socket_explains_is_left_out() -> None:
    offset = ClockOffset()
    offset.note(NOW - 100, NOW, 1_000.0)
    offset.note_answer(NOW + 30_000, NOW)
    assert offset.at_most_ms == -100 + WAY_MS


def test_what_answers_said_is_forgotten_with_the_frames_and_when_our_clock_steps() -> None:
    offset = ClockOffset()
    offset.note(NOW, NOW, 1_000.0)
    offset.note_answer(NOW + 900, NOW)
    for minute in range(1, 20):
        offset.note(NOW + minute * 60_000, NOW + minute * 60_000, 1_000.0 + minute * 60)
    assert offset.at_most_ms == WAY_MS
    offset.note_answer(NOW + 20 * 60_000 + 900, NOW + 20 * 60_000)
    assert offset.at_most_ms == 900
    offset.note(NOW + 21 * 60_000, NOW + 21 * 60_000 - 50_000, 1_000.0 + 20 * 60)
    assert offset.at_most_ms == 50_000 + WAY_MS
