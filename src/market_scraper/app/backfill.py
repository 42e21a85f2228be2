"""`backfill`: the candle history of every configured symbol, once, without a server."""

from contextlib import AsyncExitStack

from market_scraper.app.backends import drain, open_store_and_bus
from market_scraper.app.venue import venue_http
from market_scraper.collectors.candles import CandlesCollector
from market_scraper.collectors.markets import Listing
from market_scraper.config import Settings
from market_scraper.connectors.hyperliquid import MarketTable
from market_scraper.processors.persister import PERSISTED, Persister
from market_scraper.runtime.backoff import backoff
from market_scraper.runtime.clock import ScaledClock
from market_scraper.runtime.health import Reports
from market_scraper.runtime.supervisor import Supervisor
from market_scraper.storage.buffer import Buffer


async def backfill(settings: Settings) -> int:
    """Fill the candle history of every configured symbol once, into the configured store; gives the bars that came.

    Run it while no server has the same store open for collecting. Raises SourceError when the venue is away.
    """
    clock = ScaledClock(origin_s=settings.clock.origin, speed=settings.clock.speed)
    async with AsyncExitStack() as stack:
        store, bus = await open_store_and_bus(stack, settings, clock)
        buffer = await stack.enter_async_context(Buffer(store, clock, max_size=1_000))
        inbox = await stack.enter_async_context(bus.subscribe("persister", *PERSISTED))
        persister = Persister(inbox, buffer, clock=clock, delays=backoff)
        supervised = await stack.enter_async_context(Supervisor(clock))
        supervised.add("persister", persister.run)
        supervised.start_all()
        stack.push_async_callback(drain, bus, buffer)
        listing = Listing(settings.hyperliquid.symbols)
        http = await stack.enter_async_context(venue_http(settings, MarketTable(listing.symbols), clock))
        listing.learn(await http.markets())
        reporter = Reports(clock, bus.publish).reporter("candles", "connector")
        return await CandlesCollector(
            http=http, sockets=None, bus=bus, store=store.candles, clock=clock, reporter=reporter, listing=listing
        ).backfill()
