"""A lease kept in Redis."""

import asyncio
import uuid
from collections.abc import Callable

import structlog

from market_scraper.domain.errors import BusUnreachable
from market_scraper.event_bus.lease import Estate
from market_scraper.event_bus.redis.link import LEASE, Argument, Delays, Link

log = structlog.get_logger(__name__)

KEPT_S = 3_600
"""Real seconds for which the next holder finds what the last one left: it may come long after the lease ran out."""


class RedisLease:
    """Implements `ports.lease.Lease`. Run `run` as a task.

    While Redis is away the holder goes on: nobody else can take the lease, and nothing can be published. A stand-by
    lets the last holder come back first: it waits for the lease's time from when it could ask again.
    """

    def __init__(self, name: str, *, link: Link, ttl_s: float, delays: Delays) -> None:
        self.name = name
        self._link = link
        self._ttl_s = ttl_s
        self._delays = delays
        self._holder = uuid.uuid4().hex
        self._token: int | None = None
        self._estate = Estate(name)
        self._left: bytes | None = None
        self._known = 0  # the highest token that was ours: a server that forgot must go on above
        self._lost = asyncio.Event()
        self._lost.set()

    @property
    def token(self) -> int | None:
        return self._token

    @property
    def left(self) -> bytes | None:
        return self._left

    def leave(self, state: Callable[[], bytes]) -> None:
        self._estate.leave(state)

    async def acquire(self) -> int:
        while self._token is None:
            try:
                token, left = await self._ask("acquire", self._known)
            except BusUnreachable:
                await self._until_back()
                await self._link.clock.sleep(self._ttl_s)
                continue
            if token:
                self._token = self._known = token
                self._left = left
                self._lost.clear()
                log.info("lease_acquired", lease=self.name, term=token)
            else:
                await self._link.clock.sleep(self._ttl_s / 4)
        return self._token

    async def lost(self) -> None:
        await self._lost.wait()

    async def release(self) -> None:
        if self._token is None:
            return
        token, self._token = self._token, None
        self._lost.set()
        try:
            await self._ask("release", token, self._estate.now())
        except BusUnreachable:
            pass  # it runs out by itself

    def lose(self) -> None:
        """Take it as lost: the server has refused its token."""
        if self._token is not None:
            log.warning("lease_lost", lease=self.name, term=self._token)
            self._token = None
            self._lost.set()

    async def run(self) -> None:
        """Renew it while it is ours, until cancelled."""
        while True:
            await self._link.clock.sleep(self._ttl_s / 4)
            if (token := self._token) is None:
                continue
            try:
                still, _ = await self._ask("renew", token, self._estate.now())
            except BusUnreachable:
                continue
            if not still and self._token == token:
                self.lose()

    async def _until_back(self) -> None:
        for delay_s in self._delays():
            try:
                await self._ask("renew", -1)  # changes nothing: no token is as low
            except BusUnreachable:
                await self._link.clock.sleep(delay_s)
            else:
                return

    async def _ask(self, what: str, token: int, leaves: bytes | None = None) -> tuple[int, bytes | None]:
        estate: tuple[Argument, ...] = () if leaves is None else (1, leaves, KEPT_S)
        ttl_ms = round(self._ttl_s * 1000)
        answer, left = await self._link.ask(LEASE, what, self.name, self._holder, ttl_ms, token, *estate)
        return answer, left
