"""The positions of all traders in the followed coins: one life after the other, each taking up where the last stood."""

from collections.abc import Awaitable, Callable, Sequence

from market_scraper.collectors.markets import Listing
from market_scraper.collectors.positions_life import PositionsLife
from market_scraper.collectors.stand_by import StandBy
from market_scraper.domain.events import (
    CandlesClosed,
    MarketContextChanged,
    MarketsListed,
    PositionChanged,
    TapeAdvanced,
    TapeGapped,
    TradersRated,
    key_of,
)
from market_scraper.domain.prefix import Prefix
from market_scraper.domain.rules import PositionRules
from market_scraper.domain.traders import RatedTrader
from market_scraper.domain.values import Symbol
from market_scraper.ports.bus import Bus
from market_scraper.ports.clock import Clock
from market_scraper.ports.reporting import Reporter
from market_scraper.ports.sources import VenueHttp, VenueSockets
from market_scraper.ports.stores import PositionReader

Ratings = Callable[[], Awaitable[Sequence[RatedTrader]]]
"""The stored pull as it is rated now; empty without one."""


class PositionsCollector:
    """Follows everyone's position in every followed coin and publishes each change.

    Each `run` is a life of its own: it takes up what was published before it, and on the way out tells how far the tape
    was whole, so that the next life can join it. With a stand-by it borrows the sockets that are open already, and
    joins by what was heard on them meanwhile. When the bus refuses it, for another process has the lease, it returns.
    """

    def __init__(
        self,
        *,
        http: VenueHttp,
        sockets: VenueSockets,
        bus: Bus,
        store: PositionReader,
        clock: Clock,
        reporter: Reporter,
        listing: Listing,
        rules: PositionRules,
        stand_by: StandBy | None = None,
        ratings: Ratings | None = None,
    ) -> None:
        self._ratings = ratings
        self._http = http
        self._sockets = sockets
        self._bus = bus
        self._store = store
        self._clock = clock
        self._reporter = reporter
        self._listing = listing
        self._rules = rules
        self._stand_by = stand_by
        self._life: PositionsLife | None = None
        self._hole_since_ms: int | None = None  # to be taken account of by the next life

    def distrust(self, since_ms: int) -> None:
        """Take everybody as unsure since then: facts that were published since may never be stored."""
        if self._life is None:
            self._hole_since_ms = min(since_ms, self._hole_since_ms or since_ms)
        else:
            self._life.distrust(since_ms)

    async def run(self) -> None:
        """Collect until cancelled, or until somebody else may publish and we may not."""
        # The inbox opens first: ratings may be published while the stored rows are read.
        async with self._bus.follow(TradersRated, MarketsListed, MarketContextChanged, CandlesClosed) as inbox:
            await self._listing.wait()
            life = PositionsLife(
                self._http,
                self._sockets,
                self._bus,
                self._clock,
                self._reporter,
                self._rules,
                self._load,
                self._stand_by,
            )
            if self._ratings is not None:  # the next pull may be an hour away
                life.take_up_ratings(await self._ratings(), self._clock.now_ms())
            while new := [market for market in self._listing.markets if not life.follows(market.symbol)]:
                await life.follow(new)
            if self._hole_since_ms is not None:
                life.distrust(self._hole_since_ms)
                self._hole_since_ms = None
            self._life = life
            try:
                await life.run(inbox)
            finally:
                self._life = None

    async def _load(self, symbols: Sequence[Symbol]) -> dict[Symbol, Prefix]:
        """What was published of these so far: what is not stored yet is read first, so that nothing falls between."""
        events = [
            envelope.event
            async for batch in self._bus.retained(PositionChanged, TapeAdvanced, TapeGapped)
            for envelope in batch
            if key_of(envelope.event) in symbols
        ]
        marks = await self._store.marks()
        found = {symbol: Prefix() for symbol in symbols}
        for symbol, prefix in found.items():
            prefix.move(marks.get(symbol))
            async for rows in self._store.states(symbol):
                prefix.put_all(rows)
        for event in events:
            assert isinstance(event, PositionChanged | TapeAdvanced | TapeGapped)
            found[Symbol(key_of(event))].apply(event)
        return found
