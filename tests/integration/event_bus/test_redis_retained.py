"""What the Redis bus still holds for who comes late, and what it says when that is not all."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest
from redis import Redis

from market_scraper.domain.errors import ReaderLost
from market_scraper.domain.events import MarketContextChanged, MarketsListed
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.event_bus.redis import Patience
from tests.contracts.bus import PATIENCE_S, mark_changed, marks, numbers_of, retained, take_exactly
from tests.integration.event_bus.parts import bus_at, held, new_namespace, take_and_ack, until
from tests.integration.event_bus.wire import wire_to
from tests.servers.redis import RedisServer, Unavailable, redis_server

BRIEF = Patience(member_s=0.2, reader_s=0.3)


@contextmanager
def run_redis(folder: Path, *options: str) -> Iterator[RedisServer]:
    """One of this test's own, which it may kill."""
    try:
        with redis_server(folder, *options) as server:
            yield server
    except Unavailable as error:
        pytest.skip(str(error))


async def test_what_is_published_before_the_first_worker_comes_waits_for_it(redis_url: str) -> None:
    """A collector may start minutes before the first persister: what it says meanwhile is nowhere else."""
    name = new_namespace()
    async with bus_at(redis_url, name) as collector, bus_at(redis_url, name) as worker:
        await collector.keep_for("persister", MarketContextChanged)
        await collector.publish([*marks("BTC", 1, 2), MarketsListed(known_at_ms=3, markets=()), *marks("ETH", 4)])
        await collector._upkeep.trim(at_once=True)
        assert collector.stats()["groups_absent"] == 1
        assert numbers_of(await retained(worker, MarketContextChanged)) == [1, 2, 4]
        async with worker.subscribe("persister", MarketContextChanged) as inbox:
            assert sorted(await take_and_ack(inbox, 3)) == [1, 2, 4]
            await worker.flushed()
            await worker._upkeep.trim(at_once=True)
            assert worker.stats()["groups_absent"] == 0
            assert await retained(worker, MarketContextChanged, MarketsListed) == []


async def test_a_group_that_nobody_ever_joins_is_given_up_told_and_begins_anew_behind_what_it_lost(
    redis_url: str,
) -> None:
    name = new_namespace()
    async with bus_at(redis_url, name, patience=BRIEF) as bus:
        await bus.keep_for("persister", MarketContextChanged)
        before = await bus.lost_before("persister")
        await bus.publish(marks("BTC", 1, 2))
        await until(lambda: bus.stats()["readers_given_up"] == 1)
        assert await retained(bus, MarketContextChanged) == []
        lost = await bus.lost_before("persister")
        assert lost >= bus.newest_seq > before
        await bus.publish(marks("BTC", 3))  # there is no such group: this is lost to it as well
        await bus.keep_for("persister", MarketContextChanged)
        begins = await bus.lost_before("persister")
        assert begins == bus.newest_seq > lost
        await bus.publish(marks("BTC", 4))
        async with bus.subscribe("persister", MarketContextChanged) as inbox:
            assert numbers_of(await take_exactly(inbox, 1)) == [4]
            assert await bus.lost_before("persister") == begins


async def test_a_worker_whose_group_was_given_up_hears_it_and_the_hole_can_be_seen(redis_url: str) -> None:
    name = new_namespace()
    async with bus_at(redis_url, name) as bus, AsyncExitStack() as stack:
        frozen = await stack.enter_async_context(bus_at(redis_url, name, patience=BRIEF))
        inbox = await stack.enter_async_context(frozen.subscribe("persister", MarketContextChanged))
        before = await bus.lost_before("persister")
        await bus.publish(marks("BTC", 1))
        taken = await take_exactly(inbox, 1)
        (beat,) = frozen._upkeep.beats
        frozen._upkeep.beats.clear()  # it stops, as a process that is suspended
        await until(lambda: bus.stats()["readers_given_up"] == 1)
        inbox.ack(taken)  # too late
        beat()
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(ReaderLost):
                await inbox.take()
        assert await bus.lost_before("persister") > before
        frozen._upkeep.beats.append(beat)


