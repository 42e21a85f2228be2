import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from market_scraper.domain.events import (
    ComponentReported,
    Event,
    MarketContextChanged,
    PositionChanged,
    TapeAdvanced,
    TraderChosen,
)
from market_scraper.domain.positions import PositionState
from market_scraper.domain.traders import Choice, LeaderboardRow, RatedTrader
from market_scraper.domain.values import Address
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.bus import Envelope, Inbox
from market_scraper.ports.stores import LeaderboardPart, PositionStateRow, Row, SettingRow, TapeMarkRow
from market_scraper.ports.views import Views
from market_scraper.storage.memory import MemoryRepository
from market_scraper.views.all import FOLLOWED, LiveViews
from tests.facts import BTC, address, advanced, changed, context, mark, position, rated
from tests.fakes import FakeClock, settle

NOW_MS = 10_000


def rate(rows: Sequence[LeaderboardRow], choices: Mapping[Address, Choice]) -> list[RatedTrader]:
    return [rated(int(row.trader, 16), tracked=choices.get(row.trader) is not Choice.UNTRACK) for row in rows]


async def stored() -> MemoryRepository:
    store = MemoryRepository()
    rows = tuple(rated(number).row for number in (1, 2))
    await store.write(
        [
            PositionStateRow(position=position(1, lots=5, t_ms=9_000, version=3), known_at_ms=9_000),
            TapeMarkRow(mark=mark(9_500)),
            LeaderboardPart(captured_at_ms=8_000, known_at_ms=8_000, part=0, parts=1, rows=rows),
            SettingRow(key=f"choice:{address(2)}", value="untrack"),
            SettingRow(key="choice:nobody", value="track"),
        ]
    )
    return store


def new_views() -> LiveViews:
    return LiveViews(FakeClock(now_ms=NOW_MS), rate=rate, required=("store",))


async def test_views_are_filled_from_the_store() -> None:
    views = new_views()
    await views.load(await stored(), [BTC])
    now = views.positions.get(address(1), BTC)
    assert now is not None
    assert now.position is not None
    assert (now.position.lots, now.claim.state, now.claim.as_of_ms) == (5, PositionState.EXACT, 9_500)
    assert [one.row.trader for one in views.traders.tracked()] == [address(1)]
    assert views.traders.choice(address(2)) is Choice.UNTRACK


async def test_what_happens_while_the_store_is_read_is_not_missed_and_not_overwritten() -> None:
    views = new_views()
    store = await stored()
    async with MemoryBus(reserve_in_memory()) as bus, views.following(bus, store, [BTC]) as inbox:
        await bus.publish(
            [
                changed(position(1, lots=1, t_ms=8_000, version=2)),  # older than what is stored
                changed(position(3, lots=7, t_ms=9_900, version=4)),
                advanced(mark(9_900)),
                MarketContextChanged(known_at_ms=9_900, context=context(12 / 10**5 / 2)),
                TraderChosen(known_at_ms=9_901, trader=address(1), choice=Choice.UNTRACK),
            ]
        )
        task = asyncio.create_task(views.run(inbox))
        await settle()
        task.cancel()
    sizes = {}
    for trader in views.positions.known(BTC):
        now = views.positions.get(trader, BTC)
        assert now is not None
        assert now.position is not None
        sizes[trader] = (now.position.lots, now.claim.as_of_ms)
    assert sizes == {address(1): (5, 9_900), address(3): (7, 9_900)}
    assert views.positions.coverage(BTC) == 1.0
    assert views.markets.context(BTC) is not None
    assert views.traders.tracked() == []


class Persister:
    """One group of the bus that stores positions and marks when it is told to."""

    def __init__(self, inbox: Inbox, store: MemoryRepository) -> None:
        self.inbox = inbox
        self.store = store
        self.taken: list[Envelope] = []

    async def take(self, count: int) -> None:
        while len(self.taken) < count:
            self.taken += await self.inbox.take()

    async def flush(self) -> None:
        rows: list[Row] = []
        for envelope in self.taken:
            match envelope.event:
                case PositionChanged(after=after, known_at_ms=known_at_ms):
                    rows.append(PositionStateRow(position=after, known_at_ms=known_at_ms))
                case TapeAdvanced(mark=marked):
                    rows.append(TapeMarkRow(mark=marked))
        await self.store.write(rows)
        self.inbox.ack(self.taken)
        self.taken = []


