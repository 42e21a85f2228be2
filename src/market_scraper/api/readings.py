"""What routes of on-chain values share: what is judged now or was then, how it is answered, paging through history."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from market_scraper.api import cursors
from market_scraper.api.answers import ENCODER, Answer, body_of, describe, tag_of, tagged
from market_scraper.api.deps import ApiDeps, ApiState
from market_scraper.api.errors import BadCursor
from market_scraper.api.prepared import MAX_AGE_S, Reusable
from market_scraper.domain.crosscheck import RECENT_DAYS, grouped, judge, silence_at
from market_scraper.domain.derived import COMPUTED, Key, compute
from market_scraper.domain.errors import NoHistory
from market_scraper.domain.onchain import Judged, Metric, Reading, ReadingState, Source

RETRY_AFTER_S = 30
"""Told while nothing has a value: sources that fail are asked again in about such pauses at first."""

NO_VALUE = "source_unavailable"

Shown = Callable[[Mapping[str, Judged], int], msgspec.Struct]
"""Shapes an answer from verdicts and the moment at which they were given."""


def described(kind: Any, *, e404: str = "no_history", e422: str = "bad_parameter") -> dict[int | str, dict[str, Any]]:
    """OpenAPI `responses` of a route of values; its 503 carries the same marks."""
    responses = describe(kind, tagged=True, e404=e404, e422=e422, e503=f"{NO_VALUE} store_unavailable")
    marked = body_of(kind)
    content = responses[503]["content"]["application/json"]
    content["schema"] = {"anyOf": [marked["content"]["application/json"]["schema"], content["schema"]]}
    responses[503]["x-components"] |= marked["x-components"]
    responses[503]["description"] = "Nothing of it has a value yet: the body says since when and why"
    return responses


async def answer(
    request: Request, state: ApiState, as_of: int | None, metrics: Sequence[str], shown: Shown
) -> Response:
    """Now from memory, or what was known at `as_of` from the store, by the same cross-examination."""
    deps = state.deps
    if as_of is not None:
        judged = await judged_at(deps, as_of, metrics)
        return tagged(request, shown(judged, as_of))
    view, now_ms, made_at_s = deps.views.onchain, deps.clock.now_ms(), deps.clock.monotonic()
    judged, version = view.all(), view.version
    made = shown(judged, now_ms)
    if not any_value(judged, metrics):
        return no_value(made, judged, metrics)
    # The age in an answer rises all the time: its tag is of what it means.
    etag = tag_of(ENCODER.encode([judged[name] for name in metrics]), weak=True)

    def still_true() -> bool:
        return view.version == version and deps.clock.monotonic() - made_at_s <= MAX_AGE_S

    return Reusable(ENCODER.encode(made), still_true, etag=etag)


def any_value(judged: Mapping[str, Judged], metrics: Iterable[str]) -> bool:
    """Whether there is anything to serve."""
    return any(judged[name].reading is not None for name in metrics)


def no_value(made: msgspec.Struct, judged: Mapping[str, Judged], metrics: Sequence[str]) -> Response:
    """503 with all marks of the answer, and what an error says."""
    reasons = dict.fromkeys(judged[name].reason or ReadingState.MISSING for name in metrics)
    body = msgspec.structs.replace(made, detail="; ".join(list(reasons)[:3]), code=NO_VALUE)
    return Answer(body, status_code=503, headers={"Retry-After": str(RETRY_AFTER_S)})


async def judged_at(deps: ApiDeps, as_of: int, metrics: Iterable[str]) -> Mapping[str, Judged]:
    """Verdicts from what was known at a moment of the past. Raises NoHistory when that was nothing of `metrics`."""
    stored = await deps.store.readings.recent(days=RECENT_DAYS, known_by_ms=as_of)
    facts = _newest_of((*stored, *_held(deps, as_of)))
    judged = judge(grouped(facts), as_of, silence_at(facts, as_of))
    if not any_value(judged, metrics):
        raise NoHistory("no source had given a value yet at that time")
    return judged


# -- history ---------------------------------------------------------------------------------------------------------


async def page_of(
    deps: ApiDeps, metric: Metric, *, source: Source | None, as_of: int | None, limit: int, cursor: str | None
) -> tuple[Source | None, list[Reading], str | None]:
    """One page of a metric's history, newest first: whose it is, the values, and the next cursor.

    Without `source` it is of the first source that has any, one that measures by day before one that tells of moments.
    Raises NoHistory for an `as_of` before the first.
    """
    now_ms = deps.clock.now_ms()
    digest = cursors.digest_of("onchain", metric.name, source, as_of)
    sources = _by_day_first(metric) if source is None else (source,)
    begun, known_by, before = now_ms, now_ms if as_of is None else as_of, None
    if cursor is not None:
        place = cursors.read(cursor, digest, now_ms)
        before, said = place.words()
        sources = tuple(each for each in sources if each == said)
        if not sources:
            raise BadCursor("cursor: not one of ours")
        begun, known_by = place.begun_ms, place.version_ms
    for each in sources:
        readings = await _history(deps, (each, metric.name), limit=limit + 1, known_by_ms=known_by, before=before)
        if readings:
            page, more = cursors.cut(readings, limit)
            following = cursors.write(digest, begun, known_by, 0, (page[-1].t_ms, each)) if more else None
            return each, page, following
    if as_of is not None and cursor is None:
        raise NoHistory("no source had given a value yet at that time")
    return source, [], None


async def revisions_of(deps: ApiDeps, metric: Metric, t_ms: int, source: Source | None) -> list[Reading]:
    """All that the first source that has any, or `source`, ever said of one t. Raises NoHistory."""
    for each in _by_day_first(metric) if source is None else (source,):
        said = await deps.store.readings.revisions(each, metric.name, t_ms)
        stored = {reading.revision for reading in said}
        said += [
            reading
            for reading in _held(deps, deps.clock.now_ms())
            if (reading.source, reading.metric, reading.t_ms) == (each, metric.name, t_ms)
            and reading.revision not in stored
        ]
        if said:
            return said
    raise NoHistory("no source has given a value of that day; moments must be named to the millisecond")


def _by_day_first(metric: Metric) -> tuple[Source, ...]:
    """A history of days is what most ask for; Blockchain.com's newest values are of every ten minutes."""
    return tuple(sorted(metric.sources, key=lambda source: source is Source.BLOCKCHAIN_INFO))


