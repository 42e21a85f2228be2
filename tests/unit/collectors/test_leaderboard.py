"""The leaderboard: one pull at a time, in numbered parts, again until it works."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from market_scraper.collectors.leaderboard import RETRY_MOST_S, RETRY_S, ROWS_A_PART, LeaderboardCollector
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.events import LeaderboardCaptured
from market_scraper.domain.traders import LeaderboardRow
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from tests.facts import address
from tests.fakes import FakeClock, FakeHttp, FakeReporter, settle

DOWN = SourceError("leaderboard", "HTTP 503", retry_after_s=None)


def rows(count: int, *, start: int = 0) -> list[LeaderboardRow]:
    return [LeaderboardRow(trader=address(start + i), account_value=float(i)) for i in range(count)]


class Bench:
    def __init__(self) -> None:
        self.clock, self.http, self.reporter = FakeClock(), FakeHttp(), FakeReporter()
        self.heard: list[LeaderboardCaptured] = []
        self.collector: LeaderboardCollector

    @property
    def pulls(self) -> int:
        return len(self.http.asked)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with MemoryBus(reserve_in_memory()) as bus, bus.follow(LeaderboardCaptured) as inbox:
            self.collector = LeaderboardCollector(http=self.http, bus=bus, clock=self.clock, reporter=self.reporter)

            async def listen() -> None:
                while True:
                    for envelope in await inbox.take():
                        assert isinstance(envelope.event, LeaderboardCaptured)
                        self.heard.append(envelope.event)

            tasks = [asyncio.create_task(self.collector.run()), asyncio.create_task(listen())]
            await settle()
            yield
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_pull_comes_in_numbered_parts_of_one_moment_with_every_row_once() -> None:
    bench = Bench()
    whole = rows(2 * ROWS_A_PART + 7)
    bench.http.pulls = [[whole[:10], whole[10:1_500], [], whole[1_500:]]]
    async with bench.running():
        await bench.clock.advance(1.0)
    assert [(part.part, part.parts, len(part.rows)) for part in bench.heard] == [
        (0, 3, ROWS_A_PART),
        (1, 3, ROWS_A_PART),
        (2, 3, 7),
    ]
    assert [row for part in bench.heard for row in part.rows] == whole
    assert {part.captured_at_ms for part in bench.heard} == {FakeClock().now_ms()}
    assert bench.reporter.detail["rows"] == len(whole)


async def test_it_pulls_at_the_start_and_then_only_when_told() -> None:
    bench = Bench()
    bench.http.pulls = [[rows(1)], [rows(1)]]
    async with bench.running():
        await bench.clock.advance(10_000.0)
        assert bench.pulls == 1
        bench.collector.refresh()
        await settle()
        assert bench.pulls == 2


async def test_a_refresh_while_a_pull_is_under_way_is_served_by_it() -> None:
    bench = Bench()
    bench.http.held.clear()
    bench.http.pulls = [[rows(1)]]
    async with bench.running():
        bench.collector.refresh()
        bench.collector.refresh()
        await settle()
        assert bench.pulls == 1
        bench.http.held.set()
        await bench.clock.advance(100.0)
        assert bench.pulls == 1


async def test_failures_are_tried_again_with_growing_delays_and_the_first_success_resets_them() -> None:
    bench = Bench()
    bench.http.pulls = [DOWN, DOWN, DOWN, [rows(1)], DOWN, [rows(1)]]
    async with bench.running():
        await bench.clock.advance(RETRY_S * 7)
        assert bench.pulls == 4
        bench.collector.refresh()
        await settle()
        await bench.clock.advance(RETRY_S)
        assert bench.pulls == 6
    waits = [s for s in bench.clock.slept_s if s > 0]
    assert waits == [RETRY_S, 2 * RETRY_S, 4 * RETRY_S, RETRY_S]
    assert bench.reporter.turns == [str(DOWN), "ok", str(DOWN), "ok"]


async def test_the_delays_end_at_ten_minutes_and_the_venues_own_wish_is_kept() -> None:
    bench = Bench()
    wish = SourceError("leaderboard", "HTTP 429", retry_after_s=1_000.0)
    bench.http.pulls = [wish, *[DOWN] * 12]
    async with bench.running():
        await bench.clock.advance(8_000.0)
    waits = [s for s in bench.clock.slept_s if s > 0]
    assert waits[0] == 1_000.0
    assert max(waits[1:]) == RETRY_MOST_S


@pytest.mark.parametrize("nothing", [[], [[]], [[], []]])
async def test_an_empty_board_is_a_failure_not_a_board_without_traders(nothing: list[list[LeaderboardRow]]) -> None:
    bench = Bench()
    bench.http.pulls = [nothing, [rows(3)]]
    async with bench.running():
        assert bench.heard == []
        assert "no readable row" in bench.reporter.said[-1]
        await bench.clock.advance(RETRY_S)
    assert [len(part.rows) for part in bench.heard] == [3]


async def test_a_board_that_cannot_be_read_is_left_for_ten_minutes_and_publishes_nothing() -> None:
    bench = Bench()
    bench.http.pulls = [InvalidInput("another shape"), [rows(1)]]
    async with bench.running():
        await bench.clock.advance(RETRY_MOST_S - 1)
        assert (bench.pulls, bench.heard) == (1, [])
        await bench.clock.advance(1.0)
        assert bench.pulls == 2
