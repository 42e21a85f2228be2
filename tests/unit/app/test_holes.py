"""Facts that will never be stored: seen once each, over restarts too."""

import pytest

from market_scraper.app.holes import SETTING, HoleWatch
from market_scraper.domain.errors import StoreUnreachable
from market_scraper.domain.events import Event
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.stores import Row
from market_scraper.runtime import timeouts
from market_scraper.storage import MemoryRepository
from tests.fakes import FakeClock

NOW_MS = 1_790_000_000_000


class Leaky(MemoryBus):
    """A bus that can lose events; it notes for whom it was asked to keep them."""

    def __init__(self) -> None:
        super().__init__(reserve_in_memory())
        self.lost = 7  # a new group begins behind what was there before it
        self.kept_for: list[str] = []

    async def keep_for(self, group: str, *_kinds: type[Event]) -> None:
        self.kept_for.append(group)

    async def lost_before(self, _group: str) -> int:
        return self.lost


class Away(MemoryRepository):
    """A store that can be away for writes."""

    away = False

    async def write(self, rows: list[Row]) -> None:  # type: ignore[override]
        if self.away:
            raise StoreUnreachable("away")
        await super().write(rows)


@pytest.fixture
def bus() -> Leaky:
    return Leaky()


@pytest.fixture
def store() -> Away:
    return Away()


def watch(bus: Leaky, store: MemoryRepository, found: list[int]) -> HoleWatch:
    return HoleWatch(bus, store, FakeClock(NOW_MS), found.append, speed=1.0)


async def test_the_first_look_compares_with_nothing_and_each_hole_is_told_once(bus: Leaky, store: Away) -> None:
    found: list[int] = []
    holes = watch(bus, store, found)
    await holes.look()
    await holes.look()
    assert (found, bus.kept_for) == ([], ["persister"] * 2)
    bus.lost = 90
    await holes.look()
    await holes.look()
    assert len(found) == 1
    assert found[0] <= NOW_MS - timeouts.BUS_READER_GONE_S * 1000


async def test_a_hole_while_nobody_collected_is_found_by_the_next_collector(bus: Leaky, store: Away) -> None:
    await watch(bus, store, []).look()
    bus.lost = 90
    found: list[int] = []
    await watch(bus, store, found).look()
    assert len(found) == 1
    assert await store.settings.get(SETTING) == "90"


async def test_a_hole_that_cannot_be_noted_yet_is_told_again_rather_than_forgotten(bus: Leaky, store: Away) -> None:
    found: list[int] = []
    holes = watch(bus, store, found)
    await holes.look()
    bus.lost, store.away = 90, True
    with pytest.raises(StoreUnreachable):
        await holes.look()
    store.away = False
    await holes.look()
    assert len(found) == 2
