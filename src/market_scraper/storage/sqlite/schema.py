"""Tables, statements and migrations, made from the shapes in `storage.documents`."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from market_scraper.domain.errors import StoreUnreachable
from market_scraper.storage.documents import (
    CANDLES,
    COLLECTIONS,
    ONCHAIN_READINGS,
    POSITION_STATE,
    SIGNALS,
    TAPE_MARKS,
    TRADER_POSITIONS,
    Document,
)
from market_scraper.storage.shapes import Collection, Kind

_TYPES = {
    Kind.TIME: "INTEGER",
    Kind.INT: "INTEGER",
    Kind.FLAG: "INTEGER",
    Kind.REAL: "REAL",
    Kind.TEXT: "TEXT",
    Kind.NESTED: "TEXT",
    Kind.BYTES: "BLOB",
}
_CLUSTERED = (POSITION_STATE, ONCHAIN_READINGS)  # read by coin or series, so rows lie in the order of the key


def create_table(connection: sqlite3.Connection, shape: Collection, name: str) -> None:
    """Create the table and its indexes unless they are there."""
    columns = [
        f'"{field.name}" {_TYPES[field.kind]}' + ("" if field.optional else " NOT NULL") for field in shape.fields
    ]
    if len(shape.key) == 1 and shape is CANDLES:
        columns[0] += " PRIMARY KEY"  # the row id itself
    else:
        columns.append(f"PRIMARY KEY ({_columns(shape.key)})")
    tail = " WITHOUT ROWID" if shape in _CLUSTERED else ""
    connection.execute(f'CREATE TABLE IF NOT EXISTS "{name}" ({", ".join(columns)}){tail}')
    for index in shape.indexes:
        title = f"{name}_by_{'_'.join(index)}"
        connection.execute(f'CREATE INDEX IF NOT EXISTS "{title}" ON "{name}" ({_columns(index)})')


@cache
def upsert(shape: Collection, name: str) -> str:
    """The statement that keeps a document's values unless a newer row of its key is there."""
    places = ", ".join("?" for _ in shape.fields)
    changes = ", ".join(f'"{field}" = excluded."{field}"' for field in shape.names if field not in shape.key)
    newer = ""
    if shape.newest_by:
        theirs = ", ".join(f'"{name}"."{field}"' for field in shape.newest_by)
        ours = ", ".join(f'excluded."{field}"' for field in shape.newest_by)
        newer = f" WHERE ({ours}) >= ({theirs})"
    return (
        f'INSERT INTO "{name}" ({_columns(shape.names)}) VALUES ({places}) '
        f"ON CONFLICT ({_columns(shape.key)}) DO UPDATE SET {changes}{newer}"
    )


def values(shape: Collection, document: Document) -> tuple[Any, ...]:
    """A document's values as SQLite keeps them."""
    nested = _nested(shape)
    if not nested:
        return tuple(document.values())
    return tuple(
        json.dumps(value, separators=(",", ":"), ensure_ascii=False) if name in nested else value
        for name, value in document.items()
    )


def select(shape: Collection, name: str, *, without: str | None = None) -> str:
    """The beginning of a query for whole documents."""
    return f'SELECT {_columns(tuple(field for field in shape.names if field != without))} FROM "{name}" '


def documents(shape: Collection, cursor: sqlite3.Cursor) -> Iterator[Document]:
    """Read the rows of a `select`."""
    names = [column[0] for column in cursor.description]
    nested = _nested(shape)
    for row in cursor:
        document = dict(zip(names, row, strict=True))
        for name in nested:
            document[name] = json.loads(document[name])
        yield document


def _columns(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)


@cache
def _nested(shape: Collection) -> frozenset[str]:
    return frozenset(field.name for field in shape.fields if field.kind is Kind.NESTED)


def _first_tables(connection: sqlite3.Connection) -> None:
    for shape in COLLECTIONS:
        create_table(connection, shape, shape.name)


def _class_columns(connection: sqlite3.Connection) -> None:
    """What classes lean on: how far a trader's positions cancel, and who was left out of a signal."""
    _add_columns(
        connection,
        (TRADER_POSITIONS.name, '"nets" REAL'),
        (POSITION_STATE.name, '"nets" REAL'),
        (SIGNALS.name, "\"out\" TEXT NOT NULL DEFAULT '{}'"),
    )


def _others_columns(connection: sqlite3.Connection) -> None:
    """Signals name their largest contributions; before, they named all."""
    _add_columns(
        connection,
        (SIGNALS.name, '"oth" INTEGER NOT NULL DEFAULT 0'),
        (SIGNALS.name, '"oth_s" REAL NOT NULL DEFAULT 0'),
    )


def _readings_table(connection: sqlite3.Connection) -> None:
    """On-chain readings."""
    create_table(connection, ONCHAIN_READINGS, ONCHAIN_READINGS.name)


def _rehearsed_columns(connection: sqlite3.Connection) -> None:
    """What a coin's rehearsals of gaps came to; before, doubt was told by average rates alone."""
    _add_columns(
        connection,
        (TAPE_MARKS.name, '"pace" REAL NOT NULL DEFAULT 1'),
        (TAPE_MARKS.name, '"spread" REAL NOT NULL DEFAULT 0'),
    )


def _add_columns(connection: sqlite3.Connection, *columns: tuple[str, str]) -> None:
    """Add those (table, declaration) that are not there."""
    for table, column in columns:
        there = {name for _, name, *_ in connection.execute(f'PRAGMA table_info("{table}")')}
        if column.split('"')[1] not in there:
            connection.execute(f'ALTER TABLE "{table}" ADD COLUMN {column}')


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    _first_tables,
    _class_columns,
    _others_columns,
    _readings_table,
    _rehearsed_columns,
)
"""Step n brings a file from version n to n + 1. The first makes today's tables, so each later one must find its work
done already on a new file."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to today's version in one transaction; two processes may try at once."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StoreUnreachable(f"was written by a newer program (version {version}, we know {len(MIGRATIONS)})")
        for step in MIGRATIONS[version:]:
            step(connection)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
