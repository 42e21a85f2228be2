"""What the positions collector shows of its work: each figure moved by what it counts."""

import structlog.testing

from market_scraper.collectors.asking import Asker
from market_scraper.collectors.figures import EDGE_SAMPLES, Figures, LastMinute
from market_scraper.collectors.outbox import Outbox
from market_scraper.collectors.tape_sockets import TapeSockets
from market_scraper.domain.audit import MinuteAudit
from market_scraper.domain.events import CandlesClosed, MarketContextChanged, TradersRated
from market_scraper.domain.market import Candle
from market_scraper.domain.positions import AccountSnapshot
from market_scraper.domain.rules import PositionRules
from market_scraper.domain.values import Address, Interval
from market_scraper.domain.watch import CoinWatch
from market_scraper.ports.sources import AccountHeard
from market_scraper.schemas.ledger_figures import COIN, COMPONENT
from tests.facts import context, rated
from tests.fakes import FakeClock, FakeHttp, FakeSockets, settle
from tests.unit.collectors.parts import ANN, BOB, BTC, ETH, NOBODY, T0, address, answer, live, market, print_, replay
from tests.unit.collectors.system import TAPES, System


def figures(system: System, *names: str) -> tuple[object, ...]:
    return tuple(system.reporter.detail[name] for name in names)


async def test_every_figure_has_its_name_for_every_coin_and_no_other_is_told() -> None:
    system = System(BTC, ETH)
    async with system.life():
        await system.pass_s(10)
    names = [figure.name for figure in COMPONENT]
    names += [f"{symbol}_{figure.name}" for symbol in (BTC, ETH) for figure in COIN]
    assert list(system.reporter.detail) == names


async def test_the_budget_is_told_by_what_it_was_spent_on_in_the_last_minute() -> None:
    system = System(rules=PositionRules(rest_weight_per_minute=120))
    system.http.room = 8  # of 60 a minute: they come evenly
    async with system.life():
        await system.pass_s(3)
        for i in range(10, 20):
            await system.trade(address(i), address(i + 10), 1)
        await system.pass_s(30)
        wanted, audited, questions = figures(system, "weight_wanted", "weight_audit", "questions_wanted")
        assert (wanted, questions) == (44, 22)  # these twenty, and the two of the replay
        assert audited == 0
        system.http.room = 60
        await system.pass_s(90)
        wanted, audited, budget = figures(system, "weight_wanted", "weight_audit", "weight_budget")
        assert (wanted, budget) == (0, 120)
        assert isinstance(audited, int)
        assert 90 <= audited <= 104  # five sixths
        assert figures(system, "followed", "wanted") == (22, 0)


def test_the_last_minute_forgets_what_was_before_it() -> None:
    counter = LastMinute()
    assert [counter.note(s, n) for s, n in ((0.0, 0), (30.0, 10), (60.0, 12), (90.0, 15), (200.0, 15))] == [
        0,
        10,
        12,
        5,
        0,
    ]


async def test_the_queue_and_its_oldest_are_told() -> None:
    system = System(rules=PositionRules(rest_weight_per_minute=2))
    system.http.room = 0
    async with system.life():
        await system.pass_s(3)
        for i in range(10, 20):
            await system.trade(address(i), address(i + 10), 1)
        await system.pass_s(30)
        assert figures(system, "followed", "wanted", "asked") == (22, 22, 0)
        (oldest_s,) = figures(system, "oldest_wanted_s")
        assert isinstance(oldest_s, float)
        assert 25 < oldest_s < 35


async def test_figures_are_told_while_the_tape_stands_still() -> None:
    system = System()
    async with system.life():
        await system.pass_s(10)
        system.lose()
        await system.clock.advance(5.5)
        await system.clock.advance(2.5)
        assert system.reporter.said[-1].startswith("the tape stands still")
        assert figures(system, "sockets") == (0,)


async def test_states_and_coverage_are_told_per_coin_and_the_oldest_unsure_of_all() -> None:
    system = System()
    async with system.life():
        await system.pass_s(3)
        await system.bus.publish([MarketContextChanged(known_at_ms=system.now, context=context(0.0001))])  # 10 lots
        await system.trade(ANN, BOB, 5)
        await system.pass_s(25)
        assert figures(system, "BTC_exact", "BTC_unsure", "BTC_unknown", "BTC_coverage") == (4, 0, 0, 0.5)
        assert figures(system, "oldest_unsure_s") == (0.0,)
        system.lose()
        await system.clock.advance(20)
        system.http.account_of = lambda *_: answer(NOBODY, 0)  # implausible: nobody is re-based
        system.connect()
        await settle()
        await system.pass_s(25)
        assert figures(system, "BTC_exact", "BTC_unsure", "BTC_coverage") == (0, 4, 0.0)
        oldest_s, stamps = figures(system, "oldest_unsure_s", "implausible_stamps")
        assert isinstance(oldest_s, float)
        assert 40 < oldest_s < 50
        assert stamps != 0


async def test_a_gap_is_told_with_its_seconds() -> None:
    system = System()
    async with system.life():
        await system.pass_s(3)
        system.lose()
        await system.clock.advance(20)
        system.connect()
        await system.pass_s(3)
        gaps, seconds = figures(system, "BTC_gaps", "BTC_gap_s")
    assert gaps == 1
    assert isinstance(seconds, float)
    assert 19 < seconds < 25


