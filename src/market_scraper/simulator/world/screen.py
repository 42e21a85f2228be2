"""What the venue's screens show of a market: contexts, mids and best prices."""

import random

from market_scraper.simulator.world.exchange import Exchange
from market_scraper.simulator.world.facts import Bbo, Context
from market_scraper.simulator.world.markets import MAIN_DEX, SPOT_MIDS

_SPOT_FOLLOWS = {"@107": "HYPE", "@142": "BTC"}
_NOT_YET = 1 << 62


class Screen:
    """Prices of now and then. A coin that trades no more has no mid, no premium and no best prices."""

    def __init__(self, seed: int, start_ms: int, exchange: Exchange) -> None:
        self._exchange = exchange
        self._start_ms = start_ms
        self._rng = random.Random(f"book:{seed}")
        self._steps = [-1] * len(exchange.markets)
        self.best: list[Bbo | None] = [None] * len(exchange.markets)
        # From when on a coin trades no more, and from when on `meta` calls it delisted.
        self.ended_ms = [0 if market.delisted else _NOT_YET for market in exchange.markets]
        self.delisted_ms = list(self.ended_ms)

    def moved(self, coin: int, at_ms: int) -> bool:
        """Whether the price path took a step since the last time that this was asked."""
        step = self._exchange.paths[coin].step_at(at_ms)
        if step == self._steps[coin]:
            return False
        self._steps[coin] = step
        return True

    def new_best(self, coin: int, at_ms: int) -> Bbo:
        """Best prices after the block at `at_ms`."""
        market, path = self._exchange.markets[coin], self._exchange.paths[coin]
        bid, ask = path.best_at(at_ms)
        random_ = self._rng.random
        usual = 20_000 * 1e6 / bid
        bbo = Bbo(
            coin=market.coin,
            time_ms=at_ms,
            bid_px=bid,
            bid_lots=max(1, int(usual * random_() * 3)),
            bid_n=1 + int(random_() * 12),
            ask_px=ask,
            ask_lots=max(1, int(usual * random_() * 3)),
            ask_n=1 + int(random_() * 12),
        )
        self.best[coin] = bbo
        return bbo

    def end(self, coin: int, at_ms: int, *, delisted: bool) -> None:
        """The coin trades no more from `at_ms` on."""
        self.ended_ms[coin] = min(self.ended_ms[coin], at_ms)
        if delisted:
            self.delisted_ms[coin] = min(self.delisted_ms[coin], at_ms)
        self.best[coin] = None

    def context(self, coin: int, at_ms: int) -> Context:
        """One coin's context."""
        exchange = self._exchange
        market, path, candles = exchange.markets[coin], exchange.paths[coin], exchange.candles[coin]
        if at_ms >= self.ended_ms[coin]:
            mark = path.mark_at(min(at_ms, max(self.ended_ms[coin], self._start_ms)))
            return Context(market.coin, 0.0, 0, mark, 0, 0, None, mark, mark, None, None)
        bid, ask = path.best_at(at_ms)
        volume, notional = candles.day_sums(at_ms)
        return Context(
            coin=market.coin,
            funding=path.funding_at(at_ms),
            open_interest_lots=exchange.holdings.open_interest_at(coin, at_ms),
            prev_day_px=candles.close_a_day_before(at_ms),
            day_notional_micro=notional,
            day_base_lots=volume,
            premium=path.premium_at(at_ms),
            oracle_px=path.oracle_at(at_ms),
            mark_px=path.mark_at(at_ms),
            mid_px=market.usd(bid + ask) / 2,
            impact_pxs=(bid, ask),
        )

    def mids(self, dex: str, at_ms: int) -> dict[str, float]:
        """Mids in USD of what trades, spot pairs too on the first dex."""
        mids = {}
        growth = {}
        for coin, market in enumerate(self._exchange.markets):
            path = self._exchange.paths[coin]
            if at_ms < self.ended_ms[coin]:
                growth[market.coin] = path.mark_at(at_ms) / path.mark_at(self._start_ms)
                if market.dex == dex:
                    mids[market.coin] = market.usd(sum(path.best_at(at_ms))) / 2
        if dex == MAIN_DEX:
            for pair, px in SPOT_MIDS.items():
                mids[pair] = float(f"{px * growth.get(_SPOT_FOLLOWS.get(pair, ''), 1.0):.5g}")
        return mids
