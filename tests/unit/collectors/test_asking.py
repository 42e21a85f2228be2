"""Asking for accounts: who, when, what an answer does, and what failures cost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from market_scraper.collectors.asking import FAILED_MOST_S, FAILED_S, IDLE_S, ODD_S, TOO_SOON_S, Asker
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.events import PositionChanged, TradersRated
from market_scraper.domain.market import Market
from market_scraper.domain.planner import Target
from market_scraper.domain.rules import PositionRules
from market_scraper.domain.values import Address, Symbol
from market_scraper.domain.watch import CoinWatch, Fact
from tests.facts import rated
from tests.fakes import FakeClock, FakeHttp
from tests.unit.collectors.parts import ANN, BOB, BTC, CAT, ETH, NOBODY, T0, address, answer, market, print_

DOWN = SourceError("hyperliquid", "HTTP 500", retry_after_s=5.0)


@dataclass
class Bench:
    """An asker over coins whose tapes have been whole for a minute."""

    clock: FakeClock
    http: FakeHttp
    asker: Asker
    watches: dict[Symbol, CoinWatch]
    facts: list[Fact] = field(default_factory=list)

    def feed(self, symbol: Symbol = BTC, *, trader: Address = NOBODY) -> None:
        """Carry the coin's watermark to now."""
        now = self.clock.now_ms()
        self.facts += self.watches[symbol].hear_prints(
            "s1", [print_(now, trader, trader)], replay=False, now_s=self.clock.monotonic(), known_at_ms=now
        )

    async def pass_s(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.5)):
            await self.clock.advance(0.5)
            for symbol, watch in self.watches.items():
                if watch.tape.watermark_ms is not None:
                    self.feed(symbol)

    @property
    def asked(self) -> list[object]:
        return [trader for what, trader, *_ in self.http.asked if what == "account"]

    def is_exact(self, trader: Address, symbol: Symbol = BTC) -> bool:
        return self.watches[symbol].ledger.is_exact(trader)


def make(*markets: Market, deaf: Symbol | None = None) -> Bench:
    clock, http = FakeClock(T0), FakeHttp()
    watches: dict[Symbol, CoinWatch] = {}
    made: Bench

    def take(facts: list[Fact]) -> None:
        made.facts.extend(facts)

    asker = Asker(http, watches, clock, on_facts=take, venue_now_ms=clock.now_ms)
    for m in markets or (market(),):
        watches[m.symbol] = CoinWatch(m, PositionRules(), on_verdict=asker.hear_verdict)
        if m.symbol != deaf:
            watches[m.symbol].hear_prints(
                "s1",
                [print_(T0 - 60_000, NOBODY, NOBODY), print_(T0 - 1_000, NOBODY, NOBODY)],
                replay=True,
                now_s=1_000.0,
                known_at_ms=T0,
            )
    made = Bench(clock, http, asker, watches)
    http.account_of = lambda trader, dex: answer(trader, clock.now_ms(), 7, dex=dex)
    return made


@asynccontextmanager
async def running(bench: Bench, workers: int = 1) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(bench.asker.run()) for _ in range(workers)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(result) for result in results} == {asyncio.CancelledError}  # nobody has crashed


def rate(bench: Bench, *traders: int) -> None:
    """A leaderboard with these, the first the best."""
    event = TradersRated(
        known_at_ms=T0,
        captured_at_ms=T0,
        part=0,
        parts=1,
        traders=tuple(rated(trader, 100.0 - i) for i, trader in enumerate(traders)),
    )
    assert bench.asker.worth.hear_ratings(event)
    bench.asker.want_ranked()


# -- one answer ---------------------------------------------------------------------------------------------------


async def test_who_appears_on_the_tape_is_asked_and_exact_once_the_watermark_has_passed() -> None:
    bench = make()
    bench.asker.seen(ANN, "", is_unknown=True)
    async with running(bench):
        await bench.pass_s(1.0)
        assert bench.asked == [ANN]
        assert not bench.is_exact(ANN)
        await bench.pass_s(3.0)
    assert bench.is_exact(ANN)
    assert bench.asker.planner.wanted == 0


