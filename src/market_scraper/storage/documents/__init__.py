"""Short stored names, in both directions. Every backend keeps these documents; everyone else sees full names.

A document is a dict with every field of its collection, in that order. Times are milliseconds since the epoch; a
backend that keeps datetimes passes documents through `with_datetimes` and `with_milliseconds`.
"""

from market_scraper.storage.documents.candles import CANDLES, candle_from
from market_scraper.storage.documents.desk import DEAD_LETTERS, SETTINGS
from market_scraper.storage.documents.names import (
    COIN,
    CONFIDENCE,
    CONTRIBUTIONS,
    COUNT,
    FULL,
    ID,
    KEY,
    KNOWN_AT,
    METRIC,
    PART,
    PARTS,
    RECOMMENDATION,
    REVISION,
    ROWS,
    SCORE,
    SOURCE,
    SYMBOL,
    TID,
    TIME,
    TRACKED,
    TRADER,
    VALUE,
    VERSION,
    Document,
    Stored,
)
from market_scraper.storage.documents.onchain import ONCHAIN_READINGS, reading_from
from market_scraper.storage.documents.positions import POSITION_STATE, TRADER_POSITIONS, changed_from, position_from
from market_scraper.storage.documents.rows import (
    COLLECTIONS,
    collection_of,
    to_document,
    with_datetimes,
    with_milliseconds,
)
from market_scraper.storage.documents.signals import SIGNALS, TRADER_SIGNALS, signal_from, trader_signal_from
from market_scraper.storage.documents.tape import TAPE_MARKS, mark_from
from market_scraper.storage.documents.traders import (
    LEADERBOARD_HISTORY,
    TRACKED_TRADERS,
    TRADER_SCORES,
    score_from,
    tracked_from,
)

__all__ = [
    "CANDLES",
    "COIN",
    "COLLECTIONS",
    "CONFIDENCE",
    "CONTRIBUTIONS",
    "COUNT",
    "DEAD_LETTERS",
    "FULL",
    "ID",
    "KEY",
    "KNOWN_AT",
    "LEADERBOARD_HISTORY",
    "METRIC",
    "ONCHAIN_READINGS",
    "PART",
    "PARTS",
    "POSITION_STATE",
    "RECOMMENDATION",
    "REVISION",
    "ROWS",
    "SCORE",
    "SETTINGS",
    "SIGNALS",
    "SOURCE",
    "SYMBOL",
    "TAPE_MARKS",
    "TID",
    "TIME",
    "TRACKED",
    "TRACKED_TRADERS",
    "TRADER",
    "TRADER_POSITIONS",
    "TRADER_SCORES",
    "TRADER_SIGNALS",
    "VALUE",
    "VERSION",
    "Document",
    "Stored",
    "candle_from",
    "changed_from",
    "collection_of",
    "mark_from",
    "position_from",
    "reading_from",
    "score_from",
    "signal_from",
    "to_document",
    "tracked_from",
    "trader_signal_from",
    "with_datetimes",
    "with_milliseconds",
]
