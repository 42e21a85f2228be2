"""Leaderboard pulls to ratings, through the real bus and a store in memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from market_scraper.domain.errors import BusUnreachable
from market_scraper.domain.events import Event, LeaderboardCaptured, TraderChosen, TradersRated
from market_scraper.domain.rules import FilterRules
from market_scraper.domain.traders import Choice, LeaderboardRow, Performance
from market_scraper.domain.values import Address
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.bus import Inbox
from market_scraper.ports.stores import LeaderboardPart, SettingRow
from market_scraper.processors import TraderScoringProcessor
from market_scraper.storage.memory import MemoryRepository
from tests.fakes import FakeClock, settle

HOUR_MS = 3_600_000
T = 1_700_000_000_000


def address(number: int) -> Address:
    return Address(f"0x{number:040x}")


def row(number: int, roi: float = 0.6) -> LeaderboardRow:
    won = Performance(1_000.0, roi, 1e6)
    return LeaderboardRow(trader=address(number), account_value=200_000.0, day=won, week=won, month=won, all_time=won)


def pull(at_ms: int, *parts: Sequence[LeaderboardRow]) -> list[Event]:
    return [
        LeaderboardCaptured(
            known_at_ms=at_ms + 2_000, captured_at_ms=at_ms, part=part, parts=len(parts), rows=tuple(rows)
        )
        for part, rows in enumerate(parts)
    ]


class House:
    """A scorer that runs, and what it has published."""

    def __init__(self, bus: MemoryBus, processor: TraderScoringProcessor) -> None:
        self.bus = bus
        self.processor = processor
        self.heard: list[TradersRated] = []

    async def rated(self) -> list[TradersRated]:
        before = -1
        while before < len(self.heard):
            before = len(self.heard)
            await settle()
        rated, self.heard = self.heard, []
        return rated

    async def listen(self, inbox: Inbox) -> None:
        while True:
            taken = await inbox.take()
            self.heard.extend(e.event for e in taken if isinstance(e.event, TradersRated))


@asynccontextmanager
async def house(store: MemoryRepository, filters: FilterRules | None = None) -> AsyncIterator[House]:
    async with MemoryBus(reserve_in_memory()) as bus, bus.follow(TradersRated) as inbox:
        processor = TraderScoringProcessor(bus, store, FakeClock(T), filters=filters)
        made = House(bus, processor)
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


def tracked(events: Sequence[TradersRated]) -> list[Address]:
    return [one.row.trader for event in events for one in event.traders if one.tracked]


async def test_ratings_come_in_the_pulls_own_parts_once_it_is_whole(store: MemoryRepository) -> None:
    async with house(store) as running:
        first, second = pull(T, [row(1), row(2)], [row(3, roi=-0.5)])
        await running.bus.publish([first])
        assert await running.rated() == []

        await running.bus.publish([second])
        rated = await running.rated()

    assert [(e.part, e.parts, e.captured_at_ms) for e in rated] == [(0, 2, T), (1, 2, T)]
    assert [[one.row.trader for one in e.traders] for e in rated] == [[address(1), address(2)], [address(3)]]
    assert tracked(rated) == [address(1), address(2)]


async def test_a_pull_that_came_before_anybody_scored_and_is_not_stored_yet_is_rated(store: MemoryRepository) -> None:
    async with MemoryBus(reserve_in_memory()) as bus, bus.subscribe("persister", LeaderboardCaptured) as unread:
        await bus.publish(pull(T, [row(1), row(2)], [row(3)]))
        async with bus.follow(TradersRated) as inbox:
            scorer = asyncio.create_task(TraderScoringProcessor(bus, store, FakeClock(T)).run())
            rated = [envelope.event for envelope in await inbox.take()]
            scorer.cancel()
        assert len(await unread.take()) == 2
    assert [len(event.traders) for event in rated if isinstance(event, TradersRated)] == [2, 1]


async def test_a_pull_with_a_missing_part_is_dropped_and_counted_when_the_next_begins(
    store: MemoryRepository,
) -> None:
    async with house(store) as running:
        _lost, *rest = pull(T, [row(1)], [row(2)], [row(3)])
        await running.bus.publish(rest)
        assert await running.rated() == []
        assert running.processor.dropped_pulls == 0

        await running.bus.publish(pull(T + HOUR_MS, [row(4)]))
        rated = await running.rated()

    assert running.processor.dropped_pulls == 1
    assert tracked(rated) == [address(4)]


async def test_a_pull_without_rows_does_not_untrack_everyone(store: MemoryRepository) -> None:
    async with house(store) as running:
        await running.bus.publish([*pull(T, [row(1)]), *pull(T + HOUR_MS, [])])
        rated = await running.rated()

    assert [e.captured_at_ms for e in rated] == [T]
    assert running.processor.dropped_pulls == 1


async def test_a_part_delivered_twice_changes_nothing(store: MemoryRepository) -> None:
    async with house(store) as running:
        first, second = pull(T, [row(1)], [row(2)])
        await running.bus.publish([first, first, second, second])
        rated = await running.rated()

    assert tracked(rated) == [address(1), address(2)]
    assert len(rated) == 2


async def test_the_users_hand_rates_the_same_pull_again(store: MemoryRepository) -> None:
    async with house(store) as running:
        await running.bus.publish(pull(T, [row(1), row(2, roi=-0.5)]))
        await running.rated()
        choices = [(1, Choice.UNTRACK), (2, Choice.TRACK)]
        await running.bus.publish(
            [TraderChosen(known_at_ms=T + 9_000, trader=address(who), choice=choice) for who, choice in choices]
        )
        rated = await running.rated()

    assert [tracked([e]) for e in rated] == [[], [address(2)]]
    assert {(e.captured_at_ms, e.known_at_ms) for e in rated} == {(T, T + 9_000)}


async def test_a_start_rates_what_is_stored_and_remembers_the_hand(store: MemoryRepository) -> None:
    rows = tuple(row(number) for number in range(1, 1_502))
    await store.write(
        [
            LeaderboardPart(captured_at_ms=T, known_at_ms=T, part=0, parts=1, rows=rows),
            SettingRow(key=f"choice:{address(1)}", value="untrack"),
        ]
    )

    async with house(store, FilterRules(max_count=2_000)) as running:
        rated = await running.rated()

    assert [(e.part, e.parts, len(e.traders)) for e in rated] == [(0, 2, 1_000), (1, 2, 501)]
    assert address(1) not in tracked(rated)
    assert len(tracked(rated)) == 1_500


class LameBus(MemoryBus):
    """Away for the first three publishings of ratings."""

    def __init__(self) -> None:
        super().__init__(reserve_in_memory())
        self.failures = 3

    async def publish(self, events: Sequence[Event]) -> None:
        if self.failures and isinstance(events[0], TradersRated):
            self.failures -= 1
            raise BusUnreachable("away")
        await super().publish(events)


async def test_ratings_wait_for_a_bus_that_is_away_and_keep_their_order(store: MemoryRepository) -> None:
    clock = FakeClock(T)
    async with LameBus() as bus, bus.follow(TradersRated) as inbox:
        processor = TraderScoringProcessor(bus, store, clock)
        task = asyncio.create_task(processor.run())
        await processor.opened.wait()
        await bus.publish(pull(T, [row(1)], [row(2)]))
        await clock.advance(3.0)
        got = [e.event for e in await inbox.take()]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert [e.part for e in got if isinstance(e, TradersRated)] == [0, 1]
