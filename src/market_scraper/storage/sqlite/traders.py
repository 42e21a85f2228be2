"""Leaderboard, scores and who is tracked, in SQLite."""

import sqlite3

from market_scraper.domain.traders import LeaderboardRow
from market_scraper.domain.values import Address
from market_scraper.ports.stores import ScoreRow, TrackedRow
from market_scraper.storage.documents import (
    KNOWN_AT,
    SCORE,
    TIME,
    TRACKED,
    TRACKED_TRADERS,
    TRADER,
    TRADER_SCORES,
    score_from,
    tracked_from,
)
from market_scraper.storage.sqlite.leaderboard import latest_rows
from market_scraper.storage.sqlite.reading import Readers
from market_scraper.storage.sqlite.schema import documents, select

_SCORES = select(TRADER_SCORES, TRADER_SCORES.name)
_TRACKED = select(TRACKED_TRADERS, TRACKED_TRADERS.name)


class SqliteTraders:
    """Implements `TraderReader`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def latest_rows(self) -> tuple[int, list[LeaderboardRow]] | None:
        return await self._readers.run(latest_rows)

    async def tracked(self) -> list[TrackedRow]:
        def query(connection: sqlite3.Connection) -> list[TrackedRow]:
            cursor = connection.execute(f'{_TRACKED} WHERE "{TRACKED}" = 1')
            return [tracked_from(document) for document in documents(TRACKED_TRADERS, cursor)]

        return await self._readers.run(query)

    async def scores(self, trader: Address, *, since_ms: int, limit: int) -> list[ScoreRow]:
        def query(connection: sqlite3.Connection) -> list[ScoreRow]:
            cursor = connection.execute(
                f"{_SCORES} WHERE {TRADER} = ? AND {TIME} >= ? ORDER BY {TIME} DESC LIMIT ?", (trader, since_ms, limit)
            )
            return [score_from(document) for document in documents(TRADER_SCORES, cursor)]

        return await self._readers.run(query)

    async def scores_at(self, moment_ms: int) -> list[ScoreRow]:
        def query(connection: sqlite3.Connection) -> list[ScoreRow]:
            # Nothing is known before it was captured: the first condition lets the index begin at the moment.
            newest = connection.execute(
                f"SELECT {TIME} FROM {TRADER_SCORES.name} WHERE {TIME} <= ?1 AND {KNOWN_AT} <= ?1 "
                f"ORDER BY {TIME} DESC LIMIT 1",
                (moment_ms,),
            ).fetchone()
            if newest is None:
                return []
            cursor = connection.execute(
                f"{_SCORES} WHERE {TIME} = ? AND {KNOWN_AT} <= ? ORDER BY {SCORE} DESC, {TRADER}",
                (newest[0], moment_ms),
            )
            return [score_from(document) for document in documents(TRADER_SCORES, cursor)]

        return await self._readers.run(query)
