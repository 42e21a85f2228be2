"""`python -m tests.proof.acknowledging ARGUMENTS...`: the real program, with a witness of what its store acknowledged.

A row is acknowledged when the write that brought it has returned. The witness notes it then, in one append to the file
that `ACKNOWLEDGED` names: like the store's own file, what was appended survives `kill -9`. A kill between a commit and
its note leaves a row that nobody was promised, so that what is noted is always a part of what must be there.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from market_scraper.ports.stores import LeaderboardPart, Row
from market_scraper.storage import SqliteStore, documents
from market_scraper.storage.shapes import Collection
from market_scraper.storage.sqlite import schema

FILE = "ACKNOWLEDGED"


class Note(msgspec.Struct, frozen=True, array_like=True):
    """One acknowledged row: its table, and its values by short name."""

    table: str
    row: dict[str, Any]


def noted(row: Row) -> Note:
    """What is remembered of a row; of a leaderboard's part only that it came, for its rows are kept as changes."""
    if isinstance(row, LeaderboardPart):
        key = {documents.TIME: row.captured_at_ms, documents.PART: row.part}
        return Note(documents.LEADERBOARD_HISTORY.name, key)
    table, shape = documents.collection_of(row)
    values = schema.values(shape, documents.to_document(row))
    return Note(table, dict(zip(shape.names, msgspec.to_builtins(values), strict=True)))


def read(file: Path) -> Iterator[Note]:
    """Everything noted, oldest first."""
    for line in file.read_bytes().splitlines() if file.exists() else ():
        yield msgspec.json.decode(line, type=Note)


def lost(connection: sqlite3.Connection, notes: Iterable[Note]) -> list[str]:
    """Acknowledged rows that are not there, or there only as something older or as something else."""
    newest: dict[tuple[str, tuple[Any, ...]], Note] = {}
    for note in notes:
        newest[note.table, tuple(note.row[name] for name in _shape(note.table).key)] = note
    found = []
    for (table, key), note in newest.items():
        shape = _shape(table)
        where = " AND ".join(f'"{name}" = ?' for name in shape.key)
        columns = ", ".join(f'"{name}"' for name in shape.names)
        try:
            stored = connection.execute(f'SELECT {columns} FROM "{table}" WHERE {where}', key).fetchone()
        except sqlite3.OperationalError as error:
            found.append(f"{table}: {error}")
            continue
        if stored is None:
            found.append(f"{table} {key} is gone")
            continue
        row = dict(zip(shape.names, msgspec.to_builtins(stored), strict=True))
        if (wrong := _differs(shape, note.row, row)) is not None:
            found.append(f"{table} {key}: {wrong}")
    return found


def _differs(shape: Collection, promised: dict[str, Any], stored: dict[str, Any]) -> str | None:
    if shape is documents.SETTINGS or shape is documents.LEADERBOARD_HISTORY:
        return None  # a choice may have been made anew; of a pull only changes are kept
    order = [(promised[name], stored[name]) for name in shape.newest_by]
    if order and [b for _, b in order] > [a for a, _ in order]:
        return None  # something newer took its place
    different = {name: (value, stored[name]) for name, value in promised.items() if stored[name] != value}
    return f"promised and stored differ in {different}" if different else None


def duplicates(connection: sqlite3.Connection) -> list[str]:
    """Rows that stand twice: by their key, or a history's print under two keys, or two signals of one moment."""
    found = []
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    once = [(table, _shape(table).key) for table in tables if _is_ours(table)]
    once.append((documents.SIGNALS.name, (documents.SYMBOL, documents.TIME)))
    for table, key in once:
        names = ", ".join(f'"{name}"' for name in key)
        twice = connection.execute(f'SELECT {names}, count(*) FROM "{table}" GROUP BY {names} HAVING count(*) > 1')
        found += [f"{table} {key}: {row}" for row in twice]
    table, key = documents.TRADER_POSITIONS.name, (documents.TRADER, documents.COIN, documents.TID)
    names = ", ".join(f'"{name}"' for name in key)
    twice = connection.execute(
        f'SELECT {names}, count(*) FROM "{table}" WHERE "{documents.TID}" != 0 GROUP BY {names} HAVING count(*) > 1'
    )
    return found + [f"{table}, one print as two facts: {row}" for row in twice]


def _shape(table: str) -> Collection:
    return next((shape for shape in documents.COLLECTIONS if shape.name == table), documents.CANDLES)


def _is_ours(table: str) -> bool:
    return not table.startswith("sqlite_")


def _bear_witness() -> None:
    descriptor = os.open(os.environ[FILE], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    honest = SqliteStore.write

    async def write(self: SqliteStore, rows: Sequence[Row]) -> None:
        kept = tuple(rows)
        await honest(self, kept)
        os.write(descriptor, b"".join(msgspec.json.encode(noted(row)) + b"\n" for row in kept))

    SqliteStore.write = write  # type: ignore[method-assign]


def main() -> None:
    """Watch the store, then be the program."""
    _bear_witness()
    from market_scraper.cli import main as program

    program()


if __name__ == "__main__":
    main()
