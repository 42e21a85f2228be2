"""Two processes on one fake venue: one publishes, the other stands by, and taking over costs nobody the truth."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from market_scraper.collectors.stand_by import LIST_AGAIN_S, StandBy
from market_scraper.domain.errors import Fenced, SourceError
from market_scraper.domain.events import Event, MarketsListed, PositionChanged, TapeAdvanced, TapeGapped
from market_scraper.domain.market import Print
from market_scraper.domain.positions import Cause, PositionState
from market_scraper.domain.values import Address, Symbol
from market_scraper.ports.bus import Bus
from market_scraper.ports.sources import SocketLost
from tests.fakes import FakeReporter, FakeSockets, settle
from tests.unit.collectors.parts import ANN, BOB, BTC, CAT, ETH, T0, address, market, replay
from tests.unit.collectors.system import TAPES, System


class Fence:
    """The bus as the holder of a lease has it: once `refused`, nothing is published any more."""

    def __init__(self, bus: Bus) -> None:
        self.refused = False
        self._bus = bus

    async def publish(self, events: Sequence[Event]) -> None:
        if self.refused:
            raise Fenced("somebody else has the lease")
        await self._bus.publish(events)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)


class Host:
    """One process of two or more: sockets of its own, and a stand-by."""

    def __init__(self, system: "Cluster") -> None:
        self.system = system
        self.sockets, self.reporter = FakeSockets(), FakeReporter()
        self.fence = Fence(system.bus)
        self.stand_by = StandBy(
            http=system.http,
            sockets=self.sockets,
            bus=system.bus,
            clock=system.clock,
            reporter=self.reporter,
            listing=system.listing,
            rules=system.rules,
        )
        system.hosts.append(self.sockets)

    @asynccontextmanager
    async def active(self) -> AsyncIterator["asyncio.Task[None]"]:
        """This process has the lease."""
        self.fence = Fence(self.system.bus)
        async with self.system.collecting(
            connect=False, stand_by=self.stand_by, bus=cast(Bus, self.fence), sockets=self.sockets
        ) as running:
            yield running


class Cluster(System):
    """A venue with several processes."""

    def __init__(self, *symbols: Symbol) -> None:
        super().__init__(*symbols)
        self.hosts = []
        self.truth: dict[Address, list[tuple[int, int]]] = {}  # BTC: (from when on, lots)

    async def trade(
        self, buyer: Address, seller: Address, lots: int, symbol: Symbol = BTC, *, heard: bool = True
    ) -> Print:
        await self.clock.advance(0.01)  # each in a block of its own: a frame brings whole ones
        one = await super().trade(buyer, seller, lots, symbol, heard=heard)
        for trader in (buyer, seller):
            self.truth.setdefault(trader, [(0, 0)]).append((self.now, self.sizes.get((trader, BTC), 0)))
        return one

    @asynccontextmanager
    async def host(self, *, connect: bool = True) -> AsyncIterator[Host]:
        """A process from its start to its end."""
        host = Host(self)
        standing = asyncio.create_task(host.stand_by.run())
        await settle()
        if connect:
            self.connect(sockets=host.sockets)
        try:
            yield host
        finally:
            standing.cancel()
            await asyncio.gather(standing, return_exceptions=True)

    def no_claim_is_wrong(self) -> int:
        """Compare every exact claim with the truth as of its own moment; gives how many there were."""
        claims = 0
        for trader, steps in self.truth.items():
            found = self.view.get(trader, BTC)
            if found is not None and found.position is not None and found.claim.state is PositionState.EXACT:
                claims += 1
                assert found.position.lots == [lots for at, lots in steps if at <= found.claim.as_of_ms][-1]
        return claims

    def versions_rise(self) -> bool:
        versions = [e.after.version for e in self.events if isinstance(e, PositionChanged)]
        return versions == sorted(set(versions))


async def test_a_stand_by_that_heard_the_tape_goes_on_without_a_gap_where_the_other_was_killed() -> None:
    system = Cluster()
    async with system.serving(), system.host() as first, system.host() as second:
        async with first.active():
            await system.pass_s(3)
            await system.trade(ANN, BOB, 5)
            await system.pass_s(12)
            assert (system.exact(ANN), system.exact(BOB)) == (5, -5)
            await system.trade(ANN, CAT, 2)
            first.fence.refused = True  # as far as others can tell it is dead from here on
            await system.trade(BOB, ANN, 1)
        await system.pass_s(4)
        await system.trade(CAT, ANN, 1)
        await system.pass_s(2)
        told = len(system.events)
        async with second.active():
            await system.pass_s(0.5)
            assert (system.exact(ANN), system.exact(BOB), system.exact(CAT)) == (5, -4, None)
            await system.trade(ANN, BOB, 1)
            await system.pass_s(15)
            assert (system.exact(ANN), system.exact(BOB), system.exact(CAT)) == (6, -5, -1)
    assert len(system.events) > told
    assert system.of(TapeGapped) == []
    assert system.versions_rise()
    assert not [e for e in system.events if isinstance(e, PositionChanged) and e.cause is Cause.DRIFT]
    keys = [
        (e.after.trader, e.after.t_ms, e.after.tid)
        for e in system.events
        if isinstance(e, PositionChanged) and e.cause is Cause.PRINT and e.after.trader in (ANN, BOB, CAT)
    ]
    assert len(keys) == len(set(keys)) == 10


async def test_taking_over_opens_no_socket_anew() -> None:
    system = Cluster()
    async with system.serving(), system.host() as host:
        await system.pass_s(1)
        await system.trade(ANN, BOB, 1)
        before = [host.sockets[name] for name in TAPES]
        async with host.active():
            await system.pass_s(5)
        assert [host.sockets[name] for name in TAPES] == before
        assert all(not socket.reconnects and not socket.renewed for socket in before)
        assert host.sockets.closed == ["users"]
    assert sorted(host.sockets.closed) == [*TAPES, "users"]


async def test_they_change_again_and_again_and_no_claim_is_wrong() -> None:
    system = Cluster()
    claims = 0
    async with system.serving(), system.host() as one, system.host() as other:
        for turn in range(6):
            host = (one, other)[turn % 2]
            async with host.active() as running:
                for i in range(12):
                    await system.pass_s(1)
                    await system.trade((ANN, BOB, CAT)[i % 3], (BOB, CAT, ANN)[i % 3], i + turn + 1)
                    await settle()
                    claims += system.no_claim_is_wrong()
                host.fence.refused = True
                await system.trade(ANN, BOB, 1)
                await system.pass_s(1)
                assert running.done()
            await system.pass_s(turn)
            claims += system.no_claim_is_wrong()
            await system.trade(CAT, BOB, 3)
        async with one.active():
            await system.pass_s(12)
            assert [system.exact(who) for who in (ANN, BOB, CAT)] == [system.sizes[who, BTC] for who in (ANN, BOB, CAT)]
    assert claims > 150
    assert system.of(TapeGapped) == []
    assert system.versions_rise()


async def test_a_life_that_is_refused_ends_quietly_and_publishes_nothing_more() -> None:
    system = Cluster()
    async with system.serving(), system.host() as host:
        with capture_logs() as logs:
            async with host.active() as running:
                await system.pass_s(3)
                await system.trade(ANN, BOB, 5)
                await system.pass_s(12)
                host.fence.refused = True
                told = len(system.events)
                await system.trade(ANN, BOB, 5)
                await system.pass_s(3)
                assert running.done()
                assert running.exception() is None
            assert len(system.events) == told
        assert [log["event"] for log in logs if log["log_level"] in ("error", "critical")] == []
        assert [log["event"] for log in logs].count("positions_fenced") == 1
        assert set(system.reporter.said) == {"ok"}


async def test_a_refused_life_that_is_cancelled_at_the_same_moment_ends_as_cancelled() -> None:
    system = Cluster()
    async with system.serving(), system.host() as host:
        async with host.active():
            await system.pass_s(3)
            host.fence.refused = True
        assert isinstance(system.crash, asyncio.CancelledError)


async def test_a_stand_by_that_came_later_than_the_last_mark_is_unsure_since_it() -> None:
    system = Cluster()
    async with system.serving():
        async with system.host() as first, first.active():
            await system.pass_s(3)
            await system.trade(ANN, BOB, 5)
            await system.pass_s(12)
            assert system.exact(ANN) == 5
            ended = system.now
        await system.clock.advance(20)
        system.sizes[ANN, BTC] = 50  # traded while nobody listened
        async with system.host() as second, second.active():
            await settle()
            assert system.said(ANN)[0] is PositionState.UNSURE
            (gap,) = system.of(TapeGapped)
            assert isinstance(gap, TapeGapped)
            assert gap.mark.gaps[-1].since_ms <= ended
            await system.pass_s(12)
            assert system.exact(ANN) == 50


async def test_what_the_stand_by_missed_itself_is_no_gap_if_the_active_one_heard_it() -> None:
    system = Cluster()
    async with system.serving(), system.host() as first, system.host() as second:
        async with first.active():
            await system.pass_s(3)
            await system.trade(ANN, BOB, 5)
            await system.pass_s(12)
            system.lose(sockets=second.sockets)
            system.hosts.remove(second.sockets)
            await system.trade(ANN, BOB, 1)
            await system.pass_s(10)
            system.hosts.append(second.sockets)
            system.connect(sockets=second.sockets)
            await system.pass_s(3)
        async with second.active():
            await system.trade(ANN, BOB, 1)
            await system.pass_s(3)
            assert system.exact(ANN) == 7
    assert system.of(TapeGapped) == []


async def test_a_stand_by_says_nothing_under_a_connectors_name_and_asks_for_no_account() -> None:
    system = Cluster()
    system.listing.learn([])
    async with system.serving(), system.host() as host:
        await system.pass_s(3)
        for i in range(40):
            await system.trade(address(i + 1), address(i + 2), 1)
            await system.pass_s(0.5)
        assert system.events == []
        assert system.reporter.said == []
        assert system.http.asked == []
        detail = dict(host.stand_by.detail())
        since = detail.pop("whole_since_ms")
        assert detail == {"sockets": 3, "lent": False, "coins": 1, "held_prints": 41}
        assert since == T0 - 500
        system.lose(sockets=host.sockets)
        await system.clock.advance(3)
        assert host.reporter.turns == ["ok", "no tape socket is connected"]


async def test_it_asks_for_the_listing_until_it_has_one_and_listens_then() -> None:
    system = Cluster()
    system.listing._markets.clear()
    system.http.listed = SourceError("hyperliquid", "HTTP 500", retry_after_s=None)
    async with system.serving(), system.host(connect=False) as host:
        await system.clock.advance(LIST_AGAIN_S)
        assert host.reporter.turns == ["hyperliquid: HTTP 500"]
        assert host.sockets.open_now == {}
        system.http.listed = [market()]
        await system.clock.advance(LIST_AGAIN_S)
        system.connect(sockets=host.sockets)
        await system.pass_s(3)
        assert host.reporter.detail["coins"] == 1
        assert system.http.asked == [("markets",)] * 3


async def test_a_coin_that_is_listed_while_it_stands_by_is_heard_and_carried_over() -> None:
    system = Cluster()
    system.listing.symbols = [BTC, ETH]
    async with system.serving(), system.host() as first, system.host() as second:
        async with first.active():
            await system.pass_s(3)
            system.http.listed = [market(), market(ETH)]
            await system.bus.publish([MarketsListed(known_at_ms=system.now, markets=(market(), market(ETH)))])
            await settle()
            system.symbols.append(ETH)
            system.say_all(replay(system.now - 500, system.now - 400, symbol=ETH))
            await system.pass_s(3)
            await system.trade(ANN, BOB, 4, ETH)
            await system.pass_s(12)
            assert system.exact(ANN, ETH) == 4
        async with second.active():
            await system.trade(ANN, BOB, 1, ETH)
            await system.pass_s(3)
            assert system.exact(ANN, ETH) == 5
    assert system.of(TapeGapped) == []


async def test_after_a_crash_nobody_trusts_its_tapes_and_the_next_life_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = Cluster()
    async with system.serving(), system.host() as host:
        async with host.active() as running:
            await system.pass_s(3)
            await system.trade(ANN, BOB, 5)
            await system.pass_s(12)
            with monkeypatch.context() as patch:
                patch.setattr("market_scraper.domain.watch.CoinWatch.learn_rates", None)
                await system.pass_s(20)
            assert running.done()
            assert running.exception() is not None
        assert [sorted(set(socket.renewed)) for socket in map(host.sockets.__getitem__, TAPES)] == [[BTC]] * 3
        system.say_all(replay(system.now - 300, system.now - 200))
        async with host.active():
            await system.pass_s(3)
            assert system.exact(ANN) is None
            assert len(system.of(TapeGapped)) == 1
            await system.pass_s(12)
            assert system.exact(ANN) == 5


async def test_a_stand_by_that_begins_anew_while_its_sockets_are_lent_opens_others_for_the_same_life() -> None:
    system = Cluster()
    async with system.serving(), system.host() as host, host.active():
        await system.pass_s(3)
        await system.trade(ANN, BOB, 5)
        await system.pass_s(12)
        again = await _restarted(host)
        system.connect(sockets=host.sockets, back_ms=4_000)
        await system.trade(ANN, BOB, 1)
        await system.pass_s(15)
        assert system.exact(ANN) == 6
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)
    assert isinstance(system.events[-1], TapeAdvanced)


async def _restarted(host: Host) -> "asyncio.Task[None]":
    """Its task ends as in a crash, and begins again."""
    (task,) = [task for task in asyncio.all_tasks() if "StandBy.run" in str(task.get_coro())]
    for name in TAPES:
        host.sockets[name].say(SocketLost("gone"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    again = asyncio.create_task(host.stand_by.run())
    await settle()
    return again
