"""What the venue says of its markets: listings, prices, prints and candles."""

import msgspec

from market_scraper.domain.values import Address, Interval, Symbol

PRICE_AND_SIZE_DECIMALS = 6
"""A perp's price has at most 6 - szDecimals decimals (facts 6), so price ticks x lots is whole micro-dollars."""


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """One perp as listed."""

    symbol: Symbol
    sz_decimals: int  # one lot = 10**-sz_decimals coins
    max_leverage: int
    dex: str = ""  # "" = the main (validator) dex
    is_delisted: bool = False


class MarketContext(msgspec.Struct, frozen=True, kw_only=True):
    """One perp's state now. Prices in USD; `mid` and `mark` may be missing on a halted market."""

    symbol: Symbol
    mark: float | None
    mid: float | None
    open_interest: float  # coins, each contract once: sum of |size| over all accounts = 2 x this
    funding: float | None  # rate per hour
    day_volume_usd: float | None


class Print(msgspec.Struct, frozen=True, gc=False):
    """One match on the public tape. `(coin, time_ms, tid)` is its identity, never its order (facts 4.4)."""

    time_ms: int  # block time
    tid: int
    lots: int  # > 0
    px: float  # USD
    buyer: Address
    seller: Address


class Candle(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One OHLCV bar. `t_ms` = open time; prices in USD, volume in coins, `n` = number of trades if told."""

    t_ms: int
    o: float
    h: float
    l: float  # noqa: E741 - the venue's and the contract's own name
    c: float
    v: float
    n: int | None = None


class CandleKey(msgspec.Struct, frozen=True):
    """Which series a candle belongs to."""

    symbol: Symbol
    interval: Interval
