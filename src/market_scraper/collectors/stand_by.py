"""The tape while another process publishes it: heard all the same, so that taking over is no gap."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog

from market_scraper.collectors.markets import Listing
from market_scraper.collectors.tape_sockets import TapeSockets
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.events import MarketsListed
from market_scraper.domain.held import HeldTape
from market_scraper.domain.rules import PositionRules
from market_scraper.domain.values import Symbol
from market_scraper.domain.watch import CoinWatch, Fact
from market_scraper.ports.bus import Bus, Inbox
from market_scraper.ports.clock import Clock
from market_scraper.ports.reporting import Detail, Reporter
from market_scraper.ports.sources import VenueHttp, VenueSockets

log = structlog.get_logger(__name__)

TICK_S = 0.1
REPORT_S = 2.0
LIST_AGAIN_S = 10.0
"""A listing that failed is asked for again after this long; without it no size on the tape can be read."""


class StandBy:
    """Owns the tape's sockets for as long as its process runs: it hears them itself, or lends them to who counts.

    It publishes nothing. Of REST it asks for the listing alone (weight 20 a dex, once, and again when a followed coin
    is listed). `reporter` is its own, never a connector's. `run` may end and begin anew; what is lent stays lent.
    """

    def __init__(
        self,
        *,
        http: VenueHttp,
        sockets: VenueSockets,
        bus: Bus,
        clock: Clock,
        reporter: Reporter,
        listing: Listing,
        rules: PositionRules,
    ) -> None:
        self._http = http
        self._bus = bus
        self._clock = clock
        self._reporter = reporter
        self._listing = listing
        self._window_ms = rules.join_window_ms
        self._held: dict[Symbol, HeldTape] = {}
        self._lent = False
        self.tape = TapeSockets(
            sockets,
            self._held,
            clock,
            count=rules.tape_sockets,
            on_facts=_nothing_of_facts,
            on_interval_ended=_nothing,
        )

    async def run(self) -> None:
        """Listen until cancelled."""
        async with self._bus.follow(MarketsListed) as inbox:
            await self._list()
            self._hold_all()
            async with self.tape, asyncio.TaskGroup() as tasks:
                tasks.create_task(self._tick(), name="stand-by-tick")
                tasks.create_task(self._follow_listing(inbox), name="stand-by-listing")

    @contextmanager
    def lend(
        self,
        watches: Mapping[Symbol, CoinWatch],
        *,
        on_facts: Callable[[Sequence[Fact]], None],
        on_interval_ended: Callable[[], None],
    ) -> Iterator[None]:
        """Let these hear from now on: each first hears, at once, what was held since the mark that it began with.

        At the end the tapes come back and are held from where they stand then, and the watches stand still. After an
        exception nobody knows what their tapes are worth, and all begins anew.
        """
        assert not self._lent, "one life at a time"
        self._lent = True
        sound = False
        try:
            held, self._held = self._held, {}
            now_s, now_ms = self._clock.monotonic(), self._clock.now_ms()
            for symbol, watch in watches.items():
                if symbol in held:
                    on_facts(watch.take_over(held[symbol], now_s=now_s, known_at_ms=now_ms))
            self.tape.hand_to(watches, on_facts=on_facts, on_interval_ended=on_interval_ended)
            yield
            sound = True
        except asyncio.CancelledError:
            sound = True
            raise
        finally:
            self._take_back(watches, sound=sound)

    def _take_back(self, watches: Mapping[Symbol, CoinWatch], *, sound: bool) -> None:
        held = {symbol: watch.hand_on() for symbol, watch in watches.items()}
        self._held = held if sound else {symbol: self._anew(symbol) for symbol in watches}
        self._lent = False
        self.tape.hand_to(self._held, on_facts=_nothing_of_facts, on_interval_ended=_nothing)
        if not sound:
            self.tape.renew_all()
        self._hold_all()

    def detail(self) -> Detail:
        """Sockets that are connected, and, unless they are lent, what is held and since when all of it is whole."""
        begun = [held.whole_from_ms for held in self._held.values()]
        since = [ms for ms in begun if ms is not None]
        return {
            "sockets": self.tape.connected,
            "lent": self._lent,
            "coins": len(self._held),
            "held_prints": sum(map(len, self._held.values())),
            "whole_since_ms": max(since) if since and len(since) == len(begun) else None,
        }

    # -- listening -----------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        reported_s = self._clock.monotonic()
        while True:
            await self._clock.sleep(TICK_S)
            self.tape.tick()
            if self._clock.monotonic() - reported_s >= REPORT_S:
                reported_s = self._clock.monotonic()
                if self.tape.connected:
                    self._reporter.ok(self.detail())
                else:
                    self._reporter.failed("no tape socket is connected", detail=self.detail())

    async def _list(self) -> None:
        """Learn what a lot is; ask until the venue says."""
        while not self._listing.markets:
            try:
                self._listing.learn(await self._http.markets())
            except SourceError as error:
                self._reporter.failed(str(error), told=True)
                await self._clock.sleep(max(LIST_AGAIN_S, error.retry_after_s or 0.0))
            except InvalidInput as error:
                self._reporter.failed(f"unreadable listing: {error}")
                await self._clock.sleep(LIST_AGAIN_S)
            else:
                if not self._listing.markets:
                    self._reporter.failed(f"not listed by the venue: {', '.join(self._listing.missing)}")
                    await self._clock.sleep(LIST_AGAIN_S)

    async def _follow_listing(self, inbox: Inbox) -> None:
        """Hear from the active process when a coin that was missing is listed, and listen to it too."""
        while True:
            for envelope in await inbox.take():
                event = envelope.event
                assert isinstance(event, MarketsListed)
                if self._lent:  # then this process lists by itself
                    continue
                missing = self._listing.missing
                if any(market.symbol in missing for market in event.markets):
                    try:
                        self._listing.learn(await self._http.markets())
                    except (SourceError, InvalidInput) as error:
                        log.warning("listing_not_learned", reason=str(error))
                self._hold_all()

    def _hold_all(self) -> None:
        """Listen to every coin that is listed."""
        if self._lent:
            return
        for market in self._listing.markets:
            if market.symbol not in self._held:
                self._held[market.symbol] = self._anew(market.symbol)
                self.tape.follow(market.symbol)

    def _anew(self, symbol: Symbol) -> HeldTape:
        return HeldTape(symbol, join_window_ms=self._window_ms)


def _nothing_of_facts(_facts: Sequence[Fact]) -> None:
    """Who stands by has nothing to say."""


def _nothing() -> None:
    """Likewise."""
