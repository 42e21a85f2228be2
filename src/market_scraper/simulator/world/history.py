"""Candles from before the world's start, made up when they are asked for: always the same ones.

Days are drawn backward from the start price; each finer bar is split off its parent, so that every interval tells the
same story. The last whole day before the start's day, and the start's own day, lie in `candles.CandleBook` instead.
"""

import math
import random
from functools import lru_cache

from market_scraper.simulator.world.bars import DAY_MS, MINUTE_MS, Bar, split
from market_scraper.simulator.world.markets import Market
from market_scraper.simulator.world.path import snap

# interval -> (its parent, how many of it make one parent)
_PARENTS: dict[str, tuple[str, int]] = {
    "4h": ("1d", 6),
    "1h": ("4h", 4),
    "15m": ("1h", 4),
    "5m": ("15m", 3),
    "1m": ("5m", 5),
}
LEVELS: dict[str, int] = {
    "1d": DAY_MS,
    "4h": 240 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "1m": MINUTE_MS,
}
_USUAL_PRINT_USD = 4_000.0
_KEPT = 64  # pasts of coins: worlds that begin alike share them, as most of a test run's do


class History:
    """One coin's bars before `end_ms` (a day's beginning), `days` of them."""

    def __init__(self, market: Market, seed: int, end_ms: int, days: int, close_px: int, prints_per_s: float) -> None:
        self._market = market
        self._seed = seed
        self.end_ms = end_ms
        self.begin_ms = end_ms - days * DAY_MS
        self._days = days_before(market, seed, days, close_px, prints_per_s)
        # 5,000 bars of one minute touch some 1,500 parents.
        self._children = lru_cache(maxsize=8192)(self._split)

    def bar(self, level: str, open_ms: int) -> Bar:
        """The bar of `level` that opened at `open_ms`, which lies in [begin_ms, end_ms)."""
        if level == "1d":
            return self._days[(open_ms - self.begin_ms) // DAY_MS]
        parent, parts = _PARENTS[level]
        step = LEVELS[parent]
        parent_ms = open_ms // step * step
        return self._children(parent, parts, parent_ms)[(open_ms - parent_ms) // LEVELS[level]]

    def _split(self, parent: str, parts: int, parent_ms: int) -> tuple[Bar, ...]:
        rng = random.Random(f"bars:{self._seed}:{self._market.coin}:{parent}:{parent_ms}")
        return split(self.bar(parent, parent_ms), parts, rng, self._market)


@lru_cache(_KEPT)
def days_before(market: Market, seed: int, count: int, close_px: int, prints_per_s: float) -> tuple[Bar, ...]:
    """Give `count` days, oldest first, of which the last closes at `close_px`."""
    return _drawn_back(f"days:{seed}:{market.coin}", market, DAY_MS, count, close_px, prints_per_s)


@lru_cache(_KEPT)
def minutes_before(market: Market, seed: int, count: int, close_px: int, prints_per_s: float) -> tuple[Bar, ...]:
    """Give `count` minutes, oldest first, of which the last closes at `close_px`."""
    return _drawn_back(f"minutes:{seed}:{market.coin}", market, MINUTE_MS, count, close_px, prints_per_s)


def _drawn_back(
    stream: str, market: Market, length_ms: int, count: int, close_px: int, prints_per_s: float
) -> tuple[Bar, ...]:
    rng = random.Random(stream)
    bars = []
    for _ in range(count):
        bar = draw_bar(market, close_px, length_ms, prints_per_s, rng)
        bars.append(bar)
        close_px = bar.o
    return tuple(reversed(bars))


def draw_bar(market: Market, close_px: int, length_ms: int, prints_per_s: float, rng: random.Random) -> Bar:
    """A made-up bar of `length_ms` that closes at `close_px`."""
    sigma = market.day_volatility * math.sqrt(length_ms / DAY_MS)
    o = snap(market, round(close_px * math.exp(rng.gauss(0.0, sigma))))
    high = snap(market, round(max(o, close_px) * (1 + sigma * 0.5 * rng.random())))
    low = snap(market, round(min(o, close_px) * (1 - sigma * 0.5 * rng.random())))
    n = max(1, round(prints_per_s * length_ms / 1000 * rng.uniform(0.5, 1.6)))
    lots_each = max(1.0, _USUAL_PRINT_USD * 1e6 / close_px)
    v = max(n, round(n * lots_each * rng.uniform(0.5, 1.7)))
    return Bar(o, max(high, o, close_px), min(low, o, close_px), close_px, v, n)
