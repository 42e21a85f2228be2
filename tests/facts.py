"""Facts for tests, made from the few fields that a test cares about."""

from typing import Any

from market_scraper.domain.events import PositionChanged, TapeAdvanced, TapeGapped
from market_scraper.domain.market import MarketContext
from market_scraper.domain.positions import Cause, Position, PositionState, TapeGap, TapeMark
from market_scraper.domain.traders import Inference, LeaderboardRow, RatedTrader
from market_scraper.domain.values import Address, Symbol

BTC = Symbol("BTC")
ETH = Symbol("ETH")
NO_POSITION = Inference(has_position=False, confidence=0.0)


def address(number: int) -> Address:
    return Address(f"0x{number:040x}")


def position(trader: int = 1, **fields: Any) -> Position:
    """An exact long of 100 lots (1e-5 coins each) in BTC at 1,000 ms, unless said otherwise."""
    values: dict[str, Any] = {
        "symbol": BTC,
        "sz_decimals": 5,
        "lots": 100,
        "net_lots": 100,
        "state": PositionState.EXACT,
        "doubt": None,
        "because": None,
        "since_ms": None,
        "epoch_ms": 0,
        "changes": 3,
        "watched_from_ms": 0,
        "entry_px": 60_000.0,
        "leverage": None,
        "liquidation_px": None,
        "confirmed_ms": None,
        "account_value": None,
        "t_ms": 1_000,
        "tid": 1,
        "version": 1,
    }
    return Position(trader=address(trader), **{**values, **fields})


def changed(after: Position, lots_before: int | None = 0, *, known_at_ms: int | None = None) -> PositionChanged:
    return PositionChanged(
        known_at_ms=after.t_ms if known_at_ms is None else known_at_ms,
        after=after,
        lots_before=lots_before,
        cause=Cause.PRINT,
        px=60_000.0,
    )


def mark(watermark_ms: int, *, symbol: Symbol = BTC, gaps: tuple[tuple[Any, ...], ...] = (), **fields: Any) -> TapeMark:
    """A mark whose epoch is the end of the last gap."""
    values = {"epoch_ms": gaps[-1][1] if gaps else 0, **fields}
    return TapeMark(symbol=symbol, watermark_ms=watermark_ms, gaps=tuple(TapeGap(*gap) for gap in gaps), **values)


def advanced(of: TapeMark, *, known_at_ms: int | None = None, venue_offset_ms: int = 0) -> TapeAdvanced:
    known = of.watermark_ms if known_at_ms is None else known_at_ms
    return TapeAdvanced(known_at_ms=known, mark=of, venue_offset_ms=venue_offset_ms)


def gapped(of: TapeMark, *, known_at_ms: int | None = None) -> TapeGapped:
    return TapeGapped(known_at_ms=of.watermark_ms if known_at_ms is None else known_at_ms, mark=of)


def context(open_interest: float, *, symbol: Symbol = BTC) -> MarketContext:
    return MarketContext(
        symbol=symbol, mark=60_000.0, mid=60_000.0, open_interest=open_interest, funding=None, day_volume_usd=None
    )


def rated(
    trader: int,
    score: float = 60.0,
    *,
    tracked: bool = True,
    tags: tuple[str, ...] = (),
    inference: Inference = NO_POSITION,
) -> RatedTrader:
    return RatedTrader(
        row=LeaderboardRow(trader=address(trader), account_value=1_000_000.0),
        score=score,
        parts={"all": score},
        tags=tags,
        inference=inference,
        tracked=tracked,
    )
