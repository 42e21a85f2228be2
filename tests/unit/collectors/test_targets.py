"""What an answer is worth: who is asked in the first seconds after a gap is decided here."""

from market_scraper.collectors.targets import Worth
from market_scraper.domain.events import TradersRated
from market_scraper.domain.planner import Target
from market_scraper.domain.positions import Position
from market_scraper.domain.rules import PositionRules
from market_scraper.domain.watch import CoinWatch
from tests.facts import BTC, address, mark, position, rated
from tests.unit.collectors.parts import T0, market

OPEN_LOTS = 50_000
"""Both sides together: 100,000."""


class Known:
    """Everybody's position was exact until a gap of 20 s a moment ago."""

    def __init__(self, *positions: Position) -> None:
        of = mark(T0, gaps=((T0 - 20_000, T0),), rate_watch_s=600.0)
        self.watches = {BTC: CoinWatch(market(), PositionRules(), mark=of, positions=positions)}
        self.watches[BTC].learn_rates()
        self.worth = Worth()
        assert self.worth.hear_open_interest(BTC, OPEN_LOTS)

    def rate(self, *traders: int) -> None:
        rows = tuple(rated(each) for each in traders)
        assert self.worth.hear_ratings(TradersRated(T0, captured_at_ms=T0, part=0, parts=1, traders=rows))

    def gain(self, trader: int) -> float:
        return self.worth.gain(Target(address(trader)), self.watches, T0)


def held(trader: int, lots: int, changes: int = 0) -> Position:
    return position(trader, lots=lots, changes=changes, watched_from_ms=T0 - 1_220_000, t_ms=T0 - 20_000)


def test_small_voters_do_not_stand_between_the_sizes() -> None:
    """After a gap 90 % of size is due as soon as a sweep by size would have it."""
    known = Known(held(1, 700), *(held(i, 0) for i in range(100, 200)))
    known.rate(*range(100, 200))
    assert known.gain(1) > known.gain(100)


def test_of_two_that_hold_the_same_the_voter_comes_first() -> None:
    known = Known(held(1, 200), held(2, 200))
    known.rate(2)
    assert known.gain(2) > known.gain(1)


def test_who_trades_all_the_time_comes_before_those_who_hold_little() -> None:
    """The busiest must soon be exact too, and often hold nothing at all."""
    known = Known(held(1, 0, changes=400), held(2, 20_000), *(held(i, 150, changes=2) for i in range(100, 300)))
    assert known.gain(100) < known.gain(1) < known.gain(2)


def test_activity_is_shared_out_so_that_a_hundred_busy_ones_weigh_no_more_than_one() -> None:
    alone, crowd = Known(held(1, 0, changes=400)), Known(*(held(i, 0, changes=400) for i in range(1, 101)))
    assert sum(crowd.gain(i) for i in range(1, 101)) < 1.1 * alone.gain(1)
