"""What answers will leave open, before their verdict."""

from hypothesis import given
from hypothesis import strategies as st

from market_scraper.domain.book import Book
from market_scraper.domain.foresight import Said, newest_ms, will_suffice, would_tell_more
from market_scraper.domain.values import Address

ANN = Address("0x" + "1" * 40)
W = 2_000


def book(*prints: tuple[int, int], base: int | None = None, epoch_ms: int = 0) -> Book:
    """One who traded these (moment, lots) and has `base` left of earlier answers."""
    made = Book(ANN, epoch_ms=epoch_ms, net=sum(lots for _, lots in prints))
    made.recent = [(t_ms, lots, 1.0) for t_ms, lots in prints]
    made.fits = None if base is None else frozenset({base})
    return made


def suffices(known: Book | None, *said: tuple[int, int | None], epoch_ms: int = 0) -> bool:
    return will_suffice(known, [Said(*each) for each in said], epoch_ms=epoch_ms, window_ms=W)


def test_one_answer_suffices_for_who_is_quiet_in_its_window() -> None:
    assert suffices(book(), (10_000, 5))
    assert suffices(None, (10_000, 5))
    assert suffices(book((7_999, 3)), (10_000, 5))


def test_it_does_not_for_who_trades_in_it_unless_only_one_base_is_left_anyway() -> None:
    assert not suffices(book((9_000, 3)), (10_000, 5))
    assert suffices(book((9_000, 3), base=2), (10_000, 5))


def test_two_answers_from_both_sides_of_a_print_suffice_and_two_from_one_side_do_not() -> None:
    assert suffices(book((9_500, 3)), (9_000, 5), (10_000, 8))
    assert not suffices(book((9_500, 3)), (9_000, 5), (10_000, 5))


def test_what_will_be_refused_says_nothing() -> None:
    assert not suffices(book(), (10_000, 5), epoch_ms=8_001)
    answered = book()
    answered.answered_ms = 10_000
    assert not suffices(answered, (10_000, 5))


def test_what_was_left_before_a_gap_says_nothing() -> None:
    assert not suffices(book((9_000, 3), base=2, epoch_ms=0), (10_000, 5), epoch_ms=500)


def test_a_contradiction_and_a_size_off_the_grid_are_left_to_the_verdict() -> None:
    assert suffices(book(base=2), (10_000, 5))
    assert suffices(book((9_000, 3)), (10_000, None))


def test_another_answer_tells_more_once_the_trader_has_traded_again_or_was_quiet_for_a_window() -> None:
    one = book((9_000, 3))
    assert [would_tell_more(one, 10_000, venue_now_ms=now, window_ms=W) for now in (10_600, 11_400, 11_500)] == [
        False,
        False,
        True,
    ]
    assert would_tell_more(book((9_000, 3), (10_100, 1)), 10_000, venue_now_ms=10_600, window_ms=W)


def test_who_trades_all_the_time_is_taken_to_have_traded_again() -> None:
    busy = book(*((6_000 + 200 * i, 1) for i in range(20)))
    assert [would_tell_more(busy, 10_000, venue_now_ms=now, window_ms=W) for now in (10_100, 10_200)] == [False, True]


def test_the_newest_stamp_is_not_always_the_last_one_heard() -> None:
    assert newest_ms([Said(5, 1), Said(9, 1), Said(7, 1)]) == 9


@given(
    st.lists(st.tuples(st.integers(0, 9_999), st.integers(-9, 9)), max_size=12, unique_by=lambda each: each[0]),
    st.lists(st.tuples(st.integers(0, 9_999), st.integers(-W, W)), min_size=1, max_size=4),
)
def test_where_answers_suffice_the_base_left_is_the_true_one(
    prints: list[tuple[int, int]], answers: list[tuple[int, int]]
) -> None:
    """The truth is never among what a sufficing set rules out: with it already known nothing changes."""
    base = 40
    prints.sort()
    said = [
        (cut_ms + off_ms, base + sum(lots for t_ms, lots in prints if t_ms <= cut_ms)) for cut_ms, off_ms in answers
    ]
    assert suffices(book(*prints, base=base, epoch_ms=-9_999), *said, epoch_ms=-9_999)
    if suffices(book(*prints, epoch_ms=-9_999), *said, epoch_ms=-9_999):
        other = book(*prints, base=base + 1, epoch_ms=-9_999)
        assert suffices(other, *said, epoch_ms=-9_999)
