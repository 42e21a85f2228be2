"""Positions as answers show them: `state` speaks for coin, side and size, as of `as_of`."""

from datetime import datetime

import msgspec

from market_scraper.domain import positions as domain
from market_scraper.domain.claims import Claim
from market_scraper.domain.events import PositionChanged
from market_scraper.domain.positions import Cause, PositionState
from market_scraper.domain.values import Symbol, coins
from market_scraper.schemas.times import moment


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """One trader's position in one coin. Flat is `size: 0`; a size that nobody knows is null."""

    coin: str
    size: float | None  # coins, signed: long > 0
    entry_price: float | None  # USD
    mark_price: float | None  # USD
    unrealized_pnl: float | None  # USD, from mark and entry; null when either is unknown
    leverage: int | None  # times, as of confirmed_at
    liquidation_price: float | None  # USD, as of confirmed_at
    state: PositionState
    doubt: float | None  # unsure only: the chance, 0..1, that the size is wrong
    as_of: datetime | None  # true after all blocks up to this time; null when nothing was ever seen
    confirmed_at: datetime | None  # the last account answer that agreed
    since: datetime | None  # unsure since
    because: Cause | None  # why it is not exact
    net_change: float | None  # unknown only: coins bought less coins sold since the trader was first seen


class PositionFact(msgspec.Struct, frozen=True, kw_only=True):
    """One fact of a position's history: what it was from `timestamp` on, and why that was published."""

    timestamp: datetime
    known_at: datetime
    coin: str
    size: float | None
    size_before: float | None
    entry_price: float | None
    price: float | None  # USD, of the last print; null for account answers and gaps
    unrealized_pnl: float | None  # USD, at `price`
    leverage: int | None
    liquidation_price: float | None
    state: PositionState
    doubt: float | None
    cause: Cause
    since: datetime | None
    because: Cause | None


class PositionHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one trader in one coin, newest first."""

    address: str
    symbol: str
    positions: list[PositionFact]
    count: int
    next_cursor: str | None


def position(symbol: Symbol, of: domain.Position | None, claim: Claim | None, mark: float | None) -> Position:
    """Show what may be claimed now. `of` None: nothing was ever seen; `mark` in USD, None = unknown."""
    if of is None:
        return Position(
            coin=symbol,
            size=None,
            entry_price=None,
            mark_price=mark,
            unrealized_pnl=None,
            leverage=None,
            liquidation_price=None,
            state=PositionState.UNKNOWN if claim is None else claim.state,
            doubt=None,
            as_of=None if claim is None else moment(claim.as_of_ms),
            confirmed_at=None,
            since=None,
            because=None,
            net_change=None,
        )
    claim = claim or at_fact(of)
    # An inferred or unknown position claims no size, whatever was stored with it.
    size = of.size if claim.state in (PositionState.EXACT, PositionState.UNSURE) else None
    return Position(
        coin=symbol,
        size=size,
        entry_price=of.entry_px,
        mark_price=mark,
        unrealized_pnl=unrealized_pnl(size, of.entry_px, mark),
        leverage=of.leverage,
        liquidation_price=of.liquidation_px,
        state=claim.state,
        doubt=claim.doubt,
        as_of=moment(claim.as_of_ms),
        confirmed_at=moment(of.confirmed_ms),
        since=moment(claim.since_ms),
        because=claim.because,
        net_change=coins(of.net_lots, of.sz_decimals) if claim.state is PositionState.UNKNOWN else None,
    )


def at_fact(of: domain.Position) -> Claim:
    """What the fact itself claimed, as of its own time."""
    return Claim(of.state, of.doubt, of.because, of.since_ms, of.t_ms)


def fact(of: PositionChanged) -> PositionFact:
    """Show one fact of the history."""
    after = of.after
    return PositionFact(
        timestamp=moment(after.t_ms),
        known_at=moment(of.known_at_ms),
        coin=after.symbol,
        size=after.size,
        size_before=None if of.lots_before is None else coins(of.lots_before, after.sz_decimals),
        entry_price=after.entry_px,
        price=of.px,
        unrealized_pnl=unrealized_pnl(after.size, after.entry_px, of.px),
        leverage=after.leverage,
        liquidation_price=after.liquidation_px,
        state=after.state,
        doubt=after.doubt,
        cause=of.cause,
        since=moment(after.since_ms),
        because=after.because,
    )


def unrealized_pnl(size: float | None, entry_px: float | None, mark: float | None) -> float | None:
    """USD; 0 for flat, None when size, entry or mark is unknown."""
    if size == 0:
        return 0.0
    if size is None or entry_px is None or mark is None:
        return None
    return size * (mark - entry_px)
