import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from market_scraper.domain.errors import UnknownThing
from market_scraper.runtime.scheduler import LOOK_EVERY_S, Scheduler
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


async def test_after_the_machine_slept_one_run_makes_up_for_all_that_were_missed() -> None:
    clock = FakeClock(now_ms=0)
    job = Job(clock)
    scheduler = Scheduler(clock)
    scheduler.add("pull", 600, job)
    async with running(scheduler):
        await clock.advance(100)
        with capture_logs() as logs:
            clock.jump_ms(8 * 3_600_000)  # the monotonic clock stood still meanwhile
            await clock.advance(LOOK_EVERY_S)
        state = scheduler.state("pull")
        assert (state.runs, state.missed) == (2, 47)  # 28,300 s late
        assert [(line["event"], line["missed"]) for line in logs] == [("task_runs_missed", 47)]
        await clock.advance(599 - LOOK_EVERY_S)
        assert scheduler.state("pull").runs == 2
        await clock.advance(31)
        assert scheduler.state("pull").runs == 3


async def test_a_wall_clock_that_is_set_back_delays_nothing() -> None:
    clock = FakeClock()
    job = Job(clock)
    scheduler = Scheduler(clock)
    scheduler.add("pull", 60, job)
    async with running(scheduler):
        clock.jump_ms(-3_600_000)
        await clock.advance(61)
        assert job.began_at_s == [0, 60]
        assert scheduler.state("pull").missed == 0


async def test_periods_that_go_by_while_a_run_takes_long_are_counted_and_told_once() -> None:
    clock = FakeClock()
    job = Job(clock, takes_s=150)
    scheduler = Scheduler(clock)
    scheduler.add("slow", 60, job)
    with capture_logs() as logs:
        async with running(scheduler):
            await clock.advance(310)
            assert job.began_at_s == [0, 150, 300]
            assert scheduler.state("slow").missed == 2  # at 120, and at 270
    assert [line["event"] for line in logs] == ["task_runs_missed"]


async def test_a_task_that_is_not_enabled_runs_only_when_asked_for() -> None:
    clock = FakeClock()
    job = Job(clock)
    scheduler = Scheduler(clock)
    scheduler.add("cleanup", 60, job, enabled=False)
    async with running(scheduler):
        await clock.advance(200)
        state = scheduler.state("cleanup")
        assert (state.enabled, state.runs, state.next_run_ms) == (False, 0, None)
        await scheduler.run_now("cleanup")
        await clock.advance(200)
        assert job.began_at_s == [200]


async def test_a_scheduler_that_was_cancelled_runs_nothing_and_may_run_again() -> None:
    clock = FakeClock()
    job = Job(clock, takes_s=10)
    scheduler = Scheduler(clock)
    scheduler.add("pull", 60, job, first_after_s=5)
    async with running(scheduler):
        await clock.advance(8)
    state = scheduler.state("pull")
    assert (state.running, state.next_run_ms) == (False, None)
    await clock.advance(500)
    async with running(scheduler):
        await clock.advance(20)
    assert job.began_at_s == [5, 513]
    assert scheduler.state("pull").missed == 0  # it was not to run meanwhile


async def test_every_change_of_a_state_is_told() -> None:
    clock = FakeClock(now_ms=0)
    heard: list[tuple[bool, int | None]] = []

    def note() -> None:
        state = scheduler.state("pull")
        heard.append((state.running, state.next_run_ms))

    scheduler = Scheduler(clock, on_change=note)
    scheduler.add("pull", 60, Job(clock), first_after_s=60)
    async with running(scheduler):
        await clock.advance(60)
    assert heard == [(False, 60_000), (True, None), (False, None), (False, 120_000)]


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
