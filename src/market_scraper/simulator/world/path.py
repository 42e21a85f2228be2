"""Where prices go: a seeded walk whose drift changes in regimes, so that foresight is worth something.

The path does not depend on trades, and it may be asked for any moment in any order.
"""

import math
import random
from array import array
from bisect import bisect_right

from market_scraper.simulator.world.markets import Market

STEP_MS = 500  # prices stand still between steps
_DAY_MS = 86_400_000
_REGIME_S = 1200.0  # mean length of a stretch with one drift
_LOOKBACK_STEPS = 2_400_000 // STEP_MS  # what a trend follower looks at
_PULL = math.log(2) / (2 * _DAY_MS / STEP_MS)  # half of a departure from the start price goes in two days
_INTEREST_8H = 0.0001
_HOURS_OF_RATE = 8


class PricePath:
    """One coin's mark, oracle and drift. Prices in units of the market, always on its tick."""

    def __init__(self, market: Market, seed: int, start_ms: int) -> None:
        self.market = market
        self.start_ms = start_ms
        # Two streams: who looks ahead at regimes must not move the walk.
        self._rng = random.Random(f"regimes:{seed}:{market.coin}")
        self._walk = random.Random(f"walk:{seed}:{market.coin}")
        self._origin = math.log(market.start_px)
        self._log = self._origin
        self._marks = array("q", [self._unit_price(self._origin)])
        self._sigma = market.day_volatility * math.sqrt(STEP_MS / _DAY_MS)
        self._regime_ends: list[int] = []  # step at which the regime is over
        self._regime_drifts: list[float] = []  # log return per step
        self._phase = self._rng.uniform(0, 2 * math.pi)
        self._period_ms = self._rng.uniform(0.7, 1.8) * 3_600_000
        self._usual_premium = self._rng.uniform(-0.0002, 0.0004)

    def step_at(self, at_ms: int) -> int:
        """Number of the step in force at `at_ms`; 0 before the start."""
        return max(0, (at_ms - self.start_ms) // STEP_MS)

    def mark_at(self, at_ms: int) -> int:
        """Mark price."""
        step = self.step_at(at_ms)
        if step >= len(self._marks):
            self._extend(step)
        return self._marks[step]

    def premium_at(self, at_ms: int) -> float:
        """How far the mark stands above the oracle, as a share."""
        return self._usual_premium + 0.00025 * math.sin(2 * math.pi * at_ms / self._period_ms + self._phase)

    def oracle_at(self, at_ms: int) -> int:
        """Oracle price, on the tick."""
        return snap(self.market, round(self.mark_at(at_ms) / (1 + self.premium_at(at_ms))))

    def funding_at(self, at_ms: int) -> float:
        """Hourly funding rate, by the venue's formula: an eighth of premium + clamp(interest - premium, ±0.05 %)."""
        premium = self.premium_at(at_ms)
        return (premium + min(max(_INTEREST_8H - premium, -0.0005), 0.0005)) / _HOURS_OF_RATE

    def regime_at(self, at_ms: int) -> tuple[int, float]:
        """Number of the drift regime and its log return per step."""
        step = self.step_at(at_ms)
        while not self._regime_ends or self._regime_ends[-1] <= step:
            self._add_regime()
        number = bisect_right(self._regime_ends, step)
        return number, self._regime_drifts[number]

    def momentum_at(self, at_ms: int) -> int:
        """How far the mark has come in the last forty minutes, in units."""
        step = self.step_at(at_ms)
        mark = self.mark_at(at_ms)
        return mark - self._marks[max(0, step - _LOOKBACK_STEPS)]

    def best_at(self, at_ms: int) -> tuple[int, int]:
        """Best bid and ask: the mark is one of them, a tick lies between."""
        mark = self.mark_at(at_ms)
        tick = self.market.tick(mark)
        if self.step_at(at_ms) % 3:
            return mark, snap(self.market, mark + tick)
        return snap(self.market, mark - tick), mark

    def _add_regime(self) -> None:
        seconds = 240 + self._rng.expovariate(1 / (_REGIME_S - 240))
        strength = self._rng.uniform(1.0, 2.4) * self.market.day_volatility * math.sqrt(_REGIME_S * 1000 / _DAY_MS)
        per_step = strength / (_REGIME_S * 1000 / STEP_MS)
        begin = self._regime_ends[-1] if self._regime_ends else 0
        self._regime_ends.append(begin + max(1, round(seconds * 1000 / STEP_MS)))
        self._regime_drifts.append(per_step if self._rng.random() < 0.5 else -per_step)

    def _extend(self, step: int) -> None:
        number, drift = self.regime_at(self.start_ms + len(self._marks) * STEP_MS)
        end = self._regime_ends[number]
        gauss, sigma, log = self._walk.gauss, self._sigma, self._log
        for at in range(len(self._marks), step + 1):
            if at >= end:
                number, drift = self.regime_at(self.start_ms + at * STEP_MS)
                end = self._regime_ends[number]
            log += drift + gauss(0.0, sigma) - _PULL * (log - self._origin)
            self._marks.append(self._unit_price(log))
        self._log = log

    def _unit_price(self, log: float) -> int:
        return snap(self.market, self.market.units(math.exp(log)))


def snap(market: Market, px: int) -> int:
    """The allowed price nearest to `px`, at least one tick."""
    px = max(px, 1)
    tick = market.tick(px)
    return max(tick, (px + tick // 2) // tick * tick)
