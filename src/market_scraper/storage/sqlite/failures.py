"""SQLite's errors in the house's words: wait and ask again, or never mind this row."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import zstandard

from market_scraper.domain.errors import InvalidInput, StoreError, StoreUnreachable

_BROKEN = ("malformed", "not a database", "unable to open", "readonly", "disk i/o")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise InvalidInput for a row that SQLite refuses, StoreUnreachable for a file that cannot be used, and
    StoreError for all else (locked, disk full)."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError) as error:
        raise InvalidInput(f"refused by SQLite: {error}") from error
    except (OverflowError, UnicodeEncodeError) as error:
        raise InvalidInput(f"refused by SQLite: {type(error).__name__}") from error
    except (msgspec.MsgspecError, zstandard.ZstdError) as error:
        raise StoreUnreachable(f"SQLite file {path} holds a block that cannot be read: {error}") from error
    except sqlite3.Error as error:
        reason = str(error)
        if any(sign in reason.lower() for sign in _BROKEN):
            raise StoreUnreachable(f"SQLite file {path} cannot be used: {reason}") from error
        raise StoreError(f"SQLite file {path}: {reason}") from error
