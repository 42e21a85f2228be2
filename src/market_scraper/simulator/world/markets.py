"""The markets of the paper venue, and the venue's rules for a price and a size.

Prices are kept as whole units of 10^-(6 - szDecimals) USD and sizes as whole lots of 10^-szDecimals coins,
so that price x size is a whole number of millionths of a USD and no cent is ever lost.
"""

from dataclasses import dataclass

MAIN_DEX = ""
HIP3_DEX = "xyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One perp, as `meta` lists it. Its place in its dex's universe is its asset index."""

    coin: str
    dex: str = MAIN_DEX
    sz_decimals: int
    max_leverage: int
    margin_table_id: int
    start_px: float  # USD at the world's start
    day_volatility: float  # standard deviation of a day's log return, drift apart
    share: float  # prints relative to the busiest coin
    popularity: float  # how likely a trader trades it
    delisted: bool = False  # from the beginning

    @property
    def px_decimals(self) -> int:
        """Decimals of a price unit; the venue allows no more."""
        return 6 - self.sz_decimals

    @property
    def whole_usd(self) -> int:
        """One USD in price units."""
        return int(10**self.px_decimals)

    @property
    def maintenance_rate(self) -> float:
        """Maintenance margin as a share of notional: half the initial margin at the highest leverage."""
        return 1 / (2 * self.max_leverage)

    def units(self, usd: float) -> int:
        """Price in units, not yet rounded to a tick."""
        return round(usd * self.whole_usd)

    def usd(self, px: int) -> float:
        """USD per coin of a price in units."""
        return px / self.whole_usd

    def coins(self, lots: int) -> float:
        """Coins of a number of lots."""
        return float(lots / 10**self.sz_decimals)

    def tick(self, px: int) -> int:
        """Smallest allowed price step at `px`, in units: 5 significant figures, whole USD always allowed."""
        step: int = 10 ** max(0, len(str(px)) - 5)
        return min(step, self.whole_usd)


# share: BTC, HYPE, ETH as measured in 2026-09 (facts 5.5), the rest by feel.
CATALOGUE: tuple[Market, ...] = (
    Market(
        coin="BTC",
        sz_decimals=5,
        max_leverage=40,
        margin_table_id=56,
        start_px=84_000.0,
        day_volatility=0.022,
        share=1.0,
        popularity=1.0,
    ),
    Market(
        coin="ETH",
        sz_decimals=4,
        max_leverage=25,
        margin_table_id=55,
        start_px=2_680.0,
        day_volatility=0.032,
        share=0.39,
        popularity=0.6,
    ),
    Market(
        coin="SOL",
        sz_decimals=2,
        max_leverage=20,
        margin_table_id=54,
        start_px=131.0,
        day_volatility=0.04,
        share=0.28,
        popularity=0.4,
    ),
    Market(
        coin="LOOM",
        sz_decimals=1,
        max_leverage=3,
        margin_table_id=3,
        start_px=0.0432,
        day_volatility=0.0,
        share=0.0,
        popularity=0.0,
        delisted=True,
    ),
    Market(
        coin="HYPE",
        sz_decimals=2,
        max_leverage=10,
        margin_table_id=52,
        start_px=33.5,
        day_volatility=0.05,
        share=0.65,
        popularity=0.5,
    ),
    Market(
        coin="DOGE",
        sz_decimals=0,
        max_leverage=10,
        margin_table_id=52,
        start_px=0.1452,
        day_volatility=0.045,
        share=0.08,
        popularity=0.12,
    ),
    Market(
        coin="kPEPE",
        sz_decimals=0,
        max_leverage=10,
        margin_table_id=52,
        start_px=0.0045,
        day_volatility=0.055,
        share=0.06,
        popularity=0.1,
    ),
    Market(
        coin="xyz:TSLA",
        dex=HIP3_DEX,
        sz_decimals=3,
        max_leverage=10,
        margin_table_id=10,
        start_px=402.3,
        day_volatility=0.025,
        share=0.05,
        popularity=0.08,
    ),
    Market(
        coin="xyz:XYZ100",
        dex=HIP3_DEX,
        sz_decimals=4,
        max_leverage=20,
        margin_table_id=20,
        start_px=24_610.0,
        day_volatility=0.012,
        share=0.09,
        popularity=0.08,
    ),
)
DEFAULT_SYMBOLS: tuple[str, ...] = tuple(market.coin for market in CATALOGUE if not market.delisted)

MARGIN_TIERS: dict[int, tuple[tuple[float, int], ...]] = {
    56: ((0.0, 40), (150_000_000.0, 20)),
    55: ((0.0, 25), (100_000_000.0, 15)),
    54: ((0.0, 20), (70_000_000.0, 10)),
    52: ((0.0, 10), (20_000_000.0, 5)),
    20: ((0.0, 20),),
    10: ((0.0, 10),),
    3: ((0.0, 3),),
}
"""margin table id -> (lower bound of the notional in USD, highest leverage) per tier."""

SPOT_MIDS: dict[str, float] = {"@107": 33.52, "PURR/USDC": 0.0912, "@1": 12.4, "@142": 84_020.0}
"""spot pair -> USD at the world's start; `@107` (HYPE) and `@142` (BTC) follow their perps."""


def markets_for(symbols: tuple[str, ...]) -> tuple[Market, ...]:
    """The chosen perps and the delisted one, in the order of the venue. Raises ValueError for an unknown symbol."""
    unknown = set(symbols) - set(DEFAULT_SYMBOLS)
    if unknown or not symbols:
        raise ValueError(f"unknown symbols {sorted(unknown)}; there are {', '.join(DEFAULT_SYMBOLS)}")
    return tuple(market for market in CATALOGUE if market.delisted or market.coin in symbols)