async def test_an_answer_whose_window_the_watermark_has_already_passed_is_judged_at_once() -> None:
    """A node that lags by more than the window, or a late push over a user slot: it must not crash the collector."""
    bench = make(market(), market(ETH))
    await bench.clock.advance(5.0)
    bench.feed(BTC)
    bench.feed(ETH)
    bench.asker.hear(answer(ANN, T0 + 2_500, 7))
    assert bench.is_exact(ANN, BTC)
    assert bench.is_exact(ANN, ETH)
    assert [f.after.trader for f in bench.facts if isinstance(f, PositionChanged) and f.after.confirmed_ms] == [ANN] * 2


async def test_one_answer_settles_all_coins_of_its_dex_and_no_other() -> None:
    tsla = Symbol("xyz:TSLA")
    bench = make(market(), market(ETH), market(tsla, dex="xyz"))
    bench.asker.seen(ANN, "", is_unknown=True)
    bench.asker.seen(ANN, "xyz", is_unknown=True)
    async with running(bench):
        await bench.pass_s(2.0)
        assert sorted(str(dex) for what, _, dex in bench.http.asked if what == "account") == ["", "xyz"]
        await bench.pass_s(3.0)
    assert all(bench.is_exact(ANN, symbol) for symbol in bench.watches)


@pytest.mark.parametrize("off_ms", [-60_001, 60_001, 86_400_000])
async def test_an_implausible_stamp_changes_nothing_and_is_asked_again_later(off_ms: int) -> None:
    bench = make()
    bench.http.account_of = lambda trader, _: answer(trader, bench.clock.now_ms() + off_ms, 7)
    bench.asker.seen(ANN, "", is_unknown=True)
    async with running(bench):
        await bench.pass_s(FAILED_S - 1)
        assert bench.asked == [ANN]
        await bench.pass_s(2.0)
        assert bench.asked == [ANN, ANN]
    assert bench.asker.implausible == 2
    assert bench.watches[BTC].ledger.waiting == 0


async def test_several_candidates_are_asked_again_soon_until_one_is_left() -> None:
    bench = make()
    bench.asker.seen(ANN, "", is_unknown=True)
    async with running(bench):
        for _ in range(20):  # a trader who changes every half second
            bench.feed(trader=ANN)
            await bench.clock.advance(0.5)
        bench.watches[BTC].hear_prints(
            "s1", [print_(bench.clock.now_ms(), ANN, BOB, 3)], replay=False, now_s=1_000.0, known_at_ms=T0
        )
        bench.http.account_of = lambda trader, _: answer(trader, bench.clock.now_ms(), 10)
        await bench.pass_s(12.0)
    assert bench.is_exact(ANN)
    assert bench.watches[BTC].ledger.counts.drift == 0


async def test_who_is_left_with_several_bases_in_one_coin_is_asked_again_soon_though_another_coin_is_sure() -> None:
    bench = make(market(), market(ETH))
    bench.watches[BTC].hear_prints(
        "s1", [print_(bench.clock.now_ms(), ANN, BOB, 3)], replay=False, now_s=1_000.0, known_at_ms=T0
    )
    bench.asker.seen(ANN, "", is_unknown=True)
    async with running(bench):
        await bench.pass_s(10.0)
    assert bench.asked[:2] == [ANN, ANN]
    assert bench.is_exact(ANN, BTC)
    assert bench.is_exact(ANN, ETH)


async def test_a_size_off_the_grid_is_not_asked_again_every_second() -> None:
    bench = make()
    bench.http.account_of = lambda trader, _: answer(trader, bench.clock.now_ms(), None)
    bench.asker.seen(ANN, "", is_unknown=True)
    async with running(bench):
        await bench.pass_s(ODD_S - 10)
        assert bench.asked == [ANN]
        await bench.pass_s(20.0)
    assert bench.asked == [ANN, ANN]


