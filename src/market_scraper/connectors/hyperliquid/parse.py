"""Wire to domain, as plain functions: no clock, no socket, no log.

Everything raises InvalidInput (for prints: UndecodableFrame) when the wire's words make no sense.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from math import floor

from market_scraper.connectors.hyperliquid.addresses import AddressTable
from market_scraper.connectors.hyperliquid.messages import (
    WireAccount,
    WireAssetContext,
    WireBbo,
    WireCandle,
    WireLeaderboardRow,
    WireMeta,
    WireMids,
    WirePerformance,
    WirePerpDex,
    WirePosition,
    WireTrade,
)
from market_scraper.connectors.hyperliquid.table import dex_of
from market_scraper.domain.errors import InvalidInput, InvalidSymbol, UndecodableFrame
from market_scraper.domain.market import Candle, Market, MarketContext, Print
from market_scraper.domain.positions import AccountSnapshot, SnapshotPosition
from market_scraper.domain.traders import LeaderboardRow, Performance
from market_scraper.domain.values import Address, Interval, Symbol, parse_address, parse_symbol
from market_scraper.ports.sources import PrintsHeard, TimeHeard

Markets = Callable[[str], Market | None]
"""Gives the followed market of a coin's name, or None for a coin that is not ours."""

MAX_LOTS = 2.0**50
"""Below it a float of the size still tells neighbouring lots apart, so that lots are exact.

A float, for Python compares one with a large integer at twice the cost."""

INFINITY = math.inf


def prints_heard(
    trades: Sequence[WireTrade], markets: Markets, addresses: AddressTable, *, replay: bool
) -> PrintsHeard:
    """Give one trades frame: one coin, in the venue's order, sizes in whole lots.

    Raises UndecodableFrame as a whole, for one unreadable print leaves a hole in the block that it was in.
    """
    if not trades:
        raise InvalidInput("a trades frame without prints, in which none is lost")
    coin = trades[0].coin
    market = markets(coin)
    if market is None:
        raise UndecodableFrame("a trades frame of a coin that is not listed", coin=coin)
    scale: int = 10**market.sz_decimals
    lots_a_coin = float(scale)  # floats multiply with their like, twice as fast
    address_of = addresses.of
    prints: list[Print] = []
    for trade in trades:
        if trade.coin != coin:
            raise UndecodableFrame(f"a trades frame of both {coin[:40]} and {trade.coin[:40]}")
        size, px = trade.sz, trade.px
        scaled = size * lots_a_coin
        # Comparisons with NaN are false, so both lines refuse it, like infinity, zero and the negative.
        if not (0.0 < px < INFINITY and 0.0 < scaled < MAX_LOTS):
            raise UndecodableFrame(f"a print of size {size} at {px}", coin=coin)
        lots = floor(scaled + 0.5)  # in half the time of `round`; where they differ, no size is whole
        if lots / scale != size:
            raise UndecodableFrame(f"a print of size {size}, which is no whole number of lots", coin=coin)
        buyer, seller = trade.users
        try:
            prints.append(Print(trade.time, trade.tid, lots, px, address_of[buyer], address_of[seller]))
        except InvalidInput as error:
            raise UndecodableFrame(f"a print of nobody: {error}", coin=coin) from error
    return PrintsHeard(market.symbol, tuple(prints), replay)


def signed_lots(size: float, sz_decimals: int) -> int | None:
    """A signed size as whole lots, or None when it is no whole number of them (or beyond exactness)."""
    scale: int = 10**sz_decimals
    if not abs(size) * scale < MAX_LOTS:
        return None
    lots = round(size * scale)
    return lots if lots / scale == size else None


def time_heard(bbo: WireBbo) -> TimeHeard:
    """Give a best-price frame's time."""
    return TimeHeard(parse_symbol(bbo.coin), bbo.time)


def mids(wire: WireMids, wanted: Iterable[Symbol]) -> dict[Symbol, float]:
    """Give the wanted coins' mid prices in USD; a missing or senseless one is left out."""
    found = ((symbol, wire.mids.get(symbol)) for symbol in wanted)
    return {symbol: mid for symbol, mid in found if mid is not None and 0.0 < mid < INFINITY}


def candle(wire: WireCandle) -> Candle:
    """Give one bar; prices must be above 0 and enclosed by high and low."""
    # Comparisons, not min and max: those let a NaN in second place through.
    if not (0.0 < wire.l <= wire.o <= wire.h < INFINITY and wire.l <= wire.c <= wire.h):
        raise InvalidInput(f"a bar of prices {wire.o}, {wire.h}, {wire.l}, {wire.c}")
    if not 0.0 <= wire.v < INFINITY:
        raise InvalidInput(f"a bar of volume {wire.v}")
    return Candle(t_ms=wire.t, o=wire.o, h=wire.h, l=wire.l, c=wire.c, v=wire.v, n=wire.n)


def newest_bar(wire: WireCandle | Sequence[WireCandle]) -> WireCandle | None:
    """Give the bar that forms; those before it in a list have closed, and closed ones are asked for."""
    return wire if isinstance(wire, WireCandle) else max(wire, key=lambda bar: bar.t, default=None)


def candle_key(wire: WireCandle) -> tuple[Symbol, Interval]:
    """Give the series that a bar belongs to; its open time must lie on the interval's grid."""
    try:
        interval = Interval(wire.i)
    except ValueError as error:
        raise InvalidInput(f"a bar of interval {wire.i[:20]!r}, which we do not keep") from error
    if wire.t % interval.ms:
        raise InvalidInput(f"a {interval} bar that opens off the grid, at {wire.t}")
    return parse_symbol(wire.s), interval


