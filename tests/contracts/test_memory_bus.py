"""The memory bus keeps the bus's promises, and those of its own numbers and dead letters."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from market_scraper.domain.errors import StoreError
from market_scraper.domain.events import MarketContextChanged, MarketsListed
from market_scraper.event_bus.group import one_turn
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import Numbers, reserve_in_memory
from market_scraper.ports.bus import Envelope
from market_scraper.ports.lease import LeasedBus
from tests.contracts.bus import BusContract, marks, numbers_of, take_exactly


class TestMemoryBus(BusContract):
    @pytest.fixture
    async def bus(self) -> AsyncIterator[LeasedBus]:
        async with MemoryBus(reserve_in_memory()) as bus:
            yield bus


async def test_numbers_are_never_given_again_by_a_later_life() -> None:
    reserve = reserve_in_memory()  # stands for the store, which outlives the bus
    async with MemoryBus(reserve, block=10) as first, first.follow(MarketContextChanged) as inbox:
        assert (first.oldest_seq, first.newest_seq) == (1, 0)
        await first.publish(marks("BTC", *range(25)))
        old = [envelope.seq for envelope in await take_exactly(inbox, 25)]
    assert old == sorted(set(old))
    async with MemoryBus(reserve, block=10) as second, second.follow(MarketContextChanged) as inbox:
        assert second.newest_seq >= old[-1]
        await second.publish(marks("BTC", 1))
        (envelope,) = await take_exactly(inbox, 1)
        assert envelope.seq > old[-1]
        assert second.oldest_seq > old[-1]


async def test_a_block_that_cannot_be_reserved_is_said_to_the_publisher_and_nothing_is_published() -> None:
    async def no_store(size: int) -> int:
        raise StoreError("away")

    bus = MemoryBus(no_store)
    async with bus.follow(MarketContextChanged):
        with pytest.raises(StoreError):
            await bus.publish(marks("BTC", 1))
    assert bus.stats()["published"] == 0


async def test_a_store_that_gives_old_numbers_is_refused() -> None:
    async def always_one(size: int) -> int:
        return 1

    numbers = Numbers(always_one, block=5)
    await numbers.refill()
    numbers.give(5)
    with pytest.raises(ValueError, match="given already"):
        await numbers.refill()


async def test_a_dead_letter_is_kept_before_it_is_acknowledged() -> None:
    kept: list[tuple[Envelope, str]] = []
    away = True

    async def keep(envelope: Envelope, reason: str) -> None:
        if away:
            raise StoreError("away")
        kept.append((envelope, reason))

    async with (
        MemoryBus(reserve_in_memory(), dead_letter=keep) as bus,
        bus.subscribe("group", MarketContextChanged) as inbox,
    ):
        await bus.publish(marks("BTC", 1))
        (envelope,) = await inbox.take()
        with pytest.raises(StoreError):
            await inbox.park(envelope, "no sense")
        assert bus.stats()["waiting_group"] == 1
        away = False
        await inbox.park(envelope, "no sense")
        assert kept == [(envelope, "no sense")]
        assert bus.stats()["waiting_group"] == 0


async def test_what_a_full_group_does_not_want_passes_by() -> None:
    """Health must be told while the persister waits for its store."""
    async with (
        MemoryBus(reserve_in_memory()) as bus,
        bus.subscribe("stuck", MarketContextChanged, size=1),
        bus.subscribe("health", MarketsListed) as health,
    ):
        waiting = asyncio.create_task(bus.publish(marks("BTC", 1, 2, 3)))
        await asyncio.sleep(0)
        await bus.publish([MarketsListed(known_at_ms=9, markets=())])
        assert numbers_of(await take_exactly(health, 1)) == [9]
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_a_cancelled_publisher_does_not_hold_up_the_next_one() -> None:
    async with MemoryBus(reserve_in_memory()) as bus, bus.subscribe("slow", MarketContextChanged, size=1) as inbox:
        stuck = asyncio.create_task(bus.publish(marks("BTC", 1, 2)))
        await asyncio.sleep(0)
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)
        inbox.ack(await take_exactly(inbox, 1))
        await asyncio.wait_for(bus.publish(marks("BTC", 3)), 1)
        assert numbers_of(await take_exactly(inbox, 1)) == [3]


async def test_a_group_that_is_asked_for_other_kinds_while_it_is_read_is_a_mistake() -> None:
    async with MemoryBus(reserve_in_memory()) as bus, bus.subscribe("group", MarketContextChanged):
        with pytest.raises(ValueError, match="subscribed already"):
            async with bus.subscribe("group", MarketsListed):
                pass


async def test_drained_waits_for_the_last_acknowledgement() -> None:
    async with MemoryBus(reserve_in_memory()) as bus, bus.subscribe("group", MarketContextChanged) as inbox:
        await bus.publish(marks("BTC", 1))
        draining = asyncio.create_task(bus.drained())
        taken = await take_exactly(inbox, 1)
        await asyncio.sleep(0)
        assert not draining.done()
        inbox.ack(taken)
        await asyncio.wait_for(draining, 1)


async def test_drained_takes_a_late_acknowledging_group_as_done_when_all_is_taken() -> None:
    async with MemoryBus(reserve_in_memory()) as bus, bus.subscribe("late", MarketContextChanged) as inbox:
        await bus.publish(marks("BTC", 1, 2))
        draining = asyncio.create_task(bus.drained(taking_is_enough=["late"]))
        await inbox.take(1)
        await asyncio.sleep(0)
        assert not draining.done()
        await inbox.take(1)
        await asyncio.wait_for(draining, 1)
        assert bus.stats()["waiting_late"] == 2


async def test_a_take_that_waits_in_an_inbox_that_is_left_ends() -> None:
    async with MemoryBus(reserve_in_memory()) as bus:
        async with bus.subscribe("group", MarketContextChanged) as inbox:
            taking = asyncio.create_task(inbox.take())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="left"):
            await taking


async def test_who_is_woken_by_a_follower_comes_before_the_groups_that_wait_for_the_same_events() -> None:
    """A client's message does not wait until the same events are stored and counted."""
    order: list[str] = []
    shown = asyncio.Event()
    async with (
        MemoryBus(reserve_in_memory()) as bus,
        bus.subscribe("persister", MarketContextChanged) as rows,
        bus.follow(MarketContextChanged) as followed,
    ):

        async def store() -> None:
            await rows.take()
            order.append("stored")

        async def show() -> None:
            await followed.take()
            order.append("shown")
            shown.set()

        async def send() -> None:
            await shown.wait()
            order.append("sent")

        async with asyncio.TaskGroup() as tasks:
            for part in (store, show, send):
                tasks.create_task(part())
            for _ in range(5):
                await one_turn()  # all three wait
            await bus.publish(marks("BTC", 1))
    assert order == ["shown", "sent", "stored"]