# -- who is asked -------------------------------------------------------------------------------------------------


async def test_the_best_rated_are_asked_first_though_others_were_wanted_before_any_rating() -> None:
    bench = make()
    for i in range(50, 80):
        bench.asker.seen(address(i), "", is_unknown=True)
    bench.asker.seen(address(2), "", is_unknown=True)
    rate(bench, 1, 2, 3)
    async with running(bench):
        await bench.pass_s(1.0)
    assert bench.asked[:3] == [address(1), address(2), address(3)]


async def test_a_size_outweighs_a_vote_only_by_its_share_of_open_interest() -> None:
    """Before the first open interest a size is no share of anything: a million lots must not push voters back."""
    bench = make()
    bench.watches[BTC].hear_prints(
        "s1", [print_(T0, CAT, NOBODY, 1_000_000)], replay=False, now_s=1_000.0, known_at_ms=T0
    )
    bench.asker.seen(CAT, "", is_unknown=True)
    rate(bench, 1, 2)
    async with running(bench):
        await bench.pass_s(0.5)
    assert bench.asked[:3] == [address(1), address(2), CAT]
    again = make()
    again.watches[BTC].hear_prints("s1", [print_(T0, CAT, BOB, 1_000_000)], replay=False, now_s=1_000.0, known_at_ms=T0)
    again.asker.seen(CAT, "", is_unknown=True)
    rate(again, *range(10, 40))
    assert again.asker.worth.hear_open_interest(BTC, 1_000_000.0)
    again.asker.reweigh()
    async with running(again):
        await again.pass_s(0.5)
    assert again.asked[0] == CAT


async def test_nobody_is_asked_twice_at_once() -> None:
    bench = make()
    bench.http.held.clear()
    bench.asker.seen(ANN, "", is_unknown=True)
    async with running(bench, workers=6):
        for _ in range(20):
            bench.asker.want(ANN, "")
            await bench.pass_s(0.5)
        assert bench.asked == [ANN]
        bench.http.held.set()
        await bench.pass_s(0.5)
    assert len(bench.asked) <= 2


async def test_after_a_gap_everybody_is_asked_anew() -> None:
    bench = make()
    everyone = [address(i) for i in range(10, 30)]
    for trader in everyone:
        bench.asker.seen(trader, "", is_unknown=True)
    async with running(bench, workers=2):
        await bench.pass_s(5.0)
        assert all(map(bench.is_exact, everyone))
        watch = bench.watches[BTC]
        watch.end("s1", "lost", now_s=1_000.0, known_at_ms=T0)
        await bench.clock.advance(20.0)
        now = bench.clock.now_ms()
        watch.hear_prints("s1", [print_(now - 500), print_(now)], replay=True, now_s=1_000.0, known_at_ms=now)
        assert not any(map(bench.is_exact, everyone))
        bench.asker.want_everyone(watch)
        bench.http.asked.clear()
        await bench.pass_s(12.0)
    assert set(everyone) <= set(bench.asked)
    assert all(map(bench.is_exact, everyone))


async def test_right_after_a_gap_nobody_is_asked_in_vain() -> None:
    bench = make()
    bench.asker.seen(ANN, "", is_unknown=True)
    watch = bench.watches[BTC]
    watch.end("s1", "lost", now_s=1_000.0, known_at_ms=T0)
    await bench.clock.advance(20.0)
    now = bench.clock.now_ms()
    watch.hear_prints("s1", [print_(now - 500), print_(now)], replay=True, now_s=1_000.0, known_at_ms=now)
    async with running(bench):
        await bench.pass_s(3.0)
        assert bench.asked == []
        await bench.pass_s(1.0)
        assert bench.asked == [ANN]