async def _history(deps: ApiDeps, key: Key, *, limit: int, known_by_ms: int, before: int | None) -> list[Reading]:
    """Newest first. A computed metric's come from pages of its parts."""
    if key not in COMPUTED:
        return await _kept(deps, key, since_ms=0, limit=limit, known_by_ms=known_by_ms, before=before)
    first, *others = ((key[0], part) for part in COMPUTED[key].parts)
    made: list[Reading] = []
    while len(made) < limit:
        page = await _kept(deps, first, since_ms=0, limit=limit, known_by_ms=known_by_ms, before=before)
        if not page:
            break
        held = {first: page[::-1]}
        for other in others:
            # As many again: the other part may have days that the first one lacks.
            found = await _kept(
                deps,
                other,
                since_ms=page[-1].t_ms,
                limit=4 * limit,
                known_by_ms=known_by_ms,
                before=page[0].t_ms + 1,
            )
            held[other] = found[::-1]
        made += compute(key, held)[::-1]
        if len(page) < limit:
            break
        before = page[-1].t_ms
    return made[:limit]


async def _kept(
    deps: ApiDeps, key: Key, *, since_ms: int, limit: int, known_by_ms: int, before: int | None
) -> list[Reading]:
    """Stored values and those that wait to be stored, newest first."""
    source, metric = key
    stored = await deps.store.readings.history(
        source, metric, since_ms=since_ms, limit=limit, known_by_ms=known_by_ms, before=before
    )
    held = (
        reading
        for reading in _held(deps, known_by_ms)
        if (reading.source, reading.metric) == key
        and reading.t_ms >= since_ms
        and (before is None or reading.t_ms < before)
    )
    newest = _newest_of((*stored, *held))
    return sorted(newest, key=lambda reading: reading.t_ms, reverse=True)[:limit]


def _held(deps: ApiDeps, known_by_ms: int) -> list[Reading]:
    """What the view holds and was known: rows may wait up to `buffer.flush_interval` to be stored."""
    return [
        reading
        for reading in deps.views.onchain.readings()
        if reading.known_at_ms <= known_by_ms and reading.t_ms <= known_by_ms
    ]


def _newest_of(readings: Iterable[Reading]) -> list[Reading]:
    """The highest revision of each t."""
    newest: dict[tuple[Source, str, int], Reading] = {}
    for reading in readings:
        key = (reading.source, reading.metric, reading.t_ms)
        known = newest.get(key)
        if known is None or known.revision < reading.revision:
            newest[key] = reading
    return list(newest.values())