def sizes_of(views: LiveViews) -> dict[Address, tuple[int | None, int, PositionState]]:
    sizes = {}
    for trader in views.positions.known(BTC):
        now = views.positions.get(trader, BTC)
        assert now is not None
        assert now.position is not None
        sizes[trader] = (now.position.lots, now.claim.as_of_ms, now.claim.state)
    return sizes


BUFFERED: list[Event] = [
    changed(position(1, lots=6, t_ms=9_600, version=4)),
    changed(position(3, lots=7, t_ms=9_700, version=5)),
    changed(position(1, lots=8, t_ms=9_800, version=6)),
    advanced(mark(9_900)),
    TraderChosen(known_at_ms=9_901, trader=address(1), choice=Choice.UNTRACK),
]
"""What was published before a process began, and is not stored."""

WHOLE = {address(1): (8, 9_900, PositionState.EXACT), address(3): (7, 9_900, PositionState.EXACT)}


async def test_a_view_that_begins_late_has_what_is_published_and_not_stored_yet() -> None:
    """The persister's buffer holds up to 50 s: what a view knew from the store alone would be as old."""
    store = await stored()
    async with (
        MemoryBus(reserve_in_memory()) as bus,
        bus.subscribe("persister", *FOLLOWED) as inbox,
    ):
        await bus.publish(BUFFERED)
        await Persister(inbox, store).take(len(BUFFERED) - 2)  # some are in its buffer, some unread
        views = new_views()
        async with views.following(bus, store, [BTC]):
            assert sizes_of(views) == WHOLE
            assert views.traders.tracked() == []


async def test_what_leaves_the_bus_for_the_store_while_a_view_begins_is_not_missed() -> None:
    class FlushedInBetween(MemoryBus):
        persister: Persister

        async def retained(self, *kinds: type[Event]) -> AsyncIterator[Sequence[Envelope]]:
            await self.persister.flush()
            async for envelopes in super().retained(*kinds):
                yield envelopes

    store, views = await stored(), new_views()
    async with FlushedInBetween(reserve_in_memory()) as bus, bus.subscribe("persister", *FOLLOWED) as inbox:
        bus.persister = Persister(inbox, store)
        await bus.publish(BUFFERED)
        await bus.persister.take(len(BUFFERED))
        async with views.following(bus, store, [BTC]):
            assert sizes_of(views) == WHOLE


async def test_what_is_held_and_comes_over_the_inbox_as_well_has_its_effect_once() -> None:
    class PublishedInBetween(MemoryBus):
        async def retained(self, *kinds: type[Event]) -> AsyncIterator[Sequence[Envelope]]:
            await self.publish(BUFFERED)
            async for envelopes in super().retained(*kinds):
                yield envelopes

    store, views = await stored(), new_views()
    async with (
        PublishedInBetween(reserve_in_memory()) as bus,
        bus.subscribe("persister", *FOLLOWED),
        views.following(bus, store, [BTC]) as inbox,
    ):
        before = views.positions.version(BTC)
        task = asyncio.create_task(views.run(inbox))
        await settle()
        assert (views.positions.version(BTC), sizes_of(views)) == (before, WHOLE)
        await bus.publish([changed(position(3, lots=9, t_ms=9_950, version=7))])
        await settle()
        assert sizes_of(views)[address(3)][0] == 9
        task.cancel()


async def test_an_empty_store_gives_empty_views() -> None:
    views: Views = new_views()
    assert isinstance(views, LiveViews)
    await views.load(MemoryRepository(), [BTC])
    assert views.positions.get(address(1), BTC) is None
    assert views.signals.current(BTC) is None
    assert views.traders.tracked() == []
    assert views.traders.captured_at_ms is None
    assert views.health.checks() == {"store": False}


async def test_one_event_that_breaks_a_view_does_not_stop_the_others() -> None:
    views = new_views()
    async with MemoryBus(reserve_in_memory()) as bus, views.following(bus, MemoryRepository(), [BTC]) as inbox:
        bad = advanced(mark(None), known_at_ms=1)  # type: ignore[arg-type]
        well = ComponentReported(
            known_at_ms=NOW_MS,
            name="store",
            kind="store",
            running=True,
            last_success_ms=NOW_MS,
            allowed_age_s=None,
            errors=0,
            reason=None,
            failing_since_ms=None,
        )
        await bus.publish([bad, well])
        task = asyncio.create_task(views.run(inbox))
        await settle()
        task.cancel()
    assert views.health.checks() == {"store": True}
