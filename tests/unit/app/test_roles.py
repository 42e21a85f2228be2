"""Who is active, who stands by, and what happens between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from market_scraper.app import roles
from market_scraper.app.roles import Role
from market_scraper.domain.errors import StoreUnreachable
from market_scraper.event_bus.lease import LocalLease
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.ports.bus import Bus
from market_scraper.ports.lease import Lease


async def reserve(_size: int) -> int:
    return 1


class SharedBus(MemoryBus):
    """A bus whose lease is held by one at a time, as between processes."""

    def __init__(self) -> None:
        super().__init__(reserve)
        self.free = asyncio.Lock()
        self.leases: list[LocalLease] = []

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[Lease]:
        lease = _Exclusive(name, self.free)
        self.leases.append(lease)
        try:
            yield lease
        finally:
            await lease.release()


class _Exclusive(LocalLease):
    def __init__(self, name: str, free: asyncio.Lock) -> None:
        super().__init__(name)
        self._free = free

    async def acquire(self) -> int:
        if self.token is None:
            await self._free.acquire()
        return await super().acquire()

    async def release(self) -> None:
        if self.token is not None:
            self._free.release()
        await super().release()


class Work:
    """Says when it begins and ends, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.said: list[str] = []
        self.failures = failures
        self.active = asyncio.Event()

    @asynccontextmanager
    async def __call__(self, _bus: Bus, _lease: Lease) -> AsyncIterator[None]:
        if self.failures:
            self.failures -= 1
            raise StoreUnreachable("the store is away")
        self.said.append("active")
        self.active.set()
        try:
            yield
        finally:
            self.active.clear()
            self.said.append("over")


async def test_who_shares_with_nobody_is_active_once_entered_and_has_ended_once_left() -> None:
    work = Work()
    async with Role("collect", MemoryBus(reserve), work) as role:
        assert role.is_active
        assert work.said == ["active"]
    assert work.said == ["active", "over"]
    assert not role.is_active


async def test_a_second_one_stands_by_until_the_first_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "STANDS_BY_AFTER_S", 0.01)
    bus, first, second = SharedBus(), Work(), Work()
    async with Role("collect", bus, first):
        async with Role("collect", bus, second) as waiting:
            assert not waiting.is_active
            assert second.said == []
            await bus.leases[0].release()
            await second.active.wait()
            assert first.said == ["active", "over"]
            assert second.said == ["active"]
        assert second.said == ["active", "over"]
        await first.active.wait()  # it had stood by, and acts again
        assert first.said == ["active", "over", "active"]


async def test_what_cannot_begin_at_the_start_says_why() -> None:
    with pytest.raises(StoreUnreachable, match="away"):
        async with Role("process", MemoryBus(reserve), Work(failures=1)):
            pass


async def test_a_bug_at_work_ends_the_role_and_is_told() -> None:
    @asynccontextmanager
    async def broken(_bus: Bus, lease: Lease) -> AsyncIterator[None]:
        yield
        raise KeyError("a bug")

    bus = SharedBus()
    async with Role("process", bus, broken) as role:
        await bus.leases[0].release()
        with pytest.raises(KeyError):
            await asyncio.wait_for(asyncio.shield(role.ended), 5)
