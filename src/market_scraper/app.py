"""The one place that plugs the rooms together, and the order in which they start and stop."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import structlog

from market_scraper import __version__
from market_scraper.api.deps import CONNECTORS, ApiDeps
from market_scraper.api.server import create_app
from market_scraper.api.serving import serving
from market_scraper.collectors.candles import CandlesCollector
from market_scraper.collectors.leaderboard import LeaderboardCollector
from market_scraper.collectors.markets import Listing, MarketsCollector
from market_scraper.collectors.positions import PositionsCollector
from market_scraper.config import Settings, choose_backends
from market_scraper.connectors.hyperliquid import (
    HttpTimeouts,
    HyperliquidHttp,
    HyperliquidSockets,
    MarketTable,
    Timing,
)
from market_scraper.domain.classes import Classifier
from market_scraper.domain.errors import StoreError
from market_scraper.domain.scoring import rate_all
from market_scraper.domain.traders import Choice, LeaderboardRow, RatedTrader
from market_scraper.domain.values import Address
from market_scraper.event_bus.codec import encode_event
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import Reserve
from market_scraper.ports.bus import Bus, Envelope
from market_scraper.ports.clock import Clock
from market_scraper.ports.stores import DeadLetterRow, SettingRow, Store
from market_scraper.processors.persister import PERSISTED, Persister
from market_scraper.processors.scoring import TraderScoringProcessor
from market_scraper.processors.signals import SignalGenerationProcessor
from market_scraper.runtime import timeouts
from market_scraper.runtime.backoff import backoff
from market_scraper.runtime.clock import ScaledClock, real_monotonic, real_sleep, real_timeout
from market_scraper.runtime.health import Reporter, Reports
from market_scraper.runtime.memory import hold_memory_steady
from market_scraper.runtime.operations import LocalOperations
from market_scraper.runtime.scheduler import Scheduler
from market_scraper.runtime.supervisor import Supervisor
from market_scraper.storage.buffer import Buffer
from market_scraper.storage.open import open_store
from market_scraper.views.all import LiveViews

log = structlog.get_logger(__name__)

ROLES = frozenset({"collect", "process", "api"})

SEQ_SETTING = "bus.seq"
"""The end of the last reserved block of event numbers."""

WATCH_S = 5.0
"""How often store, bus and processors are looked after, in venue seconds."""

SOCKET_MOST_S = 10_500.0
"""A safety net just before the venue's 3 hours: the tape's sockets are renewed sooner, in turns, by their collector."""

REQUIRED = {
    "collect": ("hyperliquid", "positions"),
    "process": ("scoring", "signals", "persister"),
    "api": ("store", "bus"),
}
"""What each role cannot do without: readiness asks for these."""

ALLOWED_AGE_S = {"hyperliquid": 90.0, "candles": 90.0, "positions": 30.0}
"""Venue seconds within which a connector's last success must lie; the leaderboard's follows its schedule."""


async def run(
    settings: Settings,
    *,
    roles: frozenset[str] = ROLES,
    collectors: bool = True,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Run until SIGTERM or SIGINT, then stop in order: collectors, bus, processors, buffer, API, store.

    `on_ready` gets the base address once requests are answered. Raises ConfigError or StoreUnreachable when it
    cannot start; upstreams that cannot be reached never keep it from starting.
    """
    hold_memory_steady()
    stop = _stop_on_signals()
    collect = "collect" in roles and collectors and settings.hyperliquid.enabled
    async with AsyncExitStack() as stack:
        program = await stack.enter_async_context(_assemble(settings, roles, collect=collect))
        if on_ready is not None and program.base_url is not None:
            on_ready(program.base_url)
        await stop.wait()
        log.info("stopping")


class _Program:
    """What is running, once it runs."""

    def __init__(self) -> None:
        self.base_url: str | None = None


