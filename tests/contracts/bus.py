"""What every bus promises; a backend inherits `BusContract` and gives it a `bus`."""

import asyncio
from collections.abc import Sequence

import pytest

from market_scraper.domain.events import Event, MarketContextChanged, MarketsListed, key_of
from market_scraper.domain.market import MarketContext
from market_scraper.domain.values import Symbol
from market_scraper.ports.bus import Bus, Envelope, Inbox
from market_scraper.ports.lease import MOST_LEFT, LeasedBus

PATIENCE_S = 5.0
"""Real seconds that a bus may take for what must happen; passing tests do not wait for it."""


def mark_changed(symbol: str, number: int) -> MarketContextChanged:
    """An event of partition `symbol` that can be told from others by its number."""
    context = MarketContext(
        symbol=Symbol(symbol), mark=float(number), mid=None, open_interest=1.0, funding=None, day_volume_usd=None
    )
    return MarketContextChanged(known_at_ms=number, context=context)


def marks(symbol: str, *numbers: int) -> list[Event]:
    return [mark_changed(symbol, number) for number in numbers]


def numbers_of(envelopes: Sequence[Envelope]) -> list[int]:
    return [envelope.event.known_at_ms for envelope in envelopes]


async def take_exactly(inbox: Inbox, count: int) -> list[Envelope]:
    """Take until `count` events are there."""
    taken: list[Envelope] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(taken) < count:
            taken += await inbox.take(count - len(taken))
    return taken


async def retained(bus: Bus, *kinds: type[Event]) -> list[Envelope]:
    """All that the bus holds of these kinds."""
    return [envelope async for part in bus.retained(*kinds) for envelope in part]