async def test_who_is_unknown_on_a_coin_that_began_later_is_wanted_though_settled_on_the_first() -> None:
    bench = make(market(), market(ETH), deaf=ETH)
    bench.asker.seen(ANN, "", is_unknown=True)
    async with running(bench):
        await bench.pass_s(5.0)
        assert bench.is_exact(ANN, BTC)
        watch = bench.watches[ETH]
        watch.hear_prints("s1", [print_(T0), print_(T0 + 1)], replay=True, now_s=1_000.0, known_at_ms=T0)
        await bench.pass_s(5.0)
        bench.http.asked.clear()
        bench.asker.planner.want(Target(BOB), 1e9, now_s=1_000.0)
        bench.asker.seen(ANN, "", is_unknown=True)
        await bench.pass_s(5.0)
    assert set(bench.asked) >= {ANN, BOB}
    assert bench.is_exact(ANN, ETH)


# -- a tape that cannot judge -------------------------------------------------------------------------------------


async def test_a_coin_that_never_traded_does_not_hold_the_others_verdicts_back_nor_pile_up_answers() -> None:
    bench = make(market(), market(ETH), deaf=ETH)
    bench.asker.seen(ANN, "", is_unknown=True)
    async with running(bench):
        await bench.pass_s(120.0)
    assert bench.is_exact(ANN, BTC)
    assert bench.watches[ETH].ledger.waiting == 0
    assert bench.asker.planner.counts.unanswered == 0
    assert bench.asker.planner.wanted == 0


async def test_while_the_tape_stands_still_nobody_is_asked_and_nothing_piles_up() -> None:
    bench = make()
    for i in range(10, 40):
        bench.asker.seen(address(i), "", is_unknown=True)
    async with running(bench, workers=2):
        await bench.pass_s(5.0)
        await bench.clock.advance(60.0)
        bench.http.asked.clear()
        waiting = bench.watches[BTC].ledger.waiting
        await bench.clock.advance(600.0)
        assert bench.asked == []
        assert bench.watches[BTC].ledger.waiting == waiting
        bench.feed()
        await bench.pass_s(10.0)
    assert all(bench.is_exact(address(i)) for i in range(10, 40))


async def test_after_a_stretch_in_which_asking_is_in_vain_all_are_asked_for_whom_there_is_room() -> None:
    bench = make()
    bench.http.room = 60  # little: evenly
    for i in range(10, 160):
        bench.asker.seen(address(i), "", is_unknown=True)
    async with running(bench, workers=6):
        await bench.pass_s(1.0)
        assert len(bench.asked) <= 10
        for _ in range(40):  # the tape stands still, with workers that look again and again
            await bench.clock.advance(0.5)
        bench.http.asked.clear()
        bench.http.room = 200
        bench.feed()
        await bench.pass_s(0.5)
        assert len(bench.asked) >= 120


async def test_where_no_room_is_left_nobody_is_asked() -> None:
    bench = make()
    bench.http.room = 0
    bench.asker.seen(ANN, "", is_unknown=True)
    async with running(bench):
        await bench.pass_s(5.0)
    assert bench.asked == []


async def test_who_will_have_several_bases_left_is_asked_again_before_the_verdict() -> None:
    bench = make()
    bench.http.room = 60  # no audits
    bench.asker.seen(ANN, "", is_unknown=True)
    bench.watches[BTC].hear_prints(
        "s1", [print_(T0 + 1, ANN, BOB, 3)], replay=False, now_s=bench.clock.monotonic(), known_at_ms=T0
    )
    sizes = iter((7, 10, 10, 10))  # the first node has not seen the print yet
    bench.http.account_of = lambda trader, _: answer(trader, bench.clock.now_ms(), next(sizes))
    async with running(bench):
        await bench.clock.advance(0.4)
        assert bench.asked == [ANN]
        await bench.clock.advance(0.8)  # traded since: one more will tell
        assert bench.asked == [ANN, ANN]
        assert bench.watches[BTC].ledger.counts.judged == 0
        await bench.pass_s(5.0)
    assert bench.is_exact(ANN)
    assert bench.asked == [ANN, ANN]


