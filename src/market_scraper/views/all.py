"""All views together: filled from the store, kept by the bus."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog

from market_scraper.domain.claims import EXACT_MAX_AGE_MS
from market_scraper.domain.crosscheck import RECENT_DAYS
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.events import (
    CandleFormed,
    CandlesClosed,
    ComponentReported,
    Event,
    MarketContextChanged,
    MarketsListed,
    PositionChanged,
    ReadingsTaken,
    SignalGenerated,
    TapeAdvanced,
    TapeGapped,
    TraderChosen,
    TradersRated,
)
from market_scraper.domain.rules import InferenceRules
from market_scraper.domain.traders import Choice
from market_scraper.domain.values import Address, Symbol, parse_address
from market_scraper.ports.bus import Bus, Inbox
from market_scraper.ports.clock import Clock
from market_scraper.ports.stores import CHOICE_PREFIX, SettingReader, Store
from market_scraper.views.health import LiveHealth
from market_scraper.views.held import Held
from market_scraper.views.markets import LiveMarkets
from market_scraper.views.onchain import LiveOnChain
from market_scraper.views.positions import LivePositions
from market_scraper.views.signals import LiveSignals
from market_scraper.views.traders import LiveTraders, Rate

log = structlog.get_logger(__name__)

FOLLOWED: tuple[type[Event], ...] = (
    PositionChanged,
    TapeAdvanced,
    TapeGapped,
    CandlesClosed,
    CandleFormed,
    MarketsListed,
    MarketContextChanged,
    TradersRated,
    TraderChosen,
    SignalGenerated,
    ReadingsTaken,
    ComponentReported,
)
"""The kinds that the views live on."""

_TOLD_ANEW = (CandlesClosed, CandleFormed, ComponentReported)

RETAINED = tuple(kind for kind in FOLLOWED if kind not in _TOLD_ANEW)
"""Those of them that a new view takes from what the bus holds: bars and health are told anew every moment."""


class LiveViews:
    """Implements `ports.views.Views`.

    Enter `following` before anyone publishes, then keep `run` running on the inbox that it gives.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        rate: Rate,
        inference: InferenceRules | None = None,
        exact_max_age_ms: int = EXACT_MAX_AGE_MS,
        required: Sequence[str] = (),
    ) -> None:
        """`rate` rates the stored leaderboard; `required` names the components that readiness asks for."""
        self._rate = rate
        self._traders = LiveTraders()
        self._positions = LivePositions(clock, self._traders, inference=inference, exact_max_age_ms=exact_max_age_ms)
        self._markets = LiveMarkets()
        self._signals = LiveSignals()
        self._health = LiveHealth(clock, required)
        self._onchain = LiveOnChain(clock, self._health.get)
        self._caught_up: set[int] = set()  # numbers of events that were applied before the inbox gave them
        self._caught_up_to = 0  # the highest of them

    @property
    def positions(self) -> LivePositions:
        return self._positions

    @property
    def traders(self) -> LiveTraders:
        return self._traders

    @property
    def markets(self) -> LiveMarkets:
        return self._markets

    @property
    def signals(self) -> LiveSignals:
        return self._signals

    @property
    def onchain(self) -> LiveOnChain:
        return self._onchain

    @property
    def health(self) -> LiveHealth:
        return self._health

    @asynccontextmanager
    async def following(self, bus: Bus, store: Store, symbols: Sequence[Symbol]) -> AsyncIterator[Inbox]:
        """Listen first, see what the bus still holds, and load then, so that nothing is missed.

        What others published before this may wait, unstored, in the persister's buffer: until it is stored, the bus
        holds it. Read in this order, what leaves the bus meanwhile is in the store.
        """
        async with bus.follow(*FOLLOWED) as inbox:
            held = Held()
            async for envelopes in bus.retained(*RETAINED):
                held.add(envelopes)
            await self.load(store, symbols)
            for event in held.events():
                self._try(event)
            self._caught_up, self._caught_up_to = held.seqs, max(held.seqs, default=0)
            yield inbox

    async def run(self, inbox: Inbox) -> None:
        """Apply what comes, until cancelled. May be run again on the same inbox."""
        while True:
            envelopes = await inbox.take()
            for envelope in envelopes:
                if envelope.seq not in self._caught_up:
                    self._try(envelope.event)
            if self._caught_up and envelopes[-1].seq > self._caught_up_to:
                self._caught_up = set()

    def _try(self, event: Event) -> None:
        try:
            self.apply(event)
        except Exception as error:  # a mistake of ours in one event must not stop all answers
            log.error("view_failed", kind=type(event).__name__, exc_info=error)

    async def load(self, store: Store, symbols: Sequence[Symbol]) -> None:
        """Fill from the store; what came over the bus already and is newer stays."""
        self._positions.collect(symbols)
        marks = await store.positions.marks()
        for symbol in symbols:
            self._positions.restore(marks.get(symbol), symbol)
            async for positions in store.positions.states(symbol):
                self._positions.put(positions)
            if (signal := await store.signals.latest(symbol)) is not None:
                self._signals.put(signal)
        self._onchain.put(await store.readings.recent(days=RECENT_DAYS))
        choices = await stored_choices(store.settings)
        captured_at_ms, rows = await store.traders.latest_rows() or (None, [])
        self._traders.restore(choices, captured_at_ms, self._rate(rows, choices))

    def apply(self, event: Event) -> None:
        """Take the next event, in the bus's order."""
        match event:
            case PositionChanged() | TapeAdvanced() | TapeGapped():
                self._positions.apply(event)
            case MarketContextChanged():
                self._markets.apply(event)
                self._positions.apply(event)
            case MarketsListed() | CandleFormed() | CandlesClosed():
                self._markets.apply(event)
            case TradersRated() | TraderChosen():
                self._traders.apply(event)
            case SignalGenerated():
                self._signals.put(event.signal)
            case ReadingsTaken():
                self._onchain.put(event.readings)
            case ComponentReported():
                self._health.apply(event)
            case _:
                pass  # not shown


async def stored_choices(settings: SettingReader) -> dict[Address, Choice]:
    """Whom the user had tracked or left out by hand; what is none of ours is logged and left out."""
    choices = {}
    for key, value in (await settings.with_prefix(CHOICE_PREFIX)).items():
        try:
            choices[parse_address(key.removeprefix(CHOICE_PREFIX))] = Choice(value)
        except (InvalidInput, ValueError):
            log.warning("stored_choice_ignored", key=key)
    return choices
