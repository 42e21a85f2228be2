"""Everything worth keeping on its way from the bus to the store, acknowledged once it is stored."""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from market_scraper.domain.classes import is_busy
from market_scraper.domain.events import (
    CandlesClosed,
    Event,
    LeaderboardCaptured,
    PositionChanged,
    ReadingsTaken,
    SignalGenerated,
    TapeAdvanced,
    TapeGapped,
    TraderChosen,
    TraderSignalGenerated,
    TradersRated,
    key_of,
)
from market_scraper.domain.rules import ClassRules
from market_scraper.domain.values import Symbol
from market_scraper.ports.bus import Envelope, Inbox
from market_scraper.ports.clock import Clock
from market_scraper.ports.stores import (
    CandleRow,
    LeaderboardPart,
    PositionRow,
    PositionStateRow,
    ReadingRow,
    Row,
    RowSink,
    SignalRow,
    Store,
    TapeMarkRow,
    TraderSignalRow,
)
from market_scraper.processors.consume import Delays, park
from market_scraper.processors.position_history import PositionHistory
from market_scraper.processors.tracking import Tracking

PERSISTER = "persister"
"""The group's name on the bus: what it has acknowledged is in the store, or in the spill on its way there."""

PERSISTED: tuple[type[Event], ...] = (
    PositionChanged,
    TapeAdvanced,
    TapeGapped,
    CandlesClosed,
    LeaderboardCaptured,
    TradersRated,
    TraderChosen,
    SignalGenerated,
    TraderSignalGenerated,
    ReadingsTaken,
)
"""The kinds that a persister's inbox must be subscribed to."""


class Persister:
    """Turns events into rows, in the bus's order, so that a tape mark is stored after every fact up to it.

    `known_at` of what is stored is never before its `t` and never falls within a key.
    """

    def __init__(
        self, inbox: Inbox, sink: RowSink, *, clock: Clock, delays: Delays, classes: ClassRules | None = None
    ) -> None:
        self._inbox = inbox
        self._sink = sink
        self._clock = clock
        self._delays = delays
        self._classes = ClassRules() if classes is None else classes
        self._tracking = Tracking()
        self._history = PositionHistory()
        self._known_at_ms: dict[str, int] = {}

    async def load(self, store: Store, symbols: Sequence[Symbol]) -> None:
        """Remember from the store who is tracked and what was newest; once, before `run`."""
        await self._tracking.load(store.traders, store.settings)
        for symbol in symbols:
            async for positions in store.positions.states(symbol):
                self._history.remember(positions)

    async def run(self) -> None:
        """Store until cancelled; what was taken and not put goes back to the inbox then."""
        while True:
            batch = await self._inbox.take()
            try:
                await self._store(batch)
            except BaseException:
                self._inbox.retry(batch)
                raise

    async def _store(self, batch: Sequence[Envelope]) -> None:
        rows: list[Row] = []
        fine: list[Envelope] = []
        for envelope in batch:
            try:
                rows += self.rows_of(envelope.event)
            except Exception as error:  # pure code: it would fail the same way again
                await park(self._inbox, envelope, error, clock=self._clock, delays=self._delays)
            else:
                fine.append(envelope)
        acknowledge: Callable[[], None] = partial(self._inbox.ack, fine)
        if rows:
            await self._sink.put(rows, acknowledge)
        else:
            acknowledge()

    def rows_of(self, event: Event) -> list[Row]:
        """What is kept of one event."""
        match event:
            case PositionChanged():
                return self._position_rows(event)
            case TapeAdvanced():
                return [TapeMarkRow(mark=event.mark)]
            case TapeGapped():
                known_at_ms = self._known_at(event, event.mark.watermark_ms)
                gapped = self._history.gapped(event.mark, known_at_ms, self._tracking.tracked)
                return [*(PositionRow(changed=changed) for changed in gapped), TapeMarkRow(mark=event.mark)]
            case CandlesClosed():
                return [CandleRow(symbol=event.symbol, interval=event.interval, candle=c) for c in event.candles]
            case LeaderboardCaptured():
                return [
                    LeaderboardPart(
                        captured_at_ms=event.captured_at_ms,
                        known_at_ms=self._known_at(event, event.captured_at_ms),
                        part=event.part,
                        parts=event.parts,
                        rows=event.rows,
                    )
                ]
            case TradersRated():
                return self._tracking.rated(event, self._known_at(event, event.captured_at_ms))
            case TraderChosen():
                return self._tracking.chosen(event, self._known_at(event, 0))
            case SignalGenerated(signal=signal):
                known_at_ms = max(self._known_at(event, signal.t_ms), signal.known_at_ms)
                return [SignalRow(signal=msgspec.structs.replace(signal, known_at_ms=known_at_ms))]
            case TraderSignalGenerated(signal=act):
                known_at_ms = max(self._known_at(event, act.t_ms), act.known_at_ms)
                return [TraderSignalRow(signal=msgspec.structs.replace(act, known_at_ms=known_at_ms))]
            case ReadingsTaken(readings=readings):
                return [ReadingRow(reading=reading) for reading in readings]
            case _:
                return []

    def _position_rows(self, event: PositionChanged) -> list[Row]:
        known_at_ms = self._known_at(event, event.after.t_ms)
        if known_at_ms != event.known_at_ms:
            event = msgspec.structs.replace(event, known_at_ms=known_at_ms)
        state = PositionStateRow(position=event.after, known_at_ms=known_at_ms)
        trader = event.after.trader
        thin = trader in self._tracking.market_makers or is_busy(event.after, self._classes)
        is_kept = self._history.changed(event, thin=thin)
        return [PositionRow(changed=event), state] if is_kept and trader in self._tracking.tracked else [state]

    def _known_at(self, event: Event, t_ms: int) -> int:
        """When it was known: not before `t_ms`, nor before what was earlier in its key (clocks are set back)."""
        key = key_of(event)
        known_at_ms = max(event.known_at_ms, t_ms, self._known_at_ms.get(key, 0))
        self._known_at_ms[key] = known_at_ms
        return known_at_ms
