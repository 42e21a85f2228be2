import asyncio
from collections.abc import Mapping, Sequence

from market_scraper.domain.events import ComponentReported, MarketContextChanged, TraderChosen
from market_scraper.domain.positions import PositionState
from market_scraper.domain.traders import Choice, LeaderboardRow, RatedTrader
from market_scraper.domain.values import Address
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.stores import LeaderboardPart, PositionStateRow, SettingRow, TapeMarkRow
from market_scraper.ports.views import Views
from market_scraper.storage.memory import MemoryRepository
from market_scraper.views.all import LiveViews
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
