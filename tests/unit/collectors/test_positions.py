"""The positions collector from end to end: fake venue, real bus, store in memory, and the view that users read."""

import asyncio
import itertools

import pytest

from market_scraper.collectors.positions_life import ADVANCE_S
from market_scraper.domain.errors import SourceError
from market_scraper.domain.events import (
    CandlesClosed,
    Event,
    MarketContextChanged,
    MarketsListed,
    PositionChanged,
    TapeAdvanced,
    TapeGapped,
    TradersRated,
)
from market_scraper.domain.market import Candle, Print
from market_scraper.domain.positions import Cause, PositionState
from market_scraper.domain.rules import PositionRules
from market_scraper.domain.values import Address, Interval
from market_scraper.ports.sources import SocketOpened
from tests.facts import context, rated
from tests.fakes import settle
from tests.unit.collectors.parts import (
    ANN,
    BOB,
    BTC,
    CAT,
    ETH,
    NOBODY,
    T0,
    address,
    live,
    market,
    print_,
    replay,
)
from tests.unit.collectors.system import TAPES, System


async def test_a_trader_is_unknown_at_the_first_print_and_exact_some_seconds_later() -> None:
    system = System()
    system.sizes[ANN, BTC] = 500
    async with system.life():
        await system.pass_s(3)
        await system.trade(ANN, BOB, 7)
        assert system.said(ANN) == (PositionState.UNKNOWN, None)
        await system.pass_s(12)
        assert (system.exact(ANN), system.exact(BOB)) == (507, -7)
        await system.trade(BOB, ANN, 507)
        assert system.exact(ANN) == 0
        await system.clock.advance(0.1)
        await system.trade(ANN, BOB, 507)
        assert system.exact(ANN) == 507
    steps = [
        (e.lots_before, e.after.lots)
        for e in system.events
        if isinstance(e, PositionChanged) and e.after.trader == ANN and e.cause is Cause.PRINT
    ]
    assert steps == [(None, None), (507, 0), (0, 507)]


