"""`/api/v1/markets`: collected markets, their prices and bars."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from market_scraper.api import cursors
from market_scraper.api.answers import Answer, describe, tagged
from market_scraper.api.deps import ApiDeps, Deps
from market_scraper.api.errors import BadCursor
from market_scraper.api.params import Cursor, PathSymbol, parse_moment
from market_scraper.domain.errors import InvalidInput, NotReady
from market_scraper.domain.market import Candle
from market_scraper.domain.values import Interval, Symbol
from market_scraper.schemas import markets
from market_scraper.schemas.times import moment

router = APIRouter(prefix="/api/v1/markets", tags=["markets"], default_response_class=Answer)


@router.get("", summary="Collected markets", responses=describe(list[markets.Market]))
async def all_markets(deps: Deps) -> Response:
    """In the order in which they are configured."""
    view = deps.views.markets
    shown = []
    for symbol in deps.symbols:
        known = view.context(symbol)
        context = None if known is None else known[0]
        shown.append(
            markets.Market(
                symbol=symbol,
                status=markets.status(view.get(symbol), context),
                mid=None if context is None else context.mid,
                open_interest=None if context is None else context.open_interest,
            )
        )
    return Answer(shown)


@router.get(
    "/{symbol}",
    summary="One market",
    responses=describe(markets.MarketDetail, e404="unknown_symbol not_found", e503="not_ready store_unavailable"),
)
async def one_market(deps: Deps, symbol: PathSymbol) -> Response:
    """The newest bar (still forming, or the last closed one), prices, and how much of the market the ledger knows."""
    view = deps.views.markets
    known = view.context(symbol)
    context = None if known is None else known[0]
    candle, closed, interval = await _latest(deps, symbol)
    if context is None and candle is None:
        raise NotReady(f"{symbol}: the venue has not spoken yet", retry_after_s=5)
    return Answer(
        markets.MarketDetail(
            symbol=symbol,
            status=markets.status(view.get(symbol), context),
            latest_candle=None if candle is None else markets.candle(candle),
            latest_candle_closed=None if candle is None else closed,
            timeframe=interval,
            mid=None if context is None else context.mid,
            mark=None if context is None else context.mark,
            open_interest=None if context is None else context.open_interest,
            funding=None if context is None else context.funding,
            day_volume_usd=None if context is None else context.day_volume_usd,
            coverage=deps.views.positions.coverage(symbol),
            as_of=None if known is None else moment(known[1]),
        )
    )


async def _latest(deps: ApiDeps, symbol: Symbol) -> tuple[Candle | None, bool, Interval]:
    """The newest one-minute bar that is known, and whether it is closed."""
    forming = deps.views.markets.forming(symbol, Interval.M1)
    stored = await deps.store.candles.newest(symbol, Interval.M1)
    if forming is not None and (stored is None or forming.t_ms > stored.t_ms):
        return forming, False, Interval.M1
    return stored, True, Interval.M1


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a history reads on: forwards from start_ms, or backwards from end_ms when it has no start."""

    list_digest: str
    start_ms: cursors.Number | None
    end_ms: cursors.Number


_places = msgspec.msgpack.Decoder(Place)


@router.get(
    "/{symbol}/history",
    summary="Closed bars, oldest first",
    responses=describe(
        markets.CandleHistory,
        tagged=True,
        e404="unknown_symbol not_found",
        e422="bad_parameter bad_cursor",
        e503="store_unavailable",
    ),
)
async def history(
    request: Request,
    deps: Deps,
    symbol: PathSymbol,
    timeframe: Annotated[Interval, Query()] = Interval.H1,
    start_time: Annotated[str | None, Query(description="ISO-8601, inclusive; UTC without a zone")] = None,
    end_time: Annotated[str | None, Query(description="ISO-8601, inclusive; UTC without a zone")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    cursor: Cursor = None,
) -> Response:
    """Without `start_time` the newest `limit` bars, with it the first `limit` from there; a cursor reads on."""
    start_ms = None if start_time is None else parse_moment(start_time, "start_time")
    end_ms = deps.clock.now_ms() if end_time is None else parse_moment(end_time, "end_time")
    if start_ms is not None and start_ms > end_ms:
        raise InvalidInput("start_time: lies after the end")
    digest = cursors.digest_of("candles", symbol, timeframe, start_time, end_time)
    if cursor is not None:
        place = _read_place(cursor, digest)
        start_ms, end_ms = place.start_ms, place.end_ms
    found = await deps.store.candles.history(symbol, timeframe, start_ms=start_ms, end_ms=end_ms, limit=limit + 1)
    following = None
    if len(found) > limit:
        found = found[1:] if start_ms is None else found[:-1]
        place = (
            Place(digest, None, found[0].t_ms - 1) if start_ms is None else Place(digest, found[-1].t_ms + 1, end_ms)
        )
        following = cursors.pack(msgspec.msgpack.encode(place))
    answer = markets.CandleHistory(
        symbol=symbol,
        timeframe=timeframe,
        candles=[markets.candle(candle) for candle in found],
        count=len(found),
        next_cursor=following,
    )
    return tagged(request, answer)


def _read_place(cursor: str, digest: str) -> Place:
    try:
        place = _places.decode(cursors.unpack(cursor))
    except msgspec.MsgspecError as error:
        raise BadCursor("cursor: not one of ours") from error
    if place.list_digest != digest:
        raise BadCursor("cursor: belongs to another list, or its parameters have changed")
    return place
