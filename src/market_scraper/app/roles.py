"""Roles of which one process is active at a time: who may act, who stands by, and the way from one to the other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog

from market_scraper.domain.errors import BusUnreachable, StoreError
from market_scraper.ports.bus import Bus
from market_scraper.ports.lease import Lease, LeasedBus
from market_scraper.runtime.backoff import backoff
from market_scraper.runtime.clock import real_sleep

log = structlog.get_logger(__name__)

STANDS_BY_AFTER_S = 1.0
"""Real seconds: a lease that is free is ours at once; one that is not after these is somebody else's."""

Work = Callable[[Bus, Lease], AbstractAsyncContextManager[object]]
"""What the active process does, from entering to leaving; it publishes through the bus that it is given."""


class Role:
    """Use as `async with`: entering returns once this process is active, or knows that another one is.

    While the lease is ours `work` is entered; when it is lost `work` is left, and this process stands by again.
    `ended` gets the exception of a role that cannot go on: then the process cannot either.
    """

    def __init__(self, name: str, bus: LeasedBus, work: Work) -> None:
        self.name = name
        self.is_active = False
        self._bus = bus
        self._work = work
        self._settled = asyncio.Event()  # it is known who is active
        self._task: asyncio.Task[None] | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> "Role":
        self._task = asyncio.create_task(self._run(), name=f"role-{self.name}")
        await self._settled.wait()
        if self.ended.done():
            self.ended.result()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            async with self._bus.lease(self.name) as lease:
                delays = backoff()
                while True:
                    async with self._saying_who_waits():
                        await lease.acquire()
                    try:
                        await self._act(lease)
                        delays = backoff()
                    except (StoreError, BusUnreachable) as error:
                        if not self._settled.is_set():
                            raise  # at the start: say so and stop
                        # Somebody else may be able to; else it is ours again at once.
                        await lease.release()
                        delay_s = next(delays)
                        log.error("role_failed", role=self.name, reason=str(error), again_in_s=round(delay_s, 1))
                        await real_sleep(delay_s)
        except Exception as error:
            self.ended.set_exception(error)
            self._settled.set()

    async def _act(self, lease: Lease) -> None:
        async with self._work(self._bus.fenced_by(lease), lease):
            self.is_active = True
            if self._settled.is_set():  # else it is as it is every day: nobody has to be told
                log.info("role_active", role=self.name, term=lease.token)
            self._settled.set()
            try:
                await lease.lost()
            finally:
                self.is_active = False
        log.warning("role_stands_by", role=self.name)

    @asynccontextmanager
    async def _saying_who_waits(self) -> AsyncIterator[None]:
        waiting = asyncio.get_running_loop().call_later(STANDS_BY_AFTER_S, self._stands_by)
        try:
            yield
        finally:
            waiting.cancel()

    def _stands_by(self) -> None:
        if not self._settled.is_set():
            log.info("role_stands_by", role=self.name)
            self._settled.set()
