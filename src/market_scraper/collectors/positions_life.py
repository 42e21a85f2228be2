"""One life of the positions collector: performs what tape, ledger and planner decide."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import structlog

from market_scraper.collectors.asking import Asker
from market_scraper.collectors.figures import Figures
from market_scraper.collectors.gap_counts import GapCounts
from market_scraper.collectors.outbox import Outbox
from market_scraper.collectors.stand_by import StandBy
from market_scraper.collectors.tape_sockets import TapeSockets
from market_scraper.collectors.user_slots import UserSlots
from market_scraper.domain.audit import MinuteAudit
from market_scraper.domain.errors import Fenced
from market_scraper.domain.events import (
    CandlesClosed,
    Event,
    MarketContextChanged,
    MarketsListed,
    TapeAdvanced,
    TapeGapped,
    TradersRated,
)
from market_scraper.domain.market import Market, MarketContext
from market_scraper.domain.positions import Cause, PositionState, TapeMark
from market_scraper.domain.prefix import Prefix
from market_scraper.domain.rules import PositionRules
from market_scraper.domain.traders import RatedTrader
from market_scraper.domain.values import Interval, Symbol
from market_scraper.domain.watch import CoinWatch, Fact
from market_scraper.ports.bus import Bus, Inbox
from market_scraper.ports.clock import Clock
from market_scraper.ports.reporting import Reporter
from market_scraper.ports.sources import VenueHttp, VenueSockets

log = structlog.get_logger(__name__)

ADVANCE_S = 0.25
"""How often at most the watermark is told."""

TICK_S = 0.1
REPORT_S = 2.0
LEARN_S = 20.0
Load = Callable[[Sequence[Symbol]], Awaitable[dict[Symbol, Prefix]]]
"""Gives where these coins stand, stored or published."""

ASKERS = 16
"""Requests under way at once: after a gap 150 matter at once, and at 0.2 s each they are asked within 2 s."""


class PositionsLife:
    """One run's state and tasks."""

    def __init__(
        self,
        http: VenueHttp,
        sockets: VenueSockets,
        bus: Bus,
        clock: Clock,
        reporter: Reporter,
        rules: PositionRules,
        load: Load,
        stand_by: StandBy | None,
    ) -> None:
        self._load = load
        self._stand_by = stand_by
        self._bus = bus
        self._clock = clock
        self._reporter = reporter
        self._rules = rules
        self._sockets = sockets
        self._watches: dict[Symbol, CoinWatch] = {}
        self._audits: dict[Symbol, MinuteAudit] = {}
        self._delisted: set[Symbol] = set()
        self._outbox = Outbox()
        self._tell_now = asyncio.Event()
        self._handing: asyncio.Future[None] | None = None  # what is being published
        self._told: dict[Symbol, TapeMark] = {}
        self._heard_from_ms: dict[Symbol, int] = {}  # this life counts prints from here on
        self._asker = Asker(
            http,
            self._watches,
            clock,
            on_facts=self._take,
            venue_now_ms=self._venue_now_ms,
            weight_per_minute=rules.rest_weight_per_minute,
            on_stamp=self._note_stamp,
        )
        self._counts = GapCounts(http, self._watches, venue_now_ms=self._venue_now_ms, on_counted=self._tell_soon)
        self._tape = (
            TapeSockets(
                sockets,
                self._watches,
                clock,
                count=rules.tape_sockets,
                on_facts=self._take,
                on_interval_ended=self._tell_soon,
            )
            if stand_by is None
            else stand_by.tape
        )
        self._figures = Figures(
            self._watches,
            self._audits,
            self._asker,
            self._tape,
            self._outbox,
            clock,
            weight_budget=rules.rest_weight_per_minute,
        )

    def follows(self, symbol: Symbol) -> bool:
        """Whether the coin is watched."""
        return symbol in self._watches

    def take_up_ratings(self, traders: Sequence[RatedTrader], known_at_ms: int) -> None:
        """Know who matters before the first coin is followed."""
        if traders:
            self._asker.worth.hear_ratings(
                TradersRated(known_at_ms=known_at_ms, captured_at_ms=0, part=0, parts=1, traders=tuple(traders))
            )

    async def follow(self, markets: Sequence[Market]) -> None:
        """Watch these coins, taking up where what was published of them stands."""
        found = await self._load([market.symbol for market in markets])
        for market in markets:
            prefix = found[market.symbol]
            mark = prefix.mark
            self._heard_from_ms[market.symbol] = 0 if mark is None else mark.watermark_ms
            audit = self._audits[market.symbol] = MinuteAudit(market.sz_decimals)
            watch = self._watches[market.symbol] = CoinWatch(
                market,
                self._rules,
                mark=mark,
                positions=prefix.positions.values(),
                on_prints=audit.count,
                on_verdict=self._asker.hear_verdict,
            )
            self._asker.take_up(watch)
            self._note_listing(market)

    def distrust(self, since_ms: int) -> None:
        """Begin a new whole stretch everywhere, behind a gap since then; a halted market begins one when it is back."""
        for watch in self._watches.values():
            self._take(watch.distrust(since_ms, self._clock.now_ms()))

    async def run(self, inbox: Inbox) -> None:
        """Run until cancelled; whatever is pending then is still published, and behind it how far the tape is whole.

        After a crash no last mark is told: what broke may have lost facts that the tape has counted. Once the bus has
        refused us nothing is told any more, and this returns.
        """
        slots = UserSlots(self._sockets, slots=self._rules.user_slots, on_snapshot=self._asker.hear)
        try:
            async with self._hearing(), slots:
                try:
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._publish(), name="positions-publish")
                        tasks.create_task(self._tick(slots), name="positions-tick")
                        tasks.create_task(self._follow_bus(inbox, slots), name="positions-bus")
                        tasks.create_task(self._figures.take_census(), name="positions-census")
                        tasks.create_task(self._counts.run(), name="positions-gap-counts")
                        for i in range(ASKERS):
                            tasks.create_task(self._asker.run(), name=f"positions-ask-{i}")
                except* Fenced:
                    log.info("positions_fenced", facts_dropped=len(self._outbox))
        except asyncio.CancelledError:
            with suppress(Fenced):
                if self._handing is not None:
                    await self._handing
                await self._bus.publish(self._batch(final=True))
            raise
        finally:
            if self._handing is not None:
                await asyncio.gather(self._handing, return_exceptions=True)

    @asynccontextmanager
    async def _hearing(self) -> AsyncIterator[None]:
        """Hear the tape: over sockets of our own, or over those of the stand-by, with what it held."""
        if self._stand_by is None:
            async with self._tape:
                yield
        else:
            with self._stand_by.lend(self._watches, on_facts=self._take, on_interval_ended=self._tell_soon):
                yield

    # -- facts out -----------------------------------------------------------------------------------------------

    def _take(self, facts: Sequence[Fact]) -> None:
        self._outbox.extend(facts)
        for fact in facts:
            if isinstance(fact, TapeGapped):
                gap = fact.mark.gaps[-1]
                log.warning(
                    "tape_gap",
                    symbol=fact.mark.symbol,
                    since_ms=gap.since_ms,
                    seconds=(gap.until_ms - gap.since_ms) / 1000,
                )
                self._figures.gapped(fact.mark.symbol, gap)
                self._counts.gapped(fact.mark.symbol, gap)
                self._asker.want_everyone(self._watches[fact.mark.symbol])
                self._tell_soon()
            elif fact.cause is Cause.PRINT:
                after = fact.after
                dex = self._watches[after.symbol].market.dex
                self._asker.seen(after.trader, dex, is_unknown=after.state is PositionState.UNKNOWN)
            else:
                self._figures.corrected(fact)
                if fact.cause is Cause.LATE:
                    self._asker.want(fact.after.trader, self._watches[fact.after.symbol].market.dex)

    def _tell_soon(self) -> None:
        self._tell_now.set()
        self._outbox.wake()

    async def _publish(self) -> None:
        """Facts as they come; the watermark every `ADVANCE_S`, and at once when an interval has ended."""
        told_s = self._clock.monotonic()
        while True:
            wait_s = max(0.0, told_s + ADVANCE_S - self._clock.monotonic())
            try:
                async with self._clock.timeout(wait_s):
                    await self._outbox.filled()
            except TimeoutError:
                pass
            is_due = self._tell_now.is_set() or self._clock.monotonic() - told_s >= ADVANCE_S
            batch = self._batch(final=False) if is_due else self._outbox.take_now()
            if is_due:
                told_s = self._clock.monotonic()
                self._tell_now.clear()
            if batch:
                # Shielded: behind half a batch, the last mark of a cancelled life would be a lie.
                self._handing = asyncio.ensure_future(self._bus.publish(batch))
                await asyncio.shield(self._handing)

    def _batch(self, *, final: bool) -> list[Event]:
        """All pending facts, and behind them how far each tape is whole: both from one moment."""
        batch: list[Event] = list(self._outbox.take_now())
        now_ms = self._clock.now_ms()
        for symbol, watch in self._watches.items():
            mark = watch.mark()
            if mark is not None and (final or mark != self._told.get(symbol)):
                self._told[symbol] = mark
                batch.append(
                    TapeAdvanced(
                        known_at_ms=watch.ledger.known_at(max(now_ms, mark.watermark_ms)),
                        mark=mark,
                        venue_offset_ms=self._tape.offset.at_most_ms,
                    )
                )
        return batch

    # -- time and news -------------------------------------------------------------------------------------------

    async def _tick(self, slots: UserSlots) -> None:
        reported_s = learned_s = self._clock.monotonic()
        while True:
            await self._clock.sleep(TICK_S)
            if self._stand_by is None:  # which looks after them itself
                self._tape.tick()
            self._counts.tick()
            now_s = self._clock.monotonic()
            if now_s - reported_s >= REPORT_S:
                reported_s = now_s
                self._compare_minutes()
                self._figures.look_at_windows()
                self._report(slots)
            if now_s - learned_s >= LEARN_S:
                learned_s = now_s
                for watch in self._watches.values():
                    watch.learn_rates()
                self._give(slots)

    async def _follow_bus(self, inbox: Inbox, slots: UserSlots) -> None:
        while True:
            for envelope in await inbox.take():
                match envelope.event:
                    case TradersRated() as rated if self._asker.worth.hear_ratings(rated):
                        self._asker.want_ranked()
                        self._give(slots)
                    case MarketsListed() as listed:
                        for market in listed.markets:
                            if market.symbol in self._watches:
                                self._note_listing(market)
                            else:  # listed later than the others
                                await self.follow([market])
                                self._tape.follow(market.symbol)
                    case MarketContextChanged() as changed:
                        self._note_context(changed.context)
                    case CandlesClosed() as closed if closed.interval is Interval.M1:
                        audit = self._audits.get(closed.symbol)
                        if audit is not None:
                            for bar in closed.candles:
                                audit.hear(bar)

    def _give(self, slots: UserSlots) -> None:
        slots.give(self._asker.worth.voters, sorted({watch.market.dex for watch in self._watches.values()}))

    def _note_listing(self, market: Market) -> None:
        watch = self._watches.get(market.symbol)
        if watch is None:
            return
        if market.is_delisted:
            self._delisted.add(market.symbol)
            self._halt(watch)
        else:
            self._delisted.discard(market.symbol)

    def _note_context(self, context: MarketContext) -> None:
        watch = self._watches.get(context.symbol)
        if watch is None:
            return
        if self._asker.worth.hear_open_interest(context.symbol, context.open_interest * 10**watch.market.sz_decimals):
            self._asker.reweigh()
        if context.open_interest <= 0:
            self._halt(watch)
        elif watch.is_halted and context.symbol not in self._delisted:
            self._take(watch.resume(self._clock.now_ms()))
            self._counts.forget(context.symbol)

    def _halt(self, watch: CoinWatch) -> None:
        if not watch.is_halted:
            self._figures.halted(watch.symbol)
        watch.halt(self._venue_now_ms())

    def _compare_minutes(self) -> None:
        for symbol, audit in self._audits.items():
            tape = self._watches[symbol].tape
            if tape.watermark_ms is None:
                continue
            whole_from_ms = max(tape.epoch_ms, self._heard_from_ms[symbol])
            for wrong in audit.compare(whole_from_ms=whole_from_ms, watermark_ms=tape.watermark_ms):
                log.warning(
                    "suspected_gap",
                    symbol=symbol,
                    minute_ms=wrong.minute_ms,
                    venue_prints=wrong.venue_prints,
                    our_prints=wrong.our_prints,
                )

    # -- health --------------------------------------------------------------------------------------------------

    def _venue_now_ms(self) -> int:
        return self._tape.venue_now_ms()

    def _note_stamp(self, stamp_ms: int) -> None:
        self._tape.offset.note_answer(stamp_ms, self._clock.now_ms())

    def _report(self, slots: UserSlots) -> None:
        """Well while every open market's watermark is young enough for exact claims, and accounts can be asked."""
        now_ms = self._venue_now_ms()
        late = [
            symbol
            for symbol, watch in self._watches.items()
            if not watch.is_halted
            and (watch.tape.watermark_ms is None or now_ms - watch.tape.watermark_ms > self._rules.exact_max_age_ms)
        ]
        detail = self._figures.detail(slots)
        if late:
            self._reporter.failed(f"the tape stands still: {', '.join(late)}", detail=detail)
        elif (reason := self._asker.failing) is not None:
            self._reporter.failed(f"accounts: {reason}", told=self._asker.told, detail=detail)
        else:
            self._reporter.ok(detail)
