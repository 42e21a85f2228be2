"""Whatever the delays, the venue never counts more than it allows, and nobody is starved."""

import heapq
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_scraper.connectors.hyperliquid import limits
from market_scraper.connectors.hyperliquid.limits import Share, Ticket, WeightBudget, Window
from market_scraper.domain.errors import InvalidInput

SHARES = {"accounts": Share(1_000, 1_000), "candles": Share(1_150, 300), "listings": Share(1_150, 200)}


def worst_minute(counted: list[tuple[float, int]]) -> int:
    """The most that a venue with a sliding window of 60 s, both ends in it, has ever counted."""
    counted = sorted(counted)
    worst = running = 0
    oldest = 0
    for at_s, cost in counted:
        running += cost
        while counted[oldest][0] < at_s - limits.WINDOW_S:
            running -= counted[oldest][1]
            oldest += 1
        worst = max(worst, running)
    return worst


class Run:
    """Requests of all kinds, sent as soon as they may, seen by the venue at any time until they are answered."""

    def __init__(self, seed: int, wishes: int, slowest_s: float) -> None:
        self.random = random.Random(seed)
        self.budget = WeightBudget(SHARES)
        self.counted: dict[str, list[tuple[float, int]]] = {kind: [] for kind in SHARES}
        self.waited_s: dict[str, float] = dict.fromkeys(SHARES, 0.0)
        self.slowest_s = slowest_s
        self._asked: dict[Ticket, float] = {}
        self._order = itertools.count()
        self._ends: list[tuple[float, int, Ticket, int | None]] = []
        self._go(wishes)

    def _go(self, wishes: int) -> None:
        now_s = 0.0
        for _ in range(wishes):
            kind = self.random.choice(list(SHARES))
            cost = {"accounts": 2, "candles": self.random.randint(20, 107), "listings": 20}[kind]
            self._asked[self.budget.ask(kind, cost)] = now_s
            if self.random.random() < 0.3:
                now_s += self.random.expovariate(1.0)
        while self._asked or self._ends:
            while self._ends and self._ends[0][0] <= now_s:
                at_s, _, ticket, cost_or_none = heapq.heappop(self._ends)
                if cost_or_none is None:
                    self.budget.give_up(ticket, at_s)
                else:
                    self.budget.settle(ticket, at_s, cost_or_none)
            for ticket in self.budget.admit(now_s):
                self._send(ticket, now_s)
            moments = [at for at in (self.budget.next_at(now_s), self._ends[0][0] if self._ends else None) if at]
            assert moments or not self._asked, "nothing moves any more"
            now_s = max(now_s, min(moments, default=now_s))

    def _send(self, ticket: Ticket, now_s: float) -> None:
        self.waited_s[ticket.kind] = max(self.waited_s[ticket.kind], now_s - self._asked.pop(ticket))
        answered_s = now_s + self.random.uniform(0, self.slowest_s)
        if self.random.random() < 0.1:  # lost: the venue may see it even after we gave up
            seen_s = self.random.uniform(now_s, answered_s + limits.UNANSWERED_S)
            cost = None
            self.counted[ticket.kind].append((seen_s, ticket.cost))
        else:
            seen_s = self.random.uniform(now_s, answered_s)
            cost = self.random.randint(1, ticket.cost)
            self.counted[ticket.kind].append((seen_s, cost))
        heapq.heappush(self._ends, (answered_s, next(self._order), ticket, cost))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), wishes=st.integers(1, 400), slowest_s=st.sampled_from([0.0, 0.5, 5.0, 90.0]))
def test_no_minute_of_the_venue_holds_more_than_the_budget(seed: int, wishes: int, slowest_s: float) -> None:
    run = Run(seed, wishes, slowest_s)
    everything = [entry for entries in run.counted.values() for entry in entries]
    assert worst_minute(everything) <= limits.SPENDABLE_PER_MINUTE
    for kind, entries in run.counted.items():
        assert worst_minute(entries) <= SHARES[kind].cap


def test_the_budget_is_used_up_when_it_is_wanted() -> None:
    budget = WeightBudget(SHARES)
    for _ in range(5_000):
        budget.ask("accounts", 2)
    now_s, sent = 0.0, 0
    while now_s < 600:
        for ticket in budget.admit(now_s):
            sent += ticket.cost
            budget.settle(ticket, now_s + 0.2)
        now_s += 0.5
    assert sent >= 0.95 * 1_000 * 10


def test_a_small_request_is_not_starved_by_a_flood_of_large_ones() -> None:
    budget = WeightBudget(SHARES)
    for _ in range(100):
        budget.ask("candles", 107)
    first = budget.admit(0.0)
    assert {ticket.kind for ticket in first} == {"candles"}
    for ticket in first:
        budget.settle(ticket, 1.0)
    small = [budget.ask("accounts", 2), budget.ask("listings", 20)]
    assert budget.admit(1.0) == small
    large = budget.ask("listings", 100)
    assert budget.admit(1.0) == []
    moment = budget.next_at(1.0)
    assert moment is not None
    assert large in budget.admit(moment)


def test_many_small_requests_do_not_keep_a_large_one_out() -> None:
    budget = WeightBudget({"accounts": Share(1_150, 1_000), "candles": Share(1_150, 300)})
    for _ in range(2_000):
        budget.ask("accounts", 2)
    for ticket in budget.admit(0.0):
        budget.settle(ticket, 0.0)
    large = budget.ask("candles", 107)
    now_s = 0.0
    while not large.admitted and now_s < 130:
        now_s += 0.1
        for ticket in budget.admit(now_s):
            budget.settle(ticket, now_s)
    assert now_s < 62


