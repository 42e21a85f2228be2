"""alternative.me: `/fng/` (facts, section 5).

Not established, and decided here: a new value lands five minutes after midnight, and parameters that make no sense
come back as 200 with `metadata.error`.
"""

import itertools
import json
from collections.abc import Callable, Iterator

from starlette.requests import Request

from market_scraper.simulator.onchain.answers import Sheet, sliced
from market_scraper.simulator.onchain.days import DAY_MS, day_at, parse_ms
from market_scraper.simulator.onchain.faults import Spoil
from market_scraper.simulator.onchain.mood import FEAR_GREED_FIRST, Mood

_DELAY_MS = 5 * 60_000
_SLICE_DAYS = 100
_MISSING = frozenset(day_at(parse_ms(f"{day}")) for day in ("2018-04-14", "2018-04-15", "2018-04-16", "2024-10-26"))
"""Days that the real index has no value for (recorded)."""


def label(value: float) -> str:
    """The words that come with a value; sources disagree about their edges."""
    for most, words in ((24, "Extreme Fear"), (45, "Fear"), (54, "Neutral"), (74, "Greed")):
        if value <= most:
            return words
    return "Extreme Greed"


class FearGreed:
    """Answers from the mood, by the venue's clock."""

    def __init__(self, mood: Mood, now_ms: Callable[[], int]) -> None:
        self._mood, self._now_ms = mood, now_ms

    def index(self, request: Request, spoil: Spoil) -> Sheet:
        """GET /fng/?limit=N: newest first; 0 = all."""
        query, now = request.query_params, self._now_ms()
        limit = query.get("limit", "1")
        if not limit.isdecimal():
            return self._refused(f"Invalid limit: {limit}")
        if query.get("format", "json") != "json" or "date_format" in query:
            return self._refused("Only format=json without date_format is served here")
        newest = day_at(now - _DELAY_MS)
        days = (day for day in range(newest, FEAR_GREED_FIRST - 1, -1) if day not in _MISSING)
        wanted = itertools.islice(days, int(limit) or None)
        return Sheet(parts=self._written((self._row(day, newest, now, spoil) for day in wanted), None))

    def _row(self, day: int, newest: int, now_ms: int, spoil: Spoil) -> dict[str, str | None]:
        value = spoil.value("value", day, newest, self._mood.fear_greed)
        row = {
            spoil.name("value"): None if value is None else spoil.number(f"{value:.0f}"),
            "value_classification": None if value is None else label(value),
            "timestamp": str(day * DAY_MS // 1000),
        }
        if day == newest:
            row["time_until_update"] = str(((day + 1) * DAY_MS + _DELAY_MS - now_ms) // 1000)
        return row

    def _refused(self, error: str) -> Sheet:
        return Sheet(parts=self._written(iter(()), error))

    def _written(self, rows: Iterator[dict[str, str | None]], error: str | None) -> Iterator[bytes]:
        tail = f'], "metadata": {{"error": {json.dumps(error)}}}}}'
        texts = (json.dumps(row) for row in rows)
        return sliced('{"name": "Fear and Greed Index", "data": [', texts, ", ", tail, at_once=_SLICE_DAYS)
