"""Two collecting processes on real Redis and the paper venue: one falls silent, the other goes on with the truth.

Both live in this process, each with a bus, sockets and a REST client of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from market_scraper.collectors.markets import Listing, MarketsCollector
from market_scraper.collectors.positions import PositionsCollector
from market_scraper.collectors.stand_by import StandBy
from market_scraper.connectors.hyperliquid import HttpTimeouts, HyperliquidHttp, HyperliquidSockets, MarketTable, Timing
from market_scraper.domain.events import Event, PositionChanged, TapeAdvanced, TapeGapped
from market_scraper.domain.positions import Cause, PositionState
from market_scraper.domain.rules import PositionRules
from market_scraper.domain.values import Symbol
from market_scraper.event_bus.numbers import Reserve, reserve_in_memory
from market_scraper.event_bus.redis import RedisBus
from market_scraper.ports.bus import Bus
from market_scraper.ports.lease import Lease
from market_scraper.ports.stores import PositionStateRow, TapeMarkRow
from market_scraper.runtime.clock import ScaledClock, real_timeout
from market_scraper.simulator.options import VenueOptions
from market_scraper.simulator.server import PaperVenue
from market_scraper.storage.memory import MemoryRepository
from market_scraper.views.positions import LivePositions
from market_scraper.views.traders import LiveTraders
from tests.fakes import FakeReporter
from tests.integration.event_bus.parts import bus_at, new_namespace, until

BTC = Symbol("BTC")
SPEED = 4.0
"""A busy machine's pause of a second is then as long as a socket may be silent."""

LEASE_S = 0.5
RULES = PositionRules(user_slots=2)
USUAL_MS = int(LEASE_S * 10 * SPEED * 1000)


class Frozen:
    """What a process has of the bus: while it is frozen, as by SIGSTOP, nothing it publishes gets out."""

    def __init__(self, bus: Bus, thawed: asyncio.Event) -> None:
        self._bus = bus
        self._thawed = thawed

    async def publish(self, events: Sequence[Event]) -> None:
        await self._thawed.wait()
        await self._bus.publish(events)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)


