"""Which collection keeps which row, and the row as its document."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.values import from_ms, to_ms
from market_scraper.ports.stores import (
    CandleRow,
    DeadLetterRow,
    PositionRow,
    PositionStateRow,
    ReadingRow,
    Row,
    ScoreRow,
    SettingRow,
    SignalRow,
    TapeMarkRow,
    TrackedRow,
    TraderSignalRow,
)
from market_scraper.storage.documents.candles import CANDLES, candle_document
from market_scraper.storage.documents.desk import DEAD_LETTERS, SETTINGS, dead_letter_document, setting_document
from market_scraper.storage.documents.names import Document, Stored
from market_scraper.storage.documents.onchain import ONCHAIN_READINGS, reading_document
from market_scraper.storage.documents.positions import (
    POSITION_STATE,
    TRADER_POSITIONS,
    changed_document,
    state_document,
)
from market_scraper.storage.documents.signals import (
    SIGNALS,
    TRADER_SIGNALS,
    signal_document,
    trader_signal_document,
)
from market_scraper.storage.documents.tape import TAPE_MARKS, mark_document
from market_scraper.storage.documents.traders import (
    LEADERBOARD_HISTORY,
    TRACKED_TRADERS,
    TRADER_SCORES,
    score_document,
    tracked_document,
)
from market_scraper.storage.packing import is_unicode
from market_scraper.storage.shapes import Collection, Kind, candles_name

COLLECTIONS = (
    TRADER_POSITIONS,
    TRADER_SCORES,
    TRACKED_TRADERS,
    SIGNALS,
    TRADER_SIGNALS,
    LEADERBOARD_HISTORY,
    POSITION_STATE,
    TAPE_MARKS,
    ONCHAIN_READINGS,
    DEAD_LETTERS,
    SETTINGS,
)
"""All but the candles, of which there is one collection a series."""

_KEPT: Mapping[type[object], tuple[Collection, Callable[[Any], Document]]] = {
    CandleRow: (CANDLES, candle_document),
    PositionRow: (TRADER_POSITIONS, changed_document),
    PositionStateRow: (POSITION_STATE, state_document),
    TapeMarkRow: (TAPE_MARKS, mark_document),
    ScoreRow: (TRADER_SCORES, score_document),
    TrackedRow: (TRACKED_TRADERS, tracked_document),
    SignalRow: (SIGNALS, signal_document),
    TraderSignalRow: (TRADER_SIGNALS, trader_signal_document),
    ReadingRow: (ONCHAIN_READINGS, reading_document),
    SettingRow: (SETTINGS, setting_document),
    DeadLetterRow: (DEAD_LETTERS, dead_letter_document),
}


def collection_of(row: Row) -> tuple[str, Collection]:
    """Name the collection that keeps this row, and give its shape."""
    shape, _ = _kept(row)
    if isinstance(row, CandleRow):
        return candles_name(row.symbol, row.interval), shape
    return shape.name, shape


def to_document(row: Row) -> Document:
    """Give the row's document, or raise InvalidInput when a backend could not give the same row back.

    Leaderboard parts are kept in blocks of their own, see `storage.leaderboard`.
    """
    _, write = _kept(row)
    try:
        document = write(row)
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


def _kept(row: Row) -> tuple[Collection, Callable[[Any], Document]]:
    try:
        return _KEPT[type(row)]
    except KeyError:
        raise InvalidInput(f"no collection keeps a {type(row).__name__}") from None
