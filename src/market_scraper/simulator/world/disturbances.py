"""What happens to positions and markets between blocks: funding, changes without a print, ends and bursts."""

import random

from market_scraper.simulator.world.exchange import Exchange
from market_scraper.simulator.world.flow import CoinFlow
from market_scraper.simulator.world.holdings import Holding
from market_scraper.simulator.world.people import TAKER_KINDS
from market_scraper.simulator.world.schedule import Schedule
from market_scraper.simulator.world.screen import Screen

_HOUR_MS = 3_600_000


class Disturbances:
    """Plans effects on the world's schedule; whoever calls sees to it that `at_ms` is not over yet."""

    def __init__(
        self, seed: int, exchange: Exchange, flows: dict[int, CoinFlow], screen: Screen, schedule: Schedule
    ) -> None:
        self._exchange = exchange
        self._flows = flows
        self._screen = screen
        self._schedule = schedule
        self._rng = random.Random(f"off-tape:{seed}")
        self._funding_rng = random.Random(f"funding:{seed}")

    def plan_funding(self, after_ms: int) -> None:
        """Every hour from now on. Stamps were seen 15 to 68 ms after the hour, never on it (facts 2.1)."""
        at_ms = (after_ms // _HOUR_MS + 1) * _HOUR_MS + self._funding_rng.randint(15, 68)

        def pay(due_ms: int) -> None:
            self._exchange.pay_funding(due_ms)
            self.plan_funding(due_ms)

        self._schedule.plan(at_ms, pay)

    def plan_off_tape(self, per_hour: float, after_ms: int) -> None:
        """Changes of random positions at random moments from now on: closed or halved."""

        def strike(due_ms: int) -> None:
            held = [one for coin, flow in self._flows.items() if flow.open for one in self._open_in(coin)]
            if held:
                one = self._rng.choice(held)
                self._change_pair(one.coin, one.trader, int(one.lots * self._rng.choice((0.0, 0.0, 0.5))), due_ms)
            self.plan_off_tape(per_hour, due_ms)

        self._schedule.plan(after_ms + 1 + int(self._rng.expovariate(per_hour / _HOUR_MS)), strike)

    def plan_change(self, coin: int, trader: int, new_lots: int, at_ms: int) -> None:
        """Set one position; another account takes the other side."""
        self._schedule.plan(at_ms, lambda due_ms: self._change_pair(coin, trader, new_lots, due_ms))

    def plan_end(self, coin: int, at_ms: int, *, delisted: bool) -> None:
        """Settle every position of a coin and let it trade no more."""

        def end(due_ms: int) -> None:
            self._exchange.settle_all(coin, due_ms, "delist" if delisted else "halt")
            self._screen.end(coin, due_ms, delisted=delisted)
            if coin in self._flows:
                self._flows[coin].close()

        self._schedule.plan(at_ms, end)

    def plan_burst(self, coin: int, from_ms: int, to_ms: int, prints_per_s: float) -> None:
        """Another pace for a while, then the usual one."""
        flow = self._flows[coin]
        self._schedule.plan(from_ms, lambda due_ms: flow.set_pace(prints_per_s, due_ms))
        self._schedule.plan(max(to_ms, from_ms + 1), lambda due_ms: flow.set_pace(flow.usual_pace, due_ms))

    def _open_in(self, coin: int) -> list[Holding]:
        return list(self._exchange.holdings.open_holdings(coin))

    def _change_pair(self, coin: int, trader: int, new_lots: int, at_ms: int) -> None:
        """The other side is the account with the most of it to give, else any that trades."""
        exchange = self._exchange
        delta = new_lots - exchange.holdings.lots(trader, coin)
        if delta == 0 or coin not in self._flows or not self._flows[coin].open:
            return
        others = [one for one in self._open_in(coin) if one.trader != trader and one.lots * delta > 0]
        if others:
            other = max(others, key=lambda one: (abs(one.lots), one.trader)).trader
        else:
            other = next(one.index for one in exchange.traders if one.kind in TAKER_KINDS and one.index != trader)
        exchange.change_off_tape(coin, trader, new_lots, at_ms, "settlement")
        exchange.change_off_tape(coin, other, exchange.holdings.lots(other, coin) - delta, at_ms, "settlement")