class Host:
    """One `collect` process: it stands by, acts while it has the lease, and stands by again."""

    def __init__(self, venue: PaperVenue, clock: ScaledClock, store: MemoryRepository, bus: RedisBus) -> None:
        self.thawed = asyncio.Event()
        self.thawed.set()
        self.reporter, self.own_reporter = FakeReporter(), FakeReporter()
        self.lives = 0
        self.is_active = False
        self._bus, self._store, self._clock = bus, store, clock
        self._lease: Lease
        self._renewing: list[asyncio.Task[Any]] = []
        table = MarketTable([BTC])
        self.listing = Listing([BTC])
        self._http = HyperliquidHttp(
            venue.url,
            venue.leaderboard_url,
            clock=clock,
            deadline=real_timeout,
            timeouts=HttpTimeouts(request_s=15.0, leaderboard_s=60.0),
            table=table,
        )
        self._sockets = HyperliquidSockets(
            venue.ws_url, clock=clock, table=table, handshake_s=10.0, timing=Timing(), user_slots=RULES.user_slots
        )
        self.stand_by = StandBy(
            http=self._http,
            sockets=self._sockets,
            bus=bus,
            clock=clock,
            reporter=self.own_reporter,
            listing=self.listing,
            rules=RULES,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        others = asyncio.all_tasks()
        async with self._http, self._bus.lease("collect") as self._lease, asyncio.TaskGroup() as tasks:
            self._renewing = [task for task in asyncio.all_tasks() - others if "lease" in task.get_name()]
            mine = [tasks.create_task(self.stand_by.run()), tasks.create_task(self._act_in_turns())]
            yield
            for task in reversed(mine):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _act_in_turns(self) -> None:
        while True:
            await self._lease.acquire()
            marks = await self._store.positions.marks()
            self._http.take_up_spending(
                self._lease.left,
                venue_now_ms=self.stand_by.tape.venue_now_ms(),
                active_ms=max((mark.watermark_ms for mark in marks.values()), default=None),
                usual_ms=USUAL_MS,
            )
            self._lease.leave(lambda: self._http.tell_spending(self.stand_by.tape.venue_now_ms()))
            self.lives += 1
            self.is_active = True
            bus = cast(Bus, Frozen(self._bus.fenced_by(self._lease), self.thawed))
            runs = [
                MarketsCollector(
                    http=self._http, bus=bus, clock=self._clock, reporter=FakeReporter(), listing=self.listing
                ).run(),
                PositionsCollector(
                    http=self._http,
                    sockets=self._sockets,
                    bus=bus,
                    store=self._store.positions,
                    clock=self._clock,
                    reporter=self.reporter,
                    listing=self.listing,
                    rules=RULES,
                    stand_by=self.stand_by,
                ).run(),
            ]
            collecting = [asyncio.ensure_future(run) for run in runs]
            try:
                await self._lease.lost()
            finally:
                self.is_active = False
                for task in collecting:
                    task.cancel()
                self.ends = await asyncio.gather(*collecting, return_exceptions=True)

    def freeze(self) -> None:
        """From here on this process can tell nobody anything."""
        self.thawed.clear()
        for task in self._renewing:
            task.cancel()

    def thaw(self) -> None:
        """It goes on, and finds out."""
        self.thawed.set()


class Witness:
    """Reads the stream as everybody does, keeps the store, and compares every exact claim with the truth."""

    def __init__(self, venue: PaperVenue, clock: ScaledClock, store: MemoryRepository) -> None:
        self.venue, self.store = venue, store
        self.view = LivePositions(clock, LiveTraders())
        self.events: list[Event] = []
        self.claims = 0
        self.wrong: list[str] = []

    async def run(self, bus: RedisBus) -> None:
        async with bus.subscribe("persister", PositionChanged, TapeAdvanced, TapeGapped) as inbox:
            while True:
                envelopes = await inbox.take()
                for event in (envelope.event for envelope in envelopes):
                    self.events.append(event)
                    assert isinstance(event, PositionChanged | TapeAdvanced | TapeGapped)
                    self.view.apply(event)
                    if isinstance(event, PositionChanged):
                        row = PositionStateRow(position=event.after, known_at_ms=event.known_at_ms)
                        await self.store.write([row])
                    else:
                        await self.store.write([TapeMarkRow(mark=event.mark)])
                inbox.ack(envelopes)
                self._compare()

    def _compare(self) -> None:
        world = self.venue.venue.world
        for trader in {e.after.trader for e in self.events if isinstance(e, PositionChanged)}:
            found = self.view.get(trader, BTC)
            if found is None or found.position is None or found.claim.state is not PositionState.EXACT:
                continue
            self.claims += 1
            truth = world.size_at(trader, "BTC", found.claim.as_of_ms)
            if found.position.lots != truth:
                self.wrong.append(f"{trader}: {found.position.lots} as of {found.claim.as_of_ms}, was {truth}")

    def exact(self) -> int:
        traders = {e.after.trader for e in self.events if isinstance(e, PositionChanged)}
        found = (self.view.get(trader, BTC) for trader in traders)
        return sum(each is not None and each.claim.state is PositionState.EXACT for each in found)

    @property
    def changes(self) -> list[PositionChanged]:
        return [event for event in self.events if isinstance(event, PositionChanged)]


@pytest.fixture
def reserve() -> Reserve:
    return reserve_in_memory()


async def test_whoever_falls_silent_is_followed_without_a_gap_or_a_wrong_claim_and_stands_by_when_it_wakes(
    redis_url: str, reserve: Reserve
) -> None:
    clock, name = ScaledClock(origin_s=1_795_000_000.0, speed=SPEED), new_namespace()
    options = VenueOptions(traders=60, symbols=("BTC",), speed=SPEED, history_days=2, prints_per_s=20.0)
    store = MemoryRepository()
    with capture_logs() as logs:
        async with (
            PaperVenue(options, clock) as venue,
            bus_at(redis_url, name, reserve, lease_s=LEASE_S) as bus,
            bus_at(redis_url, name, reserve, lease_s=LEASE_S) as one,
            bus_at(redis_url, name, reserve, lease_s=LEASE_S) as other,
        ):
            witness = Witness(venue, clock, store)
            reading = asyncio.create_task(witness.run(bus))
            first, second = Host(venue, clock, store, one), Host(venue, clock, store, other)
            async with first.running():
                await until(lambda: first.is_active)
                async with second.running():
                    await until(lambda: witness.exact() >= 20 and second.stand_by.detail()["held_prints"])
                    assert second.lives == 0

                    first.freeze()
                    await until(lambda: second.is_active)
                    told = len(witness.changes)
                    await until(lambda: witness.exact() >= 20 and len(witness.changes) > told + 60)
                    first.thaw()
                    await until(lambda: not first.is_active)
                    assert second.is_active
                    told = len(witness.changes)
                    await until(lambda: len(witness.changes) > told + 60)
                    of_second = list(second.reporter.said)
                # It has ended in order: the first one, which stood by meanwhile, is active again.
                told = len(witness.changes)
                await until(lambda: witness.exact() >= 20 and len(witness.changes) > told + 60)
                assert first.is_active
                assert first.lives == 2
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            stats = venue.venue.stats()
    assert witness.wrong == []
    assert witness.claims > 500
    assert [event for event in witness.events if isinstance(event, TapeGapped)] == []
    assert not [e for e in witness.changes if e.cause is Cause.DRIFT]
    versions = [e.after.version for e in witness.changes]
    assert versions == sorted(set(versions))
    keys = [(e.after.trader, e.after.t_ms, e.after.tid) for e in witness.changes if e.after.tid]
    assert len(keys) == len(set(keys))
    assert stats["answers_429"] == 0
    assert cast(int, stats["weight_peak"]) <= 1_200
    assert set(of_second) <= {"ok"}
    assert [log for log in logs if log["log_level"] in ("error", "critical")] == []