@asynccontextmanager
async def _assemble(settings: Settings, roles: frozenset[str], *, collect: bool) -> AsyncIterator[_Program]:
    """Open everything in the order in which data flows backwards: who listens is there before who speaks."""
    clock = ScaledClock(origin_s=settings.clock.origin, speed=settings.clock.speed)
    symbols = settings.hyperliquid.symbols
    backends = choose_backends(settings)
    program = _Program()
    async with AsyncExitStack() as stack:
        store, bus = await _open_store_and_bus(stack, settings, clock)
        reports = Reports(clock, bus.publish)
        supervised = Supervisor(clock, on_crash=_crash_teller(reports), stop_s=timeouts.STOP_S / 4)
        views = LiveViews(
            clock,
            rate=_rater(settings),
            inference=settings.position_inference.rules(),
            exact_max_age_ms=settings.positions.rules().exact_max_age_ms,
            required=_required(roles, collect=collect),
        )
        followed = await stack.enter_async_context(views.following(bus, store, symbols))
        supervised.add("views", partial(views.run, followed))
        supervised.add("reports", reports.run)
        buffer: Buffer | None = None
        if "process" in roles:
            buffer = await _add_processors(stack, supervised, reports, settings, store, bus, clock)
        supervised.add("watch", _watch(reports, supervised, store, bus, clock))
        # Entered after what its components use, so that they have ended when that is closed.
        await stack.enter_async_context(supervised)
        supervised.start_all()

        connectors: Supervisor | None = None
        reporters: dict[str, Reporter] = {}
        if collect:
            connectors = Supervisor(clock, on_crash=_crash_teller(reports), stop_s=timeouts.STOP_S / 3)
            reporters = await _add_collectors(stack, connectors, supervised, reports, settings, store, bus, clock)
        operations = LocalOperations(supervisor=connectors, reporters=reporters, store=store, bus=bus, clock=clock)
        if "api" in roles:
            deps = ApiDeps(
                store=store,
                views=views,
                bus=bus,
                operations=operations,
                clock=clock,
                real_clock=ScaledClock(),
                symbols=symbols,
                version=__version__,
                host=settings.api_host,
                api_key=settings.api_key,
                roles=tuple(sorted(roles)),
                backends={"store": backends.store, "bus": backends.bus},
                connectors=CONNECTORS if settings.hyperliquid.enabled else (),
                broadcast_batch_size=settings.buffer.broadcast_batch_size,
                heartbeat_s=timeouts.CLIENT_HEARTBEAT_S,
                exact_max_age_ms=settings.positions.rules().exact_max_age_ms,
                classifier=Classifier(settings.tags.classes.rules()),
            )
            port = await stack.enter_async_context(serving(create_app(deps), settings.api_host, settings.api_port))
            program.base_url = _base_url(settings.api_host, port)
            log.info("serving", url=program.base_url, roles=sorted(roles), store=backends.store, bus=backends.bus)
        # Last in, first out: on the way down the collectors stop, then what they told is worked off.
        stack.push_async_callback(_drain, bus, buffer)
        if connectors is not None:
            await stack.enter_async_context(connectors)
            await operations.start_chosen()
        yield program


# -- processors and collectors ---------------------------------------------------------------------------------------


async def _add_processors(
    stack: AsyncExitStack,
    supervised: Supervisor,
    reports: Reports,
    settings: Settings,
    store: Store,
    bus: Bus,
    clock: Clock,
) -> Buffer:
    """Signals and persister listen before scoring speaks: it publishes the stored pull when it starts."""
    symbols = settings.hyperliquid.symbols
    classes = settings.tags.classes.rules()
    buffer = await stack.enter_async_context(
        Buffer(store, clock, flush_interval_s=settings.buffer.flush_interval, max_size=settings.buffer.max_size)
    )
    inbox = await stack.enter_async_context(bus.subscribe("persister", *PERSISTED))
    persister = Persister(inbox, buffer, clock=clock, delays=backoff, classes=classes)
    await persister.load(store, symbols)
    signals = SignalGenerationProcessor(
        bus,
        store,
        clock,
        symbols,
        settings.signals.rules(),
        classes,
        exact_max_age_ms=settings.positions.rules().exact_max_age_ms,
        delays=backoff,
    )
    scoring = TraderScoringProcessor(
        bus,
        store,
        clock,
        settings.scoring.rules(settings.tags.rules()),
        settings.filters.rules(),
        settings.position_inference.rules(),
        delays=backoff,
    )

    async def score() -> None:
        await signals.opened.wait()
        await scoring.run()

    for name, run in (("persister", persister.run), ("signals", signals.run), ("scoring", score)):
        reports.reporter(name, "processor")
        supervised.add(name, run)
    return buffer


