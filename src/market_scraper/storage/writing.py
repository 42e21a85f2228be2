"""Writes rows of which one may be bad: it is parked alone, and harms nobody else."""

from collections.abc import Sequence

import structlog

from market_scraper.domain.errors import StoreError
from market_scraper.ports.stores import DeadLetterRow, Row, Store

log = structlog.get_logger(__name__)

BODY_BYTES = 65_536  # of a row that is parked: enough to see what was wrong
REASON_CHARS = 500


async def write_rows(store: Store, rows: Sequence[Row], known_at_ms: int) -> int:
    """Write rows, halving where one of them is bad; gives how many were parked. Raises StoreError.

    Asked again with the same `known_at_ms` it parks nothing twice.
    """
    try:
        await store.write(rows)
    except StoreError:
        raise
    except Exception as error:
        if len(rows) > 1:
            half = len(rows) // 2
            return await write_rows(store, rows[:half], known_at_ms) + await write_rows(store, rows[half:], known_at_ms)
        await _park(store, rows[0], error, known_at_ms)
        return 1
    return 0


def letter_of(row: Row, error: Exception, known_at_ms: int) -> DeadLetterRow:
    """What is kept of a row that cannot be kept."""
    return DeadLetterRow(
        source=f"buffer.{type(row).__name__}",
        known_at_ms=known_at_ms,
        reason=_plain(f"{type(error).__name__}: {error}")[:REASON_CHARS],
        body=_plain(repr(row)).encode()[:BODY_BYTES],
    )


async def _park(store: Store, row: Row, error: Exception, known_at_ms: int) -> None:
    letter = letter_of(row, error, known_at_ms)
    log.error("row_parked", row=type(row).__name__, reason=letter.reason)
    try:
        await store.write([letter])
    except StoreError:
        raise
    except Exception:
        log.exception("dead_letter_refused", row=type(row).__name__)


def _plain(text: str) -> str:
    """Text that every store takes: lone surrogates are spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()
