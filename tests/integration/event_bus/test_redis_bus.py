"""What the Redis bus promises beyond every bus: several processes, trimming, numbers, and who is gone for good."""

import asyncio
import contextlib
from itertools import pairwise

import pytest

from market_scraper.domain.errors import BusUnreachable, ConfigError, ReaderLost
from market_scraper.domain.events import MarketContextChanged, MarketsListed
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.event_bus.redis import Patience, RedisAddress, RedisBus, member
from market_scraper.ports.bus import Envelope, Inbox
from tests.contracts.bus import PATIENCE_S, mark_changed, marks, numbers_of, take_exactly
from tests.integration.event_bus.parts import bus_at, held, new_namespace, take_and_ack, until


async def test_partitions_change_owners_under_load_and_keep_their_order(redis_url: str) -> None:
    """Three processes come and go, one without a goodbye, while events of eight keys stream in."""
    name, keys, each = new_namespace(), "ABCDEFGH", 150
    done: dict[str, list[int]] = {key: [] for key in keys}
    finished = asyncio.Event()

    async def work(inbox: Inbox) -> None:
        while True:
            for envelope in await inbox.take(7):
                await asyncio.sleep(0)  # an effect that takes a while
                done[envelope.key].append(envelope.event.known_at_ms)
                inbox.ack([envelope])
                if all(len(set(numbers)) == each for numbers in done.values()):
                    finished.set()

    async def process(lives: asyncio.Event, opened: asyncio.Event) -> None:
        async with bus_at(redis_url, name) as bus, bus.subscribe("group", MarketContextChanged) as inbox:
            opened.set()
            working = asyncio.create_task(work(inbox))
            await lives.wait()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    stay, first_ends, second_ends, opened = (asyncio.Event() for _ in range(4))
    async with bus_at(redis_url, name) as bus, asyncio.TaskGroup() as tasks:
        tasks.create_task(process(first_ends, opened))
        tasks.create_task(process(stay, opened))
        await opened.wait()
        for number in range(each):
            await bus.publish([mark_changed(key, number) for key in keys])
            if number == 40:
                first_ends.set()
            if number == 80:
                tasks.create_task(process(second_ends, opened))
            if number == 120:
                second_ends.set()
        await asyncio.wait_for(finished.wait(), 2 * PATIENCE_S)
        stay.set()
    for numbers in done.values():
        firsts = list(dict.fromkeys(numbers))
        assert firsts == list(range(each))  # each for the first time in order, whatever came again
        assert all(later - earlier <= 1 for earlier, later in pairwise(numbers))


async def test_a_process_that_ends_without_a_word_is_replaced_and_its_events_come_first(redis_url: str) -> None:
    name = new_namespace()
    async with bus_at(redis_url, name) as lives, contextlib.AsyncExitStack() as dead:
        doomed = await dead.enter_async_context(bus_at(redis_url, name))
        leaving = await dead.enter_async_context(doomed.subscribe("group", MarketContextChanged))
        await lives.publish(marks("BTC", 1, 2, 3, 4))
        taken = await take_exactly(leaving, 4)
        leaving.ack(taken[:1])
        await doomed._acks.flushed()
        for task in asyncio.all_tasks():
            if task.get_name().startswith("redis-bus") and task in doomed._tasks:
                task.cancel()  # it says nothing any more, as after kill -9
        async with lives.subscribe("group", MarketContextChanged) as inbox:
            await lives.publish(marks("BTC", 5))
            again = await take_exactly(inbox, 4)
            assert numbers_of(again) == [2, 3, 4, 5]
            assert [envelope.attempt for envelope in again] == [2, 2, 2, 1]


