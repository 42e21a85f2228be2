"""Exact means exact: tape and ledger against a brute-force model of an untidy venue."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_scraper.domain.ledger import CoinLedger
from market_scraper.domain.market import Print
from market_scraper.domain.rules import PositionRules
from market_scraper.domain.tape import CoinTape
from market_scraper.domain.watch import CoinWatch
from tests.unit.domain.brute_venue import Outcome, Plan, Run

plans = st.builds(
    Plan,
    seed=st.integers(0, 2**32),
    traders=st.integers(2, 20),
    sockets=st.integers(1, 4),
    prints_per_s=st.sampled_from([0.5, 3.0, 20.0, 60.0]),
    seconds=st.just(30),
    socket_loss_per_s=st.sampled_from([0.0, 0.02, 0.1]),
    mute_per_s=st.sampled_from([0.0, 0.05]),
    max_late_ms=st.sampled_from([0, 500, 2_000]),
    full_gaps=st.sampled_from([(), ((10, 17),), ((8, 10), (20, 26))]),
    bbo_every_ms=st.sampled_from([0, 200, 1_000]),
)


@settings(max_examples=40, deadline=None)
@given(plans)
def test_no_exact_claim_is_ever_wrong(plan: Plan) -> None:
    outcome = Run(plan).run()
    assert outcome.wrong == []
    assert outcome.exact_during_gap == 0


def test_after_a_minute_everybody_is_exact_in_spite_of_it_all() -> None:
    outcome = Run(Plan(seed=7, seconds=60, full_gaps=((20, 30),))).run()
    assert outcome.wrong == []
    assert outcome.exact_at_end == 12
    assert outcome.exact_claims > 2_000
    assert len(outcome.gaps) == 1


def test_on_a_quiet_coin_best_prices_carry_the_watermark_and_no_claim_is_wrong_for_it() -> None:
    quiet = Plan(seed=11, prints_per_s=0.2, seconds=60, bbo_every_ms=500)
    with_prices, without = Run(quiet).run(), Run(replace(quiet, bbo_every_ms=0)).run()
    assert with_prices.wrong == []
    assert with_prices.exact_claims > 1.2 * without.exact_claims


def test_nothing_drifts_where_nothing_happens_off_the_tape() -> None:
    outcomes = [Run(Plan(seed=seed, seconds=40)).run() for seed in range(5)]
    assert [outcome.drift for outcome in outcomes] == [0] * 5


def _wrong_somewhere(make: Any, *, rules: PositionRules | None = None, **changes: Any) -> bool:
    def wrong(outcome: Outcome) -> bool:
        return bool(outcome.wrong) or outcome.exact_during_gap > 0 or outcome.drift > 0

    return any(
        wrong(Run(Plan(seed=seed, seconds=40, rules=rules or PositionRules(), **changes), make).run())
        for seed in range(6)
    )


class _NoDeduplication(CoinTape):
    def _count(self, prints: Any) -> tuple[Sequence[Print], Sequence[Print]]:
        self._seen.clear()
        return super()._count([p for p in prints if p.time_ms > self.epoch_ms])


class _JoinsAnything(CoinTape):
    def _break(self, since_ms: int, until_ms: int) -> Any:
        self._watermark_ms = until_ms
        return None


class _KeepsOpenWhenLost(CoinTape):
    def end(self, socket: str, reason: str, now_s: float) -> Any:
        interval = self._intervals.get(socket)
        result = super().end(socket, reason, now_s)
        if interval is not None:
            self._intervals[socket] = interval
        return result

    def hear_replay(self, socket: str, prints: Any, now_s: float, replay_to_ms: int = -1) -> Any:
        return (
            self.hear(socket, prints, now_s)
            if socket in self._intervals
            else super().hear_replay(socket, prints, now_s, replay_to_ms)
        )


def _with_tape(kind: type[CoinTape]) -> Any:
    def make(market: Any, rules: PositionRules, **others: Any) -> CoinWatch:
        watch = CoinWatch(market, rules, **others)
        watch.tape = kind(market.symbol, join_window_ms=rules.join_window_ms)
        return watch

    return make


class _SignsBySide(CoinLedger):
    """Credits the buyer and seller the wrong way round, as signing by the aggressor does for passive fills."""

    def count(self, advance: Any, known_at_ms: int) -> Any:
        turned = tuple(
            Print(p.time_ms, p.tid, p.lots, p.px, p.seller, p.buyer) if p.tid % 2 else p for p in advance.fresh
        )
        return super().count(type(advance)(turned, advance.late, advance.gap), known_at_ms)


def _signs_by_side(market: Any, rules: PositionRules, **others: Any) -> CoinWatch:
    watch = CoinWatch(market, rules, **others)
    watch.ledger = _SignsBySide(market, join_window_ms=rules.join_window_ms)
    return watch


@pytest.mark.parametrize("late", [0, 2_000])
def test_the_model_is_not_blind_a_healthy_watch_passes_what_the_sabotaged_ones_fail(late: int) -> None:
    assert not _wrong_somewhere(CoinWatch, max_late_ms=late, full_gaps=((15, 22),))


def test_without_the_join_window_it_fails() -> None:
    assert _wrong_somewhere(CoinWatch, rules=PositionRules(join_window_ms=0))


def test_without_deduplication_it_fails() -> None:
    assert _wrong_somewhere(_with_tape(_NoDeduplication))


def test_without_gaps_it_fails() -> None:
    assert _wrong_somewhere(_with_tape(_JoinsAnything), full_gaps=((15, 22),))


def test_without_ending_an_interval_at_a_loss_it_fails() -> None:
    assert _wrong_somewhere(_with_tape(_KeepsOpenWhenLost), sockets=1, socket_loss_per_s=0.1)


def test_signing_by_the_aggressor_fails() -> None:
    assert _wrong_somewhere(_signs_by_side)
