"""How many positions are exact, unsure or unknown."""

from market_scraper.domain.book import Book
from market_scraper.domain.census import Census
from market_scraper.domain.positions import PositionState, TapeGap, TapeMark
from tests.facts import BTC, address

GAP = TapeGap(50_000, 60_000)


def mark(*gaps: TapeGap, epoch_ms: int = 10_000, halted_since_ms: int | None = None) -> TapeMark:
    return TapeMark(
        symbol=BTC, watermark_ms=90_000, epoch_ms=epoch_ms, gaps=gaps, rate_watch_s=1.0, halted_since_ms=halted_since_ms
    )


def book(
    number: int, state: PositionState, *, base: int | None = None, epoch_ms: int = 10_000, since_ms: int | None = None
) -> Book:
    return Book(address(number), base=base, net=1, state=state, epoch_ms=epoch_ms, since_ms=since_ms)


def test_each_state_is_counted_and_the_size_of_the_exact_ones_summed_on_both_sides() -> None:
    census = Census()
    census.count([book(1, PositionState.EXACT, base=4), book(2, PositionState.EXACT, base=-8)], mark())
    census.count(
        [book(3, PositionState.UNSURE, base=100, since_ms=30_000), book(4, PositionState.UNKNOWN)], mark()
    )  # another slice
    assert census == Census(exact=2, unsure=1, unknown=1, exact_lots=5 + 7, oldest_unsure_ms=30_000)


def test_who_was_exact_before_a_gap_is_unsure_since_it_began_though_the_book_was_not_touched() -> None:
    census = Census()
    after = mark(TapeGap(1_000, 2_000), GAP, epoch_ms=60_000)
    census.count([book(1, PositionState.EXACT, base=4), book(2, PositionState.EXACT, base=4, epoch_ms=60_000)], after)
    assert (census.exact, census.unsure, census.oldest_unsure_ms) == (1, 1, GAP.since_ms)


def test_a_halt_makes_everybody_unsure_since_it_began() -> None:
    census = Census()
    census.count([book(1, PositionState.EXACT, base=4)], mark(halted_since_ms=70_000))
    assert (census.exact, census.unsure, census.exact_lots, census.oldest_unsure_ms) == (0, 1, 0, 70_000)


def test_a_book_whose_gap_is_forgotten_is_unsure_since_its_own_stretch_of_tape() -> None:
    census = Census()
    census.count([book(1, PositionState.EXACT, base=4)], mark(epoch_ms=60_000))
    assert (census.unsure, census.oldest_unsure_ms) == (1, 10_000)
