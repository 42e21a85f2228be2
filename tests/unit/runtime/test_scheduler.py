import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from market_scraper.domain.errors import UnknownThing
from market_scraper.runtime.scheduler import Scheduler
from tests.fakes import FakeClock, settle


@asynccontextmanager
async def running(scheduler: Scheduler) -> AsyncIterator[None]:
    task = asyncio.create_task(scheduler.run())
    await settle()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


class Job:
    """A job that takes `takes_s` of the clock and fails while `fails` is set."""

    def __init__(self, clock: FakeClock, takes_s: float = 0.0) -> None:
        self.clock = clock
        self.takes_s = takes_s
        self.fails = False
        self.began_at_s: list[float] = []
        self.under_way = 0
        self.most_under_way = 0

    async def __call__(self) -> None:
        self.began_at_s.append(self.clock.monotonic() - 1_000)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.takes_s:
                await self.clock.sleep(self.takes_s)
            if self.fails:
                raise OSError("no luck")
        finally:
            self.under_way -= 1


async def test_a_task_runs_at_once_and_then_every_period() -> None:
    clock = FakeClock(now_ms=0)
    job = Job(clock)
    scheduler = Scheduler(clock)
    scheduler.add("pull", 60, job)
    async with running(scheduler):
        await clock.advance(130)
        assert job.began_at_s == [0, 60, 120]
        state = scheduler.state("pull")
        assert (state.runs, state.failures, state.last_run_ms, state.next_run_ms) == (3, 0, 120_000, 180_000)


async def test_a_task_may_wait_before_its_first_run() -> None:
    clock = FakeClock()
    job = Job(clock)
    scheduler = Scheduler(clock)
    scheduler.add("later", 60, job, first_after_s=10)
    async with running(scheduler):
        await clock.advance(9)
        assert job.began_at_s == []
        await clock.advance(62)
        assert job.began_at_s == [10, 70]


async def test_runs_never_overlap_though_one_takes_longer_than_the_period() -> None:
    clock = FakeClock()
    job = Job(clock, takes_s=90)
    scheduler = Scheduler(clock)
    scheduler.add("slow", 60, job)
    async with running(scheduler):
        await clock.advance(200)
        assert job.began_at_s == [0, 90, 180]
        assert job.most_under_way == 1
        assert scheduler.state("slow").running


async def test_a_failing_task_is_shown_and_tried_again_at_its_next_time() -> None:
    clock = FakeClock()
    job = Job(clock)
    job.fails = True
    scheduler = Scheduler(clock)
    scheduler.add("pull", 60, job)
    async with running(scheduler):
        assert scheduler.state("pull").last_error == "OSError: no luck"
        job.fails = False
        await clock.advance(60)
        state = scheduler.state("pull")
        assert (state.last_error, state.runs, state.failures) == (None, 2, 1)


async def test_run_now_returns_after_a_run_and_the_next_one_is_a_period_later() -> None:
    clock = FakeClock()
    job = Job(clock)
    scheduler = Scheduler(clock)
    scheduler.add("pull", 60, job)
    async with running(scheduler):
        await clock.advance(20)
        await scheduler.run_now("pull")
        assert job.began_at_s == [0, 20]
        await clock.advance(61)
        assert job.began_at_s == [0, 20, 80]


async def test_run_now_waits_for_the_run_that_is_under_way() -> None:
    clock = FakeClock()
    job = Job(clock, takes_s=10)
    scheduler = Scheduler(clock)
    scheduler.add("pull", 60, job)
    async with running(scheduler):
        asked = [asyncio.create_task(scheduler.run_now("pull")) for _ in range(2)]
        await clock.advance(9)
        assert not any(task.done() for task in asked)
        await clock.advance(2)
        assert all(task.done() for task in asked)
        await clock.advance(40)
        assert job.began_at_s == [0]


async def test_one_tasks_failure_leaves_the_others_running() -> None:
    clock = FakeClock()
    bad, good = Job(clock), Job(clock)
    bad.fails = True
    scheduler = Scheduler(clock)
    scheduler.add("bad", 10, bad)
    scheduler.add("good", 10, good)
    async with running(scheduler):
        await clock.advance(25)
    assert len(bad.began_at_s) == len(good.began_at_s) == 3


async def test_wrong_names_and_periods_are_refused() -> None:
    scheduler = Scheduler(FakeClock())
    with pytest.raises(UnknownThing):
        await scheduler.run_now("nothing")
    with pytest.raises(ValueError, match="above 0"):
        scheduler.add("never", 0, Job(FakeClock()))
    scheduler.add("once", 1, Job(FakeClock()))
    with pytest.raises(ValueError, match="already"):
        scheduler.add("once", 1, Job(FakeClock()))