class BusContract:
    """At least once, in order per key, bounded."""

    async def test_each_group_gets_every_event_in_order_of_publishing(self, bus: Bus) -> None:
        async with (
            bus.subscribe("one", MarketContextChanged) as one,
            bus.subscribe("two", MarketContextChanged) as two,
        ):
            await bus.publish(marks("BTC", 1, 2, 3))
            assert numbers_of(await take_exactly(one, 3)) == [1, 2, 3]
            assert numbers_of(await take_exactly(two, 3)) == [1, 2, 3]

    async def test_an_inbox_hears_only_the_kinds_that_it_asked_for(self, bus: Bus) -> None:
        async with bus.subscribe("group", MarketsListed) as inbox:
            await bus.publish([*marks("BTC", 1), MarketsListed(known_at_ms=2, markets=())])
            assert numbers_of(await take_exactly(inbox, 1)) == [2]

    async def test_an_inbox_hears_nothing_from_before_it_was_opened(self, bus: Bus) -> None:
        await bus.publish(marks("BTC", 1))
        async with bus.subscribe("late", MarketContextChanged) as late, bus.follow(MarketContextChanged) as follower:
            await bus.publish(marks("BTC", 2))
            assert numbers_of(await take_exactly(late, 1)) == [2]
            assert numbers_of(await take_exactly(follower, 1)) == [2]

    async def test_seq_rises_over_all_events_and_the_key_is_the_partition(self, bus: Bus) -> None:
        async with bus.follow(MarketContextChanged, MarketsListed) as inbox:
            listed = MarketsListed(known_at_ms=2, markets=())
            await bus.publish([*marks("BTC", 1), listed, *marks("ETH", 3)])
            taken = await take_exactly(inbox, 3)
        seqs = [envelope.seq for envelope in taken]
        assert seqs == sorted(set(seqs))
        assert bus.newest_seq >= seqs[-1]
        assert 0 < bus.oldest_seq <= seqs[0]
        assert [envelope.key for envelope in taken] == [key_of(envelope.event) for envelope in taken]

    async def test_take_gives_at_most_the_limit_and_keeps_the_rest(self, bus: Bus) -> None:
        async with bus.subscribe("group", MarketContextChanged) as inbox:
            await bus.publish(marks("BTC", 1, 2, 3))
            assert numbers_of(await inbox.take(2)) == [1, 2]
            assert numbers_of(await inbox.take(2)) == [3]

    async def test_a_cancelled_take_loses_nothing(self, bus: Bus) -> None:
        async with bus.subscribe("group", MarketContextChanged) as inbox:
            task = asyncio.create_task(inbox.take())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            await bus.publish(marks("BTC", 1))
            assert numbers_of(await take_exactly(inbox, 1)) == [1]

    async def test_a_retried_event_comes_again_before_anything_later_of_its_key(self, bus: Bus) -> None:
        async with bus.subscribe("group", MarketContextChanged) as inbox:
            await bus.publish(marks("BTC", 1, 2, 3, 4))
            first, second = await take_exactly(inbox, 2)
            inbox.retry([second])
            inbox.retry([first])
            again = await take_exactly(inbox, 4)
            assert numbers_of(again) == [1, 2, 3, 4]
            assert [envelope.attempt for envelope in again] == [2, 2, 1, 1]
            assert again[0].seq == first.seq

    async def test_an_acknowledged_event_never_comes_again(self, bus: Bus) -> None:
        async with bus.subscribe("group", MarketContextChanged) as inbox:
            await bus.publish(marks("BTC", 1, 2))
            taken = await take_exactly(inbox, 2)
            inbox.ack(taken[:1])
            inbox.retry(taken)  # the first is done: only the second comes back
            assert numbers_of(await take_exactly(inbox, 1)) == [2]
        assert bus.stats()["acknowledged"] == 1

    async def test_acknowledging_twice_or_what_is_unknown_changes_nothing(self, bus: Bus) -> None:
        async with bus.subscribe("group", MarketContextChanged) as inbox:
            await bus.publish(marks("BTC", 1))
            taken = await take_exactly(inbox, 1)
            inbox.ack(taken)
            inbox.ack(taken)
            inbox.ack([Envelope(taken[0].seq + 1_000_000_000, "BTC", mark_changed("BTC", 9))])
        assert bus.stats()["acknowledged"] == 1
        assert bus.stats()["waiting_group"] == 0

    async def test_a_parked_event_is_counted_and_never_comes_again(self, bus: Bus) -> None:
        async with bus.subscribe("group", MarketContextChanged) as inbox:
            await bus.publish(marks("BTC", 1, 2))
            first, _ = await take_exactly(inbox, 2)
            await inbox.park(first, "makes no sense")
            await inbox.park(first, "said twice")
            assert bus.stats()["parked"] == 1
        async with bus.subscribe("group", MarketContextChanged) as inbox:
            assert numbers_of(await take_exactly(inbox, 1)) == [2]

    async def test_what_was_not_acknowledged_comes_again_to_the_next_inbox_of_the_group(self, bus: Bus) -> None:
        async with bus.subscribe("group", MarketContextChanged) as inbox:
            await bus.publish(marks("BTC", 1, 2, 3))
            taken = await inbox.take(2)
            inbox.ack(taken[:1])
        async with bus.subscribe("group", MarketContextChanged) as following:
            again = await take_exactly(following, 2)
            assert numbers_of(again) == [2, 3]
            assert again[0].attempt == 2

    async def test_what_was_not_acknowledged_goes_to_another_inbox_of_the_group_at_once(self, bus: Bus) -> None:
        async with bus.subscribe("group", MarketContextChanged) as stays:
            async with bus.subscribe("group", MarketContextChanged) as goes:
                everything = [event for key in "ABCDEFGH" for event in marks(key, 1, 2)]
                await bus.publish(everything)
                taken = list(await goes.take(1))
                assert len(taken) == 1
            got = await take_exactly(stays, len(everything))
        for key in "ABCDEFGH":
            assert numbers_of([e for e in got if e.key == key]) == [1, 2]

    async def test_two_inboxes_of_a_group_share_its_events_and_each_key_keeps_its_order(self, bus: Bus) -> None:
        keys = [f"K{number}" for number in range(20)]
        seen: list[tuple[str, int]] = []
        owners: dict[str, set[int]] = {key: set() for key in keys}

        async def read(inbox: Inbox, reader: int) -> None:
            while len(seen) < 200:
                for envelope in await inbox.take(7):
                    owners[envelope.key].add(reader)
                    seen.append((envelope.key, envelope.event.known_at_ms))
                    inbox.ack([envelope])

        async with (
            asyncio.timeout(PATIENCE_S),
            bus.subscribe("group", MarketContextChanged) as one,
            bus.subscribe("group", MarketContextChanged) as two,
        ):
            readers = [asyncio.create_task(read(one, 1)), asyncio.create_task(read(two, 2))]
            for number in range(10):
                await bus.publish([mark_changed(key, number) for key in keys])
            await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
        for key in keys:
            assert [number for other, number in seen if other == key] == list(range(10))
            assert len(owners[key]) == 1
        assert {reader for who in owners.values() for reader in who} == {1, 2}

    async def test_an_inbox_that_joins_under_load_leaves_every_key_its_order(self, bus: Bus) -> None:
        async with bus.subscribe("group", MarketContextChanged) as first:
            await bus.publish(marks("A", 1, 2, 3) + marks("B", 1, 2, 3))
            held = await take_exactly(first, 2)  # A1, A2 are under way
            async with bus.subscribe("group", MarketContextChanged) as second:
                await bus.publish(marks("A", 4) + marks("B", 4))
                first.ack(held)
                got: list[Envelope] = []
                async with asyncio.timeout(PATIENCE_S):
                    while len(got) < 6:
                        for inbox in (first, second):
                            try:
                                async with asyncio.timeout(0.02):
                                    got += await inbox.take()
                            except TimeoutError:
                                continue
        assert numbers_of([e for e in got if e.key == "A"]) == [3, 4]
        assert numbers_of([e for e in got if e.key == "B"]) == [1, 2, 3, 4]

    async def test_publishers_wait_while_an_inbox_is_full_and_go_on_when_it_is_not(self, bus: Bus) -> None:
        async with bus.subscribe("slow", MarketContextChanged, size=3) as slow:
            await bus.publish(marks("BTC", 1, 2, 3))
            publishing = asyncio.create_task(bus.publish(marks("BTC", 4)))
            await asyncio.sleep(0.02)
            assert not publishing.done()
            slow.ack(await take_exactly(slow, 1))
            await asyncio.wait_for(publishing, PATIENCE_S)
            assert numbers_of(await take_exactly(slow, 3)) == [2, 3, 4]

    async def test_a_burst_larger_than_every_inbox_arrives_whole(self, bus: Bus) -> None:
        async with bus.subscribe("group", MarketContextChanged, size=10) as inbox:
            publishing = asyncio.create_task(bus.publish(marks("BTC", *range(100))))
            got: list[int] = []
            async with asyncio.timeout(PATIENCE_S):
                while len(got) < 100:
                    taken = await inbox.take()
                    got += numbers_of(taken)
                    inbox.ack(taken)
            await publishing
        assert got == list(range(100))

    async def test_a_subscriber_that_leaves_frees_the_publishers(self, bus: Bus) -> None:
        async with bus.subscribe("gone", MarketContextChanged, size=1):
            publishing = asyncio.create_task(bus.publish(marks("BTC", *range(10))))
            await asyncio.sleep(0.02)
            assert not publishing.done()
        await asyncio.wait_for(publishing, PATIENCE_S)

    async def test_publishers_that_wait_keep_their_order_within_a_key(self, bus: Bus) -> None:
        async with bus.subscribe("group", MarketContextChanged, size=2) as inbox:
            publishers = []
            for number in range(0, 20, 4):
                publishers.append(asyncio.create_task(bus.publish(marks("BTC", *range(number, number + 4)))))
                await asyncio.sleep(0)
            got: list[int] = []
            async with asyncio.timeout(PATIENCE_S):
                while len(got) < 20:
                    taken = await inbox.take()
                    got += numbers_of(taken)
                    inbox.ack(taken)
            await asyncio.gather(*publishers)
        assert got == list(range(20))

    async def test_a_follower_needs_no_acknowledging(self, bus: Bus) -> None:
        async with bus.follow(MarketContextChanged, size=2) as follower:
            got: list[int] = []
            publishing = asyncio.create_task(bus.publish(marks("BTC", *range(10))))
            async with asyncio.timeout(PATIENCE_S):
                while len(got) < 10:
                    taken = await follower.take()
                    follower.ack(taken)
                    got += numbers_of(taken)
            await publishing
        assert got == list(range(10))

    async def test_a_follower_can_have_an_event_again(self, bus: Bus) -> None:
        async with bus.follow(MarketContextChanged) as follower:
            await bus.publish(marks("BTC", 1, 2))
            follower.retry(await follower.take(1))
            assert numbers_of(await take_exactly(follower, 2)) == [1, 2]

    async def test_what_is_published_counts(self, bus: Bus) -> None:
        async with bus.subscribe("group", MarketContextChanged) as inbox:
            await bus.publish(marks("BTC", 1, 2, 3))
            inbox.ack(await take_exactly(inbox, 2))
            stats = bus.stats()
        assert (stats["published"], stats["delivered"], stats["acknowledged"]) == (3, 2, 2)
        assert stats["waiting_group"] == 1

    @pytest.mark.parametrize("limit", [1, 3, 500])
    async def test_readers_that_fail_at_random_see_every_event_at_least_once_and_in_order(
        self, bus: Bus, limit: int
    ) -> None:
        done: dict[str, list[int]] = {"A": [], "B": []}
        async with bus.subscribe("group", MarketContextChanged, size=50) as inbox:
            events = [mark_changed("AB"[number % 2], number) for number in range(300)]
            publishing = asyncio.create_task(bus.publish(events))
            async with asyncio.timeout(PATIENCE_S):
                while sum(map(len, done.values())) < 300:
                    failed: set[str] = set()
                    for envelope in await inbox.take(limit):
                        number = envelope.event.known_at_ms
                        if envelope.key in failed or (number % 7 == 0 and envelope.attempt == 1):
                            failed.add(envelope.key)
                            inbox.retry([envelope])
                        else:
                            done[envelope.key].append(number)
                            inbox.ack([envelope])
            await publishing
        assert done == {"A": list(range(0, 300, 2)), "B": list(range(1, 300, 2))}

    async def test_what_a_group_has_not_acknowledged_is_retained_in_order_with_what_it_has_taken(
        self, bus: LeasedBus
    ) -> None:
        async with (
            bus.subscribe("one", MarketContextChanged) as one,
            bus.subscribe("two", MarketContextChanged, MarketsListed) as two,
        ):
            await bus.publish(marks("BTC", 1) + marks("ETH", 2) + marks("BTC", 3) + marks("SOL", 4))
            await bus.publish([MarketsListed(known_at_ms=5, markets=())])
            one.ack((await take_exactly(one, 4))[2:])
            taken = await take_exactly(two, 4)
            two.retry(taken[2:3])
            held = await retained(bus, MarketContextChanged)
        assert numbers_of(held) == [1, 2, 3, 4]
        assert [envelope.seq for envelope in held] == [envelope.seq for envelope in taken[:4]]
        assert [envelope.key for envelope in held] == ["BTC", "ETH", "BTC", "SOL"]

    async def test_what_the_last_reader_of_a_group_left_is_retained(self, bus: LeasedBus) -> None:
        async with bus.subscribe("group", MarketContextChanged) as inbox:
            await bus.publish(marks("BTC", 1, 2, 3))
            inbox.ack(await take_exactly(inbox, 1))
        held = numbers_of(await retained(bus, MarketContextChanged))
        assert held[-2:] == [2, 3]  # a bus that cuts from time to time may hold what is acknowledged too

    async def test_nothing_is_retained_where_nothing_was_published(self, bus: LeasedBus) -> None:
        assert await retained(bus, MarketContextChanged) == []

    async def test_retaining_ends_with_what_was_published_when_it_began(self, bus: LeasedBus) -> None:
        """Else it would never end while the tape runs."""
        numbers = list(range(1_200))
        async with bus.subscribe("group", MarketContextChanged) as inbox, asyncio.timeout(PATIENCE_S):
            await bus.publish([mark_changed("AB"[number % 2], number) for number in numbers])
            held: list[int] = []
            async for part in bus.retained(MarketContextChanged):
                held += numbers_of(part)
                await bus.publish(marks("A", 10_000))
            assert held == numbers
            assert len(await take_exactly(inbox, 1_201)) == 1_201  # reading changed nothing for who takes

    async def test_who_follows_first_and_reads_what_is_retained_then_misses_nothing_unacknowledged(
        self, bus: LeasedBus
    ) -> None:
        async with bus.subscribe("persister", MarketContextChanged) as inbox:
            await bus.publish(marks("BTC", *range(10)))
            stored = await take_exactly(inbox, 4)
            inbox.ack(stored)
            async with bus.follow(MarketContextChanged) as follower:
                await bus.publish(marks("BTC", 10, 11))
                held = numbers_of(await retained(bus, MarketContextChanged))
                await bus.publish(marks("BTC", 12))
                heard = numbers_of(await take_exactly(follower, 3))
        assert set(range(13)) <= {*numbers_of(stored), *held, *heard}
        assert heard == [10, 11, 12]

    async def test_a_group_that_was_kept_for_and_is_read_has_lost_nothing(self, bus: LeasedBus) -> None:
        await bus.keep_for("group", MarketContextChanged)
        before = await bus.lost_before("group")
        async with bus.subscribe("group", MarketContextChanged) as inbox:
            await bus.keep_for("group", MarketContextChanged)
            await bus.publish(marks("BTC", 1, 2))
            assert numbers_of(await take_exactly(inbox, 2)) == [1, 2]
            assert await bus.lost_before("group") == before
        async with bus.subscribe("group", MarketContextChanged):
            assert await bus.lost_before("group") == before

    async def test_keeping_for_a_group_that_is_read_leaves_it_its_size(self, bus: LeasedBus) -> None:
        async with bus.subscribe("group", MarketContextChanged, size=2) as inbox:
            await bus.keep_for("group", MarketContextChanged, MarketsListed)
            publishing = asyncio.create_task(bus.publish(marks("BTC", 1, 2, 3)))
            await asyncio.sleep(0.02)
            assert not publishing.done()
            inbox.ack(await take_exactly(inbox, 2))
            await asyncio.wait_for(publishing, PATIENCE_S)

    async def test_the_next_holder_of_a_lease_finds_what_the_last_one_left(self, bus: LeasedBus) -> None:
        async with bus.lease("collect") as first:
            await first.acquire()
            assert first.left is None
            states = [b"early", b"late \x00\xff"]
            first.leave(lambda: states[0])
            first.leave(lambda: states[1])
        async with bus.lease("collect") as second, bus.lease("other") as other:
            await second.acquire()
            await other.acquire()
            assert second.left == states[1]
            assert other.left is None
            await second.release()
            await second.acquire()
            assert second.left == states[1]  # it had nothing newer to leave

    async def test_a_holder_leaves_its_lease_though_its_state_fails_or_is_too_long(self, bus: LeasedBus) -> None:
        def fails() -> bytes:
            raise ValueError("no state")

        for state in (lambda: bytes(MOST_LEFT), lambda: bytes(MOST_LEFT + 1), fails):
            async with bus.lease("collect") as lease, asyncio.timeout(PATIENCE_S):
                await lease.acquire()
                lease.leave(state)
        async with bus.lease("collect") as lease, asyncio.timeout(PATIENCE_S):
            await lease.acquire()
            assert lease.left == bytes(MOST_LEFT)
