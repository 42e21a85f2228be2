"""What one trader did: position facts and acts, newest first, as known at the first page."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from market_scraper.api import cursors
from market_scraper.api.answers import Answer, describe, tagged
from market_scraper.api.deps import Deps
from market_scraper.api.followed import must_be_followed
from market_scraper.api.params import HOUR_MS, AskedSymbol, AsOf, Cursor, Hours, Limit, PathAddress
from market_scraper.domain.errors import NoHistory
from market_scraper.schemas import positions, signals

router = APIRouter(prefix="/api/v1/traders/{address}", tags=["traders"], default_response_class=Answer)

_CODES = {
    "e400": "bad_address",
    "e404": "unknown_trader unknown_symbol no_history not_found",
    "e422": "bad_parameter bad_cursor cursor_expired",
    "e503": "store_unavailable",
}


@router.get(
    "/positions",
    summary="Position history",
    responses=describe(positions.PositionHistory, tagged=True, **_CODES),
)
async def position_history(
    request: Request,
    deps: Deps,
    address: PathAddress,
    symbol: AskedSymbol,
    as_of: AsOf,
    hours: Hours = 24,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Every fact of a tracked trader in one coin. Others have no history, only a present."""
    must_be_followed(deps, address)
    now_ms = deps.clock.now_ms()
    store = deps.store.positions
    digest = cursors.digest_of("positions", address, symbol, as_of, hours)
    if cursor is not None:
        place = cursors.read(cursor, digest, now_ms)
        begun, known_by, since, before = place.begun_ms, place.version_ms, place.since_ms, place.numbers()
    else:
        begun, known_by = now_ms, now_ms if as_of is None else as_of
        since, before = known_by - hours * HOUR_MS, None
        if as_of is not None and not await store.at(symbol, as_of, [address]):
            raise NoHistory("nothing was known of this trader yet at that time")
    found = await store.history(address, symbol, since_ms=since, limit=limit + 1, known_by_ms=known_by, before=before)
    page, more = cursors.cut(found, limit)
    following = None
    if more:
        last = page[-1].after
        following = cursors.write(digest, begun, known_by, since, (last.t_ms, last.tid))
    answer = positions.PositionHistory(
        address=address,
        symbol=symbol,
        positions=[positions.fact(each) for each in page],
        count=len(page),
        next_cursor=following,
    )
    return tagged(request, answer)


@router.get(
    "/signals",
    summary="What the trader did",
    responses=describe(signals.TraderSignalList, tagged=True, **_CODES),
)
async def trader_signals(
    request: Request,
    deps: Deps,
    address: PathAddress,
    symbol: AskedSymbol,
    as_of: AsOf,
    hours: Hours = 24,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Opens, closes, increases, decreases and flips of a tracked trader in one coin."""
    must_be_followed(deps, address)
    now_ms = deps.clock.now_ms()
    store = deps.store.signals
    digest = cursors.digest_of("trader_signals", address, symbol, as_of, hours)
    if cursor is not None:
        place = cursors.read(cursor, digest, now_ms)
        begun, known_by, since, before = place.begun_ms, place.version_ms, place.since_ms, place.numbers()
    else:
        begun, known_by = now_ms, now_ms if as_of is None else as_of
        since, before = known_by - hours * HOUR_MS, None
        if as_of is not None and not await store.of_trader(address, symbol, since_ms=0, limit=1, known_by_ms=as_of):
            raise NoHistory("this trader had done nothing yet at that time")
    found = await store.of_trader(address, symbol, since_ms=since, limit=limit + 1, known_by_ms=known_by, before=before)
    page, more = cursors.cut(found, limit)
    following = None
    if more:
        following = cursors.write(digest, begun, known_by, since, (page[-1].t_ms, page[-1].tid))
    answer = signals.TraderSignalList(
        address=address,
        symbol=symbol,
        signals=[signals.trader_signal(each) for each in page],
        count=len(page),
        next_cursor=following,
    )
    return tagged(request, answer)