async def test_each_cause_of_drift_is_counted_and_the_last_ones_name_their_trader() -> None:
    system = System()
    odd: set[Address] = set()
    account = system.account

    def answered(trader: Address, dex: str) -> AccountSnapshot:
        return answer(trader, system.now, None) if trader in odd else account(trader, dex)

    system.http.account_of = answered
    async with system.life():
        await system.pass_s(3)
        await system.trade(ANN, BOB, 5)
        await system.pass_s(15)
        assert figures(system, "BTC_drift", "BTC_odd_size", "BTC_drift_late", "BTC_halts") == (0, 0, 0, 0)
        assert figures(system, "last_drifts") == (None,)

        system.sizes[ANN, BTC] += 3  # off the tape
        await system.pass_s(15)
        assert figures(system, "BTC_drift") == (1,)
        (last,) = figures(system, "last_drifts")
        assert str(last).startswith(f"BTC {ANN} drift ")
        assert system.exact(ANN) == 8

        odd.add(BOB)
        await system.pass_s(15)
        assert figures(system, "BTC_odd_size") == (1,)
        assert str(figures(system, "last_drifts")[0]).startswith(f"BTC {BOB} odd_size ")

        tardy = print_(system.now - 3_000, ANN, NOBODY, 1, tid=777)
        system.sizes[ANN, BTC] += 1
        system.sockets[TAPES[1]].say(live(tardy))
        await system.pass_s(3)
        late, unsure = figures(system, "BTC_late", "BTC_drift_late")
        assert (late, unsure) == (1, 2)  # one print, two sides

        for _ in range(2):
            await system.bus.publish([MarketContextChanged(known_at_ms=system.now, context=context(0.0))])
            await system.pass_s(3)
        assert figures(system, "BTC_halts") == (1,)


async def test_minutes_compared_and_suspected_gaps_are_told() -> None:
    system = System()
    minute = T0 // 60_000 * 60_000 + 120_000
    async with system.life():
        for _ in range(4):
            await system.pass_s(60)
            for name in TAPES:  # as a venue does when it is asked whether its trades are mute: nobody traded
                system.sockets[name].say(replay(T0 - 500, T0 - 400))
        bars = tuple(
            Candle(t_ms=minute + i * 60_000, o=1.0, h=1.0, l=1.0, c=1.0, v=0.0, n=n) for i, n in ((0, 0), (1, 7))
        )
        await system.bus.publish(
            [CandlesClosed(known_at_ms=system.now, symbol=BTC, interval=Interval.M1, candles=bars)]
        )
        await system.pass_s(65)
        assert figures(system, "BTC_minutes_compared", "BTC_suspected_gaps") == (2, 1)


async def test_refused_answers_are_told_by_reason_and_pushed_ones_are_counted() -> None:
    system = System(rules=PositionRules(user_slots=2))
    async with system.life():
        await system.pass_s(3)
        await system.bus.publish(
            [
                TradersRated(
                    known_at_ms=system.now, captured_at_ms=system.now, part=0, parts=1, traders=(rated(1, 60.0),)
                )
            ]
        )
        await system.pass_s(10)
        push = system.sockets["users"].say
        before = figures(system, "BTC_refused_old", "BTC_refused_unheard")
        assert before == (0, 0)
        push(AccountHeard(answer(ANN, system.now - 9_000)))  # older than the answer that was asked for
        push(AccountHeard(answer(ANN, T0 - 3_000)))  # before the tape began
        await system.pass_s(3)
        assert figures(system, "BTC_refused_old", "BTC_refused_unheard", "BTC_refused_forgotten") == (1, 1, 0)
        assert figures(system, "user_slots", "slot_answers", "slot_answers_a_minute") == (1, 2, 2)


async def test_a_window_whose_edge_is_crowded_is_warned_of_once() -> None:
    clock, http = FakeClock(T0), FakeHttp()
    watches = {BTC: CoinWatch(market(), PositionRules())}

    def take(_facts: object) -> None:
        raise AssertionError("nothing is heard here")

    asker = Asker(http, watches, clock, on_facts=take, venue_now_ms=clock.now_ms)
    tape = TapeSockets(FakeSockets(), watches, clock, count=1, on_facts=take, on_interval_ended=lambda: None)
    shown = Figures(watches, {BTC: MinuteAudit(5)}, asker, tape, Outbox(), clock, weight_budget=1_000)
    counts = watches[BTC].ledger.counts
    with structlog.testing.capture_logs() as lines:
        counts.placed, counts.at_edge = EDGE_SAMPLES - 1, EDGE_SAMPLES - 1
        shown.look_at_windows()
        counts.placed, counts.at_edge = 10 * EDGE_SAMPLES, EDGE_SAMPLES // 2  # exactly one in twenty
        shown.look_at_windows()
        assert lines == []
        counts.at_edge += 1
        shown.look_at_windows()
        shown.look_at_windows()
    (line,) = lines
    assert (line["event"], line["symbol"], line["join_window_ms"]) == ("join_window_too_small", BTC, 2_000)


async def test_places_in_the_join_window_are_told_from_the_earliest_on() -> None:
    system = System(rules=PositionRules(rest_weight_per_minute=600))
    async with system.life():
        await system.pass_s(3)
        await system.trade(ANN, BOB, 1)
        await system.pass_s(12)
        assert figures(system, "BTC_placed", "BTC_edge_share", "BTC_places") == (0, None, None)
        for _ in range(60):  # busy enough that an answer's neighbours tell its place
            await system.trade(ANN, BOB, 1)
            await system.clock.advance(0.3)
        await system.pass_s(5)
        placed, edge, places = figures(system, "BTC_placed", "BTC_edge_share", "BTC_places")
    assert isinstance(placed, int)
    assert placed > 3
    assert edge == 0.0
    found = [tuple(map(int, each.split(":"))) for each in str(places).split()]
    assert found == sorted(found)
    assert sum(count for _, count in found) == placed
    assert all(-250 <= ms <= 250 for ms, _ in found)  # this venue's answers are as of their stamp
