"""Settles matches: everything that one print changes, in one place."""

import random

from market_scraper.simulator.world.accounts import Accounts
from market_scraper.simulator.world.candles import CandleBook
from market_scraper.simulator.world.facts import OffTape, Print
from market_scraper.simulator.world.holdings import Holdings
from market_scraper.simulator.world.liquidations import LiquidationWatch
from market_scraper.simulator.world.markets import Market
from market_scraper.simulator.world.path import PricePath
from market_scraper.simulator.world.people import Trader
from market_scraper.simulator.world.prints import PrintLog, fee_micro


class Exchange:
    """The books. Sizes of a coin sum to zero after every call, and open interest is half the sum of their amounts."""

    def __init__(
        self,
        *,
        traders: list[Trader],
        markets: tuple[Market, ...],
        paths: list[PricePath],
        candles: list[CandleBook],
        holdings: Holdings,
        accounts: Accounts,
        log: PrintLog,
        watch: LiquidationWatch,
        rng: random.Random,
    ) -> None:
        self.traders = traders
        self.markets = markets
        self.paths = paths
        self.candles = candles
        self.holdings = holdings
        self.accounts = accounts
        self.log = log
        self.watch = watch
        self.off_tape: list[OffTape] = []
        self._getrandbits = rng.getrandbits
        self._actions = 0

    def new_action(self) -> int:
        """Number of the next taker action; its prints share a hash."""
        self._actions += 1
        return self._actions

    def match(
        self, *, coin: int, at_ms: int, px: int, lots: int, taker: int, maker: int, taker_buys: bool, action: int
    ) -> Print:
        """Settle `lots` between two different traders."""
        buyer, seller = (taker, maker) if taker_buys else (maker, taker)
        notional = lots * px
        holdings = self.holdings
        bought, sold = holdings.get(buyer, coin), holdings.get(seller, coin)
        starts = (bought.lots, sold.lots)
        closed = (
            bought.trade(lots, px, fee_micro(self.traders[buyer], notional, crossed=taker_buys), notional, at_ms),
            sold.trade(-lots, px, fee_micro(self.traders[seller], notional, crossed=not taker_buys), notional, at_ms),
        )
        holdings.open_interest[coin] += max(bought.lots, 0) + max(sold.lots, 0) - max(starts[0], 0) - max(starts[1], 0)
        holdings.note_open_interest(coin, at_ms)
        self.candles[coin].add(px, lots, at_ms)
        self.watch.note(buyer, coin, at_ms)
        self.watch.note(seller, coin, at_ms)
        return self.log.add(
            coin=coin,
            time_ms=at_ms,
            px=px,
            lots=lots,
            buyer=buyer,
            seller=seller,
            taker_buys=taker_buys,
            tid=self._getrandbits(50) | 1,
            action=action,
            starts=starts,
            closed=closed,
        )

    def change_off_tape(self, coin: int, trader: int, new_lots: int, at_ms: int, cause: str) -> None:
        """Set a size at the mark, without a print; the caller keeps the sum at zero."""
        held = self.holdings.get(trader, coin)
        before = held.lots
        if before == new_lots:
            return
        held.trade(new_lots - before, self.paths[coin].mark_at(at_ms), 0, 0, at_ms)
        self.holdings.open_interest[coin] += max(new_lots, 0) - max(before, 0)
        self.holdings.note_open_interest(coin, at_ms)
        self.watch.note(trader, coin, at_ms)
        self.off_tape.append(
            OffTape(at_ms, self.traders[trader].user, self.markets[coin].coin, before, new_lots, cause)
        )

    def settle_all(self, coin: int, at_ms: int, cause: str) -> None:
        """Close every position of a coin at the mark, without prints."""
        for held in list(self.holdings.open_holdings(coin)):
            self.change_off_tape(coin, held.trader, 0, at_ms, cause)

    def pay_funding(self, at_ms: int) -> None:
        """An hour's funding for everybody: longs pay a positive rate."""
        for coin, path in enumerate(self.paths):
            per_lot = path.oracle_at(at_ms) * path.funding_at(at_ms)
            for held in self.holdings.open_holdings(coin):
                held.pay_funding(round(held.lots * per_lot), at_ms)

    def make_whole(self, trader: int, coin: int, at_ms: int) -> None:
        """After a liquidation: no account owes the venue, and one that lost nearly all opens no more."""
        dex_no = self.accounts.dex_of(coin)
        equity = self.accounts.equity_now_micro(trader, dex_no, at_ms)
        if equity < 0 and not any(held.lots for held in self.accounts.of_dex(trader, dex_no)):
            self.holdings.get(trader, coin).make_whole(-equity, at_ms)
        if equity < self.traders[trader].value_usd * 1e6 * 0.05:
            self.traders[trader].broke = True