async def test_every_exact_claim_at_every_mark_is_the_truth_while_one_socket_after_another_is_lost() -> None:
    system = System()
    people = [address(i) for i in range(1, 9)]
    truth: dict[tuple[Address, int], int] = {}
    claims = 0
    async with system.life():
        await system.pass_s(3)
        for step in range(120):
            buyer, seller = people[step % 8], people[(step * 5 + 3) % 8]
            if buyer != seller:
                await system.trade(buyer, seller, step % 9 + 1)
            for trader in people:
                truth[trader, system.now] = system.sizes.get((trader, BTC), 0)
                found = system.view.get(trader, BTC)
                if found is not None and found.position is not None and found.claim.state is PositionState.EXACT:
                    claims += 1
                    at = max(t for who, t in truth if who == trader and t <= found.claim.as_of_ms)
                    assert found.position.lots == truth[trader, at]
            if step % 20 == 10:
                name = TAPES[step // 20 % 3]
                system.lose(name)
                system.connect(name)
            await system.pass_s(0.5)
    assert claims > 300
    assert system.of(TapeGapped) == []


async def test_marks_come_behind_their_facts_and_at_most_every_quarter_second() -> None:
    system = System()
    async with system.life():
        await system.pass_s(3)
        system.events.clear()
        told: list[tuple[int, Event]] = []
        for _ in range(200):
            await system.clock.advance(0.01)
            await system.trade(ANN, BOB, 1)
            if len(marks := system.of(TapeAdvanced)) > len(told):
                told.append((system.now, marks[-1]))
    gaps = [b - a for (a, _), (b, _) in itertools.pairwise(told)]
    assert min(gaps) >= ADVANCE_S * 1000
    newest = 0
    for event in system.events:
        if isinstance(event, PositionChanged):
            newest = max(newest, event.after.t_ms)
            assert event.known_at_ms >= event.after.t_ms
        elif isinstance(event, TapeAdvanced):
            assert event.mark.watermark_ms >= newest


async def test_nothing_is_exact_from_five_seconds_after_a_full_gap_began_until_it_is_re_based() -> None:
    system = System()
    async with system.life():
        await system.pass_s(3)
        await system.trade(ANN, BOB, 5)
        await system.pass_s(12)
        assert system.exact(ANN) == 5
        system.lose()
        began = system.now
        await system.clock.advance(5.5)
        assert system.exact(ANN) is None
        await system.trade(ANN, BOB, 3, heard=False)
        await system.clock.advance(14.5)
        system.connect()
        await settle()
        assert system.exact(ANN) is None
        (gap,) = system.of(TapeGapped)
        assert isinstance(gap, TapeGapped)
        assert gap.mark.gaps[-1].since_ms <= began
        await system.pass_s(15)
        assert (system.exact(ANN), system.exact(BOB)) == (8, -8)


# -- stop and second life -----------------------------------------------------------------------------------------


async def test_the_last_word_of_a_life_is_the_mark_behind_all_facts() -> None:
    system = System()
    async with system.life():
        await system.pass_s(3)
        for _ in range(5):
            await system.clock.advance(0.01)
            await system.trade(ANN, BOB, 1)
    last = system.events[-1]
    assert isinstance(last, TapeAdvanced)
    assert last.mark.watermark_ms == system.now
    assert [e.after.net_lots for e in system.events if isinstance(e, PositionChanged) and e.after.trader == ANN][
        -1
    ] == 5
    assert isinstance(system.crash, asyncio.CancelledError)
    assert sorted(system.sockets.closed) == [*TAPES, "users"]


async def test_a_stop_while_the_bus_is_full_loses_no_fact_that_the_last_mark_covers() -> None:
    """Half a batch lost behind a mark that says whole: the next life would claim wrong sizes as exact."""
    system = System()
    async with system.life(inbox_size=2):
        await system.pass_s(3)
        await system.trade(ANN, BOB, 1)
        await system.pass_s(12)
        assert system.exact(ANN) == 1
        system.reading.clear()
        others = [address(20 + i) for i in range(10)]
        for other in others:
            await system.clock.advance(0.3)
            await system.trade(ANN, other, 2)
    assert system.exact(ANN) == 21
    matches = [e for e in system.events if isinstance(e, PositionChanged) and e.cause is Cause.PRINT]
    assert [e.after.lots for e in matches if e.after.trader == ANN][1:] == list(range(3, 22, 2))
    assert [e.after.trader for e in matches if e.after.trader in others] == others
    last = system.events[-1]
    assert isinstance(last, TapeAdvanced)
    counted = [e.after.lots for e in system.events if isinstance(e, PositionChanged) and e.after.trader == ANN]
    assert counted[-1] == 21
    assert last.mark.watermark_ms == system.now


async def test_a_second_life_that_joins_counts_nothing_twice_and_misses_nothing() -> None:
    system = System()
    prints: list[Print] = []
    async with system.life():
        await system.pass_s(3)
        prints.append(await system.trade(ANN, BOB, 5))
        await system.pass_s(12)
        prints.append(await system.trade(ANN, BOB, 1))
        assert system.exact(ANN) == 6
    await system.clock.advance(1.0)
    system.tid += 1
    between = print_(system.now - 500, ANN, CAT, 2, tid=system.tid)
    system.sizes[ANN, BTC] += 2
    system.sizes[CAT, BTC] = -2
    system.events.clear()
    async with system.life(connect=False):
        for name in TAPES:
            system.sockets[name].say(SocketOpened())
            older = print_(prints[0].time_ms - 1, NOBODY, NOBODY)
            frame = live(older, *prints, between)
            system.sockets[name].say(type(frame)(BTC, frame.prints, replay=True))
        await system.pass_s(4.0)  # the newest block of a replay counts once something later is heard
        assert system.of(TapeGapped) == []
        assert system.exact(ANN) == 8
        await system.pass_s(12.0)
        assert (system.exact(ANN), system.exact(BOB), system.exact(CAT)) == (8, -6, -2)
        assert not [e for e in system.events if isinstance(e, PositionChanged) and e.cause is Cause.DRIFT]


async def test_a_second_life_that_comes_too_late_is_unsure_since_the_first_ones_mark() -> None:
    system = System()
    async with system.life():
        await system.pass_s(3)
        await system.trade(ANN, BOB, 5)
        await system.pass_s(12)
        ended = system.now
    await system.clock.advance(60.0)
    system.sizes[ANN, BTC] = 50  # traded while nobody listened
    async with system.life():
        await settle()
        assert system.said(ANN)[0] is PositionState.UNSURE
        found = system.view.get(ANN, BTC)
        assert found is not None
        assert (found.claim.since_ms or 0) <= ended
        await system.pass_s(12)
        assert system.exact(ANN) == 50


async def test_a_life_that_begins_while_rows_wait_to_be_stored_takes_them_up_all_the_same() -> None:
    """A connector is stopped and started within seconds; the store may hear of its facts a minute later."""
    system = System()
    async with system.serving():
        async with system.collecting(stored=False):
            await system.pass_s(3)
            await system.trade(ANN, BOB, 5)
            await system.pass_s(12)
            assert system.exact(ANN) == 5
            system.reading.clear()
            await system.trade(ANN, CAT, 2)
            await system.pass_s(30)
        await system.clock.advance(1.0)
        async with system.collecting(connect=False):
            system.connect(back_ms=3_500)  # its replays reach back to where the last life stopped, no further
            await system.pass_s(3)
            system.reading.set()
            await system.trade(ANN, CAT, 1)
            await system.pass_s(1)
            assert system.exact(ANN) == 8
            await system.pass_s(15)
            assert (system.exact(ANN), system.exact(CAT)) == (8, -3)
    assert system.of(TapeGapped) == []
    mine = [e for e in system.events if isinstance(e, PositionChanged) and e.after.trader == ANN]
    assert [e.after.version for e in mine] == sorted({e.after.version for e in mine})
    assert not [e for e in mine if e.cause is Cause.DRIFT]


async def test_versions_rise_over_lives() -> None:
    system = System()
    for _ in range(2):
        async with system.life():
            await system.pass_s(3)
            await system.trade(ANN, BOB, 5)
            await system.pass_s(12)
        await system.clock.advance(30)
    versions = [e.after.version for e in system.events if isinstance(e, PositionChanged)]
    assert versions == sorted(set(versions))


# -- halts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missed", [0, 400])
async def test_a_gap_that_hid_few_prints_is_soon_told_with_less_doubt_than_one_that_hid_many(missed: int) -> None:
    """The forecast knows neither a lull nor a burst; the venue's bar of the minute knows both."""
    system = System()
    counted: list[Candle] = []

    def bars(*_: object) -> list[Candle]:
        minute_ms = system.now // 60_000 * 60_000
        ours = sum(first_ms >= minute_ms for first_ms in heard)
        counted.append(Candle(t_ms=minute_ms, o=1.0, h=1.0, l=1.0, c=1.0, v=0.0, n=ours + missed))
        return counted[-1:]

    system.http.bars = bars
    heard: list[int] = []
    async with system.life():
        await system.pass_s(3)
        while system.now - T0 < 200_000 or not 5_000 < system.now % 60_000 < 15_000:
            heard.append(system.now)
            await system.trade(ANN, BOB, 1 + len(heard) % 2)
            await system.pass_s(1.0)
        await system.pass_s(12)
        assert system.exact(ANN) is not None
        system.lose()
        system.http.room = 0  # nobody is asked: doubt stays
        await system.clock.advance(20.0)
        system.connect()
        await system.pass_s(0.5)
        await system.pass_s(3.0)
        (gap,) = system.of(TapeGapped)
        assert isinstance(gap, TapeGapped)
        assert gap.mark.gaps[-1].pace is None, "nothing is known yet"
        found = system.view.get(ANN, BTC)
    assert len(counted) == 1
    assert found is not None
    assert found.claim.because is Cause.GAP
    assert found.claim.doubt is not None
    assert found.claim.doubt > 0.99 if missed else found.claim.doubt < 0.5


@pytest.mark.parametrize("delisted", [True, False])
async def test_a_market_that_halts_makes_everybody_unsure_with_doubt_one_and_its_return_is_a_gap(
    delisted: bool,
) -> None:
    system = System()
    async with system.life():
        await system.pass_s(3)
        await system.trade(ANN, BOB, 5)
        await system.pass_s(12)
        halted_ms = system.now
        if delisted:
            await system.bus.publish([MarketsListed(known_at_ms=system.now, markets=(market(is_delisted=True),))])
        await system.bus.publish([MarketContextChanged(known_at_ms=system.now, context=context(0.0))])
        await system.pass_s(1)
        found = system.view.get(ANN, BTC)
        assert found is not None
        assert (found.claim.state, found.claim.doubt, found.claim.because) == (PositionState.UNSURE, 1.0, Cause.HALT)
        await system.pass_s(60)
        assert system.reporter.said[-1] == "ok"  # a halted market is no failure of ours
        system.sizes[ANN, BTC] = 0  # settled
        if delisted:
            await system.bus.publish([MarketContextChanged(known_at_ms=system.now, context=context(9.0))])
            await system.pass_s(0.5)
            assert system.said(ANN)[0] is PositionState.UNSURE
            assert system.of(TapeGapped) == []
            await system.bus.publish([MarketsListed(known_at_ms=system.now, markets=(market(),))])
        await system.bus.publish([MarketContextChanged(known_at_ms=system.now, context=context(9.0))])
        await system.pass_s(0.5)
        (gap,) = system.of(TapeGapped)
        assert isinstance(gap, TapeGapped)
        assert gap.mark.gaps[-1].since_ms <= halted_ms + 1_000
        assert system.exact(ANN) is None
        await system.pass_s(15)
        assert system.exact(ANN) == 0


# -- several coins ------------------------------------------------------------------------------------------------


async def test_a_coin_that_is_listed_later_is_followed_from_then_on_and_the_first_does_not_notice() -> None:
    system = System()
    system.sizes[ANN, ETH] = 30
    async with system.life():
        await system.pass_s(3)
        await system.trade(ANN, BOB, 5)
        await system.pass_s(12)
        system.symbols.append(ETH)
        await system.bus.publish([MarketsListed(known_at_ms=system.now, markets=(market(), market(ETH)))])
        await settle()
        for name in TAPES:
            system.sockets[name].say(replay(system.now - 500, system.now - 400, symbol=ETH))
        await system.pass_s(3)
        await system.trade(ANN, CAT, 1, ETH)
        await system.pass_s(15)
        assert (system.exact(ANN), system.exact(ANN, ETH), system.exact(CAT, ETH)) == (5, 31, -1)
    assert system.of(TapeGapped) == []


async def test_a_restart_that_joins_suspects_no_gap_in_minutes_that_the_life_before_has_heard() -> None:
    system = System()
    minute = T0 // 60_000 * 60_000
    async with system.life():
        await system.pass_s(3)
        await system.trade(ANN, BOB, 5)
        await system.pass_s(130)
        assert len(system.of(TapeAdvanced)) > 100
    async with system.life(connect=False):
        for name in TAPES:
            system.sockets[name].say(
                SocketOpened(),
            )
            system.sockets[name].say(replay(T0 - 500, T0 - 400))
        bars = tuple(Candle(t_ms=minute + i * 60_000, o=1.0, h=1.0, l=1.0, c=1.0, v=5e-5, n=1) for i in range(-20, 3))
        await system.bus.publish(
            [CandlesClosed(known_at_ms=system.now, symbol=BTC, interval=Interval.M1, candles=bars)]
        )
        await system.pass_s(200)
        assert system.reporter.detail["BTC_gaps"] == 0
        assert system.reporter.detail["BTC_suspected_gaps"] == 0


# -- health -------------------------------------------------------------------------------------------------------


async def test_it_is_well_while_the_tape_moves_and_says_once_which_coin_stands_still() -> None:
    system = System(BTC, ETH)
    async with system.life():
        await system.pass_s(10)
        system.symbols.remove(ETH)
        await system.pass_s(30)
    assert system.reporter.turns[-2:] == ["ok", "the tape stands still: ETH"]


async def test_accounts_that_cannot_be_asked_are_said_once_and_their_return_once() -> None:
    system = System()
    async with system.life():
        await system.pass_s(3)
        system.http.account_of = lambda *_: SourceError("hyperliquid", "HTTP 500", retry_after_s=5.0)
        for i in range(10, 60):
            await system.trade(address(i), NOBODY, 1)
        await system.pass_s(60)
        system.http.account_of = system.account
        await system.pass_s(40)
    assert system.reporter.turns[-3:] == ["ok", "accounts: hyperliquid: HTTP 500", "ok"]


async def test_the_user_slots_go_to_the_best_and_their_pushes_are_answers() -> None:
    system = System(rules=PositionRules(user_slots=2))
    async with system.life():
        await system.pass_s(3)
        await system.bus.publish(
            [
                TradersRated(
                    known_at_ms=system.now,
                    captured_at_ms=system.now,
                    part=0,
                    parts=1,
                    traders=(rated(1, 60.0), rated(2, 90.0), rated(3, 80.0), rated(4, 99.0, tracked=False)),
                )
            ]
        )
        await settle()
        wanted = system.sockets["users"].wanted
        assert [w["user"] for w in wanted] == [BOB, CAT]
        assert {w["type"] for w in wanted} == {"clearinghouseState"}


async def test_what_is_known_when_never_falls_though_our_clock_is_set_back() -> None:
    system = System()
    for _ in range(2):  # over a restart too
        async with system.life():
            await system.pass_s(3)
            await system.trade(ANN, BOB, 5)
            await system.pass_s(5)
            system.clock.jump_ms(-2_000)
            await system.pass_s(5)
            system.lose()
            await system.clock.advance(20)
            system.connect()
            await system.pass_s(5)
        system.clock.jump_ms(-10_000)
        await system.clock.advance(20)
    kinds = {type(event) for event in system.events}
    assert kinds == {PositionChanged, TapeAdvanced, TapeGapped}
    known = [event.known_at_ms for event in system.events]
    assert known == sorted(known)


async def test_who_may_be_stored_wrongly_is_unsure_until_based_anew() -> None:
    system = System()
    system.sizes[ANN, BTC] = 500
    async with system.life():
        await system.pass_s(3)
        await system.trade(ANN, BOB, 7)
        await system.pass_s(12)
        assert system.exact(ANN) == 507
        gaps = len([event for event in system.events if isinstance(event, TapeGapped)])
        assert system.collector is not None
        system.collector.distrust(system.clock.now_ms() - 600_000)
        await system.pass_s(0.3)
        assert system.said(ANN)[0] is PositionState.UNSURE
        told = [event for event in system.events if isinstance(event, TapeGapped)][gaps:]
        assert [event.mark.gaps[-1].until_ms - event.mark.gaps[-1].since_ms > 500_000 for event in told] == [True]
        await system.pass_s(15)
        assert system.exact(ANN) == 507
