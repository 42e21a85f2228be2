"""The Hyperliquid half of the `collect` role."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from market_scraper.api.connector_names import VENUE_CONNECTORS
from market_scraper.app.processing import stored_ratings
from market_scraper.collectors.candles import CandlesCollector
from market_scraper.collectors.leaderboard import LeaderboardCollector
from market_scraper.collectors.markets import Listing, MarketsCollector
from market_scraper.collectors.positions import PositionsCollector
from market_scraper.collectors.stand_by import StandBy
from market_scraper.config import Settings
from market_scraper.connectors.hyperliquid import (
    HttpTimeouts,
    HyperliquidHttp,
    HyperliquidSockets,
    MarketTable,
    SpentFile,
    Timing,
)
from market_scraper.domain.errors import StoreError
from market_scraper.ports.bus import Bus
from market_scraper.ports.clock import Clock
from market_scraper.ports.lease import Lease
from market_scraper.ports.stores import Store
from market_scraper.runtime import timeouts
from market_scraper.runtime.clock import real_timeout
from market_scraper.runtime.health import Reporter, Reports
from market_scraper.runtime.supervisor import Supervisor

log = structlog.get_logger(__name__)

SOCKET_MOST_S = 10_500.0
"""A safety net just before the venue's 3 hours: the tape's sockets are renewed sooner, in turns, by their collector."""

STAND_BY = "stand_by"

TAKE_OVER_S = 10.0
"""Real seconds within which a stand-by has taken over from a collector that died (the promise)."""

ALLOWED_AGE_S = {"hyperliquid": 90.0, "candles": 90.0, "positions": 30.0}
"""Venue seconds within which a connector's last success must lie; the leaderboard's follows its schedule."""


@dataclass(frozen=True)
class VenueLinks:
    """What this process has open to the venue, whether it collects or stands by."""

    http: HyperliquidHttp
    sockets: HyperliquidSockets
    listing: Listing
    stand_by: StandBy | None = None  # where another process may be the one that collects


@asynccontextmanager
async def venue_links(
    settings: Settings, reports: Reports, bus: Bus, clock: Clock, *, is_shared: bool
) -> AsyncIterator[VenueLinks]:
    """Open them. `is_shared`: while another process collects, this one hears the tape too."""
    venue = settings.hyperliquid
    rules = settings.positions.rules()
    table = MarketTable(venue.symbols)
    listing = Listing(venue.symbols)
    sockets = HyperliquidSockets(
        venue.ws_url,
        clock=clock,
        table=table,
        handshake_s=timeouts.SOCKET_OPEN_S,
        timing=Timing(max_age_s=SOCKET_MOST_S),
        user_slots=max(1, rules.user_slots),
    )
    async with venue_http(settings, table, clock) as http, AsyncExitStack() as stack:
        if not is_shared:
            yield VenueLinks(http, sockets, listing)
            return
        stand_by = StandBy(
            http=http,
            sockets=sockets,
            bus=bus,
            clock=clock,
            reporter=reports.reporter(STAND_BY, "tape", local=True),
            listing=listing,
            rules=rules,
        )
        supervised = Supervisor(clock, stop_s=timeouts.STOP_S / 4)
        supervised.add(STAND_BY, stand_by.run)
        await stack.enter_async_context(supervised)
        supervised.start_all()
        yield VenueLinks(http, sockets, listing, stand_by)


@asynccontextmanager
async def sharing_budget(
    links: VenueLinks, lease: Lease, store: Store, clock: Clock, *, speed: float
) -> AsyncIterator[None]:
    """Count what the last collector has spent of the venue's budget, and keep telling the next one what we spend.

    Collect inside: leaving says that nothing more is sent.
    """
    active_ms = await _active_ms(store)
    links.http.take_up_spending(
        lease.left,
        venue_now_ms=clock.now_ms(),
        active_ms=active_ms,
        usual_ms=round(TAKE_OVER_S * speed * 1000),
    )
    lease.leave(lambda: links.http.tell_spending(clock.now_ms()))
    try:
        yield
    finally:
        lease.leave(lambda: links.http.tell_spending(clock.now_ms(), ended=True))


@asynccontextmanager
async def keeping_spending(links: VenueLinks, store: Store, file: Path | None, clock: Clock) -> AsyncIterator[None]:
    """Where no lease is shared: count what the last process on this store spent, and keep what we spend in `file`.

    None = nobody looks after it that one process at a time writes there: then only the store says that one was active.
    Enter before anything is sent; leave when nothing is sent any more.
    """
    with ExitStack() as stack:
        kept: SpentFile | None = None
        if file is not None:
            try:
                kept = stack.enter_context(closing(SpentFile(file)))
            except OSError as error:
                log.warning("spending_not_kept", file=str(file), reason=str(error))
        try:
            active_ms = await _active_ms(store)
        except StoreError:  # nobody can say, so somebody may have been a moment ago
            active_ms = clock.now_ms()
        links.http.keep_spending(kept, active_ms=active_ms)
        yield


async def _active_ms(store: Store) -> int | None:
    """When somebody collected last into this store, in venue time; None = never."""
    marks = (await store.positions.marks()).values()
    return max((mark.watermark_ms for mark in marks), default=None)


@dataclass(frozen=True)
class VenueParts:
    """The venue's connectors, as others deal with them."""

    reporters: Mapping[str, Reporter]
    refresh_leaderboard: Callable[[], None]
    distrust: Callable[[int], None]  # take every position as unsure since then


async def add_venue(
    links: VenueLinks,
    connectors: Supervisor,
    reports: Reports,
    settings: Settings,
    store: Store,
    bus: Bus,
    clock: Clock,
) -> VenueParts:
    """Make the connectors known; `Connectors.start_chosen` starts them."""
    http, sockets, listing = links.http, links.sockets, links.listing
    rules = settings.positions.rules()
    refresh = settings.scheduler.tasks.leaderboard_refresh
    ages = {**ALLOWED_AGE_S, "leaderboard": 2 * refresh.interval_seconds + 600.0}
    reporters = {name: reports.reporter(name, "connector", allowed_age_s=ages[name]) for name in VENUE_CONNECTORS}
    leaderboard = LeaderboardCollector(http=http, bus=bus, clock=clock, reporter=reporters["leaderboard"])
    positions = PositionsCollector(
        http=http,
        sockets=sockets,
        bus=bus,
        store=store.positions,
        clock=clock,
        reporter=reporters["positions"],
        listing=listing,
        rules=rules,
        stand_by=links.stand_by,
        ratings=partial(stored_ratings, settings, store),
    )
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
        "positions": positions.run,
    }
    for name in VENUE_CONNECTORS:
        connectors.add(name, runs[name])
    return VenueParts(reporters, leaderboard.refresh, positions.distrust)


def venue_http(settings: Settings, table: MarketTable, clock: Clock) -> HyperliquidHttp:
    return HyperliquidHttp(
        settings.hyperliquid.api_url,
        settings.hyperliquid.leaderboard_url,
        clock=clock,
        deadline=real_timeout,
        timeouts=HttpTimeouts(request_s=timeouts.HTTP_S, leaderboard_s=timeouts.LEADERBOARD_HTTP_S),
        table=table,
        accounts_weight_per_minute=settings.positions.rules().rest_weight_per_minute,
    )
