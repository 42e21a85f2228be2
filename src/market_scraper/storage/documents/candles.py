"""Closed candles."""

from market_scraper.domain.market import Candle
from market_scraper.domain.values import Interval
from market_scraper.ports.stores import CandleRow
from market_scraper.storage.documents.names import TIME, Document, Stored
from market_scraper.storage.shapes import Collection, Field, Kind

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


def candle_document(row: CandleRow) -> Document:
    """Write a candle."""
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
