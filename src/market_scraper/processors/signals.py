"""Turns tracked traders' positions into signals, and their acts into trader signals."""

import asyncio
from collections.abc import Sequence

from market_scraper.domain.acts import act_of
from market_scraper.domain.claims import EXACT_MAX_AGE_MS
from market_scraper.domain.classes import Classifier, class_in
from market_scraper.domain.electorate import Electorate, Rating
from market_scraper.domain.events import (
    Event,
    MarketContextChanged,
    PositionChanged,
    SignalGenerated,
    TapeAdvanced,
    TapeGapped,
    TraderChosen,
    TraderSignalGenerated,
    TradersRated,
    key_of,
)
from market_scraper.domain.prefix import Prefix, TapeEvent
from market_scraper.domain.rules import ClassRules, SignalRules
from market_scraper.domain.signals import Signal
from market_scraper.domain.traders import Choice, RatedTrader
from market_scraper.domain.values import Address, Symbol
from market_scraper.ports.bus import Bus
from market_scraper.ports.clock import Clock
from market_scraper.ports.stores import Store
from market_scraper.processors.compute import Outbox, compute, every_second
from market_scraper.processors.consume import Delays

EVENTS_A_TURN = 100
"""Some 20 ms when each is another block with 500 voters."""

SILENCE_CHECK_S = 1.0


