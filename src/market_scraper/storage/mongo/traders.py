"""Leaderboard, scores and who is tracked, in MongoDB."""

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
from market_scraper.storage.mongo.leaderboard import latest_rows
from market_scraper.storage.mongo.reading import NEWEST, OLDEST, Reader
from market_scraper.storage.mongo.wire import date


class MongoTraders:
    """Implements `TraderReader`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def latest_rows(self) -> tuple[int, list[LeaderboardRow]] | None:
        return await latest_rows(self._reader)

    async def tracked(self) -> list[TrackedRow]:
        slices = self._reader.slices(TRACKED_TRADERS, {TRACKED: True}, tracked_from, order=[(TRADER, OLDEST)])
        return [row async for found in slices for row in found]

    async def scores(self, trader: Address, *, since_ms: int, limit: int) -> list[ScoreRow]:
        where = {TRADER: trader, TIME: {"$gte": date(since_ms)}}
        return await self._reader.find(TRADER_SCORES, where, score_from, order=[(TIME, NEWEST)], limit=limit)

    async def scores_at(self, moment_ms: int) -> list[ScoreRow]:
        # Nothing is known before it was captured: the first condition lets the index begin at the moment.
        moment = {"$lte": date(moment_ms)}
        newest = await self._reader.first(
            TRADER_SCORES, {TIME: moment, KNOWN_AT: moment}, score_from, order=[(TIME, NEWEST)]
        )
        if newest is None:
            return []
        where = {TIME: date(newest.captured_at_ms), KNOWN_AT: moment}
        slices = self._reader.slices(TRADER_SCORES, where, score_from, order=[(SCORE, NEWEST), (TRADER, OLDEST)])
        return [row async for found in slices for row in found]
