"""Bitview: `/api/series/...`, `/api/blocks/tip/height` and `/health` (facts, section 1).

Served at `day1` alone, of the listed series alone; errors in the shape of its server (`brk_server`, June 2026).
Unknown query parameters are refused, and so is a request that weighs more than 650,000 bytes of values: the limit for
strangers in early 2026, the public host's own of today is not known.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NoReturn

from starlette.requests import Request

from market_scraper.simulator.onchain.answers import Sheet, sheet
from market_scraper.simulator.onchain.bitview_series import (
    AT_HEIGHT_ONLY,
    MOVING,
    SERIES,
    Reading,
    Series,
    day_of,
    index_of,
    text,
)
from market_scraper.simulator.onchain.chain import Chain
from market_scraper.simulator.onchain.days import day_at, iso_seconds, parse_ms
from market_scraper.simulator.onchain.faults import Spoil
from market_scraper.simulator.onchain.mood import Mood

MOST_WEIGHT = 650_000
MOST_SERIES, MOST_NAMES_LENGTH = 32, 2_048
_VERSION = 12
_SLICE_DAYS = 25
_INDEXES = frozenset({"day1", "1d", "d", "day", "date", "daily", "dateindex"})
_RANGE = {
    **dict.fromkeys(("start", "from", "f", "s"), "start"),
    **dict.fromkeys(("end", "to", "t", "e"), "end"),
    **dict.fromkeys(("limit", "count", "c", "l"), "limit"),
    "format": "format",
}
_WHOLE = re.compile(r"-?\d{1,9}")
_KINDS = {400: "invalid_request", 403: "forbidden", 404: "not_found"}
_CACHE = {"cache-control": "public, no-cache, stale-if-error=86400"}

Extent = tuple[int, int]  # first index, and the one behind the last


class _Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        body = {"error": {"type": _KINDS[status], "code": code, "message": message, "doc_url": "/api"}}
        self.answer = sheet(body, status)
        self.answer.media_type = "application/problem+json"


class Bitview:
    """Answers from chain and mood, as of the newest block by the venue's clock."""

    def __init__(self, chain: Chain, mood: Mood, now_ms: Callable[[], int], started_ms: int) -> None:
        self._chain, self._mood, self._now_ms = chain, mood, now_ms
        self._started_ms = started_ms

    # -- routes -------------------------------------------------------------------------------------------------------
    def series(self, request: Request, spoil: Spoil) -> Sheet:
        """GET /api/series/{series}/{index}: wrapped."""

        def answer() -> Sheet:
            name, series, _ = self._found(request, spoil)
            return self._wrapped(request, {name: series}, spoil, bulk=False)

        return _answered(answer)

    def part(self, request: Request, spoil: Spoil) -> Sheet:
        """GET /api/series/{series}/{index}/{data|latest|len|version}: bare."""

        def answer() -> Sheet:
            name, series, metric = self._found(request, spoil)
            reading = self._reading()
            length = index_of(reading.today) + 1
            match request.path_params["part"]:
                case "data":
                    query = _query(request, _RANGE)
                    extent = _extent(query, length)
                    _weigh([series], extent)
                    parts = self._data(metric, series, reading, extent, spoil)
                    return self._sheet(request, reading, extent, parts, "application/json")
                case "latest":
                    _query(request, {})
                    said = self._said(metric, series, reading, reading.today, spoil)
                    body = _written(series, said, spoil).encode()
                    return self._sheet(request, reading, (length - 1, length), (body,), "application/json")
                case "len":
                    return sheet(length)
                case "version":
                    return sheet(_VERSION)
                case other:
                    raise _Refused(404, "not_found", f"{name} has no {other}")

        return _answered(answer)

    def bulk(self, request: Request, spoil: Spoil) -> Sheet:
        """GET /api/series/bulk?series=a,b&index=day1: an array of wrapped ones."""

        def answer() -> Sheet:
            query = _query(request, {**_RANGE, "series": "series", "index": "index"})
            names = query.get("series", "")
            asked = [name for name in names.split(",") if name]
            if not asked:
                raise _Refused(400, "no_series", "No series specified")
            if len(asked) > MOST_SERIES or len(names) > MOST_NAMES_LENGTH:
                raise _Refused(400, "parse_error", f"at most {MOST_SERIES} series and {MOST_NAMES_LENGTH} characters")
            index = query.get("index", "")
            return self._wrapped(request, {name: self._find(name, index, spoil)[0] for name in asked}, spoil, bulk=True)

        return _answered(answer)

    def info(self, request: Request, spoil: Spoil) -> Sheet:
        """GET /api/series/{series}."""

        def answer() -> Sheet:
            _query(request, {})
            name = request.path_params["series"]
            if name in AT_HEIGHT_ONLY:
                return sheet({"description": None, "indexes": ["height"], "type": "f32"})
            series, _ = self._find(name, "day1", spoil)
            return sheet({"description": None, "indexes": ["day1"], "type": series.type})

        return _answered(answer)

    def search(self, request: Request, spoil: Spoil) -> Sheet:
        """GET /api/series/search?q=&limit=: names, best first."""

        def answer() -> Sheet:
            query = _query(request, {"q": "q", "limit": "limit"})
            limit = query.get("limit", "20")
            if not limit.isdecimal():
                raise _Refused(400, "parse_error", f"limit {limit} is no number")
            return sheet(_alike(query.get("q", ""), [spoil.name(name) for name in SERIES])[: int(limit)])

        return _answered(answer)

    def tip_height(self, _request: Request, spoil: Spoil) -> Sheet:
        """GET /api/blocks/tip/height: a bare number, as mempool.space has it."""
        reading = self._reading()
        said = spoil.value("height", reading.today, reading.today, lambda _: reading.height)
        body = "null" if said is None else spoil.number(f"{said:.0f}")
        return Sheet(parts=(body.encode(),), media_type="text/plain", version=str(reading.height), headers={**_CACHE})

    def health(self, _request: Request, _spoil: Spoil) -> Sheet:
        """GET /health."""
        now, reading = self._now_ms(), self._reading()
        return sheet(
            {
                "status": "healthy",
                "service": "brk",
                "version": "0.12.2",
                "timestamp": iso_seconds(now),
                "started_at": iso_seconds(self._started_ms),
                "uptime_seconds": max(0, now - self._started_ms) // 1000,
                "indexed_height": reading.height,
                "computed_height": reading.height,
                "tip_height": reading.height,
                "blocks_behind": 0,
                "last_indexed_at": iso_seconds(reading.tip_ms),
            }
        )

    # -- series -------------------------------------------------------------------------------------------------------
    def _reading(self) -> Reading:
        return Reading(self._chain, self._mood, self._now_ms())

    def _found(self, request: Request, spoil: Spoil) -> tuple[str, Series, str]:
        name = request.path_params["series"]
        return name, *self._find(name, request.path_params["index"], spoil)

    def _find(self, name: str, index: str, spoil: Spoil) -> tuple[Series, str]:
        """The series that has this name now, and its name of old. Raises _Refused."""
        metric = spoil.meaning(name)
        if metric is not None and name in AT_HEIGHT_ONLY and index != "height":
            _unsupported(name, "height")
        if metric is None or metric not in SERIES:
            alike = _alike(name, [spoil.name(other) for other in SERIES])[:3]
            hint = f" Did you mean: {', '.join(alike)}?" if alike else ""
            raise _Refused(404, "series_not_found", f"'{name}' not found.{hint}")
        if index not in _INDEXES:
            _unsupported(name, "day1")
        if spoil.forbids(metric):
            raise _Refused(403, "forbidden", f"'{name}' needs authentication")
        return SERIES[metric], metric

    def _wrapped(self, request: Request, asked: Mapping[str, Series], spoil: Spoil, *, bulk: bool) -> Sheet:
        names = {"series": "series", "index": "index"} if bulk else {}
        query = _query(request, {**_RANGE, **names})
        reading = self._reading()
        extent = _extent(query, index_of(reading.today) + 1)
        _weigh(list(asked.values()), extent)
        if query.get("format", "json") == "csv":
            return self._sheet(request, reading, extent, self._table(asked, reading, extent, spoil), "text/csv")
        if query.get("format", "json") != "json":
            raise _Refused(400, "parse_error", f"format {query['format']} is not known")
        parts = self._objects(asked, reading, extent, spoil, bulk=bulk)
        return self._sheet(request, reading, extent, parts, "application/json")

    def _sheet(
        self, request: Request, reading: Reading, extent: Extent, parts: "Iterator[bytes] | tuple[bytes]", media: str
    ) -> Sheet:
        moving = extent[1] > index_of(reading.today) + 1 - MOVING
        version = f"{request.url.query} {extent} {reading.height if moving else 'final'}"
        return Sheet(parts=parts, media_type=media, version=version, headers={**_CACHE})

    def _objects(
        self, asked: Mapping[str, Series], reading: Reading, extent: Extent, spoil: Spoil, *, bulk: bool
    ) -> Iterator[bytes]:
        if bulk:
            yield b"["
        for number, (name, series) in enumerate(asked.items()):
            head = f'"version":{_VERSION},"index":"day1","type":"{series.type}","start":{extent[0]},"end":{extent[1]}'
            yield f'{"," if number else ""}{{{head},"stamp":"{iso_seconds(reading.tip_ms)}","data":'.encode()
            yield from self._data(spoil.meaning(name) or name, series, reading, extent, spoil)
            yield b"}"
        if bulk:
            yield b"]"

    def _data(self, metric: str, series: Series, reading: Reading, extent: Extent, spoil: Spoil) -> Iterator[bytes]:
        yield b"["
        for first in range(*extent, _SLICE_DAYS):
            days = [day_of(index) for index in range(first, min(first + _SLICE_DAYS, extent[1]))]
            texts = (_written(series, self._said(metric, series, reading, day, spoil), spoil) for day in days)
            yield (("," if first > extent[0] else "") + ",".join(texts)).encode()
        yield b"]"

    def _table(self, asked: Mapping[str, Series], reading: Reading, extent: Extent, spoil: Spoil) -> Iterator[bytes]:
        yield (",".join(asked) + "\n").encode()
        for index in range(*extent):
            cells = []
            for name, series in asked.items():
                said = self._said(spoil.meaning(name) or name, series, reading, day_of(index), spoil)
                cells.append("" if said is None else _written(series, said, spoil).strip('"'))
            yield (",".join(cells) + "\n").encode()

    def _said(self, metric: str, series: Series, reading: Reading, day: int, spoil: Spoil) -> float | None:
        if series.type == "Date":
            return reading.value(series, day)
        return spoil.value(metric, day, reading.today, lambda other: reading.value(series, other))


