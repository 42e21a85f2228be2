"""Crypto Fear & Greed Index of alternative.me: one whole number a day, from 2018-02-01 (facts, section 5)."""

from collections.abc import Mapping

import msgspec

from market_scraper.connectors.onchain.address import join
from market_scraper.connectors.onchain.fetch import RETRY_S, Fetch
from market_scraper.connectors.onchain.sieve import Sieve, day, decode, number
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.onchain import DAY_MS, Answer, Source

METRIC = "fear_greed"

DAYS_AGAIN = 3
"""Days before the newest one held that are asked for again: nobody has seen a value change, and it costs nothing."""

LIMIT_BYTES = 2 * 2**20
"""All history is some 0.35 MB."""

UPDATE_SLACK_S = 120.0
"""The new value lands minutes after the time that is told (facts, section 5)."""


class WireRow(msgspec.Struct):
    """One day. The numbers are text so far, and may as well be numbers."""

    value: object
    timestamp: object
    value_classification: object = None  # kept when it is text
    time_until_update: object = None  # seconds; only on the newest row


class WireAnswer(msgspec.Struct):
    """`metadata.error` may be set in an answer with status 200."""

    data: list[object] | None = None
    metadata: object = None


class FearGreed:
    """Implements `ports.sources.OnChainSource`."""

    name = Source.FEAR_GREED
    metrics = (METRIC,)

    def __init__(self, fetch: Fetch, url: str) -> None:
        self._fetch = fetch
        self._url = join(url, "/fng/")

    async def read(self, newest: Mapping[str, int], now_ms: int) -> Answer:
        """Ask for the days since the newest one held, or for all. The host's word on the next value is passed on."""
        params = {"limit": str(_days(newest.get(METRIC), now_ms)), "format": "json"}
        fetched = await self._fetch.get(self.name, self._url, params, limit_bytes=LIMIT_BYTES)
        sieve = Sieve()
        next_in_s = parse(fetched.body, sieve, now_ms)  # all of history: some 10 ms
        answer = sieve.answer(fetched.notes, next_in_s=next_in_s)
        if not answer.observations:
            raise InvalidInput(f"no day could be read{''.join(f': {note.text}' for note in answer.notes)}")
        return answer


def parse(body: bytes, sieve: Sieve, now_ms: int) -> float | None:
    """Put each day's value with its label into `sieve`; gives the seconds until the next value, if told.

    A stamp within a day (one recorder's are 05:30 UTC) means that UTC day. Rows come newest first, and of two of the
    same day the first stands. Days are missing (2018-04-14 to -16, 2024-10-26).
    Raises SourceError when the answer says itself that it is an error, InvalidInput when it has another shape.
    """
    wire = decode(body, WireAnswer)
    if told := wire.metadata.get("error") if isinstance(wire.metadata, dict) else None:
        raise SourceError(Source.FEAR_GREED, f"answers with an error: {told}"[:200], retry_after_s=RETRY_S)
    next_in_s: float | None = None
    seen: set[int] = set()
    for raw in wire.data or ():
        try:
            row = msgspec.convert(raw, WireRow)
            t_ms = day(row.timestamp)
        except (InvalidInput, msgspec.ValidationError) as error:
            sieve.refuse(METRIC, None, str(error))
            continue
        if t_ms > now_ms:
            sieve.refuse(METRIC, t_ms, "the day has not begun")
        elif row.value is None:
            sieve.refuse(METRIC, t_ms, "the day has no value")
        elif t_ms not in seen:
            seen.add(t_ms)
            label = row.value_classification if isinstance(row.value_classification, str) else None
            sieve.take(METRIC, t_ms, row.value, label=label)
            if len(seen) == 1:
                next_in_s = _seconds(row.time_until_update)
    return next_in_s


def _days(newest_ms: int | None, now_ms: int) -> int:
    """How many days to ask for; 0 = all."""
    return 0 if newest_ms is None else max(now_ms - newest_ms, 0) // DAY_MS + 1 + DAYS_AGAIN


def _seconds(raw: object) -> float | None:
    """Until the next value may be there; None for what no day can hold."""
    try:
        seconds = number(raw)
    except InvalidInput:
        return None
    return seconds + UPDATE_SLACK_S if 0 <= seconds <= DAY_MS / 1_000 else None
