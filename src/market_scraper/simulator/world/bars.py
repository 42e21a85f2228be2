"""Bars as plain numbers, the venue's intervals, and how bars are merged and split."""

import random
from datetime import UTC, datetime
from typing import NamedTuple

from market_scraper.simulator.world.markets import Market
from market_scraper.simulator.world.path import snap

MINUTE_MS = 60_000
DAY_MS = 86_400_000
INTERVALS: dict[str, int] = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "2h": 120 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "8h": 480 * MINUTE_MS,
    "12h": 720 * MINUTE_MS,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
    "1M": 30 * DAY_MS,  # nominal; a bar is a calendar month
}
_MONDAY_MS = 4 * DAY_MS  # the first Monday after the epoch


class Bar(NamedTuple):
    """Open, high, low, close (units), volume (lots) and number of prints; n = 0 means that nothing traded."""

    o: int
    h: int
    l: int  # noqa: E741 - the field's own name
    c: int
    v: int
    n: int


def open_of(interval: str, at_ms: int) -> int:
    """When the bar that contains `at_ms` opened. Weeks begin on Monday, months on the first, UTC."""
    if interval == "1M":
        month = datetime.fromtimestamp(at_ms / 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return int(month.timestamp()) * 1000
    offset = _MONDAY_MS if interval == "1w" else 0
    step = INTERVALS[interval]
    return (at_ms - offset) // step * step + offset


def next_open(interval: str, open_ms: int) -> int:
    """When the bar after the one that opened at `open_ms` opens."""
    if interval == "1M":
        return open_of(interval, open_ms + 32 * DAY_MS)
    return open_ms + INTERVALS[interval]


def merge(first: Bar | None, then: Bar) -> Bar:
    """One bar out of two that follow each other."""
    if first is None or first.n == 0:
        return then
    if then.n == 0:
        return first
    return Bar(first.o, max(first.h, then.h), min(first.l, then.l), then.c, first.v + then.v, first.n + then.n)


def split(bar: Bar, parts: int, rng: random.Random, market: Market) -> tuple[Bar, ...]:
    """`parts` bars that merge to exactly `bar`: a bridge from open to close that touches high and low."""
    spread = bar.h - bar.l
    corners = [bar.o]
    for at in range(1, parts):
        left = parts - at + 1
        drawn = corners[-1] + (bar.c - corners[-1]) / left + rng.gauss(0.0, 0.35) * spread / parts**0.5
        corners.append(min(max(snap(market, round(drawn)), bar.l), bar.h))
    corners.append(bar.c)
    highest, lowest = rng.randrange(parts), rng.randrange(parts)
    counts = _shares(bar.n, parts, rng)
    volumes = _shares(bar.v - bar.n, parts, rng) if bar.v > bar.n else [0] * parts
    made = []
    for at in range(parts):
        o, c = corners[at], corners[at + 1]
        wick = round(spread * 0.15 * rng.random())
        high = bar.h if at == highest else min(bar.h, snap(market, max(o, c) + wick))
        low = bar.l if at == lowest else max(bar.l, snap(market, max(1, min(o, c) - wick)))
        made.append(Bar(o, max(high, o, c), min(low, o, c), c, volumes[at] + counts[at], counts[at]))
    return tuple(made)


def _shares(total: int, parts: int, rng: random.Random) -> list[int]:
    """Whole numbers that sum to `total`, none of them 0 where that is possible."""
    base = 1 if total >= parts else 0
    weights = [0.3 + rng.random() for _ in range(parts)]
    scale = (total - base * parts) / sum(weights)
    shares = [base + int(weight * scale) for weight in weights]
    shares[rng.randrange(parts)] += total - sum(shares)
    return shares
