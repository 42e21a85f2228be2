"""Periodic tasks: one run of a task at a time, each period counted from the beginning of the last run."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from market_scraper.domain.errors import UnknownThing
from market_scraper.ports.clock import Clock

log = structlog.get_logger(__name__)

Job = Callable[[], Awaitable[None]]


class TaskState(msgspec.Struct, frozen=True, kw_only=True):
    """One periodic task as it stands."""

    name: str
    every_s: float
    running: bool
    runs: int
    failures: int
    last_run_ms: int | None  # when the last run began
    next_run_ms: int | None  # None before `run` and while it runs
    last_error: str | None  # of the last run, None when it went well


class _Task:
    def __init__(self, name: str, every_s: float, job: Job, first_after_s: float) -> None:
        self.name = name
        self.every_s = every_s
        self.job = job
        self.first_after_s = first_after_s
        self.wanted = asyncio.Event()
        self.ended: asyncio.Future[None] | None = None  # the run that whoever asked for one waits for
        self.running = False
        self.runs = 0
        self.failures = 0
        self.last_run_ms: int | None = None
        self.next_run_ms: int | None = None
        self.last_error: str | None = None


class Scheduler:
    """Add tasks, then `run` for the program's life. A task that fails is tried again at its next time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[str, _Task] = {}

    def add(self, name: str, every_s: float, job: Job, *, first_after_s: float = 0.0) -> None:
        """Run `job` every `every_s` seconds of venue time, first after `first_after_s`. A name is given once."""
        if name in self._tasks:
            raise ValueError(f"task {name} was added already")
        if not every_s > 0:
            raise ValueError(f"task {name}: every_s must be above 0, was {every_s}")
        self._tasks[name] = _Task(name, every_s, job, first_after_s)

    async def run(self) -> None:
        """Run all tasks until cancelled."""
        async with asyncio.TaskGroup() as group:
            for task in self._tasks.values():
                group.create_task(self._repeat(task), name=f"scheduled-{task.name}")

    async def run_now(self, name: str) -> None:
        """Run a task now and wait for the end of that run; one that is running is waited for. Raises UnknownThing.

        How it went stands in `state`.
        """
        task = self._get(name)
        if task.ended is None:
            task.ended = asyncio.get_running_loop().create_future()
        task.wanted.set()
        await asyncio.shield(task.ended)

    def state(self, name: str) -> TaskState:
        """Raises UnknownThing."""
        task = self._get(name)
        return TaskState(
            name=name,
            every_s=task.every_s,
            running=task.running,
            runs=task.runs,
            failures=task.failures,
            last_run_ms=task.last_run_ms,
            next_run_ms=task.next_run_ms,
            last_error=task.last_error,
        )

    def states(self) -> list[TaskState]:
        """All of them, in the order of adding."""
        return [self.state(name) for name in self._tasks]

    def _get(self, name: str) -> _Task:
        task = self._tasks.get(name)
        if task is None:
            raise UnknownThing(f"no task is called {name}")
        return task

    async def _repeat(self, task: _Task) -> None:
        due_s = self._clock.monotonic() + task.first_after_s
        while True:
            await self._wait_until(task, due_s)
            began_s = self._clock.monotonic()
            await self._run_once(task)
            due_s = began_s + task.every_s

    async def _wait_until(self, task: _Task, due_s: float) -> None:
        """Return when the time has come or somebody wants a run."""
        wait_s = max(0.0, due_s - self._clock.monotonic())
        task.next_run_ms = self._clock.now_ms() + round(wait_s * 1000)
        try:
            async with self._clock.timeout(wait_s):
                await task.wanted.wait()
        except TimeoutError:
            pass
        task.next_run_ms = None

    async def _run_once(self, task: _Task) -> None:
        task.running = True
        task.last_run_ms = self._clock.now_ms()
        try:
            await task.job()
        except Exception as error:
            task.failures += 1
            if task.last_error is None:  # the turn, not the state
                log.warning("task_failed", task=task.name, reason=str(error), exc_info=error)
            task.last_error = f"{type(error).__name__}: {error}"
        else:
            if task.last_error is not None:
                log.info("task_back", task=task.name)
            task.last_error = None
        finally:
            task.running = False
            task.runs += 1
            task.wanted.clear()
            if task.ended is not None:
                task.ended.set_result(None)
                task.ended = None