def candles(wire: Iterable[WireCandle], symbol: Symbol, interval: Interval) -> tuple[list[Candle], list[str]]:
    """Give the bars of one series, oldest first and once each, and why others were parked."""
    good: dict[int, Candle] = {}
    parked: list[str] = []
    for bar in wire:
        try:
            if candle_key(bar) != (symbol, interval):
                raise InvalidInput(f"a bar of {bar.s[:40]} {bar.i[:20]} among those of {symbol} {interval}")
            good[bar.t] = candle(bar)
        except InvalidInput as error:
            parked.append(str(error))
    return [good[t] for t in sorted(good)], parked


def context(coin: str, wire: WireAssetContext) -> MarketContext:
    """Give a market's state; what is null on a halted market is None."""
    if not 0.0 <= wire.openInterest < INFINITY:
        raise InvalidInput(f"an open interest of {wire.openInterest}")
    return MarketContext(
        symbol=parse_symbol(coin),
        mark=_finite(wire.markPx),
        mid=_finite(wire.midPx),
        open_interest=wire.openInterest,
        funding=_finite(wire.funding) or 0.0,
        day_volume_usd=_finite(wire.dayNtlVlm),
    )


def contexts(wire: tuple[WireMeta, list[WireAssetContext]]) -> tuple[list[MarketContext], list[str]]:
    """Give the states of one dex's markets (`ctxs[i]` belongs to `universe[i]`), and why others were parked."""
    meta, states = wire
    if len(meta.universe) != len(states):
        raise InvalidInput(f"{len(states)} contexts for {len(meta.universe)} markets")
    good: list[MarketContext] = []
    parked: list[str] = []
    for listing, state in zip(meta.universe, states, strict=True):
        try:
            good.append(context(listing.name, state))
        except InvalidInput as error:
            parked.append(str(error))
    return good, parked


def markets(wire: WireMeta, dex: str) -> list[Market]:
    """Give one dex's listings; a name that no perp can have, or of another dex, is left out."""
    listed: list[Market] = []
    for listing in wire.universe:
        try:
            symbol = parse_symbol(listing.name)
        except InvalidSymbol:
            continue
        if dex_of(symbol) == dex:
            listed.append(
                Market(
                    symbol=symbol,
                    sz_decimals=listing.szDecimals,
                    max_leverage=listing.maxLeverage,
                    dex=dex,
                    is_delisted=listing.isDelisted,
                )
            )
    return listed


def dex_names(wire: Iterable[WirePerpDex | None]) -> set[str]:
    """Give the names of all perp dexes; the main one, which the venue calls null, is ""."""
    return {"" if dex is None else dex.name for dex in wire}


def account(trader: Address, dex: str, wire: WireAccount, markets: Markets) -> AccountSnapshot:
    """Give an account answer, its followed coins only; a flat coin is absent there and here.

    A size off the lot grid is `lots=None`; a coin named twice makes the whole answer senseless.
    """
    if not math.isfinite(wire.marginSummary.accountValue):
        raise InvalidInput("an account value that is no number")
    positions: dict[Symbol, SnapshotPosition] = {}
    longs = shorts = 0.0
    are_told = True  # the values of all positions, followed or not
    for entry in wire.assetPositions:
        held = entry.position
        size, value = held.szi, held.positionValue
        if value is None or not 0.0 <= value < INFINITY:
            are_told = False
        elif size > 0:
            longs += value
        else:
            shorts += value
        market = markets(held.coin)
        if market is None or size == 0:
            continue
        if not math.isfinite(size):
            raise InvalidInput(f"a position of size {size}")
        if market.symbol in positions:
            raise InvalidInput(f"two positions in {market.symbol}")
        if market.dex != dex:
            raise InvalidInput(f"a position in {market.symbol} in an answer of dex {dex[:20]!r}")
        positions[market.symbol] = _position(market, held)
    return AccountSnapshot(
        trader=trader,
        dex=dex,
        time_ms=wire.time,
        account_value=wire.marginSummary.accountValue,
        positions=tuple(positions.values()),
        net_share=_net_share(longs, shorts) if are_told else None,
    )


def _net_share(longs: float, shorts: float) -> float | None:
    """Give |longs - shorts| / (longs + shorts), USD over all coins; None = flat."""
    gross = longs + shorts
    return abs(longs - shorts) / gross if 0.0 < gross < INFINITY else None


def _position(market: Market, wire: WirePosition) -> SnapshotPosition:
    return SnapshotPosition(
        symbol=market.symbol,
        lots=signed_lots(wire.szi, market.sz_decimals),
        entry_px=_finite(wire.entryPx),
        leverage=None if wire.leverage is None else wire.leverage.value,
        liquidation_px=_finite(wire.liquidationPx),
    )


def leaderboard_row(wire: WireLeaderboardRow) -> LeaderboardRow:
    """Give one ranked trader; a window with NaN, infinity or a hole in it is missing."""
    if not math.isfinite(wire.accountValue):
        raise InvalidInput(f"an account value of {wire.accountValue}")
    windows = {name: _performance(window) for name, window in wire.windowPerformances}
    return LeaderboardRow(
        trader=parse_address(wire.ethAddress),
        account_value=wire.accountValue,
        day=windows.get("day"),
        week=windows.get("week"),
        month=windows.get("month"),
        all_time=windows.get("allTime"),
        display_name=wire.displayName,
    )


def _performance(wire: WirePerformance) -> Performance | None:
    pnl, roi, vlm = wire.pnl, wire.roi, wire.vlm
    if pnl is None or roi is None or vlm is None:
        return None
    if not (math.isfinite(pnl) and math.isfinite(roi) and 0.0 <= vlm < INFINITY):
        return None
    return Performance(pnl, roi, vlm)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
