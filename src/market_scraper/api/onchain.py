"""`/api/v1/onchain/btc`: Bitcoin's metrics now, from memory, and what was known of them before, from the store."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from market_scraper.api import readings
from market_scraper.api.answers import Answer, describe, tagged
from market_scraper.api.deps import State
from market_scraper.api.errors import UnknownMetric
from market_scraper.api.params import AsOf, Cursor, parse_moment
from market_scraper.api.prepared import PreparedRoute
from market_scraper.domain.derived import NETFLOW, SERVED, find_metric, wave_metric
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.onchain import (
    AGE_BANDS,
    CBBI_COMPONENTS,
    CBBI_CONFIDENCE,
    METRICS,
    Metric,
    Source,
    cbbi_metric,
)
from market_scraper.schemas import onchain

router = APIRouter(
    prefix="/api/v1/onchain/btc", tags=["onchain"], default_response_class=Answer, route_class=PreparedRoute
)

COMPONENTS = tuple(cbbi_metric(name) for name in CBBI_COMPONENTS)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One route of values."""

    path: str
    says: str
    kind: type[msgspec.Struct]
    metrics: Sequence[str]  # without any of them it has nothing to serve
    shape: Callable[[onchain.Show], msgspec.Struct]


PARTS = (
    Part(
        path="/network",
        says="Hash rate, difficulty, block height, supply",
        kind=onchain.Network,
        metrics=("hash_rate", "difficulty", "block_height", "supply"),
        shape=onchain.network,
    ),
    Part(
        path="/sentiment",
        says="Fear & Greed and CBBI confidence",
        kind=onchain.Sentiment,
        metrics=("fear_greed", CBBI_CONFIDENCE),
        shape=onchain.sentiment,
    ),
    Part(
        path="/valuation",
        says="MVRV, Puell, NUPL and the nine CBBI components",
        kind=onchain.Valuation,
        metrics=("mvrv", "puell", "nupl", *COMPONENTS),
        shape=onchain.valuation,
    ),
    Part(
        path="/activity",
        says="Active addresses, transactions, supply",
        kind=onchain.Activity,
        metrics=("active_addresses", "transaction_count", "supply"),
        shape=onchain.activity,
    ),
    Part(
        path="/sopr",
        says="Spent output profit ratio",
        kind=onchain.Sopr,
        metrics=("sopr", "sth_sopr", "lth_sopr"),
        shape=onchain.sopr,
    ),
    Part(path="/nupl", says="Net unrealised profit or loss", kind=onchain.Nupl, metrics=("nupl",), shape=onchain.nupl),
    Part(path="/mvrv", says="Market value to realised value", kind=onchain.Mvrv, metrics=("mvrv",), shape=onchain.mvrv),
    Part(
        path="/exchange-flows",
        says="Coins onto and off exchanges",
        kind=onchain.ExchangeFlows,
        metrics=("inflow", "outflow", NETFLOW, "exchange_supply"),
        shape=onchain.exchange_flows,
    ),
    Part(
        path="/hodl-waves",
        says="Share of supply by age",
        kind=onchain.HodlWaves,
        metrics=tuple(wave_metric(band) for band in AGE_BANDS),
        shape=onchain.hodl_waves,
    ),
    Part(
        path="/summary",
        says="All parts in one",
        kind=onchain.Summary,
        metrics=tuple(SERVED),
        shape=onchain.summary,
    ),
)


def _route(part: Part) -> Callable[..., Awaitable[Response]]:
    def shown(judged: Any, now_ms: int) -> msgspec.Struct:
        return part.shape(lambda name: onchain.value(judged[name], now_ms))

    async def values(request: Request, state: State, as_of: AsOf) -> Response:
        return await readings.answer(request, state, as_of, part.metrics, shown)

    values.__name__ = part.path.strip("/").replace("-", "_")
    values.__doc__ = part.kind.__doc__
    return values


for each in PARTS:
    router.add_api_route(each.path, _route(each), summary=each.says, responses=readings.described(each.kind))


# -- histories -------------------------------------------------------------------------------------------------------


async def _metric(
    metric: Annotated[str, Path(description="As in the answers of `/history`, any case", examples=["mvrv"])],
) -> Metric:
    found = find_metric(metric)
    if found is None:
        raise UnknownMetric(f"no metric is named {metric[:40]!r}; there are {', '.join(SERVED)}")
    return found


PathMetric = Annotated[Metric, Depends(_metric)]
AskedSource = Annotated[
    Source | None, Query(description="Default: the first that has any, by days rather than by moments")
]
HistoryLimit = Annotated[int, Query(ge=1, le=2_000, description="Page size")]


@router.get(
    "/history/{metric}",
    summary="One metric's values",
    responses=describe(
        onchain.OnChainHistory,
        tagged=True,
        e404="unknown_metric no_history not_found",
        e422="bad_parameter bad_cursor cursor_expired",
        e503="store_unavailable",
    ),
)
async def history(
    request: Request,
    state: State,
    metric: PathMetric,
    as_of: AsOf,
    source: AskedSource = None,
    limit: HistoryLimit = 100,
    cursor: Cursor = None,
) -> Response:
    """Newest first, each day's newest revision. With `as_of` what was known then; a source may restate its past."""
    _measures(metric, source)
    whose, page, following = await readings.page_of(
        state.deps, metric, source=source, as_of=as_of, limit=limit, cursor=cursor
    )
    return tagged(request, onchain.history(metric, whose, page, following))


@router.get(
    "/history/{metric}/revisions",
    summary="All that was said of one day",
    responses=describe(
        onchain.OnChainRevisions,
        tagged=True,
        e404="unknown_metric no_history not_found",
        e422="bad_parameter",
        e503="store_unavailable",
    ),
)
async def revisions(
    request: Request,
    state: State,
    metric: PathMetric,
    day: Annotated[str, Query(description="ISO-8601: the day, or the very moment", examples=["2026-08-14"])],
    source: AskedSource = None,
) -> Response:
    """What was said first, first. Computed metrics have none of their own: ask for their parts."""
    _measures(metric, source)
    if metric.name not in METRICS:
        raise InvalidInput(f"{metric.name} is computed: ask for its parts")
    said = await readings.revisions_of(state.deps, metric, parse_moment(day, "day"), source)
    return tagged(request, onchain.revisions(metric, said[0].source, said))


def _measures(metric: Metric, source: Source | None) -> None:
    if source is not None and source not in metric.sources:
        raise InvalidInput(f"source: {metric.name} comes from {', '.join(metric.sources)}")
