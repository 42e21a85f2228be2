"""The world as the wire sees it: one object, asked with moments."""

import random

from market_scraper.simulator.world.accounts import Accounts
from market_scraper.simulator.world.bars import INTERVALS
from market_scraper.simulator.world.candles import CandleBook
from market_scraper.simulator.world.disturbances import Disturbances
from market_scraper.simulator.world.exchange import Exchange
from market_scraper.simulator.world.facts import (
    AccountState,
    Bbo,
    Block,
    Candle,
    Context,
    Fill,
    Kind,
    LeaderRow,
    OffTape,
    Person,
    PortfolioWindow,
    Print,
    SubAccount,
    VaultDetails,
)
from market_scraper.simulator.world.flow import CoinFlow
from market_scraper.simulator.world.holdings import Holdings
from market_scraper.simulator.world.liquidations import LiquidationWatch
from market_scraper.simulator.world.markets import MAIN_DEX, Market, markets_for
from market_scraper.simulator.world.opening import open_positions, opening_balances
from market_scraper.simulator.world.options import WorldOptions
from market_scraper.simulator.world.path import PricePath
from market_scraper.simulator.world.people import population
from market_scraper.simulator.world.prints import PrintLog
from market_scraper.simulator.world.schedule import Schedule
from market_scraper.simulator.world.screen import Screen
from market_scraper.simulator.world.standing import Standing
from market_scraper.simulator.world.vaults import Vaults

_FIRST_HEIGHT = 812_000_000


