"""After a gap the venue's bars are asked how many prints were missed, once, and their answer waits for our own tape."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from market_scraper.collectors.gap_counts import COINS, WAIT_MS, GapCounts
from market_scraper.domain.audit import MINUTE_MS
from market_scraper.domain.errors import SourceError
from market_scraper.domain.market import Candle
from market_scraper.domain.positions import TapeGap
from market_scraper.domain.rehearsal import COUNTED_AFTER
from market_scraper.domain.values import Interval, Symbol
from tests.facts import BTC
from tests.fakes import FakeHttp, settle
from tests.unit.domain.watched import Watched, stored

LAG_MS = 900
"""The tape is that far behind the venue's clock."""


class Counting:
    """A watch that has just had a gap of 20 s, a venue that can be asked for bars, and who asks."""

    def __init__(self) -> None:
        self.world = Watched(stored())
        for _ in range(COUNTED_AFTER + 1):
            self.world.trade(20)
            self.world.learned()
        self.world.be_away(20)
        self.world.subscribe()
        self.http = FakeHttp()
        self.http.bars = lambda *_: [self.bar]
        self.bar = Candle(t_ms=self.minute_ms, o=1.0, h=1.0, l=1.0, c=1.0, v=1.0, n=900)
        self.late_ms = LAG_MS
        self.counted = 0
        watches = {BTC: self.world.watch}
        self.counts = GapCounts(
            self.http, watches, venue_now_ms=lambda: self.world.now_ms + self.late_ms, on_counted=self._note
        )

    @property
    def gap(self) -> TapeGap:
        """The only one."""
        (gap,) = self.world.watch.tape.gaps
        return gap

    def is_counted(self) -> bool:
        """Whether it has its own pace."""
        return self.gap.pace is not None

    @property
    def minute_ms(self) -> int:
        """In which it began."""
        return self.gap.since_ms // MINUTE_MS * MINUTE_MS

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """While somebody asks."""
        running = asyncio.create_task(self.counts.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _note(self) -> None:
        self.counted += 1


async def test_a_gap_is_counted_as_soon_as_the_tape_has_come_up_to_the_answer() -> None:
    it = Counting()
    async with it.asking():
        it.counts.gapped(BTC, it.gap)
        await settle()
        assert it.http.asked == [("urgent candles", BTC, Interval.M1, it.minute_ms, it.world.now_ms + LAG_MS)]
        it.counts.tick()
        assert not it.is_counted(), "prints that our tape has not brought yet would count as missed"
        it.world.trade(4)
        it.counts.tick()
    assert it.is_counted()
    assert it.counted == 1


async def test_without_an_answer_the_forecast_holds_and_the_next_gap_is_asked_for() -> None:
    it = Counting()
    it.http.bars = lambda *_: SourceError("hyperliquid", "429 Too Many Requests", retry_after_s=10.0)
    async with it.asking():
        it.counts.gapped(BTC, it.gap)
        await settle()
        it.http.bars = lambda *_: [it.bar]
        it.world.trade(4)
        it.counts.tick()
        assert not it.is_counted()
        it.counts.gapped(BTC, it.gap)
        await settle()
    assert len(it.http.asked) == 2


async def test_a_halt_is_told_by_no_count() -> None:
    """What it hid was off the tape: that no print was missed says nothing of it."""
    it = Counting()
    async with it.asking():
        it.counts.gapped(BTC, it.gap)
        it.counts.forget(BTC)
        await settle()
        it.counts.gapped(BTC, it.gap)
        await settle()
        it.counts.forget(BTC)
        it.world.trade(4)
        it.counts.tick()
        assert not it.is_counted()
        it.counts.gapped(BTC, it.gap)
        await settle()
        it.world.watch.halt(it.world.now_ms)
        it.world.trade(4)
        it.counts.tick()
    assert not it.is_counted()


async def test_an_answer_that_the_tape_never_comes_up_to_is_dropped() -> None:
    it = Counting()
    async with it.asking():
        it.counts.gapped(BTC, it.gap)
        await settle()
        it.late_ms += WAIT_MS + 1
        it.counts.tick()
        it.world.trade(40)
        it.counts.tick()
    assert not it.is_counted()


async def test_short_gaps_and_those_of_many_coins_are_not_worth_the_weight() -> None:
    it = Counting()
    watches = {Symbol(f"C{i}"): it.world.watch for i in range(COINS + 3)}
    counts = GapCounts(it.http, watches, venue_now_ms=lambda: it.world.now_ms, on_counted=lambda: None)
    running = asyncio.create_task(counts.run())
    counts.gapped(Symbol("C0"), TapeGap(it.gap.until_ms - 1_500, it.gap.until_ms))
    for symbol in list(watches)[1:]:
        counts.gapped(symbol, it.gap)
    await settle()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [asked[1] for asked in it.http.asked] == ["C1", "C2", "C3"]