async def test_a_member_that_slept_hands_nothing_out_that_may_be_somebody_else_s(redis_url: str) -> None:
    name = new_namespace()
    async with (
        bus_at(redis_url, name) as sleeper,
        bus_at(redis_url, name) as other,
        sleeper.subscribe("group", MarketContextChanged) as sleeping,
    ):
        await other.publish(marks("BTC", 1, 2, 3))
        (first,) = await take_exactly(sleeping, 1)
        member = next(iter(sleeper._upkeep.beats)).__self__  # type: ignore[attr-defined]
        member._confirmed_s = float("-inf")  # as after a pause longer than its time
        (second,) = await take_exactly(sleeping, 1)  # it has asked first, and is still the owner
        assert numbers_of([first, second]) == [1, 2]
        assert member._confirmed_s > 0


async def test_a_partition_that_is_never_idle_is_handed_over_in_the_end(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A persister acknowledges late, when its rows are stored: there is always something under way."""
    monkeypatch.setattr(member, "DRAIN_S", 0.0)
    name, keys = new_namespace(), "ABCD"
    async with (
        bus_at(redis_url, name) as one,
        bus_at(redis_url, name) as two,
        one.subscribe("group", MarketContextChanged) as busy,
    ):
        await one.publish([mark_changed(key, 1) for key in keys])
        under_way = await take_exactly(busy, 4)
        async with two.subscribe("group", MarketContextChanged) as comes:
            await until(lambda: len(busy._aside) == 2)  # type: ignore[attr-defined]
            await two.publish([mark_changed(key, 2) for key in keys])
            kept: list[Envelope] = []
            async with asyncio.timeout(PATIENCE_S):
                while len(kept) < 2:  # the two that stay; the others are held back
                    kept += await busy.take()
            busy.ack(under_way)
            moved = await take_exactly(comes, 2)
        assert {e.key for e in kept if e.event.known_at_ms == 2} | {e.key for e in moved} == set(keys)
        assert numbers_of(moved) == [2, 2]


async def test_trimming_keeps_what_a_group_or_a_follower_has_not_read(redis_url: str) -> None:
    name = new_namespace()
    async with bus_at(redis_url, name) as bus:
        async with (
            bus.subscribe("group", MarketContextChanged) as inbox,
            bus.follow(MarketContextChanged, size=4) as slow,
        ):
            await bus.publish(marks("BTC", *range(10)))
            taken = await take_exactly(inbox, 10)
            inbox.ack([*taken[:3], *taken[5:]])  # 3 and 4 are under way
            await bus._acks.flushed()
            await bus._upkeep.trim(at_once=True)
            assert set(held(redis_url, name, "BTC")) >= {envelope.seq for envelope in taken[3:]}
            assert numbers_of(await take_exactly(slow, 10)) == list(range(10))
            await until(lambda: held(redis_url, name, "BTC") == [envelope.seq for envelope in taken[3:]])
            inbox.ack(taken)
            await bus.publish(marks("BTC", *range(10, 20)))
            inbox.ack(await take_exactly(inbox, 10))
            await bus._acks.flushed()
            await bus._upkeep.trim(at_once=True)
            assert len(held(redis_url, name, "BTC")) >= 6  # the follower has room for four
            assert numbers_of(await take_exactly(slow, 10)) == list(range(10, 20))
        await bus._upkeep.trim(at_once=True)
        assert held(redis_url, name, "BTC") == []
        assert bus.stats()["held"] == 0


async def test_a_group_that_comes_back_goes_on_where_it_was(redis_url: str) -> None:
    name = new_namespace()
    async with bus_at(redis_url, name) as bus, bus.subscribe("group", MarketContextChanged) as inbox:
        await bus.publish(marks("BTC", 1, 2))
        await take_exactly(inbox, 1)
    async with bus_at(redis_url, name) as bus:
        await bus.publish(marks("BTC", 3) + marks("ETH", 4))  # nobody is there
        await bus._upkeep.trim(at_once=True)
        assert bus.stats()["groups_absent"] == 1
        async with bus.subscribe("group", MarketContextChanged) as inbox:
            back = await take_exactly(inbox, 4)
    assert numbers_of([e for e in back if e.key == "BTC"]) == [1, 2, 3]
    assert [e.attempt for e in back if e.key == "BTC"][-1] == 1


async def test_readers_beyond_their_deadline_are_given_up_and_told(redis_url: str) -> None:
    name, brief = new_namespace(), Patience(member_s=0.2, reader_s=0.3)
    async with bus_at(redis_url, name) as bus, bus_at(redis_url, name, patience=brief) as other:
        following = other.follow(MarketContextChanged)
        inbox = await following.__aenter__()
        async with other.subscribe("gone", MarketContextChanged):
            await bus.publish(marks("BTC", 1))
        for beat in list(other._upkeep.beats):
            other._upkeep.beats.remove(beat)  # it stays silent from here on
        await take_exactly(inbox, 1)
        await until(lambda: bus.stats()["readers_given_up"] == 2)
        assert held(redis_url, name, "BTC") == []
        assert bus.stats()["groups_absent"] == 0
        await bus.publish(marks("BTC", 2))  # the silent one hears of it and asks
        with pytest.raises(ReaderLost):
            await inbox.take()
        other._upkeep.beats.append(lambda: None)
        with contextlib.suppress(ValueError):
            await following.__aexit__(None, None, None)


async def test_time_in_which_nobody_looked_counts_against_no_reader(redis_url: str) -> None:
    name, brief = new_namespace(), Patience(member_s=0.2, reader_s=60.0)
    async with (
        bus_at(redis_url, name, patience=brief) as bus,
        bus.subscribe("group", MarketContextChanged),
    ):
        await bus.publish(marks("BTC", 1))
    from redis import Redis

    with Redis.from_url(redis_url) as client:  # as if all processes had been stopped an hour ago
        base = f"{{{name}}}"
        client.zincrby(f"{base}:readers", -3_600_000, "g:group")
        client.decrby(f"{base}:tended", 3_600_000)
    async with bus_at(redis_url, name, patience=brief) as bus:
        await bus._upkeep.trim()
        assert bus.stats()["readers_given_up"] == 0
        async with bus.subscribe("group", MarketContextChanged) as inbox:
            assert numbers_of(await take_exactly(inbox, 1)) == [1]


async def test_a_partition_that_nobody_reads_stops_growing_and_publishers_wait(redis_url: str) -> None:
    name = new_namespace()
    async with bus_at(redis_url, name, longest=20) as bus:
        async with bus.subscribe("group", MarketContextChanged):
            pass  # known from now on, and absent
        publishing = asyncio.create_task(bus.publish(marks("BTC", *range(30))))
        await until(lambda: bus.stats()["published"] == 20)
        await asyncio.wait_for(bus.publish(marks("ETH", 99)), PATIENCE_S)  # others pass by
        async with bus.subscribe("group", MarketContextChanged) as inbox:
            numbers = await take_and_ack(inbox, 31)
        await asyncio.wait_for(publishing, PATIENCE_S)
    assert [number for number in numbers if number != 99] == list(range(30))


async def test_what_a_full_group_does_not_want_passes_by(redis_url: str) -> None:
    """Health must be told while the persister waits for its store."""
    async with (
        bus_at(redis_url, new_namespace()) as bus,
        bus.subscribe("stuck", MarketContextChanged, size=1),
        bus.subscribe("health", MarketsListed) as health,
    ):
        waiting = asyncio.create_task(bus.publish(marks("BTC", 1, 2, 3)))
        await until(lambda: bus.stats()["published"] == 1)
        await bus.publish([MarketsListed(known_at_ms=9, markets=())])
        assert numbers_of(await take_exactly(health, 1)) == [9]
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_numbers_are_the_same_in_every_process_and_never_come_again(redis_url: str) -> None:
    name, reserve = new_namespace(), reserve_in_memory()
    async with (
        bus_at(redis_url, name, reserve, block=10) as one,
        bus_at(redis_url, name, reserve, block=10) as two,
        one.follow(MarketContextChanged) as here,
        two.follow(MarketContextChanged) as there,
    ):
        assert one.newest_seq == one.oldest_seq - 1
        for number in range(0, 60, 2):
            await one.publish(marks("BTC", number))
            await two.publish(marks("ETH", number + 1))
        seen, also = await take_exactly(here, 60), await take_exactly(there, 60)
        assert [(e.seq, e.key) for e in seen] == [(e.seq, e.key) for e in also]
        assert numbers_of(seen) == list(range(60))
        assert [e.seq for e in seen] == sorted({e.seq for e in seen})
        newest = seen[-1].seq
        assert one.newest_seq == two.newest_seq == newest
    from redis import Redis

    with Redis.from_url(redis_url) as client:  # Redis comes back empty
        for key in client.scan_iter(f"{{{name}}}*"):
            client.delete(key)
    async with bus_at(redis_url, name, reserve, block=10) as bus, bus.follow(MarketContextChanged) as inbox:
        await bus.publish(marks("BTC", 1))
        (envelope,) = await take_exactly(inbox, 1)
        assert bus.oldest_seq > newest
        assert envelope.seq > newest


async def test_a_group_that_is_asked_for_other_kinds_while_it_is_read_is_a_mistake(redis_url: str) -> None:
    async with bus_at(redis_url, new_namespace()) as bus, bus.subscribe("group", MarketContextChanged):
        with pytest.raises(ValueError, match="subscribed already"):
            async with bus.subscribe("group", MarketsListed):
                pass


async def test_a_newer_program_that_asks_for_other_kinds_is_counted_right(redis_url: str) -> None:
    name = new_namespace()
    async with bus_at(redis_url, name) as bus:
        async with bus.subscribe("group", MarketContextChanged):
            pass
        await bus.publish([*marks("BTC", 1), MarketsListed(known_at_ms=2, markets=())])
        async with bus.subscribe("group", MarketContextChanged, MarketsListed) as inbox:
            assert sorted(await take_and_ack(inbox, 2)) == [1, 2]
        assert bus.stats()["waiting_group"] == 0


async def test_an_event_that_cannot_be_read_is_kept_and_does_not_hold_up_the_rest(redis_url: str) -> None:
    kept: list[tuple[bytes, str]] = []

    async def keep(data: bytes, reason: str) -> None:
        kept.append((data, reason))

    name = new_namespace()
    async with (
        bus_at(redis_url, name, unreadable=keep) as bus,
        bus.subscribe("group", MarketContextChanged) as inbox,
    ):
        from redis import Redis

        await bus.publish(marks("BTC", 1))
        with Redis.from_url(redis_url) as client:
            client.xadd(f"{{{name}}}:s:BTC", {"MarketContextChanged": b"\xc1"}, id=f"{bus.newest_seq + 1}-0")
            client.incr(f"{{{name}}}:seq")
        await bus.publish(marks("BTC", 2))
        assert await take_and_ack(inbox, 2) == [1, 2]
        assert [data for data, _ in kept] == [b"\xc1"]


async def test_a_server_that_is_not_there_is_one_clear_line_without_credentials() -> None:
    with pytest.raises(BusUnreachable) as caught:
        async with bus_at("redis://user:hunter2@127.0.0.1:1/0", new_namespace()):
            pass
    assert "127.0.0.1:1" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://user:pa/ss@host", "redis://", "http://host", "redis://user:p@ss@host"])
def test_a_url_that_would_be_read_wrongly_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RedisAddress(url=url)
    assert "ss" not in str(caught.value).replace("address", "").replace("password", "")


def test_an_address_shows_no_credentials() -> None:
    address = RedisAddress(url="rediss://user:hunter2@cache.example:6380/2?ssl_cert_reqs=none")
    assert address.place == "cache.example:6380/2"
    assert "hunter2" not in repr(address)
    assert RedisAddress(url="unix:///run/redis.sock?db=1").place == "/run/redis.sock"
    assert isinstance(bus_at("redis://[::1]:6379", "x"), RedisBus)
