"""Answers of `/api/v1/markets`."""

from datetime import datetime

import msgspec

from market_scraper.domain import market as domain
from market_scraper.schemas.times import moment


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """One collected perp."""

    symbol: str
    status: str  # open, halted (no mid price), delisted, or unknown before the venue has spoken
    mid: float | None  # USD
    open_interest: float | None  # coins, each contract once


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """One OHLCV bar. `t` is its open time; prices in USD, volume in coins."""

    t: datetime
    o: float
    h: float
    l: float  # noqa: E741 - the contract's own name
    c: float
    v: float


class MarketDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One collected perp with its newest bar and what part of it the ledger knows."""

    symbol: str
    status: str
    latest_candle: Candle | None
    latest_candle_closed: bool | None
    timeframe: str  # of latest_candle
    mid: float | None  # USD
    mark: float | None  # USD
    open_interest: float | None  # coins
    funding: float | None  # rate per hour
    day_volume_usd: float | None
    coverage: float  # sum of |size| over exact traders / (2 x open interest), 0..1
    as_of: datetime | None  # when the prices became known


class CandleHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Closed bars, oldest first."""

    symbol: str
    timeframe: str
    candles: list[Candle]
    count: int
    next_cursor: str | None


def candle(of: domain.Candle) -> Candle:
    """Show a bar."""
    return Candle(t=moment(of.t_ms), o=of.o, h=of.h, l=of.l, c=of.c, v=of.v)


def status(market: domain.Market | None, context: domain.MarketContext | None) -> str:
    """Say whether a market trades."""
    if market is not None and market.is_delisted:
        return "delisted"
    if context is None:
        return "unknown"
    return "halted" if context.mid is None else "open"
