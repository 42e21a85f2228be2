"""`/api/v1/traders`: who is tracked, and everything about anyone who is followed."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from market_scraper.api import cursors
from market_scraper.api.answers import ENCODER, Answer, describe
from market_scraper.api.deps import ApiDeps, Deps, State
from market_scraper.api.followed import (
    detail_at,
    detail_now,
    is_open,
    must_be_followed,
    position_now,
    seen_class,
    summaries_at,
)
from market_scraper.api.guards import may_write
from market_scraper.api.orders import performer, until_shown
from market_scraper.api.params import AskedSymbol, AsOf, Cursor, Limit, PathAddress
from market_scraper.api.prepared import PreparedRoute, Reusable
from market_scraper.api.snapshots import Version
from market_scraper.domain.classes import class_in
from market_scraper.domain.positions import PositionState
from market_scraper.domain.traders import Choice
from market_scraper.domain.values import Address, Symbol
from market_scraper.schemas import traders
from market_scraper.schemas.times import moment

STALE_MARGIN_MS = 1_000
"""An exact claim so near its end is not prepared for others: the venue's clock may be this far from ours."""

router = APIRouter(prefix="/api/v1/traders", tags=["traders"], default_response_class=Answer, route_class=PreparedRoute)


class Sort(StrEnum):
    """Order of the list: highest first, `address` alphabetically; those without a value come last."""

    SCORE = "score"
    ACCOUNT_VALUE = "account_value"
    POSITION = "position"  # |size| in the asked symbol
    PNL = "pnl"  # unrealized, in the asked symbol
    ADDRESS = "address"


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
    captured_ms, everyone = (
        _summaries_now(deps, symbol, min_score, tag) if as_of is None else await summaries_at(deps, symbol, as_of)
    )
    matching = [
        each
        for each in everyone
        if (min_score is None or (each.score is not None and each.score >= min_score))
        and (tag is None or tag in each.tags)
        and (has_position is None or is_open(each.position) is has_position)
    ]
    _order(matching, sort)
    version = Version(matching, captured_ms)
    page, following = state.trader_lists.first(digest, version, limit)
    body = ENCODER.encode(_list(page, version, symbol, following))
    return Reusable(body) if as_of is None and _stays_true(page, deps) else Answer(body)


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


def _summaries_now(
    deps: ApiDeps, symbol: Symbol, min_score: float | None, tag: str | None
) -> tuple[int | None, list[traders.TraderSummary]]:
    """Tracked traders, best first; those that the filters leave out anyway are not even looked up."""
    view = deps.views.traders
    may_be_seen = tag is None or class_in((tag,)) is not None
    shown = [
        traders.summary(
            rated,
            active=True,
            position=position_now(deps, rated.row.trader, symbol),
            name=seen_class(deps, rated, symbol),
        )
        for rated in view.tracked()
        if (min_score is None or rated.score >= min_score) and (may_be_seen or tag in rated.tags)
    ]
    return view.captured_at_ms, shown


def _list(
    page: Sequence[traders.TraderSummary],
    version: Version[traders.TraderSummary],
    symbol: Symbol,
    following: str | None,
) -> traders.TraderList:
    return traders.TraderList(
        traders=list(page),
        total=len(version.items),
        count=len(page),
        symbol=symbol,
        captured_at=moment(version.captured_ms),
        next_cursor=following,
    )


def _order(summaries: list[traders.TraderSummary], sort: Sort) -> None:
    def value(each: traders.TraderSummary) -> float | None:
        match sort:
            case Sort.SCORE:
                return each.score
            case Sort.ACCOUNT_VALUE:
                return each.account_value
            case Sort.POSITION:
                return None if each.position is None or each.position.size is None else abs(each.position.size)
            case Sort.PNL:
                return None if each.position is None else each.position.unrealized_pnl
            case Sort.ADDRESS:
                return 0.0

    def key(each: traders.TraderSummary) -> tuple[bool, float, str]:
        ranked = value(each)
        return ranked is None, 0.0 if ranked is None else -ranked, each.address

    summaries.sort(key=key)


def _stays_true(page: Sequence[traders.TraderSummary], deps: ApiDeps) -> bool:
    """Whether every exact claim holds as long as a prepared answer may be given again."""
    oldest = moment(deps.clock.now_ms() - deps.exact_max_age_ms + STALE_MARGIN_MS)
    return all(
        each.position is None
        or each.position.state is not PositionState.EXACT
        or (each.position.as_of is not None and each.position.as_of > oldest)
        for each in page
    )
