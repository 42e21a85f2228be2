"""Short stored names, in both directions. Every backend keeps these documents; everyone else sees full names.

A document is a dict with every field of its collection, in that order. Times are milliseconds since the epoch; a
backend that keeps datetimes passes documents through `with_datetimes` and `with_milliseconds`.
"""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.events import PositionChanged
from market_scraper.domain.market import Candle
from market_scraper.domain.positions import Cause, Position, PositionState, TapeGap, TapeMark
from market_scraper.domain.signals import Action, Signal, SignalState, TraderSignal
from market_scraper.domain.values import Interval, Recommendation, Symbol, from_ms, to_ms
from market_scraper.ports.stores import (
    CandleRow,
    DeadLetterRow,
    PositionRow,
    PositionStateRow,
    Row,
    ScoreRow,
    SettingRow,
    SignalRow,
    TapeMarkRow,
    TrackedRow,
    TraderSignalRow,
)
from market_scraper.storage.packing import contributions_from, is_unicode, pack_contributions, text_digest
from market_scraper.storage.shapes import Collection, Field, Kind, candles_name

Document = dict[str, Any]
Stored = Mapping[str, Any]

# Names that queries need.
TIME = "t"
KNOWN_AT = "k"
TRADER = "eth"
COIN = "coin"
SYMBOL = "symbol"
TID = "tid"
VERSION = "ver"
WATERMARK = "mark"
EPOCH = "epoch"
SCORE = "score"
TRACKED = "on"
ID = "id"
RECOMMENDATION = "rec"
CONFIDENCE = "conf"
CONTRIBUTIONS = "why"
KEY = "key"
VALUE = "value"
SOURCE = "src"
DIGEST = "digest"
PART = "part"
PARTS = "parts"
FULL = "full"
COUNT = "n"
ROWS = "rows"

_KNOWN_AT = Field(KNOWN_AT, Kind.TIME, "when we could know it")

