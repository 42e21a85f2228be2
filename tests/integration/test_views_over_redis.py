"""The views of a process that begins late, or that was given up, on the bus that several processes share."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from market_scraper.domain.errors import ReaderLost
from market_scraper.domain.positions import PositionState
from market_scraper.domain.traders import Choice, LeaderboardRow, RatedTrader
from market_scraper.domain.values import Address
from market_scraper.event_bus.redis import Patience
from market_scraper.ports.stores import PositionStateRow, TapeMarkRow
from market_scraper.runtime.supervisor import Supervisor
from market_scraper.storage.memory import MemoryRepository
from market_scraper.views.all import FOLLOWED, LiveViews
from tests.contracts.bus import PATIENCE_S, take_exactly
from tests.facts import BTC, address, advanced, changed, mark, position
from tests.fakes import FakeClock
from tests.integration.event_bus.parts import bus_at, new_namespace, until


def rate(rows: Sequence[LeaderboardRow], choices: Mapping[Address, Choice]) -> list[RatedTrader]:
    assert not rows
    assert not choices
    return []


async def test_an_api_that_begins_while_facts_wait_in_the_persisters_buffer_claims_no_old_size(redis_url: str) -> None:
    name, store = new_namespace(), MemoryRepository()
    await store.write(
        [
            PositionStateRow(position=position(1, lots=5, t_ms=9_000, version=3), known_at_ms=9_000),
            TapeMarkRow(mark=mark(9_500)),
        ]
    )
    async with bus_at(redis_url, name) as collector, bus_at(redis_url, name) as worker:
        await collector.keep_for("persister", *FOLLOWED)
        await collector.publish([changed(position(1, lots=6, t_ms=9_600, version=4)), advanced(mark(9_700))])
        async with worker.subscribe("persister", *FOLLOWED) as inbox:
            await take_exactly(inbox, 2)  # in its buffer: neither stored nor acknowledged
            views = LiveViews(FakeClock(now_ms=10_000), rate=rate)
            async with bus_at(redis_url, name) as bus, views.following(bus, store, [BTC]) as followed:
                now = views.positions.get(address(1), BTC)
                assert now is not None
                assert now.position is not None
                assert (now.position.lots, now.claim.state, now.claim.as_of_ms) == (6, PositionState.EXACT, 9_700)
                running = asyncio.create_task(views.run(followed))
                await collector.publish([changed(position(2, lots=7, t_ms=9_800, version=5))])
                await until(lambda: address(2) in views.positions.known(BTC))
                running.cancel()


async def test_views_that_were_given_up_end_the_program_and_are_not_restarted_on_a_dead_inbox(redis_url: str) -> None:
    """A laptop that slept: what the views know has a hole, and every answer from it could be wrong."""
    name, views = new_namespace(), LiveViews(FakeClock(now_ms=10_000), rate=rate)
    async with (
        bus_at(redis_url, name) as other,
        bus_at(redis_url, name, patience=Patience(member_s=0.2, reader_s=0.3)) as bus,
        views.following(bus, MemoryRepository(), [BTC]) as followed,
        Supervisor(FakeClock(), fatal=(ReaderLost,)) as supervised,
    ):
        supervised.add("views", partial(views.run, followed))
        supervised.start_all()
        (beat,) = bus._upkeep.beats
        bus._upkeep.beats.clear()  # it sleeps
        await until(lambda: other.stats()["readers_given_up"] == 1)
        bus._upkeep.beats.append(beat)
        error = await asyncio.wait_for(supervised.failed(), PATIENCE_S)
        assert isinstance(error, ReaderLost)
        assert supervised.state("views").crashes == 1
