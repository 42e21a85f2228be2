"""Traders: the leaderboard, scores, and who is tracked."""

import math

from market_scraper.domain.errors import InvalidInput
from market_scraper.ports.stores import ScoreRow, TrackedRow
from market_scraper.storage.documents.names import (
    COUNT,
    FULL,
    KNOWN_AT,
    KNOWN_AT_FIELD,
    PART,
    PARTS,
    ROWS,
    SCORE,
    TIME,
    TRACKED,
    TRADER,
    Document,
    Stored,
)
from market_scraper.storage.shapes import Collection, Field, Kind

TRADER_SCORES = Collection(
    name="trader_scores",
    fields=(
        Field(TIME, Kind.TIME, "when the leaderboard was captured"),
        Field(TRADER, Kind.TEXT, "trader's address"),
        KNOWN_AT_FIELD,
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
        KNOWN_AT_FIELD,
    ),
    key=(TRADER,),
    newest_by=(KNOWN_AT,),
)
LEADERBOARD_HISTORY = Collection(
    name="leaderboard_history",
    fields=(
        Field(TIME, Kind.TIME, "when the leaderboard was captured"),
        Field(PART, Kind.INT, "part of the pull, from 0; blocks of a full copy follow from `parts` on"),
        Field(PARTS, Kind.INT, "parts of the pull"),
        KNOWN_AT_FIELD,
        Field(FULL, Kind.FLAG, "a block of a full copy: everyone ever seen, as last seen"),
        Field(COUNT, Kind.INT, "rows in the block"),
        Field(ROWS, Kind.BYTES, "the rows that changed: zstd over JSON"),
    ),
    key=(TIME, PART),
    indexes=((TIME, PART, PARTS, FULL),),
    expires_by=TIME,
)


def score_document(row: ScoreRow) -> Document:
    """Write a score."""
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


def tracked_document(row: TrackedRow) -> Document:
    """Write who is tracked."""
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
