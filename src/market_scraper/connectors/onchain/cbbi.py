"""The Bitcoin Bull Run Index: nine components and their mean, daily from 2011-06-27 (facts, section 6).

The bounds of each component are fitted through past tops and bottoms and the whole file is recomputed every day, so any
day of the past may be restated: every new file is read whole.
"""

import asyncio
import math
from collections.abc import Mapping

import msgspec

from market_scraper.connectors.onchain.address import file
from market_scraper.connectors.onchain.fetch import Fetch
from market_scraper.connectors.onchain.sieve import Sieve, day, decode, iso_day
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.onchain import (
    CBBI_COMPONENTS,
    CBBI_CONFIDENCE,
    DAY_MS,
    Answer,
    Note,
    Source,
    cbbi_metric,
)

LIMIT_BYTES = 8 * 2**20
"""1.5 MB in 2026."""

MEAN_TOLERANCE = 1e-4
"""Both sides are rounded to 4 decimals; the greatest error in 17 recorded files is 7.8e-5."""

MOVING_DAYS = 2
"""The newest day changes at about 03:00 UTC, the one before it at about 08:30 (recordings of August 2026)."""

PRICE, CONFIDENCE = "Price", "Confidence"

METRIC_OF = {component: cbbi_metric(component) for component in CBBI_COMPONENTS} | {CONFIDENCE: CBBI_CONFIDENCE}

Part = dict[str, object]
"""By Unix seconds as text: the value of that day, or null."""


class Cbbi:
    """Implements `ports.sources.OnChainSource`."""

    name = Source.CBBI
    metrics = tuple(METRIC_OF.values())

    def __init__(self, fetch: Fetch, url: str) -> None:
        """`url`: the host's root, a base path, or the file itself under any name that ends in `.json`."""
        self._fetch = fetch
        self._url = file(url, "/cbbi/data/latest.json")
        self._given: dict[str, int] = {}  # by metric, the newest t of the file that was read last
        self._notes: tuple[Note, ...] = ()  # what there is to say of that file

    async def read(self, newest: Mapping[str, int], now_ms: int) -> Answer:
        """The whole file, or the word that it is the one we read last, if what it said is held."""
        is_held = bool(self._given) and all(newest.get(metric, 0) >= t_ms for metric, t_ms in self._given.items())
        fetched = await self._fetch.get(self.name, self._url, limit_bytes=LIMIT_BYTES, conditional=is_held)
        if fetched.unchanged:
            return Answer(notes=self._notes, unchanged=True)
        sieve = Sieve()
        await asyncio.to_thread(parse, fetched.body, sieve, now_ms)  # some 70 ms of work
        answer = sieve.answer(fetched.notes)
        if not answer.observations:
            raise InvalidInput("a file without any value")
        self._given = {observation.metric: observation.t_ms for observation in answer.observations}
        self._notes = answer.notes
        self._fetch.keep(fetched)
        return answer


def parse(body: bytes, sieve: Sieve, now_ms: int) -> None:
    """Put the file's values (0..1) into `sieve`, without the price. Raises InvalidInput when it is no such file.

    Noted: parts that are missing or of another shape, days that a part lacks, values outside 0..1, and days whose
    confidence is not the mean of its components.
    """
    parts = _parts(decode(body, dict[str, msgspec.Raw]), sieve)
    if not parts:
        raise InvalidInput("neither a component nor the confidence is in the file")
    days = _days(parts, sieve, now_ms)
    moving_ms = max(days.values(), default=0) - (MOVING_DAYS - 1) * DAY_MS
    taken: dict[str, dict[int, float]] = {}
    for name, part in parts.items():
        metric, kept = METRIC_OF[name], taken.setdefault(name, {})
        for stamp, t_ms in days.items():
            if stamp in part and part[stamp] is None:
                sieve.none(metric, t_ms)
                continue
            value = sieve.take(metric, t_ms, part.get(stamp), provisional=t_ms >= moving_ms)
            if value is not None:
                kept[t_ms] = value
        if lacking := len(days.keys() - part.keys()):
            sieve.note("missing_metric", f"{name} lacks {lacking} of {len(days)} days", metric)
    if len(taken) == len(METRIC_OF):
        _check_mean(taken, sieve)


def _parts(wire: Mapping[str, msgspec.Raw], sieve: Sieve) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    for name, metric in METRIC_OF.items():
        if name not in wire:
            unknown = sorted(wire.keys() - METRIC_OF.keys() - {PRICE})
            hint = f"; unknown parts: {', '.join(unknown)}"[:200] if unknown else ""
            sieve.note("schema_drift", f"{name} is not in the file{hint}", metric)
            continue
        try:
            parts[name] = decode(bytes(wire[name]), Part)
        except InvalidInput as error:
            sieve.refuse(metric, None, str(error))
    return parts


def _days(parts: Mapping[str, Part], sieve: Sieve, now_ms: int) -> dict[str, int]:
    """The file's stamps and our days; in a good file all parts have the same ones."""
    days: dict[str, int] = {}
    taken: set[int] = set()
    bad: list[str] = []
    for stamp in dict.fromkeys(stamp for part in parts.values() for stamp in part):
        try:
            t_ms = day(stamp)
        except InvalidInput as error:
            bad.append(str(error))
            continue
        if t_ms > now_ms:
            bad.append(f"{iso_day(t_ms)} has not begun")
        elif t_ms in taken:
            bad.append(f"{iso_day(t_ms)} comes twice")
        else:
            days[stamp] = t_ms
            taken.add(t_ms)
    if bad:
        sieve.note("refused", f"{len(bad)} days refused, the last: {bad[-1]}")
    return days


def _check_mean(taken: Mapping[str, Mapping[int, float]], sieve: Sieve) -> None:
    """Note the days whose confidence is another number than the mean of that day's components."""
    components = [taken[name] for name in CBBI_COMPONENTS]
    wrong, last = 0, ""
    for t_ms, said in taken[CONFIDENCE].items():
        known = [value for component in components if (value := component.get(t_ms)) is not None]
        mean = sum(known) / len(known) if known else math.nan
        if not abs(said - mean) <= MEAN_TOLERANCE:
            wrong += 1
            last = f"{said:g} instead of {mean:.4f} on {iso_day(t_ms)}"
    if wrong:
        text = f"confidence is not the mean of its components on {wrong} days, the last: {last}"
        sieve.note("disputed", text, CBBI_CONFIDENCE)