_POSITION = (
    Field(TRADER, Kind.TEXT, "trader's address"),
    Field(COIN, Kind.TEXT, "coin as the venue spells it"),
    Field(TIME, Kind.TIME, "when it became true at the venue (block time)"),
    Field(TID, Kind.INT, "last print of the fact; 0 for snapshots and gaps"),
    Field(VERSION, Kind.INT, "rises with every fact of the coin"),
    _KNOWN_AT,
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

CANDLES = Collection(
    name="{symbol}_candles_{interval}",
    fields=(
        Field(TIME, Kind.TIME, "open time"),
        Field("o", Kind.REAL, "open price, USD"),
        Field("h", Kind.REAL, "high price, USD"),
        Field("l", Kind.REAL, "low price, USD"),
        Field("c", Kind.REAL, "close price, USD"),
        Field("v", Kind.REAL, "volume, coins"),
        Field("n", Kind.INT, "number of trades, if told", optional=True),
    ),
    key=(TIME,),
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
POSITION_STATE = Collection(name="position_state", fields=_POSITION, key=(COIN, TRADER), newest_by=(VERSION,))
TAPE_MARKS = Collection(
    name="tape_marks",
    fields=(
        Field(COIN, Kind.TEXT, "coin as the venue spells it"),
        Field(WATERMARK, Kind.TIME, "newest block time up to which the tape is whole and stored"),
        Field(EPOCH, Kind.TIME, "where the present whole stretch began"),
        Field("gaps", Kind.NESTED, "the last 256 gaps, oldest first, as [since, until] in milliseconds"),
        Field("shape", Kind.REAL, "prior of how often a trader changes: Gamma shape"),
        Field("watch_s", Kind.REAL, "the same prior: seconds watched"),
        Field("halted", Kind.TIME, "the market is halted since", optional=True),
    ),
    key=(COIN,),
    newest_by=(WATERMARK, EPOCH),
)
TRADER_SCORES = Collection(
    name="trader_scores",
    fields=(
        Field(TIME, Kind.TIME, "when the leaderboard was captured"),
        Field(TRADER, Kind.TEXT, "trader's address"),
        _KNOWN_AT,
        Field(SCORE, Kind.REAL, "points"),
        Field("parts", Kind.NESTED, "points by rule"),
        Field("tags", Kind.NESTED, "tags"),
        Field("av", Kind.REAL, "account value, USD"),
    ),
    key=(TIME, TRADER),
    newest_by=(KNOWN_AT,),
    indexes=((TRADER, TIME),),
    expires_by=TIME,
)
TRACKED_TRADERS = Collection(
    name="tracked_traders",
    fields=(
        Field(TRADER, Kind.TEXT, "trader's address"),
        Field(TRACKED, Kind.FLAG, "tracked now; false keeps an older word from bringing the trader back"),
        Field(SCORE, Kind.REAL, "points", optional=True),
        Field("tags", Kind.NESTED, "tags"),
        Field("hand", Kind.FLAG, "chosen by hand"),
        _KNOWN_AT,
    ),
    key=(TRADER,),
    newest_by=(KNOWN_AT,),
)
SIGNALS = Collection(
    name="signals",
    fields=(
        Field(ID, Kind.TEXT, "24 hex: second and digest"),
        Field(TIME, Kind.TIME, "when it was true"),
        _KNOWN_AT,
        Field(SYMBOL, Kind.TEXT, "coin as the venue spells it"),
        Field(RECOMMENDATION, Kind.TEXT, "BUY, SELL or NEUTRAL"),
        Field(CONFIDENCE, Kind.REAL, "probability that the direction is right, 0..1"),
        Field("cal", Kind.FLAG, "the probability is calibrated"),
        Field("long_bias", Kind.REAL, "skill-weighted share that is long, 0..1"),
        Field("short_bias", Kind.REAL, "skill-weighted share that is short, 0..1"),
        Field("net_exp", Kind.REAL, "net exposure = long_bias - short_bias"),
        Field("heads", Kind.REAL, "head count bias, -1..1"),
        Field("usd", Kind.REAL, "dollar bias, -1..1"),
        Field("longs", Kind.INT, "traders that are long"),
        Field("shorts", Kind.INT, "traders that are short"),
        Field("flats", Kind.INT, "traders that are flat"),
        Field("eff", Kind.REAL, "effective number of voters"),
        Field("cov", Kind.REAL, "coverage of open interest, 0..1"),
        Field("px", Kind.REAL, "price, USD", optional=True),
        Field("st", Kind.TEXT, "state: warming_up, live or stale"),
        Field("model", Kind.TEXT, "version of the rule"),
        Field("out", Kind.NESTED, "tracked traders with a size who did not vote, counted by class"),
        Field("oth", Kind.INT, "voters with a size that are not among the contributions"),
        Field("oth_s", Kind.REAL, "sum of their shares of net exposure"),
        Field(CONTRIBUTIONS, Kind.BYTES, "contributions, largest share first: zstd over JSON", optional=True),
    ),
    key=(ID,),
    newest_by=(KNOWN_AT,),
    indexes=((SYMBOL, TIME, ID, KNOWN_AT), (TIME,)),
    expires_by=TIME,
)
TRADER_SIGNALS = Collection(
    name="trader_signals",
    fields=(
        Field(TRADER, Kind.TEXT, "trader's address"),
        Field(SYMBOL, Kind.TEXT, "coin as the venue spells it"),
        Field(TIME, Kind.TIME, "when the trader acted (block time)"),
        Field(TID, Kind.INT, "last print of the fact it comes from"),
        _KNOWN_AT,
        Field("act", Kind.TEXT, "open, close, increase, decrease or flip"),
        Field("dir", Kind.TEXT, "long or short: after the act, or the side that was closed"),
        Field("sz", Kind.REAL, "coins after the act, long > 0"),
        Field("px", Kind.REAL, "price, USD", optional=True),
        Field(CONFIDENCE, Kind.REAL, "0..1"),
    ),
    key=(TRADER, SYMBOL, TIME, TID),
    newest_by=(KNOWN_AT,),
    indexes=((TIME,),),
    expires_by=TIME,
)
LEADERBOARD_HISTORY = Collection(
    name="leaderboard_history",
    fields=(
        Field(TIME, Kind.TIME, "when the leaderboard was captured"),
        Field(PART, Kind.INT, "part of the pull, from 0; blocks of a full copy follow from `parts` on"),
        Field(PARTS, Kind.INT, "parts of the pull"),
        _KNOWN_AT,
        Field(FULL, Kind.FLAG, "a block of a full copy: everyone ever seen, as last seen"),
        Field(COUNT, Kind.INT, "rows in the block"),
        Field(ROWS, Kind.BYTES, "the rows that changed: zstd over JSON"),
    ),
    key=(TIME, PART),
    indexes=((TIME, PART, PARTS, FULL),),
    expires_by=TIME,
)
SETTINGS = Collection(
    name="settings",
    fields=(Field(KEY, Kind.TEXT, "name of the choice"), Field(VALUE, Kind.TEXT, "what was chosen")),
    key=(KEY,),
)
DEAD_LETTERS = Collection(
    name="dead_letters",
    fields=(
        Field(SOURCE, Kind.TEXT, "who could not handle it"),
        _KNOWN_AT,
        Field(DIGEST, Kind.TEXT, "digest of the body"),
        Field("reason", Kind.TEXT, "what was wrong"),
        Field("body", Kind.BYTES, "what it was"),
    ),
    key=(SOURCE, KNOWN_AT, DIGEST),
    indexes=((KNOWN_AT,),),
    expires_by=KNOWN_AT,
)
COLLECTIONS = (
    TRADER_POSITIONS,
    TRADER_SCORES,
    TRACKED_TRADERS,
    SIGNALS,
    TRADER_SIGNALS,
    LEADERBOARD_HISTORY,
    POSITION_STATE,
    TAPE_MARKS,
    DEAD_LETTERS,
    SETTINGS,
)
"""All but the candles, of which there is one collection a series."""


def collection_of(row: Row) -> tuple[str, Collection]:
    """Name the collection that keeps this row, and give its shape."""
    if isinstance(row, CandleRow):
        return candles_name(row.symbol, row.interval), CANDLES
    try:
        shape = _SHAPES[type(row)]
    except KeyError:
        raise InvalidInput(f"no collection keeps a {type(row).__name__}") from None
    return shape.name, shape


def to_document(row: Row) -> Document:
    """Give the row's document, or raise InvalidInput when a backend could not give the same row back.

    Leaderboard parts are kept in blocks of their own, see `storage.leaderboard`.
    """
    try:
        document = _WRITERS[type(row)](row)
    except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise InvalidInput(f"{type(row).__name__} cannot be stored: {error}") from error
    for name, value in document.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidInput(f"{type(row).__name__}: `{name}` is {value}")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise InvalidInput(f"{type(row).__name__}: `{name}` has more than 64 bits")
        if isinstance(value, str) and not value.isascii() and not is_unicode(value):
            raise InvalidInput(f"{type(row).__name__}: `{name}` has half a character")
    return document


def with_datetimes(shape: Collection, document: Stored) -> Document:
    """Turn a document's milliseconds into aware datetimes."""
    times = {field.name for field in shape.fields if field.kind is Kind.TIME}
    return {name: from_ms(v) if name in times and v is not None else v for name, v in document.items()}


def with_milliseconds(document: Stored) -> Document:
    """Turn a document's datetimes back into milliseconds."""
    return {name: to_ms(v) if isinstance(v, datetime) else v for name, v in document.items()}


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


def _changed_document(row: PositionRow) -> Document:
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


def _candle_document(row: CandleRow) -> Document:
    candle = row.candle
    Interval(row.interval)  # a name of an unknown interval could not be read back
    return {
        TIME: candle.t_ms,
        "o": candle.o,
        "h": candle.h,
        "l": candle.l,
        "c": candle.c,
        "v": candle.v,
        "n": candle.n,
    }


def candle_from(stored: Stored) -> Candle:
    """Read a candle."""
    return Candle(
        t_ms=stored[TIME], o=stored["o"], h=stored["h"], l=stored["l"], c=stored["c"], v=stored["v"], n=stored["n"]
    )


def _mark_document(row: TapeMarkRow) -> Document:
    mark = row.mark
    return {
        COIN: mark.symbol,
        WATERMARK: mark.watermark_ms,
        EPOCH: mark.epoch_ms,
        "gaps": [[gap.since_ms, gap.until_ms] for gap in mark.gaps],
        "shape": mark.rate_shape,
        "watch_s": mark.rate_watch_s,
        "halted": mark.halted_since_ms,
    }


def mark_from(stored: Stored) -> TapeMark:
    """Read a tape mark."""
    return TapeMark(
        symbol=stored[COIN],
        watermark_ms=stored[WATERMARK],
        epoch_ms=stored[EPOCH],
        gaps=tuple(TapeGap(since, until) for since, until in stored["gaps"]),
        rate_shape=stored["shape"],
        rate_watch_s=stored["watch_s"],
        halted_since_ms=stored["halted"],
    )


def _score_document(row: ScoreRow) -> Document:
    if not all(map(math.isfinite, row.parts.values())):
        raise InvalidInput("ScoreRow: a part is not finite")
    return {
        TIME: row.captured_at_ms,
        TRADER: row.trader,
        KNOWN_AT: row.known_at_ms,
        SCORE: row.score,
        "parts": dict(row.parts),
        "tags": list(row.tags),
        "av": row.account_value,
    }


def score_from(stored: Stored) -> ScoreRow:
    """Read a score."""
    return ScoreRow(
        captured_at_ms=stored[TIME],
        known_at_ms=stored[KNOWN_AT],
        trader=stored[TRADER],
        score=stored[SCORE],
        parts=stored["parts"],
        tags=tuple(stored["tags"]),
        account_value=stored["av"],
    )


def _tracked_document(row: TrackedRow) -> Document:
    return {
        TRADER: row.trader,
        TRACKED: row.tracked,
        SCORE: row.score,
        "tags": list(row.tags),
        "hand": row.by_hand,
        KNOWN_AT: row.known_at_ms,
    }


def tracked_from(stored: Stored) -> TrackedRow:
    """Read who is tracked."""
    return TrackedRow(
        trader=stored[TRADER],
        tracked=bool(stored[TRACKED]),
        score=stored[SCORE],
        tags=tuple(stored["tags"]),
        by_hand=bool(stored["hand"]),
        known_at_ms=stored[KNOWN_AT],
    )


def _signal_document(row: SignalRow) -> Document:
    signal = row.signal
    return {
        ID: signal.id,
        TIME: signal.t_ms,
        KNOWN_AT: signal.known_at_ms,
        SYMBOL: signal.symbol,
        RECOMMENDATION: signal.recommendation.value,
        CONFIDENCE: signal.confidence,
        "cal": signal.calibrated,
        "long_bias": signal.long_bias,
        "short_bias": signal.short_bias,
        "net_exp": signal.net_exposure,
        "heads": signal.head_count_bias,
        "usd": signal.dollar_bias,
        "longs": signal.traders_long,
        "shorts": signal.traders_short,
        "flats": signal.traders_flat,
        "eff": signal.effective_voters,
        "cov": signal.coverage,
        "px": signal.price,
        "st": signal.state.value,
        "model": signal.model,
        "out": dict(signal.left_out),
        "oth": signal.others,
        "oth_s": signal.others_share,
        CONTRIBUTIONS: pack_contributions(signal.contributions),
    }


def signal_from(stored: Stored) -> Signal:
    """Read a signal; a document without contributions (left out of a query) gives a signal without."""
    return Signal(
        id=stored[ID],
        t_ms=stored[TIME],
        known_at_ms=stored[KNOWN_AT],
        symbol=stored[SYMBOL],
        recommendation=Recommendation(stored[RECOMMENDATION]),
        confidence=stored[CONFIDENCE],
        calibrated=bool(stored["cal"]),
        long_bias=stored["long_bias"],
        short_bias=stored["short_bias"],
        net_exposure=stored["net_exp"],
        head_count_bias=stored["heads"],
        dollar_bias=stored["usd"],
        traders_long=stored["longs"],
        traders_short=stored["shorts"],
        traders_flat=stored["flats"],
        effective_voters=stored["eff"],
        coverage=stored["cov"],
        price=stored["px"],
        state=SignalState(stored["st"]),
        model=stored["model"],
        left_out=stored["out"],
        others=stored["oth"],
        others_share=stored["oth_s"],
        contributions=contributions_from(stored.get(CONTRIBUTIONS)),
    )


def _trader_signal_document(row: TraderSignalRow) -> Document:
    signal = row.signal
    return {
        TRADER: signal.trader,
        SYMBOL: signal.symbol,
        TIME: signal.t_ms,
        TID: signal.tid,
        KNOWN_AT: signal.known_at_ms,
        "act": signal.action.value,
        "dir": signal.direction,
        "sz": signal.size,
        "px": signal.price,
        CONFIDENCE: signal.confidence,
    }


def trader_signal_from(stored: Stored) -> TraderSignal:
    """Read a trader's act."""
    return TraderSignal(
        trader=stored[TRADER],
        symbol=Symbol(stored[SYMBOL]),
        t_ms=stored[TIME],
        known_at_ms=stored[KNOWN_AT],
        tid=stored[TID],
        action=Action(stored["act"]),
        direction=stored["dir"],
        size=stored["sz"],
        price=stored["px"],
        confidence=stored[CONFIDENCE],
    )


def _dead_letter_document(row: DeadLetterRow) -> Document:
    return {
        SOURCE: row.source,
        KNOWN_AT: row.known_at_ms,
        DIGEST: text_digest(row.body),
        "reason": row.reason,
        "body": row.body,
    }


_SHAPES: dict[type[object], Collection] = {
    PositionRow: TRADER_POSITIONS,
    PositionStateRow: POSITION_STATE,
    TapeMarkRow: TAPE_MARKS,
    ScoreRow: TRADER_SCORES,
    TrackedRow: TRACKED_TRADERS,
    SignalRow: SIGNALS,
    TraderSignalRow: TRADER_SIGNALS,
    SettingRow: SETTINGS,
    DeadLetterRow: DEAD_LETTERS,
}
_WRITERS: dict[type[object], Callable[[Any], Document]] = {
    CandleRow: _candle_document,
    PositionRow: _changed_document,
    PositionStateRow: lambda row: _position_document(row.position, row.known_at_ms),
    TapeMarkRow: _mark_document,
    ScoreRow: _score_document,
    TrackedRow: _tracked_document,
    SignalRow: _signal_document,
    TraderSignalRow: _trader_signal_document,
    SettingRow: lambda row: {KEY: row.key, VALUE: row.value},
    DeadLetterRow: _dead_letter_document,
}
