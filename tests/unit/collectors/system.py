"""Collectors on a fake venue with true sizes, and everything downstream of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from market_scraper.collectors.markets import Listing
from market_scraper.collectors.positions import PositionsCollector
from market_scraper.collectors.stand_by import StandBy
from market_scraper.domain.events import (
    Event,
    PositionChanged,
    TapeAdvanced,
    TapeGapped,
)
from market_scraper.domain.market import Print
from market_scraper.domain.positions import AccountSnapshot, PositionState
from market_scraper.domain.rules import PositionRules
from market_scraper.domain.values import Address, Symbol
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.bus import Bus, Inbox
from market_scraper.ports.sources import Heard, SocketLost, SocketOpened, TimeHeard
from market_scraper.ports.stores import PositionStateRow, TapeMarkRow
from market_scraper.storage.memory import MemoryRepository
from market_scraper.views.positions import LivePositions
from market_scraper.views.traders import LiveTraders
from tests.fakes import FakeClock, FakeHttp, FakeReporter, FakeSockets, settle
from tests.unit.collectors.parts import (
    BTC,
    T0,
    answer,
    live,
    market,
    print_,
    replay,
)

TAPES = ("tape-0", "tape-1", "tape-2")


class System:
    """A venue with true sizes, one collector at a time, and everything downstream of it.

    `hosts` are the sockets of every process that hears the venue; `self.sockets` is the first one's.
    """

    def __init__(self, *symbols: Symbol, rules: PositionRules | None = None) -> None:
        self.clock = FakeClock(T0)
        self.sockets, self.http, self.reporter = FakeSockets(), FakeHttp(), FakeReporter()
        self.hosts = [self.sockets]
        self.store = MemoryRepository()
        self.symbols = list(symbols) or [BTC]
        self.listing = Listing(self.symbols)
        self.listing.learn([market(symbol) for symbol in self.symbols])
        self.rules = rules or PositionRules()
        self.sizes: dict[tuple[Address, Symbol], int] = {}
        self.http.account_of = self.account
        self.view = LivePositions(self.clock, LiveTraders())
        self.events: list[Event] = []
        self.tid = 0
        self.reading = asyncio.Event()
        self.reading.set()
        self.bus: MemoryBus
        self.crash: BaseException | None = None
        self.collector: PositionsCollector | None = None  # the newest

    def account(self, trader: Address, dex: str) -> AccountSnapshot:
        held = {s: lots for (who, s), lots in self.sizes.items() if who == trader and s != BTC}
        return answer(trader, self.clock.now_ms(), self.sizes.get((trader, BTC), 0), dex=dex, others=held)

    @asynccontextmanager
    async def life(self, *, connect: bool = True, inbox_size: int = 10_000) -> AsyncIterator[None]:
        """One process from start to stop: bus, persister, collector."""
        async with self.serving(inbox_size=inbox_size), self.collecting(connect=connect):
            yield

    @asynccontextmanager
    async def serving(self, *, inbox_size: int = 10_000) -> AsyncIterator[None]:
        """The bus, and who stores what comes."""
        kinds = (PositionChanged, TapeAdvanced, TapeGapped)
        async with (
            MemoryBus(reserve_in_memory()) as self.bus,
            self.bus.subscribe("t", *kinds, size=inbox_size) as inbox,
        ):
            keeping = asyncio.create_task(self._keep(inbox))
            try:
                yield
            finally:
                await self.bus.drained()
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)

    @asynccontextmanager
    async def collecting(
        self,
        *,
        connect: bool = True,
        stored: bool = True,
        stand_by: StandBy | None = None,
        bus: Bus | None = None,
        sockets: FakeSockets | None = None,
    ) -> AsyncIterator["asyncio.Task[None]"]:
        """One life of a collector; `stored`: at its end everything that waited is stored."""
        collector = self.collector = PositionsCollector(
            http=self.http,
            sockets=sockets or self.sockets,
            bus=bus or self.bus,
            store=self.store.positions,
            clock=self.clock,
            reporter=self.reporter,
            listing=self.listing,
            rules=self.rules,
            stand_by=stand_by,
        )
        running = asyncio.create_task(collector.run())
        await settle()
        try:
            if connect:
                self.connect()
            yield running
        finally:
            running.cancel()
            await settle()
            if stored:
                self.reading.set()
            (self.crash,) = await asyncio.gather(running, return_exceptions=True)

    def connect(self, *names: str, back_ms: int = 500, sockets: FakeSockets | None = None) -> None:
        for name in names or TAPES:
            socket = (sockets or self.sockets)[name]
            socket.say(SocketOpened())
            for symbol in self.symbols:
                older = self.now - back_ms
                socket.say(replay(older, older + 100, symbol=symbol))

    def lose(self, *names: str, sockets: FakeSockets | None = None) -> None:
        for name in names or TAPES:
            (sockets or self.sockets)[name].say(SocketLost("lost"))

    def say_all(self, *heard: Heard) -> None:
        """Every process hears it on every tape socket."""
        for sockets in self.hosts:
            for name in TAPES:
                if name in sockets.open_now:
                    for one in heard:
                        sockets[name].say(one)

    async def trade(
        self, buyer: Address, seller: Address, lots: int, symbol: Symbol = BTC, *, heard: bool = True
    ) -> Print:
        """A match, now: it moves the truth; `heard` = the sockets bring it."""
        self.tid += 1
        one = print_(self.now, buyer, seller, lots, tid=self.tid)
        for trader, change in ((buyer, lots), (seller, -lots)):
            self.sizes[trader, symbol] = self.sizes.get((trader, symbol), 0) + change
        if heard:
            self.say_all(live(one, symbol=symbol))
        await settle()
        return one

    async def pass_s(self, seconds: float) -> None:
        """Time goes by; on every connected tape socket best prices come for every coin."""
        for _ in range(round(seconds / 0.5)):
            await self.clock.advance(0.5)
            self.say_all(*(TimeHeard(symbol, self.now) for symbol in self.symbols))
            await settle()

    async def _keep(self, inbox: Inbox) -> None:
        """The persister's promise: rows as they come, a mark only behind the facts before it."""
        while True:
            await self.reading.wait()
            envelopes = await inbox.take(limit=1)
            await self.reading.wait()
            for event in (envelope.event for envelope in envelopes):
                self.events.append(event)
                assert isinstance(event, PositionChanged | TapeAdvanced | TapeGapped)
                self.view.apply(event)
                if isinstance(event, PositionChanged):
                    await self.store.write([PositionStateRow(position=event.after, known_at_ms=event.known_at_ms)])
                else:
                    await self.store.write([TapeMarkRow(mark=event.mark)])
            inbox.ack(envelopes)

    @property
    def now(self) -> int:
        return self.clock.now_ms()

    def said(self, trader: Address, symbol: Symbol = BTC) -> tuple[PositionState, int | None]:
        found = self.view.get(trader, symbol)
        if found is None or found.position is None:
            return PositionState.UNKNOWN, None
        return found.claim.state, found.position.lots

    def exact(self, trader: Address, symbol: Symbol = BTC) -> int | None:
        state, lots = self.said(trader, symbol)
        return lots if state is PositionState.EXACT else None

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]
