"""Whoever takes over from whom, however it ended: the venue never counts more than it allows."""

import heapq
import itertools
import random
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_scraper.connectors.hyperliquid import limits
from market_scraper.connectors.hyperliquid.limits import Share, Ticket, WeightBudget
from market_scraper.connectors.hyperliquid.spending import COUNTS_AT_MOST_S, take_up, tell
from market_scraper.ports.lease import MOST_LEFT
from tests.unit.connectors.hyperliquid.test_limits import worst_minute

SHARES = {"accounts": Share(1_000, 1_000), "candles": Share(300, 300), "listings": Share(1_000, 200)}
USUAL_MS = 15_000
TELLS_S = 1.0
STEP_S = 0.1


def budget() -> WeightBudget:
    return WeightBudget(SHARES)


class Holders:
    """One holder of the lease after another, each with a clock of its own, all behind one address.

    `trouble`: every five minutes at the most what a holder left is lost, or cannot be told for 40 s and longer.
    """

    def __init__(
        self, seed: int, *, seconds: int, trouble: bool = False, lives_s: Sequence[float] = (0.5, 3.0, 20.0, 100.0)
    ) -> None:
        self.random = random.Random(seed)
        self.counted: list[tuple[float, int]] = []
        self.sent_by: list[int] = []
        self._order = itertools.count()
        self._lives_s = lives_s
        self._trouble_s = 0.0 if trouble else float("inf")  # none before
        now_s = 0.0
        left: bytes | None = None
        active_ms: int | None = None
        while now_s < seconds:
            left, active_ms, now_s = self._hold(left, active_ms, now_s)

    def _hold(self, left: bytes | None, active_ms: int | None, now_s: float) -> tuple[bytes | None, int | None, float]:
        """One holder's life, and the time until the next one has the lease."""
        of = budget()
        ours_s = self.random.uniform(0, 1e6)  # its monotonic clock
        name = f"{ours_s}"
        away_from_s = float("inf")
        if now_s >= self._trouble_s:
            self._trouble_s = now_s + 300.0
            if self.random.random() < 0.5:
                left = None
            else:
                away_from_s = now_s + self.random.uniform(0, 20)
        take_up(
            of,
            name,
            left,
            now_s=now_s + ours_s,
            venue_now_ms=int(now_s * 1000),
            active_ms=active_ms,
            usual_ms=USUAL_MS,
        )
        ends_s = now_s + self.random.choice(self._lives_s) * self.random.random()
        answers: list[tuple[float, int, Ticket, int]] = []
        told_s = float("-inf")
        sent = waiting = 0
        while now_s < ends_s:
            while answers and answers[0][0] <= now_s:
                _, _, ticket, cost = heapq.heappop(answers)
                of.settle(ticket, now_s + ours_s, cost)
            for kind, cost, most in (("accounts", 2, 60), ("candles", 107, 2), ("listings", 20, 2)):
                for _ in range(self.random.randint(0, most) if waiting < 200 else 0):
                    of.ask(kind, cost)
                    waiting += 1
            for ticket in of.admit(now_s + ours_s):
                waiting -= 1
                answered_s = now_s + self.random.expovariate(2.0)
                cost = self.random.randint(ticket.cost // 2, ticket.cost)
                self.counted.append((self.random.uniform(now_s, answered_s), cost))
                sent += cost
                heapq.heappush(answers, (answered_s, next(self._order), ticket, cost))
            if now_s - told_s >= TELLS_S and now_s < away_from_s:
                told_s = now_s
                left = tell(of, name, now_s=now_s + ours_s, venue_now_ms=int(now_s * 1000))
                assert len(left) < MOST_LEFT
            now_s += STEP_S
            active_ms = int(now_s * 1000)
        self.sent_by.append(sent)
        if now_s < away_from_s and self.random.random() < 0.3:  # it ends in order
            left = tell(of, name, now_s=now_s + ours_s, venue_now_ms=int(now_s * 1000), ended=True)
        back_s = max(0.0, away_from_s + 40.0 - now_s) if now_s >= away_from_s else 0.0
        return left, active_ms, now_s + back_s + self.random.uniform(0, 8)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_the_venue_never_counts_more_than_it_allows_in_any_minute(seed: int, trouble: bool) -> None:
    holders = Holders(seed, seconds=700, trouble=trouble)
    assert worst_minute(holders.counted) <= limits.WEIGHT_PER_MINUTE


def test_where_it_is_told_as_it_should_be_all_together_stay_within_one_budget_and_spend_most_of_it() -> None:
    for seed in range(2):
        often = Holders(seed, seconds=600)
        assert len(often.sent_by) > 8
        assert worst_minute(often.counted) <= limits.SPENDABLE_PER_MINUTE
        now_and_then = Holders(seed, seconds=1_200, lives_s=(400.0,))
        assert worst_minute(now_and_then.counted) <= limits.SPENDABLE_PER_MINUTE
        assert sum(now_and_then.sent_by) > 0.75 * limits.SPENDABLE_PER_MINUTE * 20


@pytest.mark.parametrize("sabotage", ["nothing_is_left", "no_limit_between_tellings"])
def test_the_model_is_not_blind(sabotage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if sabotage == "nothing_is_left":
        monkeypatch.setattr(f"{__name__}.take_up", lambda *_args, **_named: None)
    else:
        monkeypatch.setattr(WeightBudget, "share", lambda _budget: None)
    limit = limits.WEIGHT_PER_MINUTE if sabotage == "nothing_is_left" else limits.SPENDABLE_PER_MINUTE
    runs = (Holders(seed, seconds=300) for seed in range(8))
    assert any(worst_minute(run.counted) > limit for run in runs)


# -- by hand ------------------------------------------------------------------------------------------------------


def spend(of: WeightBudget, now_s: float, cost: int, *, kind: str = "accounts", answered: bool = True) -> None:
    ticket = of.ask(kind, cost)
    assert of.admit(now_s) == [ticket]
    if answered:
        of.settle(ticket, now_s)


def taken_up(left: bytes | None, *, now_ms: int, active_ms: int | None = None) -> WeightBudget:
    of = budget()
    take_up(of, "b", left, now_s=0.0, venue_now_ms=now_ms, active_ms=active_ms, usual_ms=USUAL_MS)
    return of


def test_what_the_predecessor_spent_ends_when_it_would_have_ended_for_it() -> None:
    before = budget()
    spend(before, 500.0, 100, kind="candles")
    spend(before, 510.0, 300)
    of = taken_up(tell(before, "a", now_s=520.0, venue_now_ms=1_000_000), now_ms=1_005_000)
    assert of.spent(0.0) == 400 + limits.UNTOLD_WEIGHT
    assert of.spent(500.0 + 61.0 - 525.0 + 1.0) == 300 + limits.UNTOLD_WEIGHT
    assert of.spent(510.0 + 61.0 - 525.0 + 1.0) == limits.UNTOLD_WEIGHT
    assert of.spent(COUNTS_AT_MOST_S) == 0


def test_what_was_under_way_may_count_for_longer() -> None:
    before = budget()
    spend(before, 500.0, 100, answered=False)
    of = taken_up(tell(before, "a", now_s=500.0, venue_now_ms=1_000_000), now_ms=1_000_000)
    assert of.spent(62.0) == 100 + limits.UNTOLD_WEIGHT
    assert of.spent(COUNTS_AT_MOST_S) == limits.UNTOLD_WEIGHT


def test_a_kinds_own_cap_holds_over_a_take_over_and_one_that_is_unknown_counts_for_all() -> None:
    before = WeightBudget({**SHARES, "older": Share(500, 1)})
    spend(before, 0.0, 300, kind="candles")
    spend(before, 0.0, 200, kind="older")
    of = taken_up(tell(before, "a", now_s=0.0, venue_now_ms=0), now_ms=0)
    assert of.room("candles", 0.0) == 0
    assert of.spent(0.0) == 500 + limits.UNTOLD_WEIGHT


def test_a_penalty_holds_for_the_successor_too() -> None:
    before = budget()
    ticket = before.ask("accounts", 2)
    before.admit(0.0)
    before.refuse(ticket, 0.0, 30.0)
    of = taken_up(tell(before, "a", now_s=0.0, venue_now_ms=0), now_ms=10_000)
    assert (of.room("accounts", 19.0), of.room("accounts", 21.0) > 0) == (0, True)


@pytest.mark.parametrize("left", [None, b"", b"\xff", b'{"another": "version"}'])
def test_where_nothing_can_be_read_only_what_no_predecessor_could_have_spent_is_spent(left: bytes | None) -> None:
    of = taken_up(left, now_ms=100_000, active_ms=90_000)
    assert of.limit - of.spent(0.0) == limits.WEIGHT_PER_MINUTE - limits.SPENDABLE_PER_MINUTE
    assert of.spent(COUNTS_AT_MOST_S - 10.0) == 0
    assert taken_up(left, now_ms=1_000_000, active_ms=900_000).spent(0.0) == 0
    assert taken_up(left, now_ms=1_000_000).spent(0.0) == 0


def test_what_was_told_too_long_ago_says_nothing_of_the_last_minute() -> None:
    left = tell(budget(), "a", now_s=0.0, venue_now_ms=0)
    of = taken_up(left, now_ms=USUAL_MS + 1, active_ms=0)
    assert of.spent(0.0) == 800
    assert of.spent(COUNTS_AT_MOST_S) == 0
    assert taken_up(left, now_ms=3_600_000, active_ms=0).spent(0.0) == 0


def test_last_words_are_believed_however_old_and_nothing_came_after_them() -> None:
    before = budget()
    spend(before, 0.0, 300)
    left = tell(before, "a", now_s=1.0, venue_now_ms=1_000, ended=True)
    assert taken_up(left, now_ms=2_000, active_ms=1_000).spent(0.0) == 300
    assert taken_up(left, now_ms=40_000, active_ms=1_000).spent(0.0) == 300
    assert taken_up(left, now_ms=63_000, active_ms=1_000).spent(0.0) == 0


def test_who_comes_back_after_itself_knows_what_it_spent() -> None:
    of = budget()
    spend(of, 0.0, 300)
    take_up(
        of, "a", tell(of, "a", now_s=1.0, venue_now_ms=0), now_s=2.0, venue_now_ms=0, active_ms=0, usual_ms=USUAL_MS
    )
    assert of.spent(2.0) == 300


def test_who_is_not_followed_by_anybody_may_spend_all_at_once() -> None:
    of = budget()
    of.share()
    assert of.room("accounts", 0.0) == 1_000  # the minute's, though not all of it goes at once
    for _ in range(300):
        of.ask("accounts", 2)
    assert sum(ticket.cost for ticket in of.admit(0.0)) == limits.UNTOLD_WEIGHT
    assert of.next_at(0.0) == limits.UNTOLD_S
    assert sum(ticket.cost for ticket in of.admit(limits.UNTOLD_S)) == limits.UNTOLD_WEIGHT


def test_what_is_told_says_when_by_the_venues_clock() -> None:
    said = msgspec.json.decode(tell(budget(), "a", now_s=5.0, venue_now_ms=1_234))
    assert (said["at_ms"], said["teller"]) == (1_234, "a")
