"""`/api/v1/cbbi`: the Bitcoin Bull Run Index and its nine components, 0..1. Never a price."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from market_scraper.api import readings
from market_scraper.api.answers import Answer, tagged
from market_scraper.api.deps import State
from market_scraper.api.errors import UnknownComponent
from market_scraper.api.onchain import COMPONENTS, HistoryLimit
from market_scraper.api.params import AsOf, Cursor
from market_scraper.api.prepared import PreparedRoute
from market_scraper.domain.onchain import CBBI_COMPONENTS, CBBI_CONFIDENCE, METRICS, cbbi_metric
from market_scraper.schemas import cbbi

ALL = (CBBI_CONFIDENCE, *COMPONENTS)

router = APIRouter(prefix="/api/v1/cbbi", tags=["cbbi"], default_response_class=Answer, route_class=PreparedRoute)

_BY_NAME = {name.casefold(): name for name in CBBI_COMPONENTS}


async def _component(
    name: Annotated[str, Path(description="As upstream spells it, in any case", examples=["PiCycle"])],
) -> str:
    found = _BY_NAME.get(name.casefold())
    if found is None:
        raise UnknownComponent(f"no component is named {name[:40]!r}; there are {', '.join(CBBI_COMPONENTS)}")
    return found


@router.get("", summary="CBBI confidence and components", responses=readings.described(cbbi.Cbbi))
async def current(request: Request, state: State, as_of: AsOf) -> Response:
    """Confidence is the mean of its components."""
    return await readings.answer(request, state, as_of, ALL, cbbi.cbbi)


@router.get("/components", summary="All components", responses=readings.described(cbbi.CbbiComponents))
async def components(request: Request, state: State, as_of: AsOf) -> Response:
    """Each with its own day, its marks and what it looks at."""
    return await readings.answer(request, state, as_of, ALL, cbbi.components)


@router.get(
    "/components/{name}",
    summary="One component, now and before",
    responses=readings.described(
        cbbi.CbbiComponentHistory,
        e404="unknown_component no_history not_found",
        e422="bad_parameter bad_cursor cursor_expired",
    ),
)
async def one_component(
    request: Request,
    state: State,
    name: Annotated[str, Depends(_component)],
    as_of: AsOf,
    limit: HistoryLimit = 100,
    cursor: Cursor = None,
) -> Response:
    """Its history is the newest revision of each day; the whole past may be restated in a night."""
    deps, metric = state.deps, METRICS[cbbi_metric(name)]
    _, page, following = await readings.page_of(deps, metric, source=None, as_of=as_of, limit=limit, cursor=cursor)
    now_ms = deps.clock.now_ms() if as_of is None else as_of
    judged = deps.views.onchain.all() if as_of is None else await readings.judged_at(deps, as_of, (metric.name,))
    verdict = judged[metric.name]
    made = cbbi.component(name, verdict, now_ms, page, following)
    if verdict.reading is None:
        return readings.no_value(made, judged, (metric.name,))
    return tagged(request, made, alike=(verdict, made.history, following))
