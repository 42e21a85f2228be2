"""What a trader wants: which side it believes in and how much it would trade now."""

import random

from market_scraper.simulator.world.facts import Kind
from market_scraper.simulator.world.path import PricePath
from market_scraper.simulator.world.people import Trader

MIN_ORDER_MICRO = 10_000_000  # the venue's least order, 10 USD
_FORESIGHT_MS = 15_000


class Habits:
    """Wishes of traders; all chance comes from the generator that is handed in."""

    def __init__(self, seed: int, paths: list[PricePath], rng: random.Random) -> None:
        self._seed = seed
        self._paths = paths
        self._random = rng.random

    def view(self, trader: Trader, coin: int, at_ms: int) -> int:
        """+1 or -1: where it thinks the price goes. The informed are right with chance 0.5 + skill / 2 a regime."""
        if trader.kind is Kind.INFORMED:
            regime, drift = self._paths[coin].regime_at(at_ms + _FORESIGHT_MS)
            right = _draw(self._seed, trader.index, coin, regime) < 0.5 + trader.skill / 2
            return 1 if (drift > 0) == right else -1
        if trader.kind is Kind.TREND:
            momentum = self._paths[coin].momentum_at(at_ms)
            if momentum:
                return 1 if momentum > 0 else -1
        return 1 if self._random() < 0.5 else -1

    def wish(self, trader: Trader, coin: int, lots: int, closed_lots: int, cap: int, mark: int, at_ms: int) -> int:
        """Signed lots that it would take from the market now; 0 = nothing."""
        if trader.broke:
            return -lots
        if trader.kind is Kind.MARKET_MAKER:
            return self._unload(lots, cap)
        wanted = self._directional(trader, self.view(trader, coin, at_ms), lots, closed_lots, cap)
        closes = wanted == -lots
        return wanted if closes or abs(wanted) * mark >= MIN_ORDER_MICRO else 0

    def accepts(self, trader: Trader, coin: int, lots: int, cap: int, side: int, at_ms: int) -> bool:
        """Whether its resting orders stand on `side` (+1 = it buys)."""
        if lots * side >= cap or trader.gambles or (trader.broke and lots * side >= 0):
            return False
        if trader.kind in (Kind.INFORMED, Kind.TREND):
            return self.view(trader, coin, at_ms) == side
        return True

    def _directional(self, trader: Trader, side: int, lots: int, closed_lots: int, cap: int) -> int:
        chance = self._random()
        if lots == 0:
            if closed_lots and chance < 0.3:
                return side * closed_lots  # again, at exactly the same size
            return side * (self._part(cap, 0.7, 1.0) if trader.gambles else self._part(cap, 0.08, 0.6))
        if trader.gambles and chance > 0.15:
            return 0  # it sits it out
        held = abs(lots)
        if lots * side > 0:
            if held >= 0.9 * cap:
                return -side * self._part(held, 0.1, 0.5) if chance < 0.4 else 0
            if chance < 0.55:
                return side * min(self._part(cap, 0.04, 0.3), max(1, cap - held))
            return -side * self._part(held, 0.1, 0.6) if chance < 0.65 else 0
        if chance < 0.5:
            return -lots
        if chance < 0.65:
            return -lots + side * self._part(cap, 0.08, 0.5)
        return side * min(held, self._part(held, 0.2, 0.8))

    def _unload(self, lots: int, cap: int) -> int:
        if abs(lots) > 0.3 * cap:
            part = self._part(abs(lots), 0.05, 0.2)
            return -part if lots > 0 else part
        return 0

    def _part(self, whole: int, least: float, most: float) -> int:
        """A share of `whole`, half of the time rounded as people round."""
        part = max(1, int(whole * (least + (most - least) * self._random())))
        if self._random() < 0.5:
            unit: int = 10 ** max(0, len(str(part)) - 2)
            part = part // unit * unit
        return part


def _draw(seed: int, trader: int, coin: int, regime: int) -> float:
    """Evenly spread in [0, 1), fixed for one trader, coin and regime (the mixer is splitmix64's)."""
    mixed = (seed * 0x9E3779B97F4A7C15 + trader * 0xBF58476D1CE4E5B9 + coin * 0x94D049BB133111EB + regime) & (2**64 - 1)
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return float((mixed ^ (mixed >> 31)) >> 11) / float(2**53)
