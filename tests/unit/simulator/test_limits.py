"""The published limits, each at exactly its number, by a clock that is passed in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.simulator.limits import (
    ClientLimits,
    LimitOptions,
    SlidingWindow,
    UserSlots,
    base_weight,
    surcharge,
)


@pytest.mark.parametrize(
    ("kind", "items", "weight"),
    [
        ("clearinghouseState", 0, 2),
        ("allMids", 0, 2),
        ("userRole", 0, 60),
        ("meta", 0, 20),
        ("candleSnapshot", 5000, 20 + 84),
        ("userFillsByTime", 2000, 120),
        ("recentTrades", 10, 21),
    ],
)
def test_requests_cost_what_is_published(kind: str, items: int, weight: int) -> None:
    assert base_weight(kind) + surcharge(kind, items) == weight


def test_exactly_1200_weight_pass_in_a_minute_and_the_window_slides() -> None:
    window = SlidingWindow(1200)
    assert sum(window.take(second * 0.01, 2) for second in range(1000)) == 600
    assert not window.take(59.9, 2)
    assert window.take(60.0, 2)  # the very first has just left
    assert not window.take(60.0, 2)
    assert window.peak == 1200


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 120)), max_size=80))
def test_no_60_seconds_ever_hold_more_than_the_limit(steps: list[tuple[float, int]]) -> None:
    window, now_s, taken = SlidingWindow(300), 0.0, []
    for pause_s, weight in steps:
        now_s += pause_s
        if window.take(now_s, weight):
            taken.append((now_s, weight))
    for end_s, _ in taken:
        assert sum(weight for at_s, weight in taken if end_s - 60.0 < at_s <= end_s) <= 300


def test_the_user_too_many_is_refused_and_a_known_one_is_free() -> None:
    slots = UserSlots(LimitOptions(users=10))
    assert all(slots.take(f"0x{n}", 0.0) for n in range(10))
    assert not slots.take("0xnew", 0.0)
    assert slots.take("0x3", 0.0)
    assert slots.used(0.0) == 10


def test_unsubscribing_frees_a_user_at_once_and_closing_after_two_seconds() -> None:
    slots = UserSlots(LimitOptions(users=1))
    slots.take("0xa", 0.0)
    slots.release("0xa", 1.0, closed=False)
    assert slots.take("0xb", 1.0)
    slots.release("0xb", 2.0, closed=True)
    assert not slots.take("0xc", 3.99)
    assert slots.take("0xb", 3.99)  # the same user may come back at any time
    slots.release("0xb", 4.0, closed=True)
    assert slots.take("0xc", 6.0)


def test_a_user_held_twice_stays_until_both_are_gone() -> None:
    slots = UserSlots(LimitOptions(users=1))
    slots.take("0xa", 0.0)
    slots.take("0xa", 0.0)
    slots.release("0xa", 0.0, closed=False)
    assert not slots.take("0xb", 0.0)
    slots.release("0xa", 0.0, closed=False)
    assert slots.take("0xb", 0.0)


def test_the_published_numbers_are_the_defaults() -> None:
    options = ClientLimits(LimitOptions()).options
    assert (options.weight_per_minute, options.sockets, options.new_sockets_per_minute) == (1200, 10, 30)
    assert (options.subscriptions, options.users, options.messages_per_minute) == (1000, 10, 2000)
    assert (options.inflight_posts, options.user_release_s) == (100, 2.0)
