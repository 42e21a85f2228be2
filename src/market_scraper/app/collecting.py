"""The `collect` role at work: connectors, their schedule and their orders, for as long as this process may act."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from market_scraper.app.holes import HoleWatch
from market_scraper.app.onchain import add_onchain
from market_scraper.app.schedule import SCHEDULER, make_jobs, make_scheduler
from market_scraper.app.venue import VenueLinks, VenueParts, add_venue
from market_scraper.app.watching import FATAL, OVER, crash_teller, ending
from market_scraper.config import Settings
from market_scraper.domain.events import ConnectorChosen
from market_scraper.ports.bus import Bus
from market_scraper.ports.clock import Clock
from market_scraper.ports.stores import Store
from market_scraper.ports.views import HealthView
from market_scraper.processors.scoring import SCORED, SCORER
from market_scraper.runtime import timeouts
from market_scraper.runtime.health import Reporter, Reports
from market_scraper.runtime.operations import Connectors
from market_scraper.runtime.supervisor import Supervisor

ORDERS, HOLES = "orders", "holes"


@asynccontextmanager
async def collecting(
    bus: Bus,
    links: VenueLinks | None,
    *,
    settings: Settings,
    reports: Reports,
    health: HealthView,
    store: Store,
    clock: Clock,
    end: asyncio.Future[None],
) -> AsyncIterator[Connectors]:
    """Run everything that asks upstreams and publishes what they say.

    Without `links` it leaves the venue alone. `end` gets what it cannot go on from.
    """
    async with AsyncExitStack() as stack:
        supervised = Supervisor(
            clock, on_crash=crash_teller(reports), fatal=FATAL, over=OVER, stop_s=timeouts.STOP_S / 3
        )
        await stack.enter_async_context(ending(supervised, end))
        reporters: dict[str, Reporter] = {}
        parts: VenueParts | None = None
        if links is not None:
            parts = await add_venue(links, supervised, reports, settings, store, bus, clock)
            reporters |= parts.reporters
        reporters |= await add_onchain(stack, supervised, reports, settings, store, bus, clock)
        stack.callback(reports.forget, [*reporters, SCHEDULER])
        connectors = Connectors(supervisor=supervised, reporters=reporters, store=store)
        jobs = make_jobs(
            refresh_leaderboard=None if parts is None else parts.refresh_leaderboard,
            health=health,
            connectors=connectors,
            store=store,
            clock=clock,
        )
        scheduler = make_scheduler(settings, jobs, clock, reports)
        holes = HoleWatch(
            bus,
            store,
            clock,
            _nobody if parts is None else parts.distrust,
            speed=settings.clock.speed,
        )
        await bus.keep_for(SCORER, *SCORED)  # the first pull may come before the first processor
        await holes.look()  # before anything is published, and before stored rows are believed
        orders = await stack.enter_async_context(bus.follow(ConnectorChosen))
        supervised.add(ORDERS, partial(connectors.follow, orders))
        supervised.add(HOLES, holes.run)
        if scheduler is not None:
            supervised.add(SCHEDULER, scheduler.run)
        # Entered after what its components use, so that they have ended when that is closed.
        await stack.enter_async_context(supervised)
        for name in (ORDERS, HOLES):
            supervised.start(name)
        await connectors.start_chosen()
        if scheduler is not None:
            supervised.start(SCHEDULER)
        yield connectors


def _nobody(_since_ms: int) -> None:
    """On-chain readings come again from their sources."""
