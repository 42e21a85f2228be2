"""What the API is served from, and what it remembers between requests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends
from prometheus_client import CollectorRegistry
from starlette.requests import HTTPConnection

from market_scraper.api.boards import Boards
from market_scraper.api.connector_names import CONNECTORS
from market_scraper.api.hub import Hub
from market_scraper.api.position_counts import PositionCounts
from market_scraper.api.prepared import Prepared
from market_scraper.api.snapshots import Line, Snapshots
from market_scraper.domain.claims import EXACT_MAX_AGE_MS
from market_scraper.domain.classes import Classifier
from market_scraper.domain.values import Symbol
from market_scraper.ports.bus import Bus
from market_scraper.ports.clock import Clock
from market_scraper.ports.operations import Operations
from market_scraper.ports.stores import Store
from market_scraper.ports.views import Views


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiDeps:
    """Everything that the API asks; it starts and closes none of it."""

    store: Store
    views: Views
    bus: Bus
    operations: Operations | None  # None: nobody here or elsewhere takes orders from this process
    clock: Clock  # venue time
    real_clock: Clock  # real time: the patience of clients does not scale with a paper venue's clock
    symbols: tuple[Symbol, ...]  # collected; the first is the default
    version: str
    host: str  # the address that we listen on
    api_key: str | None = field(default=None, repr=False)
    roles: tuple[str, ...] = ("collect", "process", "api")
    backends: Mapping[str, str] = field(default_factory=dict)  # {"store": "sqlite", "bus": "memory"}
    connectors: tuple[str, ...] = CONNECTORS
    broadcast_batch_size: int = 100
    heartbeat_s: float = 15.0  # real seconds
    exact_max_age_ms: int = EXACT_MAX_AGE_MS
    classifier: Classifier = field(default_factory=Classifier)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiState:
    """One application's memory."""

    deps: ApiDeps
    hub: Hub
    trader_lists: Snapshots[Line]
    boards: Boards
    prepared: Prepared
    registry: CollectorRegistry  # of this application alone: two in one process do not meet
    position_counts: PositionCounts


def state_of(connection: HTTPConnection) -> ApiState:
    """The application's memory, from any request or WebSocket."""
    return cast(ApiState, connection.app.state.api)


async def _state(connection: HTTPConnection) -> ApiState:
    # async on purpose: FastAPI would send a plain function to a thread.
    return state_of(connection)


async def _deps(connection: HTTPConnection) -> ApiDeps:
    return state_of(connection).deps


State = Annotated[ApiState, Depends(_state)]
Deps = Annotated[ApiDeps, Depends(_deps)]
