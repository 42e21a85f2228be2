"""`/api/v1/traders`: who is tracked, and everything about anyone who is followed."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from market_scraper.api import cursors
from market_scraper.api.answers import ENCODER, Answer, describe
from market_scraper.api.boards import Board, Sort
from market_scraper.api.deps import ApiDeps, Deps, State
from market_scraper.api.followed import (
    detail_at,
    detail_now,
    must_be_followed,
    summaries_at,
)
from market_scraper.api.guards import may_write
from market_scraper.api.orders import performer, until_shown
from market_scraper.api.params import AskedSymbol, AsOf, Cursor, Limit, PathAddress
from market_scraper.api.prepared import PreparedRoute, Reusable
from market_scraper.api.snapshots import Line, Version
from market_scraper.api.tracked_now import board_now, lines_of
from market_scraper.domain.traders import Choice
from market_scraper.domain.values import Address, Symbol
from market_scraper.schemas import traders
from market_scraper.schemas.times import moment

router = APIRouter(prefix="/api/v1/traders", tags=["traders"], default_response_class=Answer, route_class=PreparedRoute)


@router.get(
    "",
    summary="Tracked traders",
    responses=describe(
        traders.TraderList,
        e404="unknown_symbol no_history",
        e422="bad_parameter bad_cursor cursor_expired",
        e503="store_unavailable",
    ),
)
async def tracked(
    state: State,
    symbol: AskedSymbol,
    as_of: AsOf,
    limit: Limit = 50,
    min_score: Annotated[float | None, Query(allow_inf_nan=False)] = None,
    tag: Annotated[str | None, Query()] = None,
    has_position: Annotated[
        bool | None, Query(description="In the asked symbol; inferred counts as having one")
    ] = None,
    sort: Annotated[Sort, Query()] = Sort.SCORE,
    cursor: Cursor = None,
) -> Response:
    """Those that the filters choose, and those tracked by hand. `position` is the one in the asked symbol."""
    deps = state.deps
    digest = cursors.digest_of("traders", symbol, as_of, min_score, tag, has_position, sort)
    if cursor is not None:
        version, page, following = state.trader_lists.next(digest, cursor, limit)
        return Answer(_list(page, version, symbol, following))
    if as_of is None:
        board = board_now(state, symbol)
    else:
        captured_ms, everyone = await summaries_at(deps, symbol, as_of)
        board = Board(lines_of(everyone), captured_ms=captured_ms, made_at_s=0.0, stays_true=False)
    matching = [
        line
        for line in board.lines(sort)
        if (min_score is None or (line.summary.score is not None and line.summary.score >= min_score))
        and (tag is None or tag in line.summary.tags)
        and (has_position is None or line.is_open is has_position)
    ]
    version = Version(matching, board.captured_ms)
    page, following = state.trader_lists.first(digest, version, limit)
    body = ENCODER.encode(_list(page, version, symbol, following))
    return Reusable(body, made_at_s=board.made_at_s) if board.stays_true else Answer(body)


@router.get(
    "/{address}",
    summary="One followed trader",
    responses=describe(
        traders.TraderDetail,
        e400="bad_address",
        e404="unknown_trader unknown_symbol no_history not_found",
        e422="bad_parameter",
        e503="store_unavailable",
    ),
)
async def one_trader(deps: Deps, address: PathAddress, symbol: AskedSymbol, as_of: AsOf) -> Response:
    """Anyone who is ranked or was seen on the tape, with one position for each collected symbol."""
    must_be_followed(deps, address)
    if as_of is not None:
        return Answer(await detail_at(deps, address, symbol, as_of))
    return Answer(detail_now(deps, address, symbol))


_ORDER = describe(
    traders.TraderDetail,
    e400="bad_address",
    e401="unauthorized",
    e403="write_forbidden",
    e404="unknown_symbol not_found",
    e503="no_operations store_unavailable bus_unavailable",
)


@router.post("/{address}/track", summary="Track by hand", responses=_ORDER, dependencies=[Depends(may_write)])
async def track(deps: Deps, address: PathAddress, symbol: AskedSymbol) -> Response:
    """Listed, voting and with history from now on, whatever the filters say; survives every refresh."""
    return await _choose(deps, address, symbol, Choice.TRACK)


@router.post("/{address}/untrack", summary="Untrack by hand", responses=_ORDER, dependencies=[Depends(may_write)])
async def untrack(deps: Deps, address: PathAddress, symbol: AskedSymbol) -> Response:
    """Out from now on, whatever the filters say; still followed."""
    return await _choose(deps, address, symbol, Choice.UNTRACK)


async def _choose(deps: ApiDeps, address: Address, symbol: Symbol, choice: Choice) -> Response:
    await performer(deps).choose_trader(address, choice)
    await until_shown(deps, lambda: deps.views.traders.choice(address) is choice)
    return Answer(detail_now(deps, address, symbol))


def _list(page: Sequence[Line], version: Version[Line], symbol: Symbol, following: str | None) -> traders.EncodedList:
    return traders.EncodedList(
        traders=[line.encoded for line in page],
        total=len(version.items),
        count=len(page),
        symbol=symbol,
        captured_at=moment(version.captured_ms),
        next_cursor=following,
    )
