"""Bitview, the hosted Bitcoin Research Kit: what its own node and index compute, by day, without a key (facts, 1).

No conditional GET: its last two days move with every block, so that every answer is a new one.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from market_scraper.connectors.onchain.address import root
from market_scraper.connectors.onchain.bitview_series import (
    DATE,
    GROUPS,
    SERIES,
    Fewer,
    WireSeries,
    gather,
    one_wrapped,
    wrapped,
)
from market_scraper.connectors.onchain.fetch import Fetch, Fetched, Refused
from market_scraper.connectors.onchain.progress import Ask, Progress
from market_scraper.connectors.onchain.sieve import Sieve, decode, iso_day
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.onchain import Answer, Note, Source

BULK, SEARCH, HEIGHT = "/api/series/bulk", "/api/series/search", "/api/blocks/tip/height"
SINGLE = "/api/series/{}/day1"
HEIGHT_METRIC = "block_height"

AGAIN_DAYS = 7
"""Days that are asked for again: two of them move, and our last look may have been when they did."""

SLICE_DAYS = 1_000
"""Of one request. 25 series of it weigh at most some 500 KB; early 2026 releases allow 650 KB a request."""

LIMIT_BYTES = 4 * 2**20
SMALL_BYTES = 65_536

NOT_SERVED = (400, 403, 404)
"""What a bulk request gets for one name that is not there (404), not by day (400) or not for us."""

FORBIDDEN, NOT_FOUND = 403, 404

HOPELESS = 4
"""When this many names alone are refused before one was given, it is not the names."""

MOST_SEARCHES = 8
"""Of one read, for the new names of series that are gone."""

FOUND = 20
"""Names that a search is asked for: most of them are of other series that we know."""

# "'sopr' not found, did you mean …", "'sopr' doesn't support the requested index" (brk_error, 2026-06).
_FIRST_QUOTED = re.compile(rb"'([A-Za-z0-9_]{1,100})'")
_OURS = frozenset(name for series in SERIES.values() for name in series.names)  # never the new name of another
_HOLDERS = ("sth_", "lth_")  # one series of all coins has its twins of short-term and long-term holders' coins
_NAME = re.compile(r"[A-Za-z0-9_]{1,100}")


@dataclass(slots=True)
class _Reading:
    """What is found out in the course of one read."""

    now_ms: int
    gone: dict[str, int] = field(default_factory=dict)  # names that are not served, and the status that said so
    dated: bool = True  # DATE is served
    given: bool = False  # some series came
    misses: int = 0  # names that were refused alone


class _NoBulk(Exception):
    """The host serves single series, but has no route for many at once."""


class Bitview:
    """Implements `ports.sources.OnChainSource`. The whole history comes in slices, oldest first.

    A series that is gone is noted with the name that the host's search suggests; ours to check, never read unasked.
    Where the host has no bulk route, this object asks for one series after the other from then on.
    """

    name = Source.BITVIEW
    metrics = (*SERIES, HEIGHT_METRIC)

    def __init__(self, fetch: Fetch, url: str) -> None:
        """`url`: the host's root, or any of its resources that we ask."""
        self._root = root(url, BULK, HEIGHT)
        self._fetch = fetch
        self._progress = Progress(again_days=AGAIN_DAYS, slice_days=SLICE_DAYS)
        self._hints: dict[str, str] = {}  # by name that is gone: what to say of it
        self._has_bulk = True

    async def read(self, newest: Mapping[str, int], now_ms: int) -> Answer:
        """Two requests for what is new, two for each slice of history that is missing, one for the tip's height.

        Without a bulk route as many as there are series, for what is new and for all of history alike.
        """
        try:
            answer, gone = await self._series(newest, now_ms)
        except _NoBulk:
            self._has_bulk = False
            # The whole history of one series weighs less than a slice of all of them.
            self._progress = Progress(again_days=AGAIN_DAYS)
            answer, gone = await self._series(newest, now_ms)
        height = await self._height(now_ms)
        return Answer(
            observations=answer.observations + height.observations,
            notes=(*answer.notes, *height.notes, *await self._drift(gone)),
            next_in_s=answer.next_in_s,
        )

    async def _series(self, newest: Mapping[str, int], now_ms: int) -> tuple[Answer, Mapping[str, int]]:
        """What came, and the names that are gone."""
        reading = _Reading(now_ms)
        way = self._ask if self._has_bulk else self._ask_singly
        return await self._progress.read(SERIES, newest, now_ms, lambda ask: way(ask, reading)), reading.gone

    async def _ask(self, ask: Ask, reading: _Reading) -> Answer:
        """Raises Refused, or Fewer, when no series at all is served; _NoBulk when one is, but not in bulk."""
        sieve, notes = Sieve(), list[Note]()
        refused: Refused | Fewer | None = None
        for group in GROUPS:
            parts = [[metric for metric in group if metric in ask.metrics]]
            while parts:
                named = _names(parts.pop(0), reading.gone)
                if not named:
                    continue
                asked = [*((DATE,) if reading.dated else ()), *named.values()]
                try:
                    fetched = await self._bulk(asked, ask)
                    await asyncio.to_thread(_parse, fetched.body, asked, named, ask, sieve, reading.now_ms)  # 40 ms
                except (Refused, Fewer) as error:
                    if isinstance(error, Refused) and error.status not in NOT_SERVED:
                        raise
                    refused = error
                    if len(named) == 1 and not reading.given and await self._is_single(asked[-1], ask, error):
                        raise _NoBulk from error
                    parts = [*_suspects(named, asked, error, reading), *parts]
                    continue
                reading.given = True
                notes += fetched.notes
        if refused is not None and not reading.given:
            raise refused
        return sieve.answer(tuple(notes))

    async def _bulk(self, names: list[str], ask: Ask) -> Fetched:
        params = {"series": ",".join(names), "index": "day1", **_range(ask)}
        return await self._fetch.get(self.name, self._root + BULK, params, limit_bytes=LIMIT_BYTES)

    async def _ask_singly(self, ask: Ask, reading: _Reading) -> Answer:
        """One series after the other, at the host's pace. Raises Refused when the first ones are not served at all."""
        sieve, notes = Sieve(), list[Note]()
        found: dict[str, WireSeries | InvalidInput] = {}
        named: dict[str, str] = {}
        for metric, names in ((None, (DATE,)), *((metric, SERIES[metric].names) for metric in ask.metrics)):
            for name in (name for name in names if name not in reading.gone):
                try:
                    fetched = await self._single(name, ask)
                except Refused as error:
                    if error.status not in NOT_SERVED:
                        raise
                    _miss(name, error, reading)
                    continue
                found[name] = await asyncio.to_thread(one_wrapped, fetched.body)
                notes += fetched.notes
                if metric is not None:
                    reading.given = True
                    named[metric] = name
                break
        await asyncio.to_thread(
            gather, found, named, sieve, start_ms=ask.start_ms, end_ms=ask.end_ms, now_ms=reading.now_ms
        )
        notes.append(Note(kind="fallback", text=f"there is no {BULK}: series are asked for one by one"))
        return sieve.answer(tuple(notes))

    async def _single(self, name: str, ask: Ask) -> Fetched:
        url = self._root + SINGLE.format(name)
        return await self._fetch.get(self.name, url, _range(ask), limit_bytes=LIMIT_BYTES)

    async def _is_single(self, name: str, ask: Ask, refused: Refused | Fewer) -> bool:
        """Whether a series that was not found in bulk is served alone."""
        if not isinstance(refused, Refused) or refused.status != NOT_FOUND:
            return False
        try:
            await self._single(name, ask)
        except Refused:
            return False
        return True

    async def _height(self, now_ms: int) -> Answer:
        sieve = Sieve()
        try:
            fetched = await self._fetch.get(self.name, self._root + HEIGHT, limit_bytes=SMALL_BYTES)
            sieve.take(HEIGHT_METRIC, now_ms, decode(fetched.body, float))
        except (SourceError, InvalidInput) as error:
            sieve.note("missing_metric", f"the height of the tip: {error}"[:200], HEIGHT_METRIC)
        return sieve.answer()

    async def _drift(self, gone: Mapping[str, int]) -> tuple[Note, ...]:
        """What to tell of names that are gone. The host's search is asked once for each, some of them a read."""
        notes: list[Note] = []
        await self._search([name for name, status in gone.items() if name != DATE and status != FORBIDDEN])
        for metric, series in SERIES.items():
            for at, name in enumerate(series.names):
                if name not in gone:
                    break
                if gone[name] == FORBIDDEN:
                    notes.append(Note(kind="missing_metric", metric=metric, text=f"{name} is refused: HTTP 403"))
                    continue
                instead = next((other for other in series.names[at + 1 :] if other not in gone), None)
                said = f"; {instead} is read instead" if instead is not None else self._hints.get(name, "")
                notes.append(Note(kind="schema_drift", metric=metric, text=f"{name} is not served by day{said}"))
        if DATE in gone:
            notes.append(Note(kind="schema_drift", text="the series date is not served; days are counted by index"))
        return tuple(notes)

    async def _search(self, names: Iterable[str]) -> None:
        """Find out what to say of names; a search that fails is tried again at the next read, and ends this one's."""
        for name in [name for name in names if name not in self._hints][:MOST_SEARCHES]:
            try:
                fetched = await self._fetch.get(
                    self.name, self._root + SEARCH, {"q": name, "limit": str(FOUND)}, limit_bytes=SMALL_BYTES
                )
                self._hints[name] = _hint(name, decode(fetched.body, list[str]))
            except (Refused, InvalidInput):
                self._hints[name] = ""
            except SourceError:
                return


