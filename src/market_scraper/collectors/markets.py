"""What is listed and how it stands: the connector named `hyperliquid`."""

import asyncio
from collections.abc import Sequence

from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.events import Event, MarketContextChanged, MarketsListed
from market_scraper.domain.market import Market, MarketContext
from market_scraper.domain.values import Symbol
from market_scraper.ports.bus import Bus
from market_scraper.ports.clock import Clock
from market_scraper.ports.reporting import Reporter
from market_scraper.ports.sources import VenueHttp

LIST_EVERY_S = 300.0
CONTEXTS_EVERY_S = 20.0
RETRY_S = 5.0


class Listing:
    """The followed markets as last listed; others wait here for the first listing."""

    def __init__(self, symbols: Sequence[Symbol]) -> None:
        self.symbols = symbols
        self._markets: dict[Symbol, Market] = {}
        self._first = asyncio.Event()

    async def wait(self) -> list[Market]:
        """The followed markets, in the order of configuration, once the venue has listed any of them."""
        await self._first.wait()
        return self.markets

    @property
    def markets(self) -> list[Market]:
        """What is known now."""
        return [self._markets[symbol] for symbol in self.symbols if symbol in self._markets]

    @property
    def missing(self) -> list[Symbol]:
        """Followed symbols that the venue does not list."""
        return [symbol for symbol in self.symbols if symbol not in self._markets]

    def learn(self, markets: Sequence[Market]) -> bool:
        """Take a listing; True when it says something new of a followed market."""
        before = dict(self._markets)
        self._markets.update({market.symbol: market for market in markets if market.symbol in self.symbols})
        if self._markets:
            self._first.set()
        return self._markets != before


class MarketsCollector:
    """Asks for listings and contexts (mark, mid, open interest) over REST; 80 of 1,200 weight a minute.

    The venue tells a listing with the contexts too. It is asked for by itself for dexes that come and go.
    """

    def __init__(self, *, http: VenueHttp, bus: Bus, clock: Clock, reporter: Reporter, listing: Listing) -> None:
        self._http = http
        self._bus = bus
        self._clock = clock
        self._reporter = reporter
        self._listing = listing
        self._contexts: dict[Symbol, MarketContext] = {}

    async def run(self) -> None:
        """Collect until cancelled."""
        listed_s: float | None = None
        while True:
            now_s = self._clock.monotonic()
            try:
                if listed_s is None or now_s - listed_s >= LIST_EVERY_S or self._listing.missing:
                    await self._list(is_first=listed_s is None)
                    listed_s = now_s
                await self._ask_contexts()
            except SourceError as error:
                self._reporter.failed(str(error), told=True)
                await self._clock.sleep(RETRY_S if error.retry_after_s is None else max(1.0, error.retry_after_s))
                continue
            except InvalidInput as error:
                self._reporter.failed(f"unreadable answer: {error}")
                await self._clock.sleep(CONTEXTS_EVERY_S)
                continue
            if self._listing.missing:
                self._reporter.failed(f"not listed by the venue: {', '.join(self._listing.missing)}")
            else:
                self._reporter.ok({"markets": len(self._listing.markets), "weight_last_minute": self._spent()})
            await self._clock.sleep(CONTEXTS_EVERY_S)

    def _spent(self) -> int:
        return self._http.spent_last_minute()

    async def _list(self, *, is_first: bool) -> None:
        # Told at the start of each run, though we knew it before: others may hear of it for the first time.
        if self._listing.learn(await self._http.markets()) or (is_first and self._listing.markets):
            await self._bus.publish([self._listed()])

    async def _ask_contexts(self) -> None:
        """What comes with them of the listing is told at once, for a delisted coin's positions end without a print."""
        markets, contexts = await self._http.contexts()
        events: list[Event] = [self._listed()] if self._listing.learn(markets) else []
        now_ms = self._clock.now_ms()
        events += [
            MarketContextChanged(known_at_ms=now_ms, context=context)
            for context in contexts
            if context.symbol in self._listing.symbols
        ]
        if events:
            await self._bus.publish(events)

    def _listed(self) -> MarketsListed:
        return MarketsListed(known_at_ms=self._clock.now_ms(), markets=tuple(self._listing.markets))