class SignalGenerationProcessor:
    """Publishes `SignalGenerated` per symbol and `TraderSignalGenerated` for what tracked traders do.

    At the start it takes states, marks, ratings and the last signals from the store, so that a restart goes on with
    the same digits; nothing is told before the tape is heard again. Events of other symbols are ignored.
    """

    def __init__(
        self,
        bus: Bus,
        store: Store,
        clock: Clock,
        symbols: Sequence[Symbol],
        rules: SignalRules | None = None,
        classes: ClassRules | None = None,
        *,
        exact_max_age_ms: int = EXACT_MAX_AGE_MS,
        delays: Delays = every_second,
    ) -> None:
        self.opened = asyncio.Event()  # set when events are heard from
        self._bus = bus
        self._store = store
        self._clock = clock
        self._outbox = Outbox(bus, clock, delays)
        rules, now_ms = SignalRules() if rules is None else rules, clock.now_ms()
        self._electorates = {
            symbol: Electorate(
                symbol, rules, started_ms=now_ms, exact_max_age_ms=exact_max_age_ms, classifier=Classifier(classes)
            )
            for symbol in symbols
        }
        self._seen = dict.fromkeys(self._electorates, -1)  # the newest version that was applied, by symbol
        self._ratings: dict[Address, Rating] = {}
        self._by_hand: set[Address] = set()
        self._coming: dict[Address, Rating] = {}  # ratings of which more parts are to come
        self._next_part = 0

    async def run(self) -> None:
        """Take the stored state, then follow the bus, for ever."""
        async with self._bus.subscribe(
            "signals", PositionChanged, TapeAdvanced, TapeGapped, MarketContextChanged, TradersRated, TraderChosen
        ) as inbox:
            self.opened.set()
            await self._restore()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(
                    compute(inbox, self.apply, self.settle, self._outbox, limit=EVENTS_A_TURN), name="signals"
                )
                tasks.create_task(self._watch(), name="signals-silence")

    def apply(self, event: Event) -> None:
        """Take one event; what comes of it goes to the outbox."""
        match event:
            case PositionChanged():
                self._changed(event)
            case TapeAdvanced() if electorate := self._electorates.get(event.mark.symbol):
                self._tell(electorate.advanced(event))
            case TapeGapped() if electorate := self._electorates.get(event.mark.symbol):
                self._tell(electorate.gapped(event))
            case MarketContextChanged() if electorate := self._electorates.get(event.context.symbol):
                electorate.priced(event)
            case TradersRated():
                self._rated(event)
            case TraderChosen():
                self._chosen(event)
            case _:
                pass

    def settle(self, more_waiting: bool) -> None:
        """Tell what is pending, unless more of the same block may be waiting."""
        if not more_waiting:
            self._tell([electorate.settle() for electorate in self._electorates.values()])

    async def _restore(self) -> None:
        now_ms = self._clock.now_ms()
        self._ratings = {
            row.trader: Rating(row.score, row.account_value, class_in(row.tags))
            for row in await self._store.traders.scores_at(now_ms)
        }
        tracked = {row.trader: row for row in await self._store.traders.tracked()}
        self._by_hand = {trader for trader, row in tracked.items() if row.by_hand}
        self._ratings = {
            trader: self._ratings.get(trader, Rating(row.score, None, class_in(row.tags)))
            for trader, row in tracked.items()
        }
        prefixes, told = await self._held()
        marks = await self._store.positions.marks()
        for symbol, electorate in self._electorates.items():
            prefix = prefixes[symbol]
            prefix.move(marks.get(symbol))
            async for positions in self._store.positions.states(symbol):
                prefix.put_all(positions)
            stored = await self._store.signals.latest(symbol)
            last = max((one for one in (stored, told.get(symbol)) if one is not None), key=_when, default=None)
            electorate.resume(prefix.mark, last)
            electorate.restore(prefix.positions.values())
            electorate.rate(self._ratings, now_ms)

    async def _held(self) -> tuple[dict[Symbol, Prefix], dict[Symbol, Signal]]:
        """What is published and perhaps not stored yet: read it before the store, and nothing is missed."""
        prefixes = {symbol: Prefix() for symbol in self._electorates}
        told: dict[Symbol, Signal] = {}
        async for batch in self._bus.retained(PositionChanged, TapeAdvanced, TapeGapped, SignalGenerated):
            for envelope in batch:
                event = envelope.event
                if isinstance(event, SignalGenerated):
                    told[event.signal.symbol] = event.signal
                elif isinstance(event, TapeEvent) and (prefix := prefixes.get(Symbol(key_of(event)))) is not None:
                    prefix.apply(event)
        return prefixes, told

    async def _watch(self) -> None:
        """Say when a tape stands still; nothing else would."""
        while True:
            await self._clock.sleep(SILENCE_CHECK_S)
            now_ms = self._clock.now_ms()
            self._tell([electorate.silence(now_ms) for electorate in self._electorates.values()])
            await self._outbox.flush()

    def _changed(self, event: PositionChanged) -> None:
        after = event.after
        electorate = self._electorates.get(after.symbol)
        if electorate is None or after.version <= self._seen[after.symbol]:
            return  # not ours, or delivered again
        self._seen[after.symbol] = after.version
        self._tell([electorate.changed(event)])
        if after.trader in self._ratings and (act := act_of(event)) is not None:
            self._outbox.add([TraderSignalGenerated(known_at_ms=act.known_at_ms, signal=act)])

    def _rated(self, event: TradersRated) -> None:
        """Ratings count when the last part is in; parts come in order (one key on the bus)."""
        if event.part == 0:
            self._coming, self._next_part = {}, 0
        if event.part != self._next_part:
            return  # delivered again, or this round began before we listened: its successor will be whole
        self._coming.update((rated.row.trader, _rating(rated)) for rated in event.traders if rated.tracked)
        self._next_part += 1
        if self._next_part == event.parts:
            unranked = {trader: Rating(None, None) for trader in self._by_hand}
            self._vote(unranked | self._coming, event.known_at_ms)
            self._coming, self._next_part = {}, 0

    def _chosen(self, event: TraderChosen) -> None:
        """Follow the hand at once, for nobody else speaks for a trader who is not ranked."""
        if event.choice is Choice.TRACK:
            self._by_hand.add(event.trader)
            self._vote({event.trader: Rating(None, None)} | self._ratings, event.known_at_ms)
        else:
            self._by_hand.discard(event.trader)
            self._vote({t: r for t, r in self._ratings.items() if t != event.trader}, event.known_at_ms)

    def _vote(self, ratings: dict[Address, Rating], known_at_ms: int) -> None:
        self._ratings = ratings
        for electorate in self._electorates.values():
            electorate.rate(ratings, known_at_ms)

    def _tell(self, signals: Sequence[Signal | None]) -> None:
        told = [SignalGenerated(known_at_ms=one.known_at_ms, signal=one) for one in signals if one is not None]
        if told:
            self._outbox.add(told)


def _when(signal: Signal) -> int:
    return signal.t_ms


def _rating(rated: RatedTrader) -> Rating:
    return Rating(rated.score, rated.row.account_value, class_in(rated.tags))