async def _add_collectors(
    stack: AsyncExitStack,
    connectors: Supervisor,
    supervised: Supervisor,
    reports: Reports,
    settings: Settings,
    store: Store,
    bus: Bus,
    clock: Clock,
) -> dict[str, Reporter]:
    """Make the connectors known; `LocalOperations.start_chosen` starts them. Gives their reporters by name."""
    venue = settings.hyperliquid
    rules = settings.positions.rules()
    refresh = settings.scheduler.tasks.leaderboard_refresh
    table = MarketTable(venue.symbols)
    listing = Listing(venue.symbols)
    http = await stack.enter_async_context(_venue_http(settings, table, clock))
    sockets = HyperliquidSockets(
        venue.ws_url,
        clock=clock,
        table=table,
        handshake_s=timeouts.SOCKET_OPEN_S,
        timing=Timing(max_age_s=SOCKET_MOST_S),
        user_slots=max(1, rules.user_slots),
    )
    ages = {**ALLOWED_AGE_S, "leaderboard": 2 * refresh.interval_seconds + 600.0}
    reporters = {name: reports.reporter(name, "connector", allowed_age_s=ages[name]) for name in CONNECTORS}
    leaderboard = LeaderboardCollector(http=http, bus=bus, clock=clock, reporter=reporters["leaderboard"])
    runs: dict[str, Callable[[], Awaitable[None]]] = {
        "hyperliquid": MarketsCollector(
            http=http, bus=bus, clock=clock, reporter=reporters["hyperliquid"], listing=listing
        ).run,
        "leaderboard": leaderboard.run,
        "candles": CandlesCollector(
            http=http,
            sockets=sockets,
            bus=bus,
            store=store.candles,
            clock=clock,
            reporter=reporters["candles"],
            listing=listing,
        ).run,
        "positions": PositionsCollector(
            http=http,
            sockets=sockets,
            bus=bus,
            store=store.positions,
            clock=clock,
            reporter=reporters["positions"],
            listing=listing,
            rules=rules,
        ).run,
    }
    for name in CONNECTORS:
        connectors.add(name, runs[name])
    if settings.scheduler.enabled and refresh.enabled:
        scheduler = Scheduler(clock)

        async def refresh_leaderboard() -> None:
            leaderboard.refresh()

        scheduler.add(
            "leaderboard_refresh",
            refresh.interval_seconds,
            refresh_leaderboard,
            first_after_s=refresh.interval_seconds,
        )
        supervised.add("scheduler", scheduler.run)
        supervised.start("scheduler")
    return reporters


def _venue_http(settings: Settings, table: MarketTable, clock: Clock) -> HyperliquidHttp:
    return HyperliquidHttp(
        settings.hyperliquid.api_url,
        settings.hyperliquid.leaderboard_url,
        clock=clock,
        deadline=real_timeout,
        timeouts=HttpTimeouts(request_s=timeouts.HTTP_S, leaderboard_s=timeouts.LEADERBOARD_HTTP_S),
        table=table,
        accounts_weight_per_minute=settings.positions.rules().rest_weight_per_minute,
    )


async def backfill(settings: Settings) -> int:
    """Fill the candle history of every configured symbol once, into the configured store; gives the bars that came.

    Run it while no server has the same store open for collecting. Raises SourceError when the venue is away.
    """
    clock = ScaledClock(origin_s=settings.clock.origin, speed=settings.clock.speed)
    async with AsyncExitStack() as stack:
        store, bus = await _open_store_and_bus(stack, settings, clock)
        buffer = await stack.enter_async_context(Buffer(store, clock, max_size=1_000))
        inbox = await stack.enter_async_context(bus.subscribe("persister", *PERSISTED))
        persister = Persister(inbox, buffer, clock=clock, delays=backoff)
        supervised = await stack.enter_async_context(Supervisor(clock))
        supervised.add("persister", persister.run)
        supervised.start_all()
        stack.push_async_callback(_drain, bus, buffer)
        listing = Listing(settings.hyperliquid.symbols)
        http = await stack.enter_async_context(_venue_http(settings, MarketTable(listing.symbols), clock))
        listing.learn(await http.markets())
        reporter = Reports(clock, bus.publish).reporter("candles", "connector")
        return await CandlesCollector(
            http=http, sockets=None, bus=bus, store=store.candles, clock=clock, reporter=reporter, listing=listing
        ).backfill()


