"""Facts on their way through the real bus, persister, buffer, store and views, and back after a restart."""

import asyncio
from contextlib import AsyncExitStack
from itertools import repeat

from market_scraper.domain.events import TradersRated
from market_scraper.domain.positions import PositionState
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.stores import LeaderboardPart
from market_scraper.processors.persister import PERSISTED, Persister
from market_scraper.storage.buffer import Buffer
from market_scraper.storage.memory import MemoryRepository
from market_scraper.views.all import LiveViews
from tests.facts import BTC, address, advanced, changed, gapped, mark, position, rated
from tests.fakes import FakeClock, settle

NOW_MS = 100_000


def new_views() -> LiveViews:
    return LiveViews(FakeClock(now_ms=NOW_MS), rate=lambda rows, choices: [rated(int(row.trader, 16)) for row in rows])


async def test_views_after_a_clean_stop_claim_what_they_claimed_before_it() -> None:
    store, clock = MemoryRepository(), FakeClock(now_ms=NOW_MS)
    everyone = [rated(number) for number in range(1, 31)]
    rows = tuple(one.row for one in everyone)
    await store.write([LeaderboardPart(captured_at_ms=1, known_at_ms=1, part=0, parts=1, rows=rows)])
    live = new_views()
    async with AsyncExitStack() as stack:
        buffer = Buffer(store, clock, flush_interval_s=50.0, max_size=100)
        bus = await stack.enter_async_context(MemoryBus(reserve_in_memory()))
        inbox = await stack.enter_async_context(bus.subscribe("persister", *PERSISTED))
        followed = await stack.enter_async_context(live.following(bus, store, [BTC]))
        persister = Persister(inbox, buffer, clock=clock, delays=lambda: repeat(1.0))
        await persister.load(store, [BTC])
        await stack.enter_async_context(buffer)
        tasks = [asyncio.create_task(persister.run()), asyncio.create_task(live.run(followed))]

        await bus.publish([TradersRated(known_at_ms=1, captured_at_ms=1, part=0, parts=1, traders=tuple(everyone))])
        gap = ((60_000, 80_000),)
        for number in range(1, 501):
            who, t_ms = number % 40 + 1, NOW_MS - 50_000 + 100 * number
            epoch_ms = 80_000 if t_ms > 80_000 else 0
            await bus.publish(
                [changed(position(who, lots=number, t_ms=t_ms, tid=number, epoch_ms=epoch_ms, version=number))]
            )
            if number == 300:
                await bus.publish([gapped(mark(80_000, gaps=gap))])
        await bus.publish([changed(position(77, lots=1, t_ms=59_000, version=501)), advanced(mark(NOW_MS, gaps=gap))])

        await asyncio.wait_for(bus.drained(taking_is_enough=["persister"]), 5)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert bus.stats()["waiting_persister"] == 0

    again = new_views()
    await again.load(store, [BTC])
    assert set(again.positions.known(BTC)) == set(live.positions.known(BTC))
    assert len(again.positions.known(BTC)) == 41
    for trader in live.positions.known(BTC):
        assert again.positions.get(trader, BTC) == live.positions.get(trader, BTC)
    assert again.traders.tracked() == live.traders.tracked()
    unsure = again.positions.get(address(77), BTC)
    assert unsure is not None
    assert unsure.claim.state is PositionState.UNSURE

    history = await store.positions.history(address(5), BTC, since_ms=0, limit=100)
    causes = [fact.cause.value for fact in history]
    assert causes.count("gap") == 1
    assert causes.count("print") == 13
    assert await store.positions.history(address(35), BTC, since_ms=0, limit=100) == []  # not tracked
    await settle()
