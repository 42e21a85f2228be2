"""`/metrics` for Prometheus: counters of this process and the state of what it shows. No label has many values."""

from collections.abc import Iterable, Iterator

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from market_scraper.api.deps import ApiDeps, ApiState, State
from market_scraper.api.ledger_metrics import ledger_families
from market_scraper.api.position_counts import PositionCounts

router = APIRouter()


@router.get("/metrics", include_in_schema=False)
async def metrics(state: State) -> Response:
    """Prometheus text format."""
    deps = state.deps
    await state.position_counts.refresh(deps.views, deps.symbols, deps.real_clock)
    return Response(generate_latest(state.registry), media_type=CONTENT_TYPE_LATEST)


class Requests:
    """Counts HTTP answers by method, route template and status."""

    def __init__(self, app: ASGIApp, counter: Counter) -> None:
        self._app = app
        self._counter = counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; look at the status as it goes by."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "other")
                self._counter.labels(_method(scope["method"]), route, str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, counted)


def _method(raw: str) -> str:
    return raw if raw in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS") else "other"


def request_counter(registry: CollectorRegistry) -> Counter:
    """The counter that Requests fills."""
    return Counter("market_scraper_http_requests", "HTTP answers", ("method", "route", "status"), registry=registry)


class SystemCollector(Collector):
    """Reads bus, views and hub when asked."""

    def __init__(self, state: ApiState) -> None:
        self._state = state

    def describe(self) -> Iterable[Metric]:
        """Nothing is read while registering."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families."""
        deps, hub = self._state.deps, self._state.hub
        yield from _bus(deps)
        yield from _components(deps)
        clients = GaugeMetricFamily("market_scraper_ws_clients", "Connected clients", labels=["channel"])
        for channel, count in hub.clients().items():
            clients.add_metric([channel], count)
        yield clients
        unshown = CounterMetricFamily("market_scraper_ws_errors", "Events that could not be shown")
        unshown.add_metric([], hub.errors)
        yield unshown
        yield from _positions(deps, self._state.position_counts)
        positions = deps.views.health.get("positions")
        if positions is not None:
            yield from ledger_families(positions.report.detail, deps.symbols)


COUNTED = frozenset({"published", "delivered", "acknowledged", "retried", "parked"})
"""What every bus counts of events."""


def _bus(deps: ApiDeps) -> Iterator[Metric]:
    yield _gauge("market_scraper_bus_newest_seq", "The newest number given", deps.bus.newest_seq)
    events = CounterMetricFamily("market_scraper_bus_events", "Events by what happened to them", labels=["what"])
    waiting = GaugeMetricFamily("market_scraper_bus_waiting", "Events that wait for a group", labels=["group"])
    for name, value in deps.bus.stats().items():
        if name.startswith("waiting_"):
            waiting.add_metric([name.removeprefix("waiting_")], value)
        elif name in COUNTED:
            events.add_metric([name], value)
        else:
            yield _gauge(f"market_scraper_bus_{name}", "A figure of this bus alone", value)
    yield events
    yield waiting


def _components(deps: ApiDeps) -> Iterator[Metric]:
    names = ["component", "kind"]
    healthy = GaugeMetricFamily("market_scraper_component_healthy", "1 = data comes as it should", labels=names)
    age = GaugeMetricFamily("market_scraper_component_age_seconds", "Since the last success", labels=names)
    errors = CounterMetricFamily("market_scraper_component_errors", "Since start", labels=names)
    for component in deps.views.health.components():
        labels = [component.name, component.kind]
        healthy.add_metric(labels, float(component.status == "healthy"))
        if component.age_s is not None:
            age.add_metric(labels, component.age_s)
        errors.add_metric(labels, component.report.errors)
    yield healthy
    yield age
    yield errors


def _positions(deps: ApiDeps, known: PositionCounts) -> Iterator[Metric]:
    coverage = GaugeMetricFamily(
        "market_scraper_coverage_ratio", "|size| of exact traders / (2 x open interest)", labels=["symbol"]
    )
    for symbol in deps.symbols:
        coverage.add_metric([symbol], deps.views.positions.coverage(symbol))
    yield coverage
    positions = GaugeMetricFamily("market_scraper_positions", "Positions by state", labels=["symbol", "state"])
    for symbol, counts in known.counts.items():
        for state, count in counts.items():
            positions.add_metric([symbol, state], count)
    yield positions
    tracked = len(deps.views.traders.tracked())
    yield _gauge("market_scraper_tracked_traders", "Listed, voting, with history", tracked)


def _gauge(name: str, help_text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, help_text)
    family.add_metric([], value)
    return family
