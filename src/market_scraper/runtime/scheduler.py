"""Periodic tasks: one run of a task at a time, each period counted from the beginning of the last run."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from market_scraper.domain.errors import UnknownThing
from market_scraper.ports.clock import Clock

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 30.0
"""How often (venue seconds) a wait looks at the wall clock: a timer stands still while the machine sleeps."""

Job = Callable[[], Awaitable[None]]


class TaskState(msgspec.Struct, frozen=True, kw_only=True):
    """One periodic task as it stands."""

    name: str
    every_s: float
    enabled: bool  # False: it runs only when somebody asks for it
    running: bool
    runs: int
    failures: int
    missed: int  # periods that went by without a run: the machine slept, or a run took longer
    last_run_ms: int | None  # when the last run began
    next_run_ms: int | None  # None while it runs, while the scheduler does not, and when it is not enabled
    last_error: str | None  # of the last run, None when it went well


class _Task:
    def __init__(self, name: str, every_s: float, job: Job, first_after_s: float, enabled: bool) -> None:
        self.name = name
        self.every_s = every_s
        self.job = job
        self.first_after_s = first_after_s
        self.enabled = enabled
        self.wanted = asyncio.Event()
        self.ended: asyncio.Future[None] | None = None  # the run that whoever asked for one waits for
        self.running = False
        self.runs = 0
        self.failures = 0
        self.missed = 0
        self.was_late = False  # the last run: only the turn is logged
        self.last_run_ms: int | None = None
        self.next_run_ms: int | None = None
        self.last_error: str | None = None


class Scheduler:
    """Add tasks, then `run`; it may be cancelled and run again. A task that fails is tried again at its next time.

    However many periods went by (a machine asleep, a run that took long), one run makes up for all of them.
    """

    def __init__(self, clock: Clock, *, on_change: Callable[[], None] = lambda: None) -> None:
        """`on_change` is called whenever a state has changed."""
        self._clock = clock
        self._on_change = on_change
        self._tasks: dict[str, _Task] = {}

    def add(self, name: str, every_s: float, job: Job, *, first_after_s: float = 0.0, enabled: bool = True) -> None:
        """Run `job` every `every_s` seconds of venue time, first after `first_after_s`. A name is given once.

        One that is not enabled runs only by `run_now`.
        """
        if name in self._tasks:
            raise ValueError(f"task {name} was added already")
        if not every_s > 0:
            raise ValueError(f"task {name}: every_s must be above 0, was {every_s}")
        self._tasks[name] = _Task(name, every_s, job, first_after_s, enabled)

    async def run(self) -> None:
        """Run all tasks until cancelled."""
        async with asyncio.TaskGroup() as group:
            for task in self._tasks.values():
                group.create_task(self._repeat(task), name=f"scheduled-{task.name}")

    async def run_now(self, name: str) -> None:
        """Run a task now and wait for the end of that run; one that is running is waited for. Raises UnknownThing.

        How it went stands in `state`. While nobody runs the scheduler this waits until somebody does.
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
            enabled=task.enabled,
            running=task.running,
            runs=task.runs,
            failures=task.failures,
            missed=task.missed,
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
            if task.enabled:
                self._note_missed(task, await self._wait_until(task, due_s))
            else:
                await task.wanted.wait()
            began_s = self._clock.monotonic()
            await self._run_once(task)
            due_s = began_s + task.every_s

    async def _wait_until(self, task: _Task, due_s: float) -> float:
        """Return when the time has come or somebody wants a run; gives how late it is, in seconds.

        The time has come when either clock says so: monotonic time stands still while the machine sleeps, and the
        wall clock may be set back.
        """
        clock = self._clock
        due_ms = clock.now_ms() + round((due_s - clock.monotonic()) * 1000)
        task.next_run_ms = max(clock.now_ms(), due_ms)
        self._on_change()
        try:
            while True:
                left_s = min(due_s - clock.monotonic(), (due_ms - clock.now_ms()) / 1000)
                if left_s <= 0 or task.wanted.is_set():
                    return max(0.0, -left_s)
                try:
                    async with clock.timeout(min(left_s, LOOK_EVERY_S)):
                        await task.wanted.wait()
                except TimeoutError:
                    pass
        finally:
            task.next_run_ms = None

    def _note_missed(self, task: _Task, late_s: float) -> None:
        missed = int(late_s / task.every_s)
        task.missed += missed
        if missed and not task.was_late:
            log.warning("task_runs_missed", task=task.name, missed=missed, late_s=round(late_s, 1))
        task.was_late = missed > 0

    async def _run_once(self, task: _Task) -> None:
        task.running = True
        task.last_run_ms = self._clock.now_ms()
        self._on_change()
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
            self._on_change()
