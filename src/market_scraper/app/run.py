"""The order in which the rooms start and stop."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from market_scraper import __version__
from market_scraper.api.connector_names import CONNECTORS, ONCHAIN_CONNECTORS
from market_scraper.api.deps import ApiDeps
from market_scraper.api.server import create_app
from market_scraper.api.serving import serving
from market_scraper.app.alone import alone_on
from market_scraper.app.backends import behind_the_spill, bus_name, drain, open_store_and_bus, replay_spilled
from market_scraper.app.collecting import collecting
from market_scraper.app.processing import processing, rater
from market_scraper.app.roles import Role
from market_scraper.app.venue import VenueLinks, keeping_spending, sharing_budget, venue_links
from market_scraper.app.watching import FATAL, crash_teller, ending, required, telling, watch_backends
from market_scraper.config import Settings, choose_backends
from market_scraper.domain.classes import Classifier
from market_scraper.domain.events import ComponentReported
from market_scraper.ports.bus import Bus, Inbox
from market_scraper.ports.lease import Lease, LeasedBus
from market_scraper.ports.stores import Store
from market_scraper.ports.views import HealthView
from market_scraper.runtime import timeouts
from market_scraper.runtime.clock import ScaledClock
from market_scraper.runtime.health import Reports
from market_scraper.runtime.memory import hold_memory_steady, sparing_what_stays
from market_scraper.runtime.operations import Connectors, Operations
from market_scraper.runtime.supervisor import Supervisor
from market_scraper.runtime.threads import take_short_turns
from market_scraper.storage.buffer import Buffer
from market_scraper.views.all import LiveViews

log = structlog.get_logger(__name__)

ROLES = frozenset({"collect", "process", "api"})


async def run(
    settings: Settings,
    *,
    roles: frozenset[str] = ROLES,
    collectors: bool = True,
    on_ready: Callable[[str | None], None] | None = None,
) -> None:
    """Run until SIGTERM or SIGINT, then stop in order: collectors, bus, processors, buffer, API, store.

    `on_ready` gets the base address once requests are answered, or None once a process without the `api` role does its
    part or stands by. Raises ConfigError or StoreUnreachable when it cannot start; upstreams that cannot be reached
    never keep it from starting.
    """
    hold_memory_steady()
    take_short_turns()
    stop = _stop_on_signals()
    async with AsyncExitStack() as stack:
        process = _Process(settings, roles if collectors else roles - {"collect"})
        await stack.enter_async_context(process.running())
        if on_ready is not None:
            on_ready(process.base_url)
        await _first_of(stop, process.ends)
        log.info("stopping")


class _Process:
    """What runs in this process."""

    def __init__(self, settings: Settings, roles: frozenset[str]) -> None:
        self.base_url: str | None = None
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ends = [self._end]  # get the exception of what cannot go on
        self._settings = settings
        self._roles = roles
        self._clock = ScaledClock(origin_s=settings.clock.origin, speed=settings.clock.speed)
        self._connectors: Connectors | None = None  # while this process is the one that collects
        self._buffer: Buffer | None = None  # while it is the one that processes

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open everything in the order in which data flows backwards: who listens is there before who speaks."""
        settings, clock = self._settings, self._clock
        async with AsyncExitStack() as stack:
            chosen = choose_backends(settings)
            spent: Path | None = None
            if (chosen.store, chosen.bus) == ("sqlite", "memory") and self._roles & {"collect", "process"}:
                stack.enter_context(alone_on(settings.storage.path))
                spent = settings.storage.path.with_name(f"{settings.storage.path.name}.spent")
            store, bus = await open_store_and_bus(stack, settings, clock)
            backends = {"store": chosen.store, "bus": bus_name(bus)}
            is_shared = backends["bus"] != "memory"
            if self._roles & {"collect", "process"}:
                await replay_spilled(settings, store, clock)
            store = behind_the_spill(settings, store)
            views = LiveViews(
                clock,
                rate=rater(settings),
                inference=settings.position_inference.rules(),
                exact_max_age_ms=settings.positions.rules().exact_max_age_ms,
                required=required(self._roles, venue=settings.hyperliquid.enabled),
            )
            reports = Reports(clock, telling(bus), views.apply)
            supervised = Supervisor(clock, on_crash=crash_teller(reports), fatal=FATAL, stop_s=timeouts.STOP_S / 4)
            await stack.enter_async_context(ending(supervised, self._end))
            supervised.add("views", partial(views.run, await stack.enter_async_context(self._heard(views, bus, store))))
            supervised.add("reports", reports.run)
            supervised.add("watch", watch_backends(reports, store, bus, clock))
            # Entered after what its components use, so that they have ended when that is closed.
            await stack.enter_async_context(supervised)
            supervised.start_all()

            if "process" in self._roles:
                work = partial(self._processing, reports=reports, store=store, is_shared=is_shared)
                await self._enter(stack, Role("process", bus, work))
            if "api" in self._roles:
                self.base_url = await self._serve(stack, views, store, bus, backends)
            # Last in, first out: on the way down the collectors stop, then what they told is worked off.
            stack.push_async_callback(self._drain, bus)
            if "collect" in self._roles:
                links: VenueLinks | None = None
                if settings.hyperliquid.enabled:
                    opening = venue_links(settings, reports, bus, clock, is_shared=is_shared)
                    links = await stack.enter_async_context(opening)
                    if not is_shared:
                        await stack.enter_async_context(keeping_spending(links, store, spent, clock))
                work = partial(
                    self._collecting,
                    links=links,
                    is_shared=is_shared,
                    reports=reports,
                    health=views.health,
                    store=store,
                )
                await self._enter(stack, Role("collect", bus, work))
            with sparing_what_stays():
                yield

    def _heard(self, views: LiveViews, bus: Bus, store: Store) -> AbstractAsyncContextManager[Inbox]:
        """All that answers lean on where somebody asks, else how components are doing."""
        if "api" in self._roles:
            return views.following(bus, store, self._settings.hyperliquid.symbols)
        return bus.follow(ComponentReported)

    async def _enter(self, stack: AsyncExitStack, role: Role) -> None:
        await stack.enter_async_context(role)
        self.ends.append(role.ended)

    @asynccontextmanager
    async def _processing(
        self, bus: Bus, _lease: Lease, *, reports: Reports, store: Store, is_shared: bool
    ) -> AsyncIterator[None]:
        work = processing(
            bus,
            settings=self._settings,
            reports=reports,
            store=store,
            clock=self._clock,
            end=self._end,
            is_shared=is_shared,
        )
        async with work as self._buffer:
            try:
                yield
            finally:
                self._buffer = None

    @asynccontextmanager
    async def _collecting(
        self,
        bus: Bus,
        lease: Lease,
        *,
        links: VenueLinks | None,
        is_shared: bool,
        reports: Reports,
        health: HealthView,
        store: Store,
    ) -> AsyncIterator[None]:
        sharing: AbstractAsyncContextManager[None] = nullcontext()
        if links is not None and is_shared:
            sharing = sharing_budget(links, lease, store, self._clock, speed=self._settings.clock.speed)
        work = collecting(
            bus,
            links,
            settings=self._settings,
            reports=reports,
            health=health,
            store=store,
            clock=self._clock,
            end=self._end,
        )
        async with sharing, work as self._connectors:
            try:
                yield
            finally:
                self._connectors = None

    async def _serve(
        self, stack: AsyncExitStack, views: LiveViews, store: Store, bus: LeasedBus, backends: Mapping[str, str]
    ) -> str:
        settings = self._settings
        deps = ApiDeps(
            store=store,
            views=views,
            bus=bus,
            operations=Operations(
                lambda: self._connectors,
                store=store,
                bus=bus,
                clock=self._clock,
                is_shared=backends["bus"] != "memory",
            ),
            clock=self._clock,
            real_clock=ScaledClock(),
            symbols=settings.hyperliquid.symbols,
            version=__version__,
            host=settings.api_host,
            api_key=settings.api_key,
            roles=tuple(sorted(self._roles)),
            backends=backends,
            connectors=CONNECTORS if settings.hyperliquid.enabled else ONCHAIN_CONNECTORS,
            broadcast_batch_size=settings.buffer.broadcast_batch_size,
            heartbeat_s=timeouts.CLIENT_HEARTBEAT_S,
            exact_max_age_ms=settings.positions.rules().exact_max_age_ms,
            classifier=Classifier(settings.tags.classes.rules()),
        )
        port = await stack.enter_async_context(serving(create_app(deps), settings.api_host, settings.api_port))
        url = _base_url(settings.api_host, port)
        log.info("serving", url=url, roles=sorted(self._roles), **backends)
        return url

    async def _drain(self, bus: Bus) -> None:
        if self._buffer is not None:
            await drain(bus, self._buffer)


async def _first_of(stop: asyncio.Event, ends: Sequence[asyncio.Future[None]]) -> None:
    """Wait for the order to stop; raises what cannot go on by itself."""
    ordered = asyncio.ensure_future(stop.wait())
    waited_for: list[asyncio.Future[Any]] = [ordered, *ends]
    try:
        await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ordered.cancel()
    for end in ends:
        if end.done():
            end.result()


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _base_url(host: str, port: int) -> str:
    shown = (
        "127.0.0.1" if host in ("0.0.0.0", "") else "[::1]" if host == "::" else f"[{host}]" if ":" in host else host
    )
    return f"http://{shown}:{port}"