class World:
    """Markets and traders from `start_ms` on. Not thread-safe; questions never change what comes.

    Coins, dexes and users that do not exist: KeyError for a coin or dex, empty answers for a user.
    """

    def __init__(self, options: WorldOptions) -> None:
        seed, start_ms = options.seed, options.start_ms
        self.options = options
        self.markets: tuple[Market, ...] = markets_for(options.symbols)  # all dexes; `markets_of(dex)` is one universe
        self.dexes: tuple[str, ...] = tuple(dict.fromkeys([MAIN_DEX, *(market.dex for market in self.markets)]))
        self._coins = {market.coin: at for at, market in enumerate(self.markets)}
        self._traders = population(seed, options.traders, self.markets)
        self._numbers = {trader.user: trader.index for trader in self._traders}
        paths = [PricePath(market, seed, start_ms) for market in self.markets]
        paces = [options.prints_per_s * market.share for market in self.markets]
        self._candles = [
            CandleBook(market, seed, start_ms, options.history_days, paths[at].mark_at(start_ms), max(paces[at], 0.01))
            for at, market in enumerate(self.markets)
        ]
        self._holdings = Holdings(len(self._traders), len(self.markets))
        open_positions(seed, start_ms, self._traders, self.markets, paths, self._holdings)
        balances = opening_balances(start_ms, self._traders, self.markets, paths, self._holdings, self.dexes)
        self._accounts = Accounts(self._traders, self.markets, paths, self._holdings, self.dexes, balances)
        self._log = PrintLog(seed, self._traders, self.markets)
        watch = LiquidationWatch(self._traders, self._holdings, self._accounts, len(self.markets))
        self._watch = watch
        self._exchange = Exchange(
            traders=self._traders,
            markets=self.markets,
            paths=paths,
            candles=self._candles,
            holdings=self._holdings,
            accounts=self._accounts,
            log=self._log,
            watch=watch,
            rng=random.Random(f"tids:{seed}"),
        )
        self._paths = paths
        self._flows = {
            at: CoinFlow(at, seed, paces[at], start_ms, self._exchange)
            for at, market in enumerate(self.markets)
            if not market.delisted
        }
        self._screen = Screen(seed, start_ms, self._exchange)
        spot = self._coins.get("HYPE", self._coins[options.symbols[0]])
        self._standing = Standing(seed, start_ms, self._traders, self._accounts, paths[spot])
        self._vaults = Vaults(seed, start_ms, self._traders, self._standing)
        self._schedule = Schedule()
        self._pauses = random.Random(f"blocks:{seed}")
        self._height = _FIRST_HEIGHT
        self._now_ms = start_ms
        self._next_block_ms = start_ms + self._pause_ms()
        for coin in self._flows:
            for held in self._holdings.open_holdings(coin):
                watch.note(held.trader, coin, start_ms)
        self._disturbances = Disturbances(seed, self._exchange, self._flows, self._screen, self._schedule)
        self._disturbances.plan_funding(start_ms)
        if options.off_tape_per_hour > 0:
            self._disturbances.plan_off_tape(options.off_tape_per_hour, start_ms)

    @property
    def off_tape_log(self) -> list[OffTape]:
        """Every change without a print so far, oldest first."""
        return self._exchange.off_tape

    # -- time ---------------------------------------------------------------------------------------------------------
    @property
    def now_ms(self) -> int:
        """How far the world has come: the greatest `to_ms` so far."""
        return self._now_ms

    def advance(self, to_ms: int) -> list[Block]:
        """All blocks not yet given with time <= `to_ms`. However time is cut up, the blocks are the same."""
        blocks = []
        while self._next_block_ms <= to_ms:
            self._schedule.run_until(self._next_block_ms)
            blocks.append(self._block(self._next_block_ms))
            self._next_block_ms += self._pause_ms()
        if to_ms > self._now_ms:
            self._schedule.run_until(to_ms)
            self._now_ms = to_ms
            for book in self._candles:
                book.reach(to_ms)
        return blocks

    # -- disturbances: in the past they happen right after `now_ms`; the moment they take effect is returned -----------
    def inject_off_tape(self, user: str, coin: str, new_lots: int, at_ms: int) -> int:
        """Set a position without a print; some other account takes the other side, so that sizes still sum to 0."""
        at_ms = max(at_ms, self._now_ms + 1)
        self._disturbances.plan_change(self._coins[coin], self._numbers[user], new_lots, at_ms)
        return at_ms

    def order(self, user: str, coin: str, to_lots: int, at_ms: int) -> int:
        """Let an account trade, by prints, until it holds `to_lots` (signed)."""
        at_ms = max(at_ms, self._now_ms + 1)
        self._flows[self._coins[coin]].order(at_ms, self._numbers[user], to_lots)
        return at_ms

    def delist(self, coin: str, at_ms: int) -> int:
        """Settle every position of `coin` at its mark without prints and list it as delisted."""
        at_ms = max(at_ms, self._now_ms + 1)
        self._disturbances.plan_end(self._coins[coin], at_ms, delisted=True)
        return at_ms

    def halt(self, coin: str, at_ms: int) -> int:
        """Settle every position of `coin` at its mark without prints; it trades no more but stays listed."""
        at_ms = max(at_ms, self._now_ms + 1)
        self._disturbances.plan_end(self._coins[coin], at_ms, delisted=False)
        return at_ms

    def burst(self, coin: str, from_ms: int, to_ms: int, prints_per_s: float) -> None:
        """Let `coin` print at another pace for a while."""
        self._disturbances.plan_burst(self._coins[coin], max(from_ms, self._now_ms + 1), to_ms, prints_per_s)

    # -- the truth ----------------------------------------------------------------------------------------------------
    def size_at(self, user: str, coin: str, at_ms: int) -> int:
        """Signed lots of `user` in `coin`; 0 for a stranger."""
        held = self._holdings.by_coin[self._coins[coin]].get(self._numbers.get(user, -1))
        return 0 if held is None else held.lots_at(at_ms)

    def sizes_at(self, coin: str, at_ms: int) -> dict[str, int]:
        """Everybody's signed lots in `coin`, flat accounts left out."""
        found = {}
        for trader, held in self._holdings.by_coin[self._coins[coin]].items():
            lots = held.lots_at(at_ms)
            if lots:
                found[self._traders[trader].user] = lots
        return found

    def activity(self, coin: str) -> dict[str, int]:
        """How often each position was written so far: once a print, once an hour for funding, once when it began."""
        held = self._holdings.by_coin[self._coins[coin]]
        return {self._traders[trader].user: holding.version for trader, holding in held.items()}

    def kind_of(self, user: str) -> Kind | None:
        """None for a stranger."""
        number = self._numbers.get(user)
        return None if number is None else self._traders[number].kind

    def skill_of(self, user: str) -> float:
        """-1..1; 0 for a stranger."""
        number = self._numbers.get(user)
        return 0.0 if number is None else self._traders[number].skill

    def people(self) -> list[Person]:
        """Every account of this world."""
        return [
            Person(one.user, one.kind, one.skill, None if one.master is None else self._traders[one.master].user)
            for one in self._traders
        ]

    # -- markets ------------------------------------------------------------------------------------------------------
    def market(self, coin: str) -> Market | None:
        """The perp called `coin`, if there is one."""
        number = self._coins.get(coin)
        return None if number is None else self.markets[number]

    def markets_of(self, dex: str) -> tuple[Market, ...]:
        """One dex's universe in index order; empty for an unknown dex."""
        return tuple(market for market in self.markets if market.dex == dex)

    def is_delisted(self, coin: str, at_ms: int) -> bool:
        """What `meta` says at `at_ms`."""
        return at_ms >= self._screen.delisted_ms[self._coins[coin]]

    def context(self, coin: str, at_ms: int) -> Context:
        """One coin's context."""
        return self._screen.context(self._coins[coin], at_ms)

    def contexts(self, at_ms: int, dex: str = "") -> list[Context]:
        """Contexts of a dex, in index order."""
        return [self._screen.context(at, at_ms) for at, market in enumerate(self.markets) if market.dex == dex]

    def mids(self, at_ms: int, dex: str = "") -> dict[str, float]:
        """Mid prices in USD, spot pairs too on the first dex; coins without a mid are left out."""
        return self._screen.mids(dex, at_ms)

    def bbo(self, coin: str) -> Bbo | None:
        """The best prices as the newest block left them; None when nothing trades."""
        return self._screen.best[self._coins[coin]]

    def recent_prints(self, coin: str, n: int) -> list[Print]:
        """The last `n` prints (at most 500) in execution order, oldest first."""
        recent = self._log.recent[self._coins[coin]]
        return list(recent)[max(0, len(recent) - n) :]

    def candles(self, coin: str, interval: str, start_ms: int, end_ms: int) -> list[Candle]:
        """Bars that open in [start_ms, end_ms], oldest first, the forming one included; about 5,000 are kept."""
        if interval not in INTERVALS:
            raise ValueError(f"no such interval: {interval!r}")
        return self._candles[self._coins[coin]].candles(interval, start_ms, end_ms)

    def forming_candle(self, coin: str, interval: str) -> Candle:
        """The bar that contains the newest block. Cheap enough for every block."""
        return self._candles[self._coins[coin]].forming(interval)

    # -- accounts -----------------------------------------------------------------------------------------------------
    def account_at(self, user: str, dex: str, at_ms: int) -> AccountState:
        """One account on one dex; a stranger's is empty."""
        dex_no = self.dexes.index(dex) if dex in self.dexes else -1
        if dex_no < 0:
            raise KeyError(dex)
        number = self._numbers.get(user)
        if number is None:
            return AccountState(user, dex, at_ms, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ())
        return self._accounts.state(number, dex_no, at_ms)

    def fills(
        self, user: str, start_ms: int = 0, end_ms: int | None = None, *, twap: bool | None = None, limit: int = 2000
    ) -> list[Fill]:
        """The first `limit` fills with start_ms <= time <= end_ms, in execution order. A block's: both = its time.

        `twap`: True = own TWAP slices only, False = none of them, None = all.
        """
        return self._log.fills(self._numbers.get(user, -1), start_ms, end_ms, twap=twap, limit=limit)

    def newest_fills(self, user: str, limit: int = 2000, *, twap: bool | None = None) -> list[Fill]:
        """The last `limit` fills in execution order (oldest first)."""
        return self._log.newest_fills(self._numbers.get(user, -1), limit, twap=twap)

    def portfolio(self, user: str, at_ms: int) -> list[PortfolioWindow]:
        """The eight windows."""
        number = self._numbers.get(user)
        return [] if number is None else self._standing.portfolio(number, at_ms)

    def sub_accounts(self, user: str) -> list[SubAccount]:
        """Empty for who has none."""
        number = self._numbers.get(user)
        if number is None:
            return []
        subs = self._standing.subs_of(number)
        return [SubAccount(f"sub {at + 1}", self._traders[sub].user, user) for at, sub in enumerate(subs)]

    def vault_details(self, user: str, at_ms: int) -> VaultDetails | None:
        """None for who is no vault."""
        number = self._numbers.get(user)
        return None if number is None else self._vaults.details(self._traders[number], at_ms)

    def leaderboard(self, at_ms: int) -> list[LeaderRow]:
        """All rows."""
        return self._standing.rows(at_ms)

    # -- inside -------------------------------------------------------------------------------------------------------
    def _block(self, at_ms: int) -> Block:
        prints: list[tuple[str, tuple[Print, ...]]] = []
        bbos: list[Bbo] = []
        for coin, flow in self._flows.items():
            if not flow.open:
                continue
            moved = self._screen.moved(coin, at_ms)
            due = self._watch.due(coin, self._paths[coin].mark_at(at_ms), at_ms) if moved else []
            done = flow.run(at_ms, due)
            if done:
                prints.append((self.markets[coin].coin, tuple(done)))
            if moved or done:
                bbos.append(self._screen.new_best(coin, at_ms))
        self._height += 1
        return Block(at_ms, self._height, tuple(prints), tuple(bbos))

    def _pause_ms(self) -> int:
        """About twelve blocks a second, and a hiccup now and then."""
        chance = self._pauses.random()
        return 300 + int(chance * 200_000) if chance < 0.002 else 45 + int(self._pauses.random() * 75)
