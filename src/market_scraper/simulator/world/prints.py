"""Every print of the world in compact columns, and the fills that follow from it."""

from array import array
from bisect import bisect_left
from collections import deque
from hashlib import blake2b

from market_scraper.simulator.world.facts import ZERO_HASH, Fill, Liquidation, Print
from market_scraper.simulator.world.markets import Market
from market_scraper.simulator.world.people import Trader

RECENT = 500  # prints of a coin that stay at hand as they went out


class PrintLog:
    """Columns instead of objects: a venue day has more than a million prints."""

    def __init__(self, seed: int, traders: list[Trader], markets: tuple[Market, ...]) -> None:
        self._seed = seed
        self._traders = traders
        self._markets = markets
        self.recent: list[deque[Print]] = [deque(maxlen=RECENT) for _ in markets]
        self._coins = array("B")
        self._times = array("q")
        self._pxs = array("q")
        self._lots = array("q")
        self._buyers = array("i")
        self._sellers = array("i")
        self._taker_buys = array("B")
        self._tids = array("q")
        self._actions = array("q")
        self._buyer_starts = array("q")
        self._seller_starts = array("q")
        self._buyer_closed = array("q")
        self._seller_closed = array("q")
        self._of_trader: dict[int, array[int]] = {}
        self._twap_ids: dict[int, int] = {}  # action -> TWAP
        self._liquidations: dict[int, Liquidation] = {}  # action -> what both sides say
        self._last_hash = (-1, "")

    def note_twap(self, action: int, twap_id: int) -> None:
        """`action` is a slice of a TWAP."""
        self._twap_ids[action] = twap_id

    def note_liquidation(self, action: int, liquidation: Liquidation) -> None:
        """`action` closes a liquidated position."""
        self._liquidations[action] = liquidation

    def add(
        self,
        *,
        coin: int,
        time_ms: int,
        px: int,
        lots: int,
        buyer: int,
        seller: int,
        taker_buys: bool,
        tid: int,
        action: int,
        starts: tuple[int, int],
        closed: tuple[int, int],
    ) -> Print:
        """Keep one match; `starts` and `closed` are (buyer's, seller's) size before it and profit closed by it."""
        at = len(self._times)
        self._coins.append(coin)
        self._times.append(time_ms)
        self._pxs.append(px)
        self._lots.append(lots)
        self._buyers.append(buyer)
        self._sellers.append(seller)
        self._taker_buys.append(taker_buys)
        self._tids.append(tid)
        self._actions.append(action)
        self._buyer_starts.append(starts[0])
        self._seller_starts.append(starts[1])
        self._buyer_closed.append(closed[0])
        self._seller_closed.append(closed[1])
        for trader in (buyer, seller):
            mine = self._of_trader.get(trader)
            if mine is None:
                mine = self._of_trader[trader] = array("I")
            mine.append(at)
        made = Print(
            coin=self._markets[coin].coin,
            time_ms=time_ms,
            px=px,
            lots=lots,
            buyer=self._traders[buyer].user,
            seller=self._traders[seller].user,
            taker_buys=taker_buys,
            tid=tid,
            hash=self._hash(action),
        )
        self.recent[coin].append(made)
        return made

    def fills(self, trader: int, start_ms: int, end_ms: int | None, *, twap: bool | None, limit: int) -> list[Fill]:
        """The first `limit` fills with start_ms <= time <= end_ms, in execution order."""
        mine = self._of_trader.get(trader, array("I"))
        found: list[Fill] = []
        for place in range(bisect_left(mine, start_ms, key=self._times.__getitem__), len(mine)):
            at = mine[place]
            if len(found) >= limit or (end_ms is not None and self._times[at] > end_ms):
                break
            if twap is None or self._owns_twap(at, trader) == twap:
                found.append(self._fill(at, trader))
        return found

    def newest_fills(self, trader: int, limit: int, *, twap: bool | None) -> list[Fill]:
        """The last `limit` fills, oldest first."""
        found: list[Fill] = []
        for at in reversed(self._of_trader.get(trader, array("I"))):
            if len(found) >= limit:
                break
            if twap is None or self._owns_twap(at, trader) == twap:
                found.append(self._fill(at, trader))
        return found[::-1]

    def _owns_twap(self, at: int, trader: int) -> bool:
        return self._actions[at] in self._twap_ids and self._is_taker(at, trader)

    def _is_taker(self, at: int, trader: int) -> bool:
        return bool((self._buyers[at] == trader) == bool(self._taker_buys[at]))

    def _hash(self, action: int) -> str:
        if action in self._twap_ids:
            return ZERO_HASH
        if self._last_hash[0] != action:
            text = blake2b(f"action:{self._seed}:{action}".encode(), digest_size=32).hexdigest()
            self._last_hash = (action, "0x" + text)
        return self._last_hash[1]

    def _fill(self, at: int, trader: int) -> Fill:
        buys = self._buyers[at] == trader
        crossed = self._is_taker(at, trader)
        start = (self._buyer_starts if buys else self._seller_starts)[at]
        lots = self._lots[at]
        action = self._actions[at]
        liquidation = self._liquidations.get(action)
        victim = liquidation is not None and crossed
        person = self._traders[trader]
        return Fill(
            coin=self._markets[self._coins[at]].coin,
            px=self._pxs[at],
            lots=lots,
            buys=buys,
            time_ms=self._times[at],
            start_lots=start,
            dir=_liquidated_dir(person, start) if victim else direction(start, lots if buys else -lots),
            closed_pnl_micro=(self._buyer_closed if buys else self._seller_closed)[at],
            hash=self._hash(action),
            # A taker's order is its action; a maker's rests from before, one order a print.
            oid=30_000_000_000 + 7 * action if crossed else 20_000_000_000 + 3 * at,
            crossed=crossed,
            fee_micro=fee_micro(person, lots * self._pxs[at], crossed=crossed),
            tid=self._tids[at],
            twap_id=self._twap_ids.get(action) if crossed else None,
            liquidation=liquidation,
        )


def fee_micro(trader: Trader, notional_micro: int, *, crossed: bool) -> int:
    """Base fees of the venue: taker 0.045 %, maker 0.015 %; market makers get 0.003 % back."""
    if crossed:
        return notional_micro * 45 // 100_000
    if trader.liquidatable:
        return notional_micro * 15 // 100_000
    return -(notional_micro * 3 // 100_000)


def direction(start: int, lots: int) -> str:
    """The venue's word for a fill of `lots` (signed) on a position of `start`."""
    after = start + lots
    if start and start * lots < 0:
        if start * after < 0:
            return "Long > Short" if start > 0 else "Short > Long"
        return "Close Long" if start > 0 else "Close Short"
    return "Open Long" if lots > 0 else "Open Short"


def _liquidated_dir(trader: Trader, start: int) -> str:
    return f"Liquidated {'Cross' if trader.cross else 'Isolated'} {'Long' if start > 0 else 'Short'}"
