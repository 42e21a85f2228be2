"""Positions: facts of tracked traders, and everyone's newest."""

from market_scraper.domain.events import PositionChanged
from market_scraper.domain.positions import Cause, Position, PositionState
from market_scraper.ports.stores import PositionRow, PositionStateRow
from market_scraper.storage.documents.names import (
    COIN,
    EPOCH,
    KNOWN_AT,
    KNOWN_AT_FIELD,
    TID,
    TIME,
    TRADER,
    VERSION,
    Document,
    Stored,
)
from market_scraper.storage.shapes import Collection, Field, Kind

_POSITION = (
    Field(TRADER, Kind.TEXT, "trader's address"),
    Field(COIN, Kind.TEXT, "coin as the venue spells it"),
    Field(TIME, Kind.TIME, "when it became true at the venue (block time)"),
    Field(TID, Kind.INT, "last print of the fact; 0 for snapshots and gaps"),
    Field(VERSION, Kind.INT, "rises with every fact of the coin"),
    KNOWN_AT_FIELD,
    Field("sz", Kind.REAL, "size in coins, long > 0, short < 0; null where no base is known", optional=True),
    Field("lots", Kind.INT, "the same, exact, in lots of 10^-szd coins", optional=True),
    Field("szd", Kind.INT, "decimals of a lot"),
    Field("net", Kind.INT, "net lots of all prints seen since the trader was first seen"),
    Field("st", Kind.TEXT, "state: exact, unsure or unknown"),
    Field("doubt", Kind.REAL, "chance that an unsure size is wrong, at the fact", optional=True),
    Field("because", Kind.TEXT, "why it is not exact", optional=True),
    Field("since", Kind.TIME, "unsure since", optional=True),
    Field(EPOCH, Kind.TIME, "where the whole stretch of tape that it leans on began"),
    Field("chg", Kind.INT, "blocks in which it changed since `watch`"),
    Field("watch", Kind.TIME, "the trader's prints are counted from here on"),
    Field("ep", Kind.REAL, "entry price, USD", optional=True),
    Field("lev", Kind.INT, "leverage, times, as of `cfm`", optional=True),
    Field("liq", Kind.REAL, "liquidation price, USD, as of `cfm`", optional=True),
    Field("cfm", Kind.TIME, "stamp of the last account answer that agreed", optional=True),
    Field("av", Kind.REAL, "account value, USD, as of the last account answer", optional=True),
    Field(
        "nets", Kind.REAL, "longs less shorts / longs and shorts, of all coins, as of then; null = flat", optional=True
    ),
)
TRADER_POSITIONS = Collection(
    name="trader_positions",
    fields=(
        *_POSITION,
        Field("lots0", Kind.INT, "lots before the fact", optional=True),
        Field("cause", Kind.TEXT, "what the fact came from"),
        Field("px", Kind.REAL, "price of the last print, USD", optional=True),
        Field("upnl", Kind.REAL, "unrealized PnL at `px`, USD", optional=True),
        Field("merged", Kind.INT, "facts merged into this one while the bus was full"),
    ),
    key=(TRADER, COIN, TIME, TID),
    newest_by=(VERSION,),
    indexes=((TRADER, COIN, KNOWN_AT, VERSION), (TIME,)),
    expires_by=TIME,
)
POSITION_STATE = Collection(
    name="position_state", fields=_POSITION, key=(COIN, TRADER), newest_by=(VERSION,), in_place=True
)


def _position_document(position: Position, known_at_ms: int) -> Document:
    return {
        TRADER: position.trader,
        COIN: position.symbol,
        TIME: position.t_ms,
        TID: position.tid,
        VERSION: position.version,
        KNOWN_AT: known_at_ms,
        "sz": position.size,
        "lots": position.lots,
        "szd": position.sz_decimals,
        "net": position.net_lots,
        "st": position.state.value,
        "doubt": position.doubt,
        "because": None if position.because is None else position.because.value,
        "since": position.since_ms,
        EPOCH: position.epoch_ms,
        "chg": position.changes,
        "watch": position.watched_from_ms,
        "ep": position.entry_px,
        "lev": position.leverage,
        "liq": position.liquidation_px,
        "cfm": position.confirmed_ms,
        "av": position.account_value,
        "nets": position.net_share,
    }


def position_from(stored: Stored) -> Position:
    """Read a position's own fields, of either collection."""
    because = stored["because"]
    return Position(
        trader=stored[TRADER],
        symbol=stored[COIN],
        sz_decimals=stored["szd"],
        lots=stored["lots"],
        net_lots=stored["net"],
        state=PositionState(stored["st"]),
        doubt=stored["doubt"],
        because=None if because is None else Cause(because),
        since_ms=stored["since"],
        epoch_ms=stored[EPOCH],
        changes=stored["chg"],
        watched_from_ms=stored["watch"],
        entry_px=stored["ep"],
        leverage=stored["lev"],
        liquidation_px=stored["liq"],
        confirmed_ms=stored["cfm"],
        account_value=stored["av"],
        net_share=stored["nets"],
        t_ms=stored[TIME],
        tid=stored[TID],
        version=stored[VERSION],
    )


def changed_document(row: PositionRow) -> Document:
    """Write a fact of `trader_positions`."""
    changed = row.changed
    size, entry, px = changed.after.size, changed.after.entry_px, changed.px
    return _position_document(changed.after, changed.known_at_ms) | {
        "lots0": changed.lots_before,
        "cause": changed.cause.value,
        "px": px,
        "upnl": None if size is None or entry is None or px is None else size * (px - entry),
        "merged": changed.merged,
    }


def changed_from(stored: Stored) -> PositionChanged:
    """Read a fact of `trader_positions`."""
    return PositionChanged(
        known_at_ms=stored[KNOWN_AT],
        after=position_from(stored),
        lots_before=stored["lots0"],
        cause=Cause(stored["cause"]),
        px=stored["px"],
        merged=stored["merged"],
    )


def state_document(row: PositionStateRow) -> Document:
    """Write someone's newest fact."""
    return _position_document(row.position, row.known_at_ms)