def test_the_rest_is_paid_back_when_an_answer_was_cheaper() -> None:
    budget = WeightBudget(SHARES)
    ticket = budget.ask("candles", 107)
    budget.admit(0.0)
    assert budget.spent(0.0) == 107
    budget.settle(ticket, 1.0, limits.candles_weight(1))
    assert budget.spent(1.0) == 21


def test_after_a_refusal_nobody_sends_for_as_long_as_it_says() -> None:
    budget = WeightBudget(SHARES)
    ticket = budget.ask("accounts", 2)
    budget.admit(0.0)
    assert budget.refuse(ticket, 1.0, retry_after_s=17.0) == 17.0
    budget.ask("candles", 20)
    assert budget.admit(17.9) == []
    assert budget.next_at(17.9) == 18.0
    assert len(budget.admit(18.0)) == 1


@pytest.mark.parametrize("retry_after_s", [0.0, 0.5, 10.0])
def test_a_venue_that_asks_for_no_silence_gets_a_growing_one_all_the_same(retry_after_s: float) -> None:
    budget = WeightBudget(SHARES)
    waits = []
    now_s = 0.0
    for _ in range(4):
        ticket = budget.ask("accounts", 2)
        budget.admit(now_s)
        waits.append(budget.refuse(ticket, now_s, retry_after_s))
        now_s += waits[-1]
    assert waits == [10, 20, 40, 60]


def test_refusals_of_what_was_sent_at_once_are_one_refusal() -> None:
    budget = WeightBudget(SHARES)
    for _ in range(16):
        budget.ask("accounts", 2)
    assert {budget.refuse(ticket, 1.0, None) for ticket in budget.admit(0.0)} == {10}


def test_refusals_in_a_row_silence_for_longer_and_an_answer_ends_that() -> None:
    budget = WeightBudget(SHARES)
    waits = []
    now_s = 0.0
    for _ in range(5):
        ticket = budget.ask("accounts", 2)
        budget.admit(now_s)
        waits.append(budget.refuse(ticket, now_s, None))
        now_s += waits[-1]
    assert waits == [10, 20, 40, 60, 60]
    ticket = budget.ask("accounts", 2)
    budget.admit(now_s)
    budget.settle(ticket, now_s)
    ticket = budget.ask("accounts", 2)
    budget.admit(now_s)
    assert budget.refuse(ticket, now_s, None) == 10


def test_a_wish_that_is_taken_back_costs_nothing() -> None:
    budget = WeightBudget(SHARES)
    budget.give_up(budget.ask("accounts", 2), 0.0)
    assert budget.admit(0.0) == []
    assert budget.spent(0.0) == 0


def test_a_request_above_the_whole_budget_is_refused_at_once() -> None:
    with pytest.raises(InvalidInput):
        WeightBudget(SHARES).ask("candles", 1_151)


def test_no_setting_lifts_the_budget_above_the_venues_limit() -> None:
    budget = WeightBudget({"accounts": Share(9_999, 1)}, limit=9_999)
    for _ in range(3_000):
        budget.ask("accounts", 2)
    assert sum(ticket.cost for ticket in budget.admit(0.0)) == limits.WEIGHT_PER_MINUTE


def test_a_request_above_its_own_cap_goes_when_its_kind_is_idle() -> None:
    budget = WeightBudget({"accounts": Share(1, 1)})
    first, second = budget.ask("accounts", 2), budget.ask("accounts", 2)
    assert budget.admit(0.0) == [first]
    budget.settle(first, 0.0)
    assert budget.admit(60.0) == []
    assert budget.admit(61.0) == [second]


def test_a_window_holds_what_is_under_way_however_long_it_takes() -> None:
    window = Window(10)
    window.charge(10)
    assert not window.fits(1_000.0, 1)
    window.settle(1_000.0, 10, 4)
    assert window.fits(1_000.0, 6)
    assert window.fits(1_061.0, 10)


@pytest.mark.parametrize(("bars", "weight"), [(0, 20), (1, 21), (60, 21), (61, 22), (5_000, 104)])
def test_candles_cost_one_more_for_every_sixty(bars: int, weight: int) -> None:
    assert limits.candles_weight(bars) == weight


def test_a_kind_at_its_own_cap_holds_up_nobody_else() -> None:
    budget = WeightBudget({"accounts": Share(4, 1_000), "candles": Share(1_150, 300)})
    for _ in range(3):
        budget.ask("accounts", 2)
    candles = [budget.ask("candles", 100) for _ in range(3)]
    admitted = budget.admit(0.0)
    assert sum(ticket.kind == "accounts" for ticket in admitted) == 2
    assert [ticket for ticket in admitted if ticket.kind == "candles"] == candles


def test_room_is_what_could_be_sent_without_waiting_behind_those_who_wait_already() -> None:
    budget = WeightBudget({"accounts": Share(100, 100), "candles": Share(150, 50)}, limit=120)
    assert budget.room("accounts", 0.0) == 100
    budget.ask("accounts", 60)
    budget.admit(0.0)
    assert (budget.room("accounts", 0.0), budget.room("candles", 0.0)) == (40, 60)
    waits = budget.ask("candles", 50)
    assert budget.room("accounts", 0.0) == 10
    budget.admit(0.0)
    assert budget.room("accounts", 0.0) == 10
    budget.refuse(waits, 1.0, 15.0)
    assert (budget.room("accounts", 2.0), budget.room("accounts", 17.0)) == (0, 10)
