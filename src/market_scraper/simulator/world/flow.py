"""One coin's order flow: who takes, who stands on the other side, and when."""

import heapq
import random
from bisect import bisect
from itertools import accumulate

from market_scraper.simulator.world.exchange import Exchange
from market_scraper.simulator.world.facts import Kind, Liquidation, Print
from market_scraper.simulator.world.habits import MIN_ORDER_MICRO, Habits
from market_scraper.simulator.world.holdings import Holding
from market_scraper.simulator.world.people import MAKER_KINDS

_TOP_MAKER_SHARE = 0.12  # the busiest trader is in about 15 % of a coin's prints
_MAKERS_SHARE = 0.42
_MOST_MATCHES = 130  # of one action; recorded: a block of 121 prints
_TWAP_CHANCE = 0.02
_TWAP_LEAST_MICRO = 1_000_000_000
_TWAP_PAUSE_MS = 30_000
_THIN_BOOK_CHANCE = 0.012  # one action in 80 meets a book of many small orders


class CoinFlow:
    """Asked once a block. All chance comes from the coin's own generator, in the order of its prints."""

    def __init__(self, coin: int, seed: int, prints_per_s: float, start_ms: int, exchange: Exchange) -> None:
        self.coin = coin
        self.usual_pace = prints_per_s
        self.open = True
        self._pace = prints_per_s
        self._exchange = exchange
        self._market = exchange.markets[coin]
        self._path = exchange.paths[coin]
        self._rng = random.Random(f"flow:{seed}:{coin}")
        self._habits = Habits(seed, exchange.paths, self._rng)
        self._slices: list[tuple[int, int, int, int]] = []  # due at, TWAP id, trader, signed lots; a heap
        self._orders: list[tuple[int, int, int]] = []  # due at, trader, lots to end at; a heap
        traders = exchange.traders
        takers = [one for one in traders if one.activity > 0 and coin in one.coins]
        self._takers = [one.index for one in takers]
        self._weights = list(accumulate(one.activity for one in takers))
        self._makers = [one.index for one in traders if one.kind in MAKER_KINDS and coin in one.coins]
        self._caps: dict[int, int] = {}
        self._next_ms = start_ms + self._wait_ms(1)

    def set_pace(self, prints_per_s: float, at_ms: int) -> None:
        """Print at another pace from `at_ms` on."""
        self._pace = prints_per_s
        self._next_ms = at_ms + self._wait_ms(1)

    def order(self, at_ms: int, trader: int, to_lots: int) -> None:
        """In the first block at or after `at_ms` the trader takes until the position is `to_lots`."""
        heapq.heappush(self._orders, (at_ms, trader, to_lots))

    def close(self) -> None:
        """No print of this coin any more."""
        self.open = False
        self._slices.clear()
        self._orders.clear()

    def run(self, at_ms: int, due: list[Holding]) -> list[Print]:
        """The prints of the block at `at_ms`, in execution order; `due` are the positions to liquidate in it."""
        prints: list[Print] = []
        for held in due:
            self._liquidate(held, at_ms, prints)
        while self._slices and self._slices[0][0] <= at_ms:
            _, twap_id, trader, lots = heapq.heappop(self._slices)
            self._slice(twap_id, trader, lots, at_ms, prints)
        while self._orders and self._orders[0][0] <= at_ms:
            _, trader, to_lots = heapq.heappop(self._orders)
            wish = to_lots - self._exchange.holdings.lots(trader, self.coin)
            if wish:
                self._take(trader, wish, self._exchange.new_action(), at_ms, prints, whole=True)
        # What came by itself counts toward the pace.
        if prints:
            self._next_ms += self._wait_ms(len(prints))
        while self._next_ms <= at_ms:
            before = len(prints)
            self._act(at_ms, prints)
            self._next_ms += self._wait_ms(max(0.2, len(prints) - before))
        return prints

    def _wait_ms(self, prints: float) -> float:
        return self._rng.expovariate(1.0) * prints * 1000 / self._pace

    def _cap(self, trader: int, mark: int) -> int:
        """Most lots that a trader holds here; fixed at the first look, as a habit."""
        cap = self._caps.get(trader)
        if cap is None:
            cap = self._caps[trader] = max(1, int(self._exchange.traders[trader].cap_usd * 1e6 / mark))
        return cap

    def _act(self, at_ms: int, prints: list[Print]) -> None:
        mark = self._path.mark_at(at_ms)
        random_ = self._rng.random
        taker = self._takers[min(bisect(self._weights, random_() * self._weights[-1]), len(self._takers) - 1)]
        held = self._exchange.holdings.by_coin[self.coin].get(taker)
        lots, closed = (held.lots, held.closed_lots) if held is not None else (0, 0)
        person = self._exchange.traders[taker]
        wish = self._habits.wish(person, self.coin, lots, closed, self._cap(taker, mark), mark, at_ms)
        if wish == 0:
            return
        action = self._exchange.new_action()
        by_time = random_() < _TWAP_CHANCE and abs(wish) * mark > _TWAP_LEAST_MICRO
        if by_time and person.kind is not Kind.MARKET_MAKER:
            self._begin_twap(action, taker, wish, mark, at_ms)
            return
        self._take(taker, wish, action, at_ms, prints, thin=random_() < _THIN_BOOK_CHANCE)

    def _begin_twap(self, twap_id: int, taker: int, wish: int, mark: int, at_ms: int) -> None:
        count = max(2, min(self._rng.randint(10, 40), abs(wish) * mark // MIN_ORDER_MICRO))
        each = abs(wish) // count
        sizes = [each + (1 if at < abs(wish) % count else 0) for at in range(count)]
        sign = 1 if wish > 0 else -1
        for at, size in enumerate(sizes):
            if size:
                due_ms = at_ms + at * _TWAP_PAUSE_MS + self._rng.randint(0, 2000)
                heapq.heappush(self._slices, (due_ms, twap_id, taker, sign * size))

    def _slice(self, twap_id: int, trader: int, lots: int, at_ms: int, prints: list[Print]) -> None:
        if self._exchange.traders[trader].broke:
            return
        action = self._exchange.new_action()
        self._exchange.log.note_twap(action, twap_id)
        self._take(trader, lots, action, at_ms, prints)

    def _liquidate(self, held: Holding, at_ms: int, prints: list[Print]) -> None:
        if held.lots == 0:
            return
        exchange = self._exchange
        action = exchange.new_action()
        user = exchange.traders[held.trader].user
        exchange.log.note_liquidation(action, Liquidation(user, self._path.mark_at(at_ms), "market"))
        self._take(held.trader, -held.lots, action, at_ms, prints, whole=True)
        exchange.make_whole(held.trader, self.coin, at_ms)

    def _take(
        self,
        taker: int,
        lots: int,
        action: int,
        at_ms: int,
        prints: list[Print],
        *,
        thin: bool = False,
        whole: bool = False,
    ) -> None:
        """Match `lots` (signed) against resting orders, walking away from the best price. `whole`: to the last lot."""
        buys = lots > 0
        side = -1 if buys else 1  # of the makers
        bid, ask = self._path.best_at(at_ms)
        px = ask if buys else bid
        tick = self._market.tick(px)
        mark = self._path.mark_at(at_ms)
        rest = abs(lots)
        for number in range(_MOST_MATCHES):
            maker, quote = self._maker(taker, side, mark, at_ms)
            if thin:
                quote = max(1, quote // 12)
            if whole and number == _MOST_MATCHES - 1:
                quote = rest
            size = min(rest, quote)
            prints.append(
                self._exchange.match(
                    coin=self.coin,
                    at_ms=at_ms,
                    px=px,
                    lots=size,
                    taker=taker,
                    maker=maker,
                    taker_buys=buys,
                    action=action,
                )
            )
            rest -= size
            if rest == 0:
                return
            if self._rng.random() < 0.4:
                px = px + tick if buys else max(tick, px - tick)
                tick = self._market.tick(px)
                px = px // tick * tick

    def _maker(self, taker: int, side: int, mark: int, at_ms: int) -> tuple[int, int]:
        """Who stands there, and with how many lots."""
        random_ = self._rng.random
        holdings = self._exchange.holdings
        chance = random_()
        if chance >= _TOP_MAKER_SHARE + _MAKERS_SHARE:
            for _ in range(3):
                maker = self._takers[min(bisect(self._weights, random_() * self._weights[-1]), len(self._takers) - 1)]
                if maker == taker:
                    continue
                cap = self._cap(maker, mark)
                person = self._exchange.traders[maker]
                if self._habits.accepts(person, self.coin, holdings.lots(maker, self.coin), cap, side, at_ms):
                    least = MIN_ORDER_MICRO // mark + 1
                    return maker, max(least, int(cap * (0.02 + 0.25 * random_())))
        elif chance < _TOP_MAKER_SHARE and self._makers[0] != taker:
            maker = self._makers[0]
            if holdings.lots(maker, self.coin) * side < self._cap(maker, mark):
                return maker, self._quote(mark)
        first, second = (self._makers[1 + int(random_() * (len(self._makers) - 1))] for _ in range(2))
        if first == taker or holdings.lots(second, self.coin) * side < holdings.lots(first, self.coin) * side:
            first = second  # the one with more room
        if first == taker:
            first = next(maker for maker in self._makers if maker != taker)
        return first, self._quote(mark)

    def _quote(self, mark: int) -> int:
        return max(1, int(self._rng.lognormvariate(8.7, 1.0) * 1e6 / mark))
