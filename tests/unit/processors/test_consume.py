import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import repeat

import pytest

from market_scraper.domain.errors import InvalidInput, StoreError
from market_scraper.domain.events import MarketContextChanged
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.bus import Envelope
from market_scraper.processors.consume import ATTEMPTS, consume
from tests.contracts.bus import marks
from tests.fakes import FakeClock, settle

Fails = Callable[[Envelope], Exception | None]


class Reader:
    """A processor whose handler fails as told; `handled` is its effect."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.bus = MemoryBus(reserve_in_memory(), dead_letter=self._keep)
        self.fails: Fails = lambda envelope: None
        self.handled: list[tuple[str, int]] = []
        self.tried = 0
        self.letters: list[str] = []
        self.letters_away = False

    async def _keep(self, envelope: Envelope, reason: str) -> None:
        if self.letters_away:
            raise StoreError("away")
        self.letters.append(reason)

    async def handle(self, envelope: Envelope) -> None:
        self.tried += 1
        if (error := self.fails(envelope)) is not None:
            raise error
        self.handled.append((envelope.key, envelope.event.known_at_ms))

    def waiting(self) -> int:
        return self.bus.stats()["waiting_group"]

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        async with self.bus.subscribe("group", MarketContextChanged) as inbox:
            task = asyncio.create_task(consume(inbox, self.handle, clock=self.clock, delays=lambda: repeat(1.0)))
            await settle()
            try:
                yield
            finally:
                task.cancel()
                await asyncio.wait({task})


@pytest.fixture
def reader() -> Reader:
    return Reader()


async def test_an_event_is_acknowledged_after_its_effect(reader: Reader) -> None:
    async with reader.reading():
        await reader.bus.publish(marks("BTC", 1, 2))
        await settle()
        assert reader.handled == [("BTC", 1), ("BTC", 2)]
        assert reader.waiting() == 0


async def test_one_failure_is_tried_again_at_once_and_order_within_the_key_holds(reader: Reader) -> None:
    reader.fails = lambda e: OSError() if e.event.known_at_ms == 1 and reader.tried == 1 else None
    async with reader.reading():
        await reader.bus.publish([*marks("A", 1), *marks("B", 7), *marks("A", 2)])
        await settle()
        assert reader.handled == [("B", 7), ("A", 1), ("A", 2)]
        assert reader.clock.slept_s == []


async def test_what_fails_every_time_is_parked_after_its_attempts_and_the_rest_goes_on(reader: Reader) -> None:
    reader.fails = lambda e: OSError("no luck") if e.event.known_at_ms == 1 else None
    async with reader.reading():
        await reader.bus.publish(marks("A", 1, 2))
        await reader.clock.advance(ATTEMPTS)
        assert reader.letters == ["OSError: no luck"]
        assert reader.handled == [("A", 2)]
        assert reader.tried == ATTEMPTS + 1
        assert reader.waiting() == 0


async def test_an_event_that_makes_no_sense_is_parked_at_once(reader: Reader) -> None:
    reader.fails = lambda e: InvalidInput("no sense") if e.event.known_at_ms == 1 else None
    async with reader.reading():
        await reader.bus.publish(marks("A", 1, 2))
        await settle()
        assert (reader.tried, reader.letters) == (2, ["InvalidInput: no sense"])
        assert reader.handled == [("A", 2)]


async def test_a_store_that_is_away_is_waited_for_and_nothing_is_parked(reader: Reader) -> None:
    away = True
    reader.fails = lambda e: StoreError("away") if away else None
    async with reader.reading():
        await reader.bus.publish(marks("A", 1, 2))
        await reader.clock.advance(100)
        assert reader.handled == []
        assert 50 < reader.tried < 150
        away = False
        await reader.clock.advance(2)
        assert reader.handled == [("A", 1), ("A", 2)]
        assert reader.letters == []


async def test_a_place_for_dead_letters_that_is_away_is_waited_for(reader: Reader) -> None:
    reader.fails = lambda e: InvalidInput("no sense")
    reader.letters_away = True
    async with reader.reading():
        await reader.bus.publish(marks("A", 1))
        await reader.clock.advance(5)
        assert reader.waiting() == 1
        reader.letters_away = False
        await reader.clock.advance(2)
        assert (len(reader.letters), reader.waiting()) == (1, 0)


async def test_a_cancelled_reader_leaves_what_it_did_not_handle_to_the_next(reader: Reader) -> None:
    stuck = asyncio.Event()

    async def handle(envelope: Envelope) -> None:
        if envelope.event.known_at_ms == 2:
            await stuck.wait()
        reader.handled.append((envelope.key, envelope.event.known_at_ms))

    async with reader.bus.subscribe("group", MarketContextChanged) as inbox:
        await reader.bus.publish(marks("A", 1, 2, 3))
        task = asyncio.create_task(consume(inbox, handle, clock=reader.clock, delays=lambda: repeat(1.0)))
        await settle()
        task.cancel()
        await asyncio.wait({task})
        assert [e.event.known_at_ms for e in await inbox.take()] == [2, 3]
        assert reader.handled == [("A", 1)]
