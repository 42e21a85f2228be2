"""How many positions are in which state, for `/metrics`."""

from collections import Counter
from collections.abc import Sequence

from market_scraper.domain.values import Symbol
from market_scraper.ports.clock import Clock
from market_scraper.ports.views import Views

SLICE = 2_000
"""Positions judged between two turns of the event loop."""

COUNT_EVERY_S = 10.0
"""Real seconds between two counts at least: there may be fifty thousand positions."""


class PositionCounts:
    """How many positions are in which state, counted in slices so that nobody waits for it."""

    def __init__(self) -> None:
        self._counted_at_s: float | None = None
        self.counts: dict[Symbol, Counter[str]] = {}

    async def refresh(self, views: Views, symbols: Sequence[Symbol], real_clock: Clock) -> None:
        """Count, unless it was done a moment ago."""
        now_s = real_clock.monotonic()
        if self._counted_at_s is not None and now_s - self._counted_at_s < COUNT_EVERY_S:
            return
        self._counted_at_s = now_s
        for symbol in symbols:
            counts: Counter[str] = Counter()
            known = views.positions.known(symbol)
            for start in range(0, len(known), SLICE):
                for trader in known[start : start + SLICE]:
                    position = views.positions.get(trader, symbol)
                    if position is not None:
                        counts[position.claim.state.value] += 1
                await real_clock.sleep(0)
            self.counts[symbol] = counts
