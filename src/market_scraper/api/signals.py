"""`/api/v1/signals`: what the tracked traders' positions add up to, now and before, and why."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from market_scraper.api import cursors
from market_scraper.api.answers import ENCODER, Answer, describe, tagged
from market_scraper.api.deps import ApiState, State
from market_scraper.api.errors import UnknownSignal
from market_scraper.api.followed import mark_of
from market_scraper.api.params import HOUR_MS, AskedSymbol, AsOf, Cursor, Hours, Limit, SignalId
from market_scraper.api.prepared import PreparedRoute, Reusable
from market_scraper.domain.errors import NoHistory
from market_scraper.domain.signals import Signal
from market_scraper.domain.values import Recommendation, Symbol
from market_scraper.schemas import signals

router = APIRouter(prefix="/api/v1/signals", tags=["signals"], default_response_class=Answer, route_class=PreparedRoute)


@router.get(
    "",
    summary="Signal history",
    responses=describe(
        signals.SignalList,
        tagged=True,
        e404="unknown_symbol no_history",
        e422="bad_parameter bad_cursor cursor_expired",
        e503="store_unavailable",
    ),
)
async def history(
    request: Request,
    state: State,
    symbol: AskedSymbol,
    as_of: AsOf,
    hours: Hours = 24,
    limit: Limit = 100,
    recommendation: Annotated[Recommendation | None, Query()] = None,
    cursor: Cursor = None,
) -> Response:
    """Newest first. `total` counts those of the period that match."""
    now_ms = state.deps.clock.now_ms()
    store = state.deps.store.signals
    digest = cursors.digest_of("signals", symbol, as_of, hours, recommendation)
    if cursor is not None:
        place = cursors.read(cursor, digest, now_ms)
        begun, known_by, since, before = place.begun_ms, place.version_ms, place.since_ms, place.words()
    else:
        begun, known_by, before = now_ms, now_ms if as_of is None else as_of, None
        since = known_by - hours * HOUR_MS
        if as_of is not None:
            await _known_at(state, symbol, as_of)
    unstored = await _unstored(state, symbol, since, known_by)
    wanted = [each for each in unstored if recommendation in (None, each.recommendation)]
    newer = [each for each in wanted if before is None or (each.t_ms, each.id) < before]
    stored = await store.history(
        symbol,
        since_ms=since,
        limit=limit + 1,
        recommendation=recommendation,
        known_by_ms=known_by,
        before=before,
    )
    page, more = cursors.cut([*newer, *stored], limit)
    counts = await store.count(symbol, since_ms=since, known_by_ms=known_by)
    total = len(wanted) + sum(n for each, n in counts.items() if recommendation in (None, each))
    following = cursors.write(digest, begun, known_by, since, (page[-1].t_ms, page[-1].id)) if more else None
    answer = signals.SignalList(
        signals=[signals.signal(each) for each in page],
        total=total,
        count=len(page),
        symbol=symbol,
        next_cursor=following,
    )
    return tagged(request, answer)


@router.get(
    "/current",
    summary="Current aggregated signal",
    responses=describe(
        signals.Signal, e404="unknown_symbol no_history", e422="bad_parameter", e503="store_unavailable"
    ),
)
async def current(state: State, symbol: AskedSymbol, as_of: AsOf) -> Response:
    """NEUTRAL with `state: warming_up` and no id before the first signal."""
    deps = state.deps
    if as_of is not None:
        return Answer(signals.signal(await _known_at(state, symbol, as_of)))
    signal = deps.views.signals.current(symbol)
    if signal is None:
        coverage = deps.views.positions.coverage(symbol)
        price = mark_of(deps, symbol)
        return Answer(signals.before_the_first(symbol, deps.clock.now_ms(), coverage=coverage, price=price))
    body = ENCODER.encode(signals.signal(signal))
    return Reusable(body, lambda: deps.views.signals.current(symbol) is signal)


@router.get(
    "/stats",
    summary="Signals of a period, counted",
    responses=describe(
        signals.SignalStats, e404="unknown_symbol no_history", e422="bad_parameter", e503="store_unavailable"
    ),
)
async def stats(state: State, symbol: AskedSymbol, as_of: AsOf, hours: Hours = 24) -> Response:
    """How often which recommendation was given."""
    store = state.deps.store.signals
    known_by = state.deps.clock.now_ms() if as_of is None else as_of
    since = known_by - hours * HOUR_MS
    newest = await _known_at(state, symbol, as_of) if as_of is not None else await _newest(state, symbol)
    unstored = await _unstored(state, symbol, since, known_by)
    stored = await store.count(symbol, since_ms=since, known_by_ms=known_by)
    mean = await store.mean_confidence(symbol, since_ms=since, known_by_ms=known_by)
    counts = Counter(stored) + Counter(each.recommendation for each in unstored)
    number = sum(counts.values())
    # Stored and not yet stored ones together: a mean of each, weighted by how many there are.
    confidence = (mean or 0.0) * sum(stored.values()) + sum(each.confidence for each in unstored)
    answer = signals.stats(
        symbol,
        hours,
        counts,
        avg_confidence=confidence / number if number else None,
        current_bias=None if newest is None else newest.net_exposure,
    )
    return Answer(answer)


_BY_ID = {"e400": "bad_signal_id", "e404": "unknown_signal not_found", "e503": "store_unavailable"}


@router.get("/{signal_id}", summary="One signal", responses=describe(signals.Signal, tagged=True, **_BY_ID))
async def one_signal(request: Request, state: State, signal_id: SignalId) -> Response:
    """A signal never changes."""
    return tagged(request, signals.signal(await _get(state, signal_id)))


@router.get(
    "/{signal_id}/explain",
    summary="Why it says so",
    responses=describe(signals.Explanation, tagged=True, **_BY_ID),
)
async def explain(request: Request, state: State, signal_id: SignalId) -> Response:
    """Who added what, and what moved since the signal before."""
    signal = await _get(state, signal_id)
    previous = state.hub.recent_signals.before(signal)
    stored = await state.deps.store.signals.previous(signal)
    if previous is None or (stored is not None and stored.t_ms > previous.t_ms):
        previous = stored
    if previous is not None and not previous.contributions:
        previous = await state.deps.store.signals.get(previous.id) or previous
    return tagged(request, signals.explanation(signal, previous))


async def _get(state: ApiState, signal_id: str) -> Signal:
    signal = state.hub.recent_signals.get(signal_id) or await state.deps.store.signals.get(signal_id)
    if signal is None:
        raise UnknownSignal(f"no signal has the id {signal_id}")
    return signal


async def _known_at(state: ApiState, symbol: Symbol, as_of: int) -> Signal:
    """The newest signal that was known at `as_of`."""
    found = await state.deps.store.signals.latest(symbol, known_by_ms=as_of)
    unstored = state.hub.recent_signals.newest_first(symbol, lambda s: s.known_at_ms <= as_of)
    newest = max([*unstored[:1], *([] if found is None else [found])], key=lambda s: s.t_ms, default=None)
    if newest is None:
        raise NoHistory("no signal had been made yet at that time")
    return newest


async def _newest(state: ApiState, symbol: Symbol) -> Signal | None:
    return state.deps.views.signals.current(symbol) or await state.deps.store.signals.latest(symbol)


async def _unstored(state: ApiState, symbol: Symbol, since_ms: int, known_by_ms: int) -> Sequence[Signal]:
    """Signals of a window that were made but are not stored yet, newest first. A symbol's times rise strictly."""
    stored = await state.deps.store.signals.latest(symbol)
    after_ms = since_ms - 1 if stored is None else max(since_ms - 1, stored.t_ms)
    return state.hub.recent_signals.newest_first(
        symbol, lambda signal: signal.t_ms > after_ms and signal.known_at_ms <= known_by_ms
    )