async def test_who_is_wanted_and_trades_is_weighed_by_what_it_holds_now() -> None:
    bench = make()
    bench.asker.worth.hear_open_interest(BTC, 1_000.0)
    bench.http.room = 0
    for trader in (BOB, ANN):
        bench.asker.seen(trader, "", is_unknown=True)
    async with running(bench):
        now = bench.clock.now_ms()
        watch = bench.watches[BTC]
        watch.hear_prints("s1", [print_(now, ANN, NOBODY, 500)], replay=False, now_s=1_000.0, known_at_ms=now)
        bench.asker.seen(ANN, "", is_unknown=True)
        await bench.pass_s(0.5)
        bench.http.room = 1_000
        await bench.pass_s(0.5)
    assert bench.asked[:2] == [ANN, BOB]


async def test_no_coin_is_asked_for_while_another_has_just_begun_anew() -> None:
    bench = make(market(), market(ETH))
    bench.asker.seen(ANN, "", is_unknown=True)
    watch = bench.watches[ETH]
    watch.end("s1", "lost", now_s=1_000.0, known_at_ms=T0)
    now = bench.clock.now_ms()
    watch.hear_prints("s1", [print_(now - 1), print_(now)], replay=True, now_s=1_000.0, known_at_ms=now)
    async with running(bench):
        await bench.pass_s(3.0)
        assert bench.asked == []
        await bench.pass_s(1.5)
        assert bench.asked == [ANN]


async def test_a_coin_without_a_socket_is_not_asked_for() -> None:
    bench = make()
    bench.asker.seen(ANN, "", is_unknown=True)
    bench.watches[BTC].end("s1", "lost", now_s=1_000.0, known_at_ms=T0)
    async with running(bench):
        await bench.clock.advance(2.0)
    assert bench.asked == []


async def test_what_is_remembered_of_questions_is_gone_once_they_are_judged() -> None:
    bench = make(market(), market(ETH))
    for i in range(10, 60):
        bench.asker.seen(address(i), "", is_unknown=True)
    async with running(bench):
        await bench.pass_s(10.0)
    await bench.pass_s(5.0)
    assert (bench.asker._heard, bench.asker._under_way, bench.asker._moved) == ({}, {}, set())


# -- failures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [DOWN, SourceError("hyperliquid", "HTTP 422", retry_after_s=None), InvalidInput("no such field")]
)
async def test_a_source_that_fails_is_asked_ever_more_seldom_and_said_to_fail_once_it_lasts(error: Exception) -> None:
    bench = make()
    bench.http.account_of = lambda *_: error
    for i in range(10, 400):
        bench.asker.seen(address(i), "", is_unknown=True)
    async with running(bench, workers=6):
        await bench.pass_s(FAILED_S - 1)
        assert bench.asker.failing is None
        await bench.pass_s(600.0)
        assert "HTTP" in (bench.asker.failing or "") or "field" in (bench.asker.failing or "")
        bench.http.asked.clear()
        await bench.pass_s(60.0)
        assert len(bench.asked) <= 6 * 60 / FAILED_MOST_S
        bench.http.account_of = lambda trader, _: answer(trader, bench.clock.now_ms(), 7)
        await bench.pass_s(FAILED_MOST_S + 1)
        assert bench.asker.failing is None


async def test_one_failure_costs_one_target_a_pause_and_nobody_else() -> None:
    bench = make()
    bench.http.account_of = lambda trader, _: DOWN if trader == address(1) else answer(trader, bench.clock.now_ms(), 7)
    rate(bench, 1, 2, 3)
    async with running(bench):
        await bench.pass_s(4.5)
    assert bench.asked[0] == address(1)
    assert bench.asked.count(address(1)) == 1
    assert bench.is_exact(address(2))


async def test_without_anybody_to_ask_it_waits() -> None:
    bench = make()
    async with running(bench):
        await bench.clock.advance(10 * IDLE_S)
    assert set(bench.clock.slept_s) == {IDLE_S}
    assert TOO_SOON_S > IDLE_S
