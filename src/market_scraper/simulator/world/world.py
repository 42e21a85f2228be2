"""The world as the wire sees it: one object, asked with moments."""

from collections.abc import Sequence

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
from market_scraper.simulator.world.markets import Market
from market_scraper.simulator.world.options import WorldOptions


class World:
    """Markets and traders from `start_ms` on. Not thread-safe; questions never change what comes."""

    def __init__(self, options: WorldOptions) -> None:
        self.options = options
        self.markets: tuple[Market, ...] = ()  # all dexes; `markets_of(dex)` is one universe
        self.off_tape_log: list[OffTape] = []  # oldest first

    # -- time ---------------------------------------------------------------------------------------------------------
    @property
    def now_ms(self) -> int:
        """How far the world has come: the greatest `to_ms` so far."""
        raise NotImplementedError

    def advance(self, to_ms: int) -> list[Block]:
        """All blocks not yet given with time <= `to_ms`. However time is cut up, the blocks are the same."""
        raise NotImplementedError

    # -- disturbances: in the past they happen right after `now_ms`; the moment they take effect is returned -----------
    def inject_off_tape(self, user: str, coin: str, new_lots: int, at_ms: int) -> int:
        """Set a position without a print; some other account takes the other side, so that sizes still sum to 0."""
        raise NotImplementedError

    def delist(self, coin: str, at_ms: int) -> int:
        """Settle every position of `coin` at its mark without prints and list it as delisted."""
        raise NotImplementedError

    def halt(self, coin: str, at_ms: int) -> int:
        """Settle every position of `coin` at its mark without prints; it trades no more but stays listed."""
        raise NotImplementedError

    def burst(self, coin: str, from_ms: int, to_ms: int, prints_per_s: float) -> None:
        """Let `coin` print at another pace for a while."""
        raise NotImplementedError

    # -- the truth ----------------------------------------------------------------------------------------------------
    def size_at(self, user: str, coin: str, at_ms: int) -> int:
        """Signed lots of `user` in `coin`; 0 for a stranger."""
        raise NotImplementedError

    def sizes_at(self, coin: str, at_ms: int) -> dict[str, int]:
        """Everybody's signed lots in `coin`, flat accounts left out."""
        raise NotImplementedError

    def kind_of(self, user: str) -> Kind | None:
        """None for a stranger."""
        raise NotImplementedError

    def skill_of(self, user: str) -> float:
        """-1..1; 0 for a stranger."""
        raise NotImplementedError

    def people(self) -> list[Person]:
        """Every account of this world."""
        raise NotImplementedError

    # -- markets ------------------------------------------------------------------------------------------------------
    @property
    def dexes(self) -> tuple[str, ...]:
        """ "" and the HIP-3 dexes."""
        raise NotImplementedError

    def market(self, coin: str) -> Market | None:
        """The perp called `coin`, if there is one."""
        raise NotImplementedError

    def markets_of(self, dex: str) -> tuple[Market, ...]:
        """One dex's universe in index order; empty for an unknown dex."""
        raise NotImplementedError

    def is_delisted(self, coin: str, at_ms: int) -> bool:
        """What `meta` says at `at_ms`."""
        raise NotImplementedError

    def context(self, coin: str, at_ms: int) -> Context:
        """One coin's context."""
        raise NotImplementedError

    def contexts(self, at_ms: int, dex: str = "") -> list[Context]:
        """Contexts of a dex, in index order."""
        raise NotImplementedError

    def mids(self, at_ms: int, dex: str = "") -> dict[str, float]:
        """Mid prices in USD, spot pairs too on the first dex; coins without a mid are left out."""
        raise NotImplementedError

    def bbo(self, coin: str) -> Bbo | None:
        """The best prices as the newest block left them; None when nothing trades."""
        raise NotImplementedError

    def recent_prints(self, coin: str, n: int) -> list[Print]:
        """The last `n` prints (at most 500) in execution order, oldest first."""
        raise NotImplementedError

    def candles(self, coin: str, interval: str, start_ms: int, end_ms: int) -> list[Candle]:
        """Bars that open in [start_ms, end_ms], oldest first, the forming one included; about 5,000 are kept."""
        raise NotImplementedError

    def forming_candle(self, coin: str, interval: str) -> Candle:
        """The bar that contains the newest block. Cheap enough for every block."""
        raise NotImplementedError

    # -- accounts -----------------------------------------------------------------------------------------------------
    def account_at(self, user: str, dex: str, at_ms: int) -> AccountState:
        """One account on one dex; a stranger's is empty."""
        raise NotImplementedError

    def fills(
        self, user: str, start_ms: int = 0, end_ms: int | None = None, *, twap: bool | None = None, limit: int = 2000
    ) -> list[Fill]:
        """The first `limit` fills of the window in execution order; `twap` True/False: only/no own TWAP slices."""
        raise NotImplementedError

    def newest_fills(self, user: str, limit: int = 2000, *, twap: bool | None = None) -> list[Fill]:
        """The last `limit` fills in execution order (oldest first)."""
        raise NotImplementedError

    def fills_of_print(self, prints: Sequence[Print]) -> dict[str, list[Fill]]:
        """Both sides' fills of prints that a block brought: user -> fills in execution order."""
        raise NotImplementedError

    def portfolio(self, user: str, at_ms: int) -> list[PortfolioWindow]:
        """The eight windows."""
        raise NotImplementedError

    def sub_accounts(self, user: str) -> list[SubAccount]:
        """Empty for who has none."""
        raise NotImplementedError

    def vault_details(self, user: str, at_ms: int) -> VaultDetails | None:
        """None for who is no vault."""
        raise NotImplementedError

    def leaderboard(self, at_ms: int) -> list[LeaderRow]:
        """All rows."""
        raise NotImplementedError
