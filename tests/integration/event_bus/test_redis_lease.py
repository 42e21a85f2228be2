"""One active holder, a rising token, and a bus that refuses who woke too late."""

import asyncio

import pytest
from redis import Redis

from market_scraper.domain.errors import Fenced
from market_scraper.domain.events import MarketContextChanged
from market_scraper.event_bus.lease import LocalLease
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from tests.contracts.bus import PATIENCE_S, marks, numbers_of, take_exactly
from tests.integration.event_bus.parts import bus_at, new_namespace


async def test_one_holds_it_and_the_next_gets_it_with_a_higher_token_at_once(redis_url: str) -> None:
    name = new_namespace()
    async with (
        bus_at(redis_url, name) as one,
        bus_at(redis_url, name) as two,
        one.lease("collect") as active,
        two.lease("collect") as stand_by,
    ):
        token = await active.acquire()
        assert await active.acquire() == token
        waiting = asyncio.create_task(stand_by.acquire())
        await asyncio.sleep(1.0)  # longer than the lease's time: it is renewed
        assert not waiting.done()
        assert active.token == token
        assert stand_by.token is None
        await active.release()
        assert await asyncio.wait_for(waiting, PATIENCE_S) > token
        await asyncio.wait_for(active.lost(), PATIENCE_S)


async def test_a_holder_that_slept_is_refused_when_it_publishes_and_learns_that_it_lost(redis_url: str) -> None:
    name = new_namespace()
    async with (
        bus_at(redis_url, name) as one,
        bus_at(redis_url, name) as two,
        two.subscribe("group", MarketContextChanged) as inbox,
        two.lease("collect") as second,
    ):
        async with one.lease("collect") as first:
            fenced = one.fenced_by(first)
            with pytest.raises(Fenced):
                await fenced.publish(marks("BTC", 0))  # not ours yet
            await first.acquire()
            await fenced.publish(marks("BTC", 1))
            for task in asyncio.all_tasks():
                if task.get_name() == "redis-lease-collect" and task is not asyncio.current_task():
                    task.cancel()  # both sleep: nobody renews
            await asyncio.wait_for(second.acquire(), PATIENCE_S)
            assert first.token is not None  # it has not noticed
            with pytest.raises(Fenced):
                await fenced.publish(marks("BTC", 2))
            await asyncio.wait_for(first.lost(), PATIENCE_S)
            await one.publish(marks("BTC", 3))  # what no lease guards goes on
            await two.fenced_by(second).publish(marks("BTC", 4))
        assert numbers_of(await take_exactly(inbox, 3)) == [1, 3, 4]


async def test_what_a_holder_had_a_moment_ago_outlives_its_kill(redis_url: str) -> None:
    """The successor may come minutes after the lease ran out, and must know what its predecessor spent."""
    name = new_namespace()
    async with bus_at(redis_url, name) as one, bus_at(redis_url, name) as two:
        async with one.lease("collect") as killed, two.lease("collect") as next_one:
            await killed.acquire()
            asked = 0

            def state() -> bytes:
                nonlocal asked
                asked += 1
                return b"spent %d" % asked

            killed.leave(state)
            async with asyncio.timeout(PATIENCE_S):
                while asked < 2:  # noqa: ASYNC110 - renewing tells nobody
                    await asyncio.sleep(0.01)
            for task in asyncio.all_tasks():
                if task.get_name() == "redis-lease-collect" and task is not asyncio.current_task():
                    task.cancel()  # it says nothing any more
            await asyncio.wait_for(next_one.acquire(), PATIENCE_S)
            assert next_one.left is not None
            assert int(next_one.left.split()[1]) in (asked, asked - 1)
            next_one.leave(lambda: b"of the second")
            await killed.release()  # it wakes: what is not its own any more it leaves alone
        with Redis.from_url(redis_url) as client:
            base = f"{{{name}}}:lease:collect"
            assert client.get(f"{base}:left") == b"of the second"
            assert 3_500 < client.ttl(f"{base}:left") <= 3_600
            assert not client.exists(base)


async def test_a_lease_of_another_bus_fences_nothing_and_is_a_mistake(redis_url: str) -> None:
    async with bus_at(redis_url, new_namespace()) as bus:
        with pytest.raises(ValueError, match="not kept in Redis"):
            bus.fenced_by(LocalLease("collect"))


async def test_a_process_without_company_holds_every_lease() -> None:
    async with MemoryBus(reserve_in_memory()) as bus, bus.lease("collect") as lease:
        assert lease.token is None
        token = await lease.acquire()
        async with bus.fenced_by(lease).follow(MarketContextChanged) as inbox:
            await bus.fenced_by(lease).publish(marks("BTC", 1))
            assert numbers_of(await take_exactly(inbox, 1)) == [1]
        await lease.release()
        await asyncio.wait_for(lease.lost(), PATIENCE_S)
        assert await lease.acquire() > token
