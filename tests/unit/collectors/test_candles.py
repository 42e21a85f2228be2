"""Candles: complete, closed, once, and cheap, on a venue that answers from its own clock."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from market_scraper.collectors.candles import FIRST, REACH, REPAIR_EVERY_S, CandlesCollector
from market_scraper.collectors.markets import Listing
from market_scraper.domain.errors import InvalidInput, SourceError, StoreUnreachable
from market_scraper.domain.events import CandleFormed, CandlesClosed, Event
from market_scraper.domain.market import Candle
from market_scraper.domain.values import Interval, Symbol
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.bus import Inbox
from market_scraper.ports.sources import CandleHeard
from market_scraper.ports.stores import CandleRow
from market_scraper.storage.memory import MemoryRepository
from tests.facts import BTC, ETH
from tests.fakes import FakeClock, FakeHttp, FakeReporter, FakeSockets, settle
from tests.unit.collectors.parts import market

M1 = Interval.M1
MINUTE = 60_000
START = 1_700_000_040_000  # a full minute


def bar(t_ms: int) -> Candle:
    return Candle(t_ms=t_ms, o=1.0, h=1.0, l=1.0, c=1.0, v=1.0, n=1)


class Venue:
    """Bars of one clock, ours off by `skew_ms`; `traded` says in which bars there were trades."""

    def __init__(self, *, skew_ms: int = 0, traded: Callable[[int], bool] = lambda _: True, past: int = 3) -> None:
        self.clock = FakeClock(START + skew_ms)
        self.skew_ms = skew_ms
        self.traded = traded
        self.began_ms = START - past * MINUTE
        self.fails: dict[Symbol, Exception] = {}
        self.symbols = [BTC]
        self.listing = Listing(self.symbols)
        self.http = FakeHttp()
        self.http.bars = self.answer
        self.sockets = FakeSockets()
        self.store = MemoryRepository()
        self.reporter = FakeReporter()
        self.closed: list[tuple[Symbol, Interval, int]] = []
        self.formed: list[Candle] = []
        self.too_early: list[int] = []
        self.silent = False  # no bars over the socket

    @property
    def now(self) -> int:
        return self.clock.now_ms() - self.skew_ms

    def answer(self, symbol: Symbol, interval: Interval, start_ms: int, end_ms: int) -> list[Candle] | Exception:
        if symbol in self.fails:
            return self.fails[symbol]
        step = interval.ms
        first = max(start_ms, self.began_ms, self.now - REACH * step)
        times = range(-(-first // step) * step, min(end_ms, self.now) + 1, step)
        return [bar(t_ms) for t_ms in times if self.traded(t_ms)]

    def asked(self, interval: Interval | None = None, symbol: Symbol | None = None) -> list[tuple[object, ...]]:
        return [q for q in self.http.asked if interval in (None, q[2]) and symbol in (None, q[1])]

    def times(self, interval: Interval = M1, symbol: Symbol = BTC) -> list[int]:
        return [t_ms for s, i, t_ms in self.closed if (s, i) == (symbol, interval)]

    async def pass_s(self, seconds: float) -> None:
        """Let time go by; the socket shows every forming bar that has trades each second."""
        for _ in range(round(seconds)):
            await self.clock.advance(1.0)
            if not self.silent and "candles" in self.sockets.open_now:
                for wanted in list(self.sockets["candles"].wanted):
                    symbol, interval = Symbol(str(wanted["coin"])), Interval(str(wanted["interval"]))
                    t_ms = self.now // interval.ms * interval.ms
                    if self.traded(t_ms) and symbol not in self.fails:
                        self.sockets["candles"].say(CandleHeard(symbol, interval, bar(t_ms)))

    def clock_frame(self, interval: Interval) -> None:
        """Some coin trades now."""
        t_ms = self.now // interval.ms * interval.ms
        self.sockets["candles"].say(CandleHeard(Symbol("SOL"), interval, bar(t_ms)))

    @asynccontextmanager
    async def collecting(self, *intervals: Interval) -> AsyncIterator[CandlesCollector]:
        if not self.listing.markets:
            self.listing.learn([market(symbol) for symbol in self.symbols])
        async with (
            MemoryBus(reserve_in_memory()) as bus,
            bus.subscribe("test", CandlesClosed, CandleFormed) as inbox,
        ):
            collector = CandlesCollector(
                http=self.http,
                sockets=self.sockets,
                bus=bus,
                store=self.store.candles,
                clock=self.clock,
                reporter=self.reporter,
                listing=self.listing,
                intervals=intervals or (M1,),
            )
            tasks = [asyncio.create_task(collector.run()), asyncio.create_task(self._keep(inbox))]
            await settle()
            try:
                yield collector
            finally:
                await settle()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, inbox: Inbox) -> None:
        while True:
            envelopes = await inbox.take()
            for event in (envelope.event for envelope in envelopes):
                await self._take(event)
            inbox.ack(envelopes)

    async def _take(self, event: Event) -> None:
        if isinstance(event, CandleFormed):
            self.formed.append(event.candle)
        elif isinstance(event, CandlesClosed):
            for candle in event.candles:
                if candle.t_ms + event.interval.ms > self.now:
                    self.too_early.append(candle.t_ms)
                self.closed.append((event.symbol, event.interval, candle.t_ms))
            await self.store.write(
                [CandleRow(symbol=event.symbol, interval=event.interval, candle=candle) for candle in event.candles]
            )


async def test_history_comes_first_then_each_bar_soon_after_its_end() -> None:
    venue = Venue(past=10)
    async with venue.collecting():
        await settle()
        assert venue.times() == [START - i * MINUTE for i in range(10, 1, -1)]  # the last has only just ended
        await venue.pass_s(64)
        assert venue.times()[-1] == START - MINUTE
        await venue.pass_s(4)
        assert venue.times()[-1] == START
        await venue.pass_s(300)
    assert venue.times() == [START + i * MINUTE for i in range(-10, 6)]
    assert venue.too_early == []


async def test_a_second_life_goes_on_at_the_newest_stored_bar() -> None:
    venue = Venue(past=10)
    await venue.store.write(
        [CandleRow(symbol=BTC, interval=M1, candle=bar(START - i * MINUTE)) for i in range(10, 4, -1)]
    )
    async with venue.collecting():
        await venue.pass_s(6)
    assert venue.times() == [START - i * MINUTE for i in (4, 3, 2, 1)]
    assert venue.asked()[0][3] == START - 4 * MINUTE


@pytest.mark.parametrize("skew_ms", [-7_200_000, -150_000, -61_000, -30_000, 30_000, 61_000, 150_000, 7_200_000])
@pytest.mark.parametrize("every", [1, 3])
async def test_no_forming_bar_is_stored_and_none_is_missed_however_wrong_our_clock_is(skew_ms: int, every: int) -> None:
    venue = Venue(skew_ms=skew_ms, traded=lambda t_ms: t_ms // MINUTE % every == 0)
    async with venue.collecting(M1, Interval.M5):
        await venue.pass_s(620)
    assert venue.too_early == []
    due = [t for t in range(START - 3 * MINUTE, START + 7 * MINUTE, MINUTE) if venue.traded(t)]
    assert venue.times()[: len(due)] == due
    assert len(set(venue.times())) == len(venue.times())
    fives = [t for t in (1_700_000_100_000, 1_700_000_400_000) if venue.traded(t)]
    assert set(venue.times(Interval.M5)) >= set(fives[:1])


async def test_the_last_bar_of_a_coin_that_falls_quiet_is_stored_without_a_later_one() -> None:
    venue = Venue(traded=lambda t_ms: t_ms <= START)
    async with venue.collecting():
        await venue.pass_s(59)
        assert START not in venue.times()
        await venue.pass_s(180)
    assert venue.times()[-1] == START
    assert venue.too_early == []


async def test_a_quiet_coin_is_not_asked_for_every_five_seconds() -> None:
    """One question costs weight 21 of 1,200 a minute, and most coins have minutes without trades."""
    venue = Venue(traded=lambda t_ms: t_ms < START)
    async with venue.collecting():
        await venue.pass_s(60)
        before = len(venue.asked(M1))
        await venue.pass_s(600)
    assert len(venue.asked(M1)) - before <= 10 * 4


async def test_no_more_is_asked_for_than_the_venue_keeps() -> None:
    venue = Venue()
    await venue.store.write([CandleRow(symbol=BTC, interval=M1, candle=bar(START - 40_000 * MINUTE))])
    async with venue.collecting():
        pass
    first = venue.asked()[0]
    assert isinstance(first[3], int)
    assert first[3] == START - MINUTE - REACH * MINUTE  # the bar before START ended too recently to be believed
    assert len(venue.asked()) <= 2  # the hole before it too, as far as the venue keeps it


async def test_all_six_intervals_are_kept_each_at_its_own_pace() -> None:
    venue = Venue(past=3_000)
    async with venue.collecting(*Interval):
        await venue.pass_s(70)
    for interval in Interval:
        first = -(-venue.began_ms // interval.ms) * interval.ms
        whole = [t for t in range(first, START + 65_000, interval.ms) if t + interval.ms + 5_000 <= START + 65_000]
        assert sorted(venue.times(interval)) == whole
    assert venue.too_early == []
    assert len(venue.asked()) < 20


async def test_every_series_shows_its_newest_bars_before_the_past_of_any_is_asked_for() -> None:
    venue = Venue(past=3_000)
    async with venue.collecting(*Interval):
        await venue.pass_s(30)
    first_six = venue.asked()[:6]
    assert {interval for _, _, interval, _, _ in first_six} == set(Interval)
    for _, _, interval, start_ms, end_ms in first_six:
        assert isinstance(interval, Interval)
        assert isinstance(start_ms, int)
        assert isinstance(end_ms, int)
        assert end_ms - start_ms <= (FIRST + 2) * interval.ms
    assert min(venue.times()) == -(-venue.began_ms // MINUTE) * MINUTE


async def test_a_past_that_was_not_finished_before_a_restart_is_asked_for_after_it() -> None:
    venue = Venue(past=1_000)
    newest = range(START - 300 * MINUTE, START, MINUTE)
    await venue.store.write([CandleRow(symbol=BTC, interval=M1, candle=bar(t)) for t in newest])
    async with venue.collecting():
        await venue.pass_s(30)
    assert set(range(-(-venue.began_ms // MINUTE) * MINUTE, START - 300 * MINUTE, MINUTE)) <= set(venue.times())


async def test_thousands_of_minutes_without_trades_are_asked_for_in_one_question_and_once() -> None:
    venue = Venue(past=2_000, traded=lambda t_ms: t_ms // MINUTE % 3 == 0)
    await venue.store.write(
        [
            CandleRow(symbol=BTC, interval=M1, candle=bar(t))
            for t in range(venue.began_ms, START, MINUTE)
            if venue.traded(t)
        ]
    )
    async with venue.collecting():
        await venue.pass_s(4)
        assert len(venue.asked()) <= 3
        first = venue.asked()[0]
        assert first in venue.asked()
        await venue.pass_s(5)
    assert venue.times() == []  # nothing that is stored already is told again


async def test_a_hole_between_stored_bars_is_filled_and_nothing_else_is_told_again() -> None:
    venue = Venue(past=50)
    hole = {START - 20 * MINUTE, START - 19 * MINUTE, START - 7 * MINUTE}
    await venue.store.write(
        [
            CandleRow(symbol=BTC, interval=M1, candle=bar(t))
            for t in range(venue.began_ms, START, MINUTE)
            if t not in hole
        ]
    )
    async with venue.collecting():
        await venue.pass_s(2)
    assert venue.times() == sorted(hole)


async def test_a_repair_that_failed_is_tried_again_soon_not_in_an_hour() -> None:
    venue = Venue(past=50)
    hole = START - 20 * MINUTE
    await venue.store.write(
        [CandleRow(symbol=BTC, interval=M1, candle=bar(t)) for t in range(venue.began_ms, START, MINUTE) if t != hole]
    )
    venue.fails[BTC] = SourceError("hyperliquid", "HTTP 500", retry_after_s=None)
    async with venue.collecting():
        await venue.pass_s(3)
        venue.fails.clear()
        await venue.pass_s(30)
        assert venue.times() == [hole]
        assert REPAIR_EVERY_S > 30


async def test_while_the_store_is_away_bars_go_on_and_holes_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    venue = Venue(past=50)
    hole = START - 20 * MINUTE
    await venue.store.write(
        [CandleRow(symbol=BTC, interval=M1, candle=bar(t)) for t in range(venue.began_ms, START, MINUTE) if t != hole]
    )

    async def away(*_: object, **__: object) -> list[tuple[int, int]]:
        raise StoreUnreachable("away")

    with monkeypatch.context() as patched:
        patched.setattr(type(venue.store.candles), "gaps", away)
        async with venue.collecting():
            await venue.pass_s(125)
            assert venue.times() == [START, START + MINUTE]
            patched.undo()
            await venue.pass_s(60)
            assert hole in venue.times()


@pytest.mark.parametrize(
    "error", [SourceError("hyperliquid", "HTTP 500", retry_after_s=5.0), InvalidInput("another shape")]
)
async def test_a_series_that_fails_waits_ever_longer_by_itself_and_keeps_none_of_the_others_waiting(
    error: Exception,
) -> None:
    venue = Venue()
    venue.symbols[:] = [ETH, BTC]
    venue.fails[ETH] = error
    async with venue.collecting():
        await venue.pass_s(605)
        assert venue.times()[-1] == START + 9 * MINUTE
        assert len(venue.asked(symbol=ETH)) <= 10
        assert venue.reporter.said[-1].startswith("ETH 1m: ")
        assert venue.times(symbol=ETH) == []
        venue.fails.clear()
        await venue.pass_s(310)
        assert venue.reporter.said[-1] == "ok"
    assert venue.times(symbol=ETH)[0] == venue.began_ms


async def test_with_many_symbols_several_minutes_are_asked_for_at_a_time() -> None:
    venue = Venue()
    venue.symbols[:] = [Symbol(f"C{i}") for i in range(20)]
    async with venue.collecting():
        await venue.pass_s(10)
        before = len(venue.asked())
        await venue.pass_s(600)
    assert (len(venue.asked()) - before) / 20 <= 3
    assert all(len(venue.times(symbol=symbol)) >= 6 for symbol in venue.symbols)


async def test_a_symbol_that_is_listed_later_is_collected_from_then_on() -> None:
    venue = Venue()
    venue.symbols[:] = [BTC, ETH]
    venue.listing.learn([market(BTC)])
    async with venue.collecting():
        await venue.pass_s(5)
        assert venue.times(symbol=ETH) == []
        venue.listing.learn([market(ETH)])
        await venue.pass_s(5)
        assert venue.times(symbol=ETH) == venue.times()
        assert {w["coin"] for w in venue.sockets["candles"].wanted} == {BTC, ETH}


async def test_the_forming_bar_is_shown_and_each_state_of_it_once() -> None:
    venue = Venue()
    async with venue.collecting():
        await venue.pass_s(10)
        assert venue.formed == [bar(START)]
        await venue.pass_s(60)
    assert [candle.t_ms for candle in venue.formed] == [START, START + MINUTE]


async def test_a_backfill_fills_everything_once_and_ends() -> None:
    venue = Venue(past=100)
    venue.listing.learn([market()])
    async with MemoryBus(reserve_in_memory()) as bus:
        collector = CandlesCollector(
            http=venue.http,
            sockets=None,
            bus=bus,
            store=venue.store.candles,
            clock=venue.clock,
            reporter=venue.reporter,
            listing=venue.listing,
        )
        came = await collector.backfill()
    closed = {i: (START - 5_000) // i.ms * i.ms for i in Interval}
    assert came == sum(len(range(-(-venue.began_ms // i.ms) * i.ms, closed[i], i.ms)) for i in Interval)
    assert {interval for _, _, interval, _, _ in venue.asked()} == set(Interval)


async def test_a_series_that_fails_keeps_no_other_from_its_past() -> None:
    venue = Venue(past=4_000)
    venue.symbols[:] = [ETH, BTC]
    venue.fails[ETH] = SourceError("hyperliquid", "HTTP 500", retry_after_s=5.0)
    async with venue.collecting():
        await venue.pass_s(30)
    assert min(venue.times()) == venue.began_ms


async def test_a_coin_that_has_not_traded_for_days_is_asked_for_each_bar_only_when_it_is_due() -> None:
    venue = Venue(traded=lambda _: False)
    async with venue.collecting(Interval.H1):
        await venue.pass_s(5)
        venue.clock_frame(M1)
        await venue.pass_s(1_800)
    assert len(venue.asked()) <= 12


async def test_a_market_delisted_before_we_began_is_never_asked_for() -> None:
    venue = Venue()
    venue.symbols[:] = [BTC, ETH]
    venue.listing.learn([market(BTC), market(ETH, is_delisted=True)])
    async with venue.collecting():
        await venue.pass_s(300)
    assert venue.asked(symbol=ETH) == []
    assert len(venue.times()) > 5
    assert venue.reporter.turns == ["ok"]


async def test_a_market_delisted_meanwhile_is_asked_for_up_to_its_last_bars_and_then_no_more() -> None:
    venue = Venue()
    venue.symbols[:] = [BTC, ETH]
    delisted_ms = START + 5 * MINUTE + 30_000
    async with venue.collecting(M1, Interval.M5):
        await venue.pass_s(330)
        venue.traded = lambda t_ms: t_ms <= delisted_ms  # both, as it happens; the clock goes on by another coin
        venue.listing.learn([market(ETH, is_delisted=True)])
        for _ in range(10):
            await venue.pass_s(60)
            venue.clock_frame(M1)
        assert venue.times(symbol=ETH)[-1] == delisted_ms // MINUTE * MINUTE
        assert venue.times(Interval.M5, ETH)[-1] == delisted_ms // Interval.M5.ms * Interval.M5.ms
        venue.http.asked.clear()
        for _ in range(10):
            await venue.pass_s(60)
            venue.clock_frame(M1)
        assert venue.asked(symbol=ETH) == []
        assert venue.asked(symbol=BTC) != []
        venue.listing.learn([market(ETH)])
        await venue.pass_s(120)
        assert venue.asked(symbol=ETH) != []


async def test_a_backfill_leaves_delisted_markets_alone() -> None:
    venue = Venue(past=10)
    venue.symbols[:] = [BTC, ETH]
    venue.listing.learn([market(BTC), market(ETH, is_delisted=True)])
    async with MemoryBus(reserve_in_memory()) as bus:
        collector = CandlesCollector(
            http=venue.http,
            sockets=None,
            bus=bus,
            store=venue.store.candles,
            clock=venue.clock,
            reporter=venue.reporter,
            listing=venue.listing,
        )
        assert await collector.backfill() > 0
    assert venue.asked(symbol=ETH) == []
