"""Signals, and acts of single traders."""

from market_scraper.domain.signals import Action, Signal, SignalState, TraderSignal
from market_scraper.domain.values import Recommendation, Symbol
from market_scraper.ports.stores import SignalRow, TraderSignalRow
from market_scraper.storage.documents.names import (
    CONFIDENCE,
    CONTRIBUTIONS,
    ID,
    KNOWN_AT,
    KNOWN_AT_FIELD,
    RECOMMENDATION,
    SYMBOL,
    TID,
    TIME,
    TRADER,
    Document,
    Stored,
)
from market_scraper.storage.packing import contributions_from, pack_contributions
from market_scraper.storage.shapes import Collection, Field, Kind

SIGNALS = Collection(
    name="signals",
    fields=(
        Field(ID, Kind.TEXT, "24 hex: second and digest"),
        Field(TIME, Kind.TIME, "when it was true"),
        KNOWN_AT_FIELD,
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
        KNOWN_AT_FIELD,
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


def signal_document(row: SignalRow) -> Document:
    """Write a signal."""
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


def trader_signal_document(row: TraderSignalRow) -> Document:
    """Write a trader's act."""
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