def _hint(lost: str, found: Iterable[str]) -> str:
    """What may be the new name of a lost one: nothing that is known to be another series."""
    twins = tuple(prefix for prefix in _HOLDERS if not lost.startswith(prefix))
    names = [name for name in found if name not in _OURS and not name.startswith(twins) and _NAME.fullmatch(name)]
    return f"; is it now {' or '.join(names[:3])}?" if names else ""


def _names(metrics: Iterable[str], gone: Mapping[str, int]) -> dict[str, str]:
    """The best name that is left of each metric that has one."""
    left = {metric: next((name for name in SERIES[metric].names if name not in gone), None) for metric in metrics}
    return {metric: name for metric, name in left.items() if name is not None}


def _suspects(
    named: Mapping[str, str], asked: list[str], refused: Refused | Fewer, reading: _Reading
) -> list[list[str]]:
    """After a refusal: what to ask for next, metrics by request. Who is found guilty is `gone`.

    To leave a series out is a refusal that does not say of what.
    """
    metrics = list(named)
    status, body = (refused.status, refused.body) if isinstance(refused, Refused) else (NOT_FOUND, b"")
    found = _FIRST_QUOTED.search(body)
    culprit = found[1].decode() if found is not None else None
    if culprit == DATE and reading.dated:
        reading.dated = False
        reading.gone[DATE] = status
        return [metrics]
    if culprit is not None and culprit in asked:
        reading.gone[culprit] = status
        return [metrics]
    if reading.dated:  # the words say nothing to us: the helper is the first to be left out
        reading.dated = False
        return [metrics]
    if len(metrics) > 1:
        half = len(metrics) // 2
        return [metrics[:half], metrics[half:]]
    _miss(named[metrics[0]], refused, reading)
    return [metrics]


def _miss(name: str, refused: Refused | Fewer, reading: _Reading) -> None:
    """Note that a name was refused alone. Raises `refused` when it is not the names."""
    reading.gone[name] = refused.status if isinstance(refused, Refused) else NOT_FOUND
    reading.misses += 1
    if reading.misses >= HOPELESS and not reading.given:
        raise refused


def _range(ask: Ask) -> dict[str, str]:
    return {"start": iso_day(ask.start_ms)} | ({} if ask.end_ms is None else {"end": iso_day(ask.end_ms)})


def _parse(body: bytes, asked: list[str], named: Mapping[str, str], ask: Ask, sieve: Sieve, now_ms: int) -> None:
    found = wrapped(body, asked)
    gather(found, named, sieve, start_ms=ask.start_ms, end_ms=ask.end_ms, now_ms=now_ms)
