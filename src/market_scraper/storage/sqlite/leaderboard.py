"""Blocks of the leaderboard in SQLite: writing parts, reading the chain."""

import sqlite3

from market_scraper.domain.traders import LeaderboardRow
from market_scraper.ports.stores import LeaderboardPart
from market_scraper.storage.documents import FULL, LEADERBOARD_HISTORY, PART, PARTS, ROWS, TIME
from market_scraper.storage.leaderboard import Chain, check_place
from market_scraper.storage.sqlite.schema import upsert

_TABLE = LEADERBOARD_HISTORY.name
_INSERT = upsert(LEADERBOARD_HISTORY, _TABLE)


class ChainWriter:
    """Keeps the chain as of the last block, to know what changed; it is read anew when somebody else has written.

    Once a newer pull has begun, an older one is not continued: the chain has one order.
    """

    def __init__(self) -> None:
        self._chain: Chain | None = None
        self._tip = 0  # row id of the last block in the chain

    def forget(self) -> None:
        """The transaction was undone."""
        self._chain = None

    def write(self, connection: sqlite3.Connection, part: LeaderboardPart) -> None:
        """Keep what changed, and a full copy when the pull is complete and one is due."""
        check_place(part)
        captured = part.captured_at_ms
        newest = _one(connection, f"SELECT max({TIME}) FROM {_TABLE}")
        there = f"SELECT count(*) FROM {_TABLE} WHERE {TIME} = ? AND {PART} = ?"
        if (newest is not None and captured < newest) or _one(connection, there, captured, part.part):
            return
        chain = self._current(connection)
        packed, changed = chain.add(part.rows)
        tip = connection.execute(
            _INSERT, (captured, part.part, part.parts, part.known_at_ms, False, changed, packed)
        ).lastrowid
        have = _one(connection, f"SELECT count(*) FROM {_TABLE} WHERE {TIME} = ? AND {PART} < ?", captured, part.parts)
        if have == part.parts and chain.wants_full:
            for number, (block, count) in enumerate(chain.full(), start=part.parts):
                tip = connection.execute(
                    _INSERT, (captured, number, part.parts, part.known_at_ms, True, count, block)
                ).lastrowid
        self._chain, self._tip = chain, tip or 0

    def _current(self, connection: sqlite3.Connection) -> Chain:
        tip = _one(connection, f"SELECT max(rowid) FROM {_TABLE}") or 0
        if self._chain is None or tip != self._tip:
            self._chain = _read(connection, None)
        return self._chain


def latest_rows(connection: sqlite3.Connection) -> tuple[int, list[LeaderboardRow]] | None:
    """The newest complete pull, with everyone's row as last seen by then."""
    complete = connection.execute(
        f'SELECT {TIME} FROM {_TABLE} WHERE "{FULL}" = 0 GROUP BY {TIME} HAVING count(*) = max({PARTS}) '
        f"ORDER BY {TIME} DESC LIMIT 1"
    ).fetchone()
    return None if complete is None else (complete[0], _read(connection, complete[0]).rows())


def expire(connection: sqlite3.Connection, before_ms: int, limit: int) -> int:
    """Delete at most `limit` blocks older than the last full copy before then; what newer blocks lean on stays.

    Gives how many; 0 = none are left.
    """
    base = _one(connection, f'SELECT max({TIME}) FROM {_TABLE} WHERE "{FULL}" = 1 AND {TIME} <= ?', before_ms)
    old = f"SELECT rowid FROM {_TABLE} WHERE {TIME} < ? LIMIT ?"
    return connection.execute(f"DELETE FROM {_TABLE} WHERE rowid IN ({old})", (base, limit)).rowcount


def _read(connection: sqlite3.Connection, upto_ms: int | None) -> Chain:
    """Put the chain together, from the last full copy on."""
    upto = 2**62 if upto_ms is None else upto_ms
    base = _one(connection, f'SELECT max({TIME}) FROM {_TABLE} WHERE "{FULL}" = 1 AND {TIME} <= ?', upto)
    chain = Chain()
    for packed, full in connection.execute(
        f'SELECT {ROWS}, "{FULL}" FROM {_TABLE} WHERE ({TIME} = ?1 AND "{FULL}" = 1) OR ({TIME} > ?1 AND {TIME} <= ?2) '
        "ORDER BY rowid",
        (-1 if base is None else base, upto),
    ):
        chain.apply(packed, full=bool(full))
    return chain


def _one(connection: sqlite3.Connection, query: str, *arguments: object) -> int | None:
    found: int | None = connection.execute(query, arguments).fetchone()[0]
    return found
