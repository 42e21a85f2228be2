"""The HTTP application: routes, errors, documentation and the WebSocket hub, put together."""

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry

from market_scraper.api import (
    cbbi,
    connectors,
    errors,
    health,
    markets,
    metrics,
    onchain,
    openapi,
    signals,
    trader_history,
    traders,
    websocket,
)
from market_scraper.api.boards import Boards
from market_scraper.api.deps import ApiDeps, ApiState
from market_scraper.api.hub import Hub
from market_scraper.api.position_counts import PositionCounts
from market_scraper.api.prepared import Prepared
from market_scraper.api.snapshots import Snapshots

DESCRIPTION = """
What every tracked Hyperliquid trader holds, how sure we are, what it adds up to, and how Bitcoin stands on-chain.

* Times are ISO-8601 UTC. Lists are newest first and give `next_cursor`; bars are oldest first.
* Errors are `{"detail", "code"}`; `code` is stable.
* Every on-chain value says its `state` and all `flags`, its source, since when it is known, and under which license.
* Every position says its `state`: `exact` is the truth after all blocks up to `as_of`; `unsure` carries a `doubt`.
* POST needs `Authorization: Bearer API_KEY`, or, where no key is set, a client on the server's own machine.
* Live updates: `/ws?channel=traders` and `/ws?channel=signals`.
"""

log = structlog.get_logger(__name__)


def create_app(deps: ApiDeps) -> FastAPI:
    """Build the application. It does no I/O; its lifespan follows the bus, so start it before anyone publishes."""
    registry = CollectorRegistry()
    state = ApiState(
        deps=deps,
        hub=Hub(deps.bus, deps.views),
        trader_lists=Snapshots(),
        boards=Boards(),
        prepared=Prepared(),
        registry=registry,
        position_counts=PositionCounts(),
    )
    app: FastAPI = FastAPIOffline(
        title="Market Scraper",
        version=deps.version,
        description=DESCRIPTION,
        lifespan=_lifespan,
        redirect_slashes=False,
    )
    app.state.api = state
    app.add_middleware(metrics.Requests, counter=metrics.request_counter(registry))
    registry.register(metrics.SystemCollector(state))
    errors.install(app)
    for room in (health, markets, traders, trader_history, signals, cbbi, onchain, connectors, metrics, websocket):
        app.include_router(room.router)
    openapi.install(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Follow the bus while the application serves."""
    hub: Hub = app.state.api.hub
    following = asyncio.Event()
    task = asyncio.create_task(hub.run(following.set), name="ws-hub")
    task.add_done_callback(functools.partial(_tell_crash, hub))
    ready = asyncio.create_task(following.wait(), name="ws-hub-ready")
    try:
        await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()  # it could not follow the bus: say why, do not serve
        yield
    finally:
        hub.close()
        ready.cancel()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(task, return_exceptions=True)


def _tell_crash(hub: Hub, task: "asyncio.Task[None]") -> None:
    """Clients must not take our failure for a quiet market: close them, so that they come back and are told."""
    if not task.cancelled() and task.exception() is not None:
        log.error("ws_hub_ended", exc_info=task.exception())
        hub.close()