def _answered(answer: Callable[[], Sheet]) -> Sheet:
    try:
        return answer()
    except _Refused as refused:
        return refused.answer


def _unsupported(name: str, index: str) -> NoReturn:
    message = f"'{name}' doesn't support the requested index. Try: /api/series/{name}/{index}"
    raise _Refused(400, "series_unsupported_index", message)


def _written(series: Series, value: float | None, spoil: Spoil) -> str:
    written = text(series, value)
    return written if value is None or series.type == "Date" else spoil.number(written)


def _query(request: Request, known: Mapping[str, str]) -> dict[str, str]:
    """The parameters under their main names. Raises _Refused for an unknown one."""
    query = {}
    for name, value in request.query_params.items():
        if name not in known:
            expected = ", ".join(sorted(set(known.values())))
            raise _Refused(400, "parse_error", f"unknown field `{name}`, expected one of {expected}")
        query[known[name]] = value
    return query


def _extent(query: Mapping[str, str], length: int) -> Extent:
    start = _bound(query["start"], length) if "start" in query else 0
    if "end" in query:
        end = _bound(query["end"], length)
    elif "limit" in query:
        if not query["limit"].isdecimal():
            raise _Refused(400, "parse_error", f"limit {query['limit']} is no number")
        end = min(start + int(query["limit"]), length)
    else:
        end = length
    return start, max(start, end)


def _bound(written: str, length: int) -> int:
    """An index, one counted from the end, a date or a time. Raises _Refused."""
    if _WHOLE.fullmatch(written):
        number = int(written)
        return min(number, length) if number >= 0 else max(0, length + number)
    try:
        return min(index_of(day_at(parse_ms(written))), length)
    except ValueError:
        raise _Refused(400, "parse_error", f"{written} is neither a number nor a time") from None


def _weigh(asked: Sequence[Series], extent: Extent) -> None:
    weight = sum(series.weight for series in asked) * (extent[1] - extent[0])
    if weight > MOST_WEIGHT:
        raise _Refused(400, "weight_exceeded", f"Request weight {weight} exceeds maximum {MOST_WEIGHT}")


def _alike(asked: str, names: Sequence[str]) -> list[str]:
    """Names that contain it, then names that look like it."""
    inside = [name for name in names if asked and asked in name]
    return inside + [name for name in difflib.get_close_matches(asked, names, 10, 0.5) if name not in inside]
