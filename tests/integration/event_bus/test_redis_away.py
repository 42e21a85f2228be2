"""Redis is cut off, hangs, is killed and comes back: nothing accepted is lost, nothing is published twice."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from redis import Redis

from market_scraper.domain.events import MarketContextChanged
from market_scraper.event_bus.numbers import reserve_in_memory
from tests.conftest import shared_redis
from tests.contracts.bus import PATIENCE_S, mark_changed, marks, numbers_of, take_exactly
from tests.integration.event_bus.parts import bus_at, held, new_namespace, take_and_ack, until
from tests.integration.event_bus.wire import wire_to
from tests.servers.redis import RedisServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One of this module's own, which its tests may kill."""
    with ExitStack() as stack:
        yield shared_redis(stack, tmp_path_factory)


async def test_a_batch_whose_answer_was_lost_is_not_published_twice(server: RedisServer) -> None:
    name = new_namespace()
    async with wire_to(server.port) as wire, bus_at(server.url, name) as witness:
        async with witness.follow(MarketContextChanged) as seen, bus_at(wire.url, name) as bus:
            await bus.publish(marks("BTC", 1))
            bus._wakes.remove(bus._publisher._wake)  # let the next answer be the publisher's
            wire.lose_answers = 3
            await asyncio.wait_for(bus.publish(marks("BTC", 2, 3)), PATIENCE_S)
            bus._wakes.add(bus._publisher._wake)
            assert wire.lost == 3
            await bus.publish(marks("BTC", 4))
            assert numbers_of(await take_exactly(seen, 4)) == [1, 2, 3, 4]
        assert len(held(server.url, name, "BTC")) <= 4


async def test_an_answer_with_events_that_was_lost_is_read_again(server: RedisServer) -> None:
    name = new_namespace()
    async with wire_to(server.port) as wire, bus_at(server.url, name) as publisher:
        async with bus_at(wire.url, name) as bus, bus.subscribe("group", MarketContextChanged) as inbox:
            await publisher.publish(marks("BTC", 1))
            assert await take_and_ack(inbox, 1) == [1]
            wire.lose_answers = 4
            await publisher.publish(marks("BTC", 2, 3))
            again = await take_exactly(inbox, 2)
            assert numbers_of(again) == [2, 3]
            inbox.ack(again)
            await publisher.publish(marks("BTC", 4))
            assert await take_and_ack(inbox, 1) == [4]
            await bus._acks.flushed()
            assert bus.stats()["waiting_group"] == 0
        assert wire.lost == 4


async def test_a_wire_that_is_cut_at_random_loses_nothing_doubles_nothing_and_keeps_every_order(
    server: RedisServer,
) -> None:
    """Two publishers, two members of a group, a follower: each over wires that are cut again and again."""
    name, keys, each = new_namespace(), "ABCDEF", 120
    dice = random.Random(7)
    done: dict[str, list[int]] = {key: [] for key in keys}
    followed: list[tuple[int, str, int]] = []
    finished = asyncio.Event()

    def look() -> None:
        if len(followed) >= each * len(keys) and all(len(set(numbers)) >= each for numbers in done.values()):
            finished.set()

    async with (
        wire_to(server.port) as bad,
        wire_to(server.port) as worse,
        asyncio.TaskGroup() as tasks,
        bus_at(bad.url, name) as one,
        bus_at(worse.url, name) as two,
        one.subscribe("group", MarketContextChanged, size=50) as first,
        two.subscribe("group", MarketContextChanged, size=50) as second,
        two.follow(MarketContextChanged, size=30) as follower,
    ):
        bad.chance_of_cut, worse.chance_of_cut = 0.01, 0.02

        async def work(inbox: object, limit: int) -> None:
            while True:
                failed: set[str] = set()
                for envelope in await inbox.take(limit):  # type: ignore[attr-defined]
                    if envelope.key in failed or dice.random() < 0.02:
                        failed.add(envelope.key)
                        inbox.retry([envelope])  # type: ignore[attr-defined]
                    else:
                        done[envelope.key].append(envelope.event.known_at_ms)
                        inbox.ack([envelope])  # type: ignore[attr-defined]
                look()

        async def follow() -> None:
            while True:
                followed.extend((e.seq, e.key, e.event.known_at_ms) for e in await follower.take())
                look()

        async def publish(bus: object, some: str) -> None:
            for number in range(0, each, 3):
                events = [mark_changed(key, number + more) for key in some for more in range(3)]
                await bus.publish(events)  # type: ignore[attr-defined]

        working = [tasks.create_task(job) for job in (work(first, 5), work(second, 20), follow())]
        async with asyncio.timeout(4 * PATIENCE_S):
            await asyncio.gather(publish(one, keys[:3]), publish(two, keys[3:]))
            await finished.wait()
        bad.chance_of_cut = worse.chance_of_cut = 0.0
        for task in working:
            task.cancel()
    assert bad.lost > 0
    assert worse.lost > 0
    assert [seq for seq, _, _ in followed] == sorted({seq for seq, _, _ in followed})
    for key in keys:
        assert [number for _, its, number in followed if its == key] == list(range(each))
        assert list(dict.fromkeys(done[key])) == list(range(each))


