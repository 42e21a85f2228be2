"""The owner of every long-lived task: it starts them, restarts what crashes and stops them in reverse order."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Self

import msgspec
import structlog

from market_scraper.domain.errors import UnknownThing
from market_scraper.ports.clock import Clock
from market_scraper.runtime.backoff import backoff
from market_scraper.runtime.clock import real_monotonic
from market_scraper.runtime.timeouts import STOP_S

log = structlog.get_logger(__name__)

HEALTHY_AFTER_S = 60.0
"""A component that ran so long (venue time) before it crashed starts again with the first delay."""

Run = Callable[[], Awaitable[None]]
"""Makes one life of a component. It ends by being cancelled, by returning (then it is done) or by raising."""


class ComponentState(msgspec.Struct, frozen=True):
    """What the supervisor knows of one component."""

    name: str
    running: bool  # between crashes, waiting to be restarted, counts as running
    crashes: int
    last_crash: str | None  # since it was started


class _Component:
    def __init__(self, name: str, run: Run) -> None:
        self.name = name
        self.run = run
        self.task: asyncio.Task[None] | None = None
        self.crashes = 0
        self.last_crash: str | None = None

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done()


class Supervisor:
    """Use as `async with`; leaving the block stops what still runs.

    No TaskGroup: one component's end must not end the others, and one that will not stop must not keep the program.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        delays: Callable[[str], Iterator[float]] = lambda name: backoff(seed=name),
        on_crash: Callable[[str, str], None] = lambda name, reason: None,  # noqa: ARG005
        fatal: tuple[type[Exception], ...] = (),
        over: tuple[type[Exception], ...] = (),
        stop_s: float = STOP_S,
    ) -> None:
        """`on_crash(name, reason)` hears of every crash; `stop_s` is real seconds for all components together.

        `fatal` are the errors after which a new life of the component would be no better, for what it stands on is
        gone: it stays down then, and `failed` says so to who can end the program. `over` are those by which a component
        learns that its time is over: no crash, and no new life either.
        """
        self._clock = clock
        self._delays = delays
        self._on_crash = on_crash
        self._fatal = fatal
        self._over = over
        self._failure: Exception | None = None
        self._failed = asyncio.Event()
        self._stop_s = stop_s
        self._components: dict[str, _Component] = {}
        self._started: list[_Component] = []  # in order of starting

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop_all()

    def add(self, name: str, run: Run) -> None:
        """Make a component known; it does not run yet. A name is given once (else ValueError)."""
        if name in self._components:
            raise ValueError(f"component {name} was added already")
        self._components[name] = _Component(name, run)

    def start(self, name: str) -> None:
        """Start a component; one that runs goes on. Raises UnknownThing."""
        component = self._get(name)
        if component.running:
            return
        component.last_crash = None
        component.task = asyncio.create_task(self._keep_running(component), name=name)
        if component in self._started:
            self._started.remove(component)
        self._started.append(component)

    def start_all(self) -> None:
        """Start everything in the order of adding."""
        for name in self._components:
            self.start(name)

    async def stop(self, name: str) -> None:
        """Stop a component and wait for its end, at most `stop_s`; a stopped one stays so. Raises UnknownThing."""
        await self._stop(self._get(name), self._stop_s)

    async def stop_all(self) -> None:
        """Stop everything, the last started first, within `stop_s`.

        Each may use up half of what is left, so that one that hangs leaves time for those below it.
        """
        deadline_s = real_monotonic() + self._stop_s
        for component in reversed(self._started):
            await self._stop(component, (deadline_s - real_monotonic()) / 2)
        self._started.clear()

    async def failed(self) -> Exception:
        """Wait until a component ended by one of the fatal errors, and give that error: the first one."""
        await self._failed.wait()
        assert self._failure is not None
        return self._failure

    def state(self, name: str) -> ComponentState:
        """Raises UnknownThing."""
        component = self._get(name)
        return ComponentState(name, component.running, component.crashes, component.last_crash)

    def states(self) -> list[ComponentState]:
        """All of them, in the order of adding."""
        return [self.state(name) for name in self._components]

    def _get(self, name: str) -> _Component:
        component = self._components.get(name)
        if component is None:
            raise UnknownThing(f"no component is called {name}")
        return component

    async def _stop(self, component: _Component, patience_s: float) -> None:
        task = component.task
        if task is None or task.done():
            return
        task.cancel()
        _, pending = await asyncio.wait({task}, timeout=max(0.0, patience_s))
        if pending:
            log.error("component_did_not_stop", component=component.name, waited_s=round(patience_s, 1))

    async def _keep_running(self, component: _Component) -> None:
        delays = self._delays(component.name)
        while True:
            began_s = self._clock.monotonic()
            try:
                await component.run()
            except Exception as error:
                if _is_one(error, self._fatal):
                    self._fail(component, error)
                    return
                if _is_one(error, self._over):
                    log.info("component_is_over", component=component.name, reason=str(error))
                    return
                reason = f"{type(error).__name__}: {error}"
                component.crashes += 1
                component.last_crash = reason
                if self._clock.monotonic() - began_s >= HEALTHY_AFTER_S:
                    delays = self._delays(component.name)
                delay_s = next(delays)
                log.error("component_crashed", component=component.name, restart_in_s=round(delay_s, 2), exc_info=error)
                self._on_crash(component.name, reason)
                await self._clock.sleep(delay_s)
            else:
                return

    def _fail(self, component: _Component, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        component.crashes += 1
        component.last_crash = reason
        log.critical("component_failed_for_good", component=component.name, reason=reason)
        self._on_crash(component.name, reason)
        if self._failure is None:
            self._failure = error
            self._failed.set()


def _is_one(error: Exception, kinds: tuple[type[Exception], ...]) -> bool:
    if isinstance(error, ExceptionGroup):  # of a component that is a group of tasks
        return error.subgroup(kinds) is not None
    return isinstance(error, kinds)
