"""One coin under watch: when it rehearses gaps, and what its mark says of that."""

import pytest

from market_scraper.domain.audit import MINUTE_MS
from market_scraper.domain.market import Candle
from market_scraper.domain.rehearsal import COUNTED_AFTER
from tests.unit.domain.watched import Watched, stored


def test_pace_and_spread_go_on_from_the_stored_mark_until_a_gap_can_be_rehearsed() -> None:
    """After a restart nobody's recent prints are at hand: everyone would look quiet."""
    world = Watched(stored(pace=0.7, spread=0.4))
    world.trade(16)
    assert world.learned() == (0.7, 0.4)
    world.trade(8)
    assert world.learned() != (0.7, 0.4)


def test_a_real_gap_is_not_rehearsed() -> None:
    world = Watched(stored(pace=0.7, spread=0.4))
    world.be_away(30)
    world.subscribe()
    world.trade(16)
    assert world.learned() == (0.7, 0.4)
    world.trade(8)
    assert world.learned() != (0.7, 0.4)


def test_the_same_seconds_are_rehearsed_once() -> None:
    world = Watched(stored())
    world.trade(40)
    first = world.learned()
    assert world.learned() == first
    world.trade(12)
    assert world.learned() == first
    world.trade(4)
    assert world.learned() != first


def test_in_a_halted_market_there_is_nothing_to_learn() -> None:
    world = Watched(stored(pace=0.7, spread=0.4))
    world.trade(40)
    world.watch.halt(world.now_ms)
    assert world.learned() == (0.7, 0.4)


def test_a_gap_that_was_counted_says_so_in_the_mark_and_keeps_its_place() -> None:
    world = Watched(stored())
    for _ in range(COUNTED_AFTER + 1):
        world.trade(20)
        world.learned()
    world.be_away(20)
    world.subscribe()
    world.trade(4)
    before = world.watch.mark()
    assert before is not None
    (gap,) = before.gaps
    minute_ms = gap.since_ms // MINUTE_MS * MINUTE_MS
    ours = world.watch.counts.between(minute_ms - 1, world.now_ms)
    assert ours is not None
    missed = 125  # half of what is usual in that time
    bar = Candle(t_ms=minute_ms, o=1.0, h=1.0, l=1.0, c=1.0, v=(ours.lots + missed) / 10**5, n=ours.prints + missed)
    assert world.watch.count_gap(gap, [bar], world.now_ms)
    after = world.watch.mark()
    assert after is not None
    (counted,) = after.gaps
    assert (counted.since_ms, counted.until_ms) == (gap.since_ms, gap.until_ms)
    assert counted.pace == pytest.approx(0.5, abs=0.15)
    assert not world.watch.count_gap(counted, [bar], world.now_ms), "once is enough"
    world.trade(20)
    world.learned()
    kept = world.watch.mark()
    assert kept is not None
    assert kept.gaps == (counted,), "what is learned later does not change what was told"


def test_before_anything_was_rehearsed_the_forecast_holds() -> None:
    world = Watched(stored())
    world.trade(120)
    world.be_away(20)
    world.subscribe()
    world.trade(4)
    told = world.watch.mark()
    assert told is not None
    bar = Candle(t_ms=told.gaps[0].since_ms // MINUTE_MS * MINUTE_MS, o=1.0, h=1.0, l=1.0, c=1.0, v=1.0, n=9_999)
    assert not world.watch.count_gap(told.gaps[0], [bar], world.now_ms)
    assert world.watch.mark() == told