async def test_killing_redis_again_and_again_under_load_loses_nothing_that_was_accepted(server: RedisServer) -> None:
    """`appendfsync always`: what `publish` has returned for is on the disk."""
    name, total = new_namespace(), 900
    got: list[int] = []
    seqs: list[int] = []
    async with (
        bus_at(server.url, name, reserve := reserve_in_memory()) as bus,
        bus.subscribe("group", MarketContextChanged, size=100) as inbox,
        bus.follow(MarketContextChanged) as follower,
    ):

        async def publish() -> None:
            for number in range(0, total, 3):
                await bus.publish(marks("BTC", number, number + 1, number + 2))

        async def read() -> None:
            while len(set(got)) < total:
                taken = await inbox.take(50)
                got.extend(numbers_of(taken))
                inbox.ack(taken)

        publishing, reading = asyncio.create_task(publish()), asyncio.create_task(read())
        for part in (1, 2, 3):
            await until(lambda part=part: len(set(got)) > part * total // 4)  # type: ignore[misc]
            server.kill()
            await until(lambda: "away_since_ms" in bus.stats())
            await asyncio.to_thread(server.start)
        await asyncio.wait_for(asyncio.gather(publishing, reading), 4 * PATIENCE_S)
        assert list(dict.fromkeys(got)) == list(range(total))
        followed = await take_exactly(follower, total)
        assert numbers_of(followed) == list(range(total))
        seqs = [envelope.seq for envelope in followed]
        assert seqs == sorted(set(seqs))
        await until(lambda: "away_since_ms" not in bus.stats())
        await bus._acks.flushed()
        assert bus.stats()["waiting_group"] == 0
    async with bus_at(server.url, name, reserve) as bus:
        assert bus.newest_seq >= seqs[-1]


async def test_a_server_that_hangs_is_away_and_leaving_does_not_wait_for_it(server: RedisServer) -> None:
    name = new_namespace()
    async with bus_at(server.url, name, answer_s=0.3) as bus:
        async with (
            bus.subscribe("one", MarketContextChanged) as one,
            bus.subscribe("two", MarketContextChanged),
            bus.follow(MarketContextChanged),
        ):
            await bus.publish(marks("BTC", 1))
            (envelope,) = await take_exactly(one, 1)
            server.freeze()
            try:
                one.ack([envelope])
                publishing = asyncio.create_task(bus.publish(marks("BTC", 2)))
                await until(lambda: bus.stats().get("away_since_ms", 0) > 0)
                assert not publishing.done()
                begun_s = asyncio.get_running_loop().time()
            except BaseException:
                server.thaw()
                raise
        took_s = asyncio.get_running_loop().time() - begun_s
        server.thaw()
        assert took_s < 1.0
        await asyncio.wait_for(publishing, PATIENCE_S)
        async with bus.subscribe("one", MarketContextChanged) as one:
            assert set(await take_and_ack(one, 1)) <= {1, 2}


async def test_the_holder_of_a_lease_keeps_it_over_an_outage(server: RedisServer) -> None:
    name = new_namespace()
    async with (
        bus_at(server.url, name) as one,
        bus_at(server.url, name) as two,
        one.lease("collect") as active,
        two.lease("collect") as stand_by,
    ):
        token = await active.acquire()
        waiting = asyncio.create_task(stand_by.acquire())
        server.kill()
        await until(lambda: "away_since_ms" in one.stats() and "away_since_ms" in two.stats())
        await asyncio.sleep(0.6)  # longer than the lease's time
        assert active.token == token
        await asyncio.to_thread(server.start)
        await until(lambda: "away_since_ms" not in one.stats() and "away_since_ms" not in two.stats())
        await asyncio.sleep(0.6)
        assert active.token == token
        assert not waiting.done()
        await one.fenced_by(active).publish(marks("BTC", 1))
        await active.release()
        assert await asyncio.wait_for(waiting, PATIENCE_S) > token


async def test_a_server_without_memory_takes_no_events_but_readers_go_on_and_make_room(server: RedisServer) -> None:
    name = new_namespace()
    async with (
        bus_at(server.url, name) as bus,
        bus.subscribe("group", MarketContextChanged) as inbox,
        bus.lease("collect") as lease,
    ):
        await bus.publish(marks("BTC", 1, 2, 3))
        with Redis.from_url(server.url) as client:
            client.config_set("maxmemory", 1)
            try:
                publishing = asyncio.create_task(bus.publish(marks("BTC", 4)))
                await until(lambda: "away_since_ms" in bus.stats())
                assert await take_and_ack(inbox, 3) == [1, 2, 3]
                await asyncio.wait_for(lease.acquire(), PATIENCE_S)
                await bus.flushed()
                await bus._upkeep.trim(at_once=True)
                assert held(server.url, name, "BTC") == []
                async with bus.follow(MarketContextChanged):
                    assert "away_since_ms" in bus.stats()
                assert not publishing.done()
            finally:
                client.config_set("maxmemory", 0)
        await asyncio.wait_for(publishing, PATIENCE_S)
        assert await take_and_ack(inbox, 1) == [4]
        assert "away_since_ms" not in bus.stats()
