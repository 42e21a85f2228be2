"""What is listed and how it stands."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from market_scraper.collectors.markets import CONTEXTS_EVERY_S, LIST_EVERY_S, RETRY_S, Listing, MarketsCollector
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.events import Event, MarketContextChanged, MarketsListed
from market_scraper.domain.values import Symbol
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from tests.facts import BTC, ETH, context
from tests.fakes import FakeClock, FakeHttp, FakeReporter, settle
from tests.unit.collectors.parts import market

DOWN = SourceError("hyperliquid", "HTTP 502", retry_after_s=None)


class Bench:
    def __init__(self, *symbols: Symbol) -> None:
        self.clock, self.http, self.reporter = FakeClock(), FakeHttp(), FakeReporter()
        self.listing = Listing(symbols or (BTC,))
        self.heard: list[Event] = []
        self.http.listed = [market(), market(Symbol("DOGE"))]
        self.http.states = [context(5.0), context(7.0, symbol=Symbol("DOGE"))]

    def asked(self, what: str) -> int:
        return self.http.asked.count((what,))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with MemoryBus(reserve_in_memory()) as bus, bus.follow(MarketsListed, MarketContextChanged) as inbox:
            collector = MarketsCollector(
                http=self.http, bus=bus, clock=self.clock, reporter=self.reporter, listing=self.listing
            )

            async def listen() -> None:
                while True:
                    self.heard += [envelope.event for envelope in await inbox.take()]

            tasks = [asyncio.create_task(collector.run()), asyncio.create_task(listen())]
            await settle()
            yield
            await settle()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_only_followed_markets_are_told_listing_first() -> None:
    bench = Bench()
    async with bench.running():
        pass
    listed, changed = bench.heard
    assert isinstance(listed, MarketsListed)
    assert isinstance(changed, MarketContextChanged)
    assert [m.symbol for m in listed.markets] == [BTC]
    assert changed.context == context(5.0)
    assert bench.reporter.turns == ["ok"]


async def test_contexts_are_asked_three_times_a_minute_and_listings_every_five_minutes() -> None:
    bench = Bench()
    async with bench.running():
        await bench.clock.advance(2 * LIST_EVERY_S)
    assert bench.asked("contexts") == 2 * LIST_EVERY_S / CONTEXTS_EVERY_S + 1
    assert bench.asked("markets") == 3
    assert len([e for e in bench.heard if isinstance(e, MarketsListed)]) == 1  # nothing new since


async def test_who_waits_for_the_first_listing_gets_the_markets_in_the_order_of_configuration() -> None:
    bench = Bench(ETH, BTC)
    bench.http.listed = [market(BTC), market(ETH)]
    waiting = asyncio.create_task(bench.listing.wait())
    await settle()
    assert not waiting.done()
    async with bench.running():
        assert [m.symbol for m in await waiting] == [ETH, BTC]


async def test_a_symbol_that_the_venue_does_not_list_is_said_and_looked_for_until_it_is_listed() -> None:
    bench = Bench(BTC, ETH)
    async with bench.running():
        assert bench.reporter.said[-1] == "not listed by the venue: ETH"
        assert [m.symbol for m in await bench.listing.wait()] == [BTC]
        bench.http.listed = [market(BTC), market(ETH)]
        await bench.clock.advance(CONTEXTS_EVERY_S)
        assert bench.reporter.said[-1] == "ok"
    listings = [[m.symbol for m in e.markets] for e in bench.heard if isinstance(e, MarketsListed)]
    assert listings == [[BTC], [BTC, ETH]]


async def test_a_delisting_is_told_with_the_next_contexts_and_before_them() -> None:
    bench = Bench()
    async with bench.running():
        bench.http.listed = [market(is_delisted=True)]
        bench.heard.clear()
        await bench.clock.advance(CONTEXTS_EVERY_S)
    listed, changed = bench.heard
    assert isinstance(listed, MarketsListed)
    assert isinstance(changed, MarketContextChanged)
    assert listed.markets[0].is_delisted
    assert bench.asked("markets") == 1


async def test_a_market_that_is_no_longer_in_the_listing_keeps_its_last_one() -> None:
    bench = Bench(BTC, ETH)
    bench.http.listed = [market(BTC), market(ETH)]
    async with bench.running():
        bench.http.listed = [market(ETH)]
        await bench.clock.advance(LIST_EVERY_S + CONTEXTS_EVERY_S)
        assert [m.symbol for m in bench.listing.markets] == [BTC, ETH]


async def test_failures_wait_and_the_first_listing_comes_when_the_venue_is_back() -> None:
    bench = Bench()
    bench.http.listed = DOWN
    async with bench.running():
        await bench.clock.advance(10 * RETRY_S)
        assert bench.asked("markets") == 11
        assert bench.listing.markets == []
        bench.http.listed = [market()]
        bench.http.states = InvalidInput("another shape")
        await bench.clock.advance(RETRY_S)
        assert bench.listing.markets == [market()]
        bench.http.states = [context(1.0)]
        await bench.clock.advance(CONTEXTS_EVERY_S)
    assert bench.reporter.turns == [str(DOWN), "unreadable answer: another shape", "ok"]