async def _open_store_and_bus(stack: AsyncExitStack, settings: Settings, clock: Clock) -> tuple[Store, MemoryBus]:
    """Open what the settings name; what the bus gives up on is kept in the store as a dead letter."""
    store = await stack.enter_async_context(
        open_store(
            choose_backends(settings).store,
            path=settings.storage.path,
            retention=settings.storage.retention.rules(),
            clock=clock,
            busy_s=timeouts.SQLITE_BUSY_S,
        )
    )
    bus = await stack.enter_async_context(
        MemoryBus(_reserve_in(store), dead_letter=partial(_keep_dead_letter, store, clock))
    )
    return store, bus


# -- small parts -----------------------------------------------------------------------------------------------------


def _watch(
    reports: Reports, supervised: Supervisor, store: Store, bus: Bus, clock: Clock
) -> Callable[[], Awaitable[None]]:
    """Look after what has no upstream of its own: store, bus and processors."""
    store_reporter = reports.reporter("store", "store", allowed_age_s=60.0)
    bus_reporter = reports.reporter("bus", "bus", allowed_age_s=60.0)

    async def watch() -> None:
        while True:
            try:
                await store.check()
            except StoreError as error:
                store_reporter.failed(str(error))
            else:
                store_reporter.ok()
            bus_reporter.ok(bus.stats())
            for state in supervised.states():
                if state.name in ("persister", "signals", "scoring"):
                    reporter = reports.reporter(state.name, "processor")
                    if state.running and state.last_crash is None:
                        reporter.ok({"crashes": state.crashes})
                    elif not state.running:
                        reporter.failed("it does not run")
            await clock.sleep(WATCH_S)

    return watch


def _crash_teller(reports: Reports) -> Callable[[str, str], None]:
    def tell(name: str, reason: str) -> None:
        reports.reporter(name, "connector" if name in CONNECTORS else "processor").failed(f"crashed: {reason}")

    return tell


def _required(roles: frozenset[str], *, collect: bool) -> Sequence[str]:
    asked = [role for role in sorted(roles) if role != "collect" or collect]
    return [name for role in asked for name in REQUIRED[role]]


def _rater(
    settings: Settings,
) -> Callable[[Sequence[LeaderboardRow], Mapping[Address, Choice]], Sequence[RatedTrader]]:
    scoring = settings.scoring.rules(settings.tags.rules())
    filters, inference = settings.filters.rules(), settings.position_inference.rules()
    return lambda rows, choices: rate_all(rows, scoring, filters, inference, choices)


def _reserve_in(store: Store) -> Reserve:
    """Reserve event numbers in the store, so that none is given again after a restart."""

    async def reserve(size: int) -> int:
        for delay_s in backoff(first_s=0.1, most_s=5.0):
            try:
                end = int(await store.settings.get(SEQ_SETTING) or 1)
                await store.write([SettingRow(key=SEQ_SETTING, value=str(end + size))])
            except StoreError as error:
                log.warning("numbers_wait_for_the_store", reason=str(error))
                await real_sleep(delay_s)
            else:
                return end
        raise AssertionError("delays never end")

    return reserve


async def _keep_dead_letter(store: Store, clock: Clock, envelope: Envelope, reason: str) -> None:
    await store.write(
        [DeadLetterRow(source="bus", known_at_ms=clock.now_ms(), reason=reason, body=encode_event(envelope.event))]
    )


async def _drain(bus: Bus, buffer: Buffer | None) -> None:
    """Wait until all groups have worked off what was published, for a share of the time for stopping at the most."""
    deadline_s = real_monotonic() + timeouts.STOP_S / 4
    while any(n for name, n in bus.stats().items() if name.startswith("waiting_")) and real_monotonic() < deadline_s:
        if buffer is not None:
            buffer.hurry()
        await real_sleep(0.01)


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
