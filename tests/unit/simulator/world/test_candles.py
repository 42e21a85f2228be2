"""Candles: the tape's own since the start, made up before it."""

import itertools
from collections import defaultdict

import pytest

from market_scraper.simulator.world.bars import INTERVALS, Bar, merge, next_open, open_of
from market_scraper.simulator.world.facts import Candle, Print
from tests.unit.simulator.world.worlds import START_MS, lived, make, prints_of

FOREVER = 1 << 60


def bar(candle: Candle) -> Bar:
    return Bar(candle.o, candle.h, candle.l, candle.c, candle.v_lots, candle.n)


@pytest.mark.parametrize("interval", ["1m", "3m", "5m"])
def test_bars_since_the_start_count_exactly_the_tapes_prints(interval: str) -> None:
    world, blocks = lived()
    tape: dict[tuple[str, int], list[Print]] = defaultdict(list)
    for one in prints_of(blocks):
        tape[one.coin, open_of("1m", one.time_ms)].append(one)
    for market in world.markets:
        since = open_of("1m", START_MS)
        for candle in world.candles(market.coin, interval, since, FOREVER):
            prints = [one for at in range(candle.open_ms, candle.close_ms, 60_000) for one in tape[market.coin, at]]
            assert candle.n == len(prints)
            assert candle.v_lots == sum(one.lots for one in prints)
            if prints:
                pxs = [one.px for one in prints]
                assert bar(candle)[:4] == (pxs[0], max(pxs), min(pxs), pxs[-1])


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_interval_tells_the_story_of_the_one_below(interval: str) -> None:
    world, _ = lived()
    below = "1m" if INTERVALS[interval] <= 86_400_000 / 6 else "1h"
    fine = {candle.open_ms: bar(candle) for candle in world.candles("ETH", below, 0, FOREVER)}
    checked = 0
    for candle in world.candles("ETH", interval, 0, FOREVER)[-40:]:
        opens = range(candle.open_ms, min(candle.close_ms, world.now_ms) + 1, INTERVALS[below])
        if all(at in fine for at in opens):
            made: Bar | None = None
            for at in opens:
                made = merge(made, fine[at])
            assert made == bar(candle)
            checked += 1
    assert checked >= 1


@pytest.mark.parametrize("interval", INTERVALS)
def test_bars_join_without_a_hole_up_to_the_forming_one(interval: str) -> None:
    world, _ = lived()
    candles = world.candles("BTC", interval, 0, FOREVER)
    for one, then in itertools.pairwise(candles):
        assert then.open_ms == one.close_ms + 1 == next_open(interval, one.open_ms)
    assert candles[-1].open_ms <= world.now_ms <= candles[-1].close_ms
    assert world.forming_candle("BTC", interval) == candles[-1]
    for candle in candles:
        assert 0 < candle.l <= min(candle.o, candle.c) <= max(candle.o, candle.c) <= candle.h
        assert (candle.v_lots == 0) == (candle.n == 0)


def test_only_five_thousand_bars_are_kept_and_a_window_gives_its_own() -> None:
    world, _ = lived()
    candles = world.candles("SOL", "1m", 0, FOREVER)
    assert len(candles) == 5000
    assert world.candles("SOL", "1m", 0, candles[0].open_ms - 1) == []
    assert world.candles("SOL", "1m", candles[10].open_ms, candles[20].open_ms) == candles[10:21]


def test_the_forming_bar_follows_every_block_across_the_minute() -> None:
    world = make(traders=40)
    for at in range(0, 130_000, 1700):
        world.advance(START_MS + at)
        for interval in ("1m", "5m", "1d"):
            newest = world.candles("BTC", interval, open_of(interval, START_MS), FOREVER)[-1]
            assert world.forming_candle("BTC", interval) == newest


def test_an_unknown_interval_is_refused() -> None:
    world, _ = lived()
    with pytest.raises(ValueError, match="2m"):
        world.candles("BTC", "2m", 0, FOREVER)
