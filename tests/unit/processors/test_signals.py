"""Positions to signals, through the real bus and a store in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from market_scraper.domain.events import (
    Event,
    MarketContextChanged,
    PositionChanged,
    SignalGenerated,
    TapeAdvanced,
    TraderChosen,
    TraderSignalGenerated,
    TradersRated,
)
from market_scraper.domain.market import MarketContext
from market_scraper.domain.positions import Cause, Position, PositionState, TapeMark
from market_scraper.domain.signals import Signal, SignalState
from market_scraper.domain.traders import Choice, Inference, LeaderboardRow, RatedTrader
from market_scraper.domain.values import Address, Recommendation, Symbol
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.bus import Inbox
from market_scraper.ports.stores import PositionStateRow, Row, ScoreRow, SignalRow, TapeMarkRow, TrackedRow
from market_scraper.processors import SignalGenerationProcessor
from market_scraper.storage.memory import MemoryRepository
from tests.fakes import FakeClock, settle

BTC = Symbol("BTC")
T = 1_700_000_000_000
VOTERS = range(6)


def address(number: int) -> Address:
    return Address(f"0x{number:040x}")


def position(number: int, lots: int, at: int, version: int) -> Position:
    return Position(
        trader=address(number),
        symbol=BTC,
        sz_decimals=2,
        lots=lots,
        net_lots=0,
        state=PositionState.EXACT,
        doubt=None,
        because=None,
        since_ms=None,
        epoch_ms=0,
        changes=1,
        watched_from_ms=0,
        entry_px=None,
        leverage=None,
        liquidation_px=None,
        confirmed_ms=None,
        account_value=None,
        t_ms=T + at,
        tid=version,
        version=version,
    )


def fact(number: int, lots: int, at: int, version: int, *, before: int = 0, cause: Cause = Cause.PRINT) -> Event:
    after = position(number, lots, at, version)
    return PositionChanged(known_at_ms=T + at + 30, after=after, lots_before=before, cause=cause, px=100.0)


def mark(at: int) -> TapeMark:
    return TapeMark(symbol=BTC, watermark_ms=T + at, epoch_ms=0)


def advanced(at: int) -> Event:
    return TapeAdvanced(known_at_ms=T + at + 50, mark=mark(at), venue_offset_ms=0)


def priced() -> Event:
    context = MarketContext(symbol=BTC, mark=100.0, mid=100.0, open_interest=150.0, funding=None, day_volume_usd=None)
    return MarketContextChanged(known_at_ms=T, context=context)


def rated(*numbers: int, part: int = 0, parts: int = 1) -> Event:
    return TradersRated(
        known_at_ms=T,
        captured_at_ms=T,
        part=part,
        parts=parts,
        traders=tuple(
            RatedTrader(
                row=LeaderboardRow(trader=address(number), account_value=10_000.0),
                score=60.0,
                parts={},
                tags=(),
                inference=Inference(False, 0.0),
                tracked=True,
            )
            for number in numbers
        ),
    )


def longs(at: int) -> list[Event]:
    return [fact(number, 5_000, at, number + 1) for number in VOTERS]


class House:
    """A signal processor that runs, and what it has published."""

    def __init__(self, bus: MemoryBus, clock: FakeClock) -> None:
        self.bus = bus
        self.clock = clock
        self.heard: list[Event] = []

    async def tell(self, *events: Event) -> list[Event]:
        await self.bus.publish(events)
        before = -1
        while before < len(self.heard):
            before = len(self.heard)
            await settle()
        told, self.heard = self.heard, []
        return told

    async def listen(self, inbox: Inbox) -> None:
        while True:
            taken = await inbox.take()
            self.heard.extend(envelope.event for envelope in taken)

    async def signals(self, *events: Event) -> list[Signal]:
        return [event.signal for event in await self.tell(*events) if isinstance(event, SignalGenerated)]


@asynccontextmanager
async def house(store: MemoryRepository) -> AsyncIterator[House]:
    async with MemoryBus(reserve_in_memory()) as bus, house_on(bus, store) as made:
        yield made


@asynccontextmanager
async def house_on(bus: MemoryBus, store: MemoryRepository) -> AsyncIterator[House]:
    clock = FakeClock(T)
    async with bus.follow(SignalGenerated, TraderSignalGenerated) as inbox:
        processor = SignalGenerationProcessor(bus, store, clock, [BTC])
        made = House(bus, clock)
        tasks = [asyncio.create_task(processor.run()), asyncio.create_task(made.listen(inbox))]
        try:
            await processor.opened.wait()
            yield made
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def store() -> MemoryRepository:
    return MemoryRepository()


async def test_tracked_traders_positions_become_a_signal(store: MemoryRepository) -> None:
    async with house(store) as running:
        told = await running.signals(rated(*VOTERS), priced(), advanced(0), *longs(100))

    assert [one.state for one in told] == [SignalState.WARMING_UP, SignalState.LIVE]
    assert (told[1].recommendation, told[1].t_ms, told[1].traders_long) == (Recommendation.BUY, T + 100, 6)


async def test_what_a_tracked_trader_does_is_told_and_what_a_base_or_a_stranger_does_is_not(
    store: MemoryRepository,
) -> None:
    async with house(store) as running:
        told = await running.tell(
            rated(1),
            fact(1, 500, 100, 1, cause=Cause.BASE),
            fact(2, 500, 100, 2),
            fact(1, 700, 200, 3, before=500),
            fact(1, 700, 200, 3, before=500),
        )

    acts = [event.signal for event in told if isinstance(event, TraderSignalGenerated)]
    assert [(act.trader, act.action, act.size) for act in acts] == [(address(1), "increase", 7.0)]


async def test_facts_of_another_symbol_are_ignored(store: MemoryRepository) -> None:
    eth = PositionChanged(
        known_at_ms=T,
        after=msgspec.structs.replace(position(1, 5, 0, 1), symbol=Symbol("ETH")),
        lots_before=0,
        cause=Cause.PRINT,
        px=1.0,
    )
    async with house(store) as running:
        assert await running.tell(rated(1), eth) == []


async def test_ratings_count_when_their_last_part_is_in(store: MemoryRepository) -> None:
    async with house(store) as running:
        told = await running.signals(priced(), advanced(0), *longs(100), rated(0, 1, 2, part=0, parts=2), advanced(200))
        assert [one.traders_long for one in told] == [0]
        told = await running.signals(rated(3, 4, 5, part=1, parts=2))

    assert [one.traders_long for one in told] == [6]


async def test_a_hand_tracked_trader_who_is_not_ranked_votes_and_an_untracked_one_does_not(
    store: MemoryRepository,
) -> None:
    def chosen(number: int, choice: Choice) -> Event:
        return TraderChosen(known_at_ms=T + 300, trader=address(number), choice=choice)

    async with house(store) as running:
        await running.signals(rated(*VOTERS), priced(), advanced(0), *longs(100), fact(9, 0, 100, 50))
        await running.tell(chosen(9, Choice.TRACK), rated(*VOTERS))
        told = await running.signals(fact(0, -9_000, 400, 60), fact(1, -9_000, 400, 61))
        assert told[-1].traders_flat == 1

        told = await running.signals(chosen(0, Choice.UNTRACK))
        assert (told[-1].traders_short, told[-1].traders_flat) == (1, 1)


async def test_a_class_that_was_stored_as_a_tag_keeps_its_trader_from_voting_after_a_restart(
    store: MemoryRepository,
) -> None:
    def stored(number: int, tags: tuple[str, ...]) -> list[Row]:
        who = address(number)
        return [
            ScoreRow(
                captured_at_ms=T, known_at_ms=T, trader=who, score=60.0, parts={}, tags=tags, account_value=10_000.0
            ),
            TrackedRow(trader=who, tracked=True, score=60.0, tags=tags, by_hand=False, known_at_ms=T),
        ]

    await store.write([*stored(0, ("large", "market_maker")), *stored(1, ("large",)), TapeMarkRow(mark=mark(0))])
    async with house(store) as running:
        told = await running.signals(priced(), advanced(0), *longs(100), advanced(61_000))

    assert (told[-1].traders_long, told[-1].left_out) == (1, {"market_maker": 1})


async def test_a_tape_that_falls_silent_is_told(store: MemoryRepository) -> None:
    async with house(store) as running:
        await running.signals(rated(*VOTERS), priced(), advanced(0), *longs(100))
        await running.clock.advance(7.0)
        told = await running.signals()

    assert [one.state for one in told] == [SignalState.STALE]
    assert told[0].recommendation is Recommendation.BUY


async def test_a_restart_continues_from_the_store_without_a_false_start(store: MemoryRepository) -> None:
    async with house(store) as running:
        before = (await running.signals(rated(*VOTERS), priced(), advanced(0), *longs(100)))[-1]
    await store.write(
        [
            *(PositionStateRow(position=position(n, 5_000, 100, n + 1), known_at_ms=T + 130) for n in VOTERS),
            *(
                ScoreRow(
                    captured_at_ms=T,
                    known_at_ms=T,
                    trader=address(n),
                    score=60.0,
                    parts={},
                    tags=(),
                    account_value=10_000.0,
                )
                for n in VOTERS
            ),
            *(
                TrackedRow(trader=address(n), tracked=True, score=60.0, tags=(), by_hand=False, known_at_ms=T)
                for n in VOTERS
            ),
            TapeMarkRow(mark=mark(100)),
            SignalRow(signal=before),
        ]
    )

    async with house(store) as running:
        assert await running.signals(rated(*VOTERS), priced(), advanced(300)) == []
        after = await running.signals(advanced(60_100))

    assert len(after) == 1
    assert after[0].t_ms == T + 60_100
    assert (after[0].net_exposure, after[0].confidence) == (before.net_exposure, before.confidence)
    assert after[0].contributions == before.contributions


async def test_a_successor_knows_what_its_predecessor_heard_and_nobody_has_stored_yet(store: MemoryRepository) -> None:
    kinds = (PositionChanged, TapeAdvanced, SignalGenerated)
    async with MemoryBus(reserve_in_memory()) as bus, bus.subscribe("persister", *kinds):  # takes its time
        async with house_on(bus, store) as running:
            before = (await running.signals(rated(*VOTERS), priced(), advanced(0), *longs(100)))[-1]
        async with house_on(bus, store) as running:
            assert await running.signals(rated(*VOTERS), priced(), advanced(300)) == []
            after = await running.signals(advanced(60_100))

    assert [(one.t_ms, one.traders_long) for one in after] == [(T + 60_100, 6)]
    assert (after[0].net_exposure, after[0].contributions) == (before.net_exposure, before.contributions)