async def test_what_is_retained_comes_in_one_order_over_all_partitions_and_leaves_no_reader_behind(
    redis_url: str,
) -> None:
    name, keys = new_namespace(), "ABCDEFG"
    async with bus_at(redis_url, name) as bus, bus_at(redis_url, name) as late:
        async with bus.subscribe("group", MarketContextChanged) as inbox:
            numbers = list(range(1_700))
            await bus.publish([mark_changed(keys[number * number % 7], number) for number in numbers])
            early = await take_exactly(inbox, 100)
            inbox.ack(early)
            await bus.flushed()
            await bus._upkeep.trim(at_once=True)
            got = await retained(late, MarketContextChanged)
            assert [envelope.seq for envelope in got] == sorted(envelope.seq for envelope in got)
            assert set(numbers) - set(numbers_of(early)) <= set(numbers_of(got))
            assert len(got) < len(numbers)  # what is cut from the front is no more there
        with Redis.from_url(redis_url) as client:
            assert client.hlen(f"{{{name}}}:cursors") == 0


async def test_what_this_program_cannot_read_is_left_out_of_what_is_retained(redis_url: str) -> None:
    name = new_namespace()
    async with bus_at(redis_url, name) as bus:
        async with bus.subscribe("group", MarketContextChanged):
            await bus.publish(marks("BTC", 1))
            with Redis.from_url(redis_url) as client:
                entry = f"{bus.newest_seq + 1}-0"
                client.xadd(f"{{{name}}}:s:BTC", {"MarketContextChanged": b"\xc1"}, id=entry)
                client.set(f"{{{name}}}:seq", bus.newest_seq + 1)
            assert numbers_of(await retained(bus, MarketContextChanged)) == [1]
        assert len(held(redis_url, name, "BTC")) == 2


async def test_who_asks_while_redis_is_away_gets_its_answer_when_it_is_back(redis_url: str) -> None:
    name, port = new_namespace(), int(redis_url.rsplit(":", 1)[1].split("/")[0])
    async with wire_to(port) as wire, bus_at(redis_url, name) as bus, bus_at(wire.url, name) as late:
        await bus.keep_for("group", MarketContextChanged)
        await bus.publish(marks("BTC", 1, 2))
        wire.lose_answers = 2
        async with asyncio.timeout(PATIENCE_S):
            assert numbers_of(await retained(late, MarketContextChanged)) == [1, 2]
            wire.lose_answers = 2
            assert await late.lost_before("group") == await bus.lost_before("group")


@pytest.mark.parametrize("keeps_all", [False, True])
async def test_a_server_that_came_back_without_what_it_had_accepted_is_found_out(
    tmp_path: Path, keeps_all: bool
) -> None:
    """As Redis does out of the box: it saves from time to time, and a crash takes what came since."""
    options = ("--appendonly", "yes", "--appendfsync", "always") if keeps_all else ("--appendonly", "no")
    name, reserve = new_namespace(), reserve_in_memory()
    with run_redis(tmp_path, *options, "--save", "") as server:
        async with bus_at(server.url, name, reserve) as bus:
            await bus.keep_for("persister", MarketContextChanged)
            before = await bus.lost_before("persister")
            await bus.publish(marks("BTC", 1, 2))
            if not keeps_all:
                with Redis.from_url(server.url) as client:
                    client.save()
            await bus.publish(marks("BTC", 3, 4))
            accepted = bus.newest_seq
            server.kill()
            server.start()
            async with asyncio.timeout(PATIENCE_S), bus.subscribe("persister", MarketContextChanged) as inbox:
                await bus.publish(marks("BTC", 5))
                lost = await bus.lost_before("persister")
                await bus.publish(marks("BTC", 6))
                got = await take_and_ack(inbox, 6 if keeps_all else 4)
                assert await bus.lost_before("persister") == lost  # told once
    assert got == ([1, 2, 3, 4, 5, 6] if keeps_all else [1, 2, 5, 6])
    assert lost == before if keeps_all else lost >= accepted
