"""The venue's limits as data, and accounts of them that cannot overspend. Pure: time is an argument.

A request is charged when it is sent and its charge ends a window after it was *answered*: the venue counts it at some
moment between the two, so whatever the delay, what it counts in any of its windows was charged here at once.
What got no answer may still be under way, and is held for longer.
"""

import heapq
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from market_scraper.domain.errors import InvalidInput

WEIGHT_PER_MINUTE = 1_200
"""Per IP, over all REST requests (rate-limits page, re-read 2026-09-26). Its window is not documented: taken as
sliding, for a full burst plus refill was answered with 429 (measured by others, 2026-09)."""

SPENDABLE_PER_MINUTE = 1_000
"""What we take of it, all requests together: others behind the same address spend too, and clients that took it all
met 429."""

WEIGHTS = {"allMids": 2, "clearinghouseState": 2, "exchangeStatus": 2, "userRole": 60}
OTHER_WEIGHT = 20
"""Every info request that is not named in WEIGHTS."""

CANDLES_PER_WEIGHT = 60
"""`candleSnapshot` costs 1 more for every 60 bars returned; how a part of 60 is rounded is unknown, so up."""

MAX_CANDLES = 5_200
"""The most bars that one answer held (documented 5,000; 5,159 measured 2026-09-25)."""

CONNECTIONS = 10
CONNECTIONS_PER_MINUTE = 30
SUBSCRIPTIONS = 1_000
MESSAGES_PER_MINUTE = 2_000
USERS = 10
"""Documented for user-specific subscriptions; 14 or 15 were enforced in 2026, per IP and not per socket."""

ALL = ""
"""Stands among the kinds of requests for all of them together."""

WINDOW_S = 60.0
MARGIN_S = 1.0
"""Added to every window, for clocks that do not tick alike."""

UNANSWERED_S = 30.0
"""How much longer a charge is held whose request got no answer: the venue may count it that late."""

UNTOLD_WEIGHT = WEIGHT_PER_MINUTE - SPENDABLE_PER_MINUTE
UNTOLD_S = 3.0
"""Who shares the budget with a successor spends at most so much in any so many seconds: what it had not told of
yet when it was killed is no more than that. A reserve for the moment after a gap goes in 5 s instead of at once."""

FIRST_PENALTY_S, LAST_PENALTY_S = 10.0, 60.0
"""Silence after a 429, doubled with each further one; where its Retry-After asks for more, that. It may ask for 0."""


def weight_of(request: str) -> int:
    """What an info request costs before anything is returned."""
    return WEIGHTS.get(request, OTHER_WEIGHT)


def candles_weight(bars: int) -> int:
    """What a `candleSnapshot` that returns `bars` bars costs."""
    return weight_of("candleSnapshot") + math.ceil(bars / CANDLES_PER_WEIGHT)


class Window:
    """How much was spent in the last minute, and what is still under way."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._under_way = 0
        self._answered: list[tuple[float, int]] = []  # a heap of (when it ends, cost)
        self._answered_sum = 0

    def spent(self, now_s: float) -> int:
        """What counts now: all that is under way, and what was answered less than a window ago."""
        while self._answered and self._answered[0][0] <= now_s:
            self._answered_sum -= heapq.heappop(self._answered)[1]
        return self._answered_sum + self._under_way

    def fits(self, now_s: float, cost: int) -> bool:
        """Whether `cost` may be spent now."""
        return self.spent(now_s) + cost <= self.limit

    def charge(self, cost: int) -> None:
        """Count `cost` as under way, until `settle`."""
        self._under_way += cost

    def settle(self, now_s: float, charged: int, cost: int, *, late_s: float = 0.0) -> None:
        """Say that what was charged was counted by the venue as `cost`, at the latest `late_s` from now."""
        self._under_way -= charged
        self._answered_sum += cost
        heapq.heappush(self._answered, (now_s + late_s + WINDOW_S + MARGIN_S, cost))

    def eases_at(self) -> float | None:
        """When the next answered charge ends; None when there is none."""
        return self._answered[0][0] if self._answered else None

    def told(self, now_s: float) -> list[tuple[float, int]]:
        """All that counts, as (seconds from now until it ends, cost); what is under way as if it got no answer."""
        self.spent(now_s)
        told = [(ends_s - now_s, cost) for ends_s, cost in self._answered]
        if self._under_way:
            told.append((UNANSWERED_S + WINDOW_S + MARGIN_S, self._under_way))
        return told

    def hold(self, now_s: float, ends_in_s: float, cost: int) -> None:
        """Count what somebody else spent; harmless when it has ended."""
        if ends_in_s > 0 and cost > 0:
            self._answered_sum += cost
            heapq.heappush(self._answered, (now_s + ends_in_s, cost))


class Burst:
    """How much was sent in the last seconds, whatever became of it."""

    def __init__(self, limit: int, within_s: float) -> None:
        self._limit = limit
        self._within_s = within_s
        self._sent: deque[tuple[float, int]] = deque()
        self._sum = 0

    def room(self, now_s: float) -> int:
        """What may be sent now."""
        while self._sent and self._sent[0][0] + self._within_s <= now_s:
            self._sum -= self._sent.popleft()[1]
        return max(0, self._limit - self._sum)

    def charge(self, now_s: float, cost: int) -> None:
        """Count what is sent now."""
        self._sent.append((now_s, cost))
        self._sum += cost

    def eases_at(self) -> float | None:
        """When the oldest of it ends; None when there is none."""
        return self._sent[0][0] + self._within_s if self._sent else None


@dataclass(frozen=True, slots=True)
class Share:
    """One kind of request's part of the budget: never more than `cap`, and served in proportion to `part`."""

    cap: int
    part: float


@dataclass(eq=False, slots=True)
class Ticket:
    """One request's wish to spend. `cost` is the worst case; what it was is told to `settle`."""

    kind: str
    cost: int
    admitted: bool = False


@dataclass(slots=True)
class _Kind:
    share: Share
    window: Window
    waiting: deque[Ticket] = field(default_factory=deque)


class WeightBudget:
    """Admits requests so that neither all together nor a kind exceed their weight in any minute.

    Who has spent least for its part is next, and nobody passes it while it waits for room: a flood of candle
    requests cannot starve a small one, nor can many small ones keep a large one out.
    """

    def __init__(self, shares: Mapping[str, Share], *, limit: int = SPENDABLE_PER_MINUTE) -> None:
        self._all = Window(min(limit, WEIGHT_PER_MINUTE))
        self._kinds = {name: _Kind(share, Window(share.cap)) for name, share in shares.items()}
        self._blocked_until_s = -math.inf
        self._refusals = 0
        self._burst: Burst | None = None

    @property
    def limit(self) -> int:
        """What all requests together may spend in a minute."""
        return self._all.limit

    def share(self) -> None:
        """Spend from now on so that a successor can know what we spent: see UNTOLD_WEIGHT. Harmless when repeated."""
        if self._burst is None:
            self._burst = Burst(UNTOLD_WEIGHT, UNTOLD_S)

    def ask(self, kind: str, cost: int) -> Ticket:
        """Queue a wish; `admit` says when it may go."""
        if cost > self._all.limit:
            raise InvalidInput(f"a request of weight {cost} exceeds the budget of {self._all.limit} a minute")
        ticket = Ticket(kind, cost)
        self._kinds[kind].waiting.append(ticket)
        return ticket

    def admit(self, now_s: float) -> list[Ticket]:
        """Charge and give all that may be sent now, in this order."""
        admitted: list[Ticket] = []
        while (ticket := self._next(now_s)) is not None:
            ticket.admitted = True
            kind = self._kinds[ticket.kind]
            kind.waiting.popleft()
            kind.window.charge(ticket.cost)
            self._all.charge(ticket.cost)
            if self._burst is not None:
                self._burst.charge(now_s, ticket.cost)
            admitted.append(ticket)
        return admitted

    def _next(self, now_s: float) -> Ticket | None:
        if now_s < self._blocked_until_s:
            return None
        hungry = sorted(
            (kind.window.spent(now_s) / kind.share.part, name) for name, kind in self._kinds.items() if kind.waiting
        )
        for _, name in hungry:
            kind = self._kinds[name]
            ticket = kind.waiting[0]
            if not self._is_next(kind, now_s):
                continue
            if self._burst is not None and self._burst.room(now_s) < min(ticket.cost, UNTOLD_WEIGHT):
                return None
            return ticket if self._all.fits(now_s, ticket.cost) else None
        return None

    @staticmethod
    def _is_next(kind: _Kind, now_s: float) -> bool:
        """Whether one of this kind waits for all together; a cap of its own is nobody else's concern."""
        if not kind.waiting:
            return False
        return kind.window.spent(now_s) <= 0 or kind.window.fits(now_s, kind.waiting[0].cost)

    def next_at(self, now_s: float) -> float | None:
        """When `admit` may give more; None = not before an answer, a wish or a withdrawal."""
        if now_s < self._blocked_until_s:
            return self._blocked_until_s
        if not any(kind.waiting for kind in self._kinds.values()):
            return None
        self._all.spent(now_s)
        moments = [self._all.eases_at()]
        if self._burst is not None and self._burst.room(now_s) < UNTOLD_WEIGHT:
            moments.append(self._burst.eases_at())
        return min((moment for moment in moments if moment is not None), default=None)

    def settle(self, ticket: Ticket, now_s: float, cost: int | None = None) -> None:
        """The answer came; `cost` is what it turned out to cost (never more than was asked for)."""
        self._refusals = 0
        self._end(ticket, now_s, ticket.cost if cost is None else min(cost, ticket.cost), 0.0)

    def give_up(self, ticket: Ticket, now_s: float) -> None:
        """No answer will come: a waiting wish is taken back, a sent one is held for longer."""
        if ticket.admitted:
            self._end(ticket, now_s, ticket.cost, UNANSWERED_S)
        else:
            self._kinds[ticket.kind].waiting.remove(ticket)

    def refuse(self, ticket: Ticket, now_s: float, retry_after_s: float | None) -> float:
        """The venue said 429: nobody sends for a while. Gives how long, in seconds."""
        self._end(ticket, now_s, ticket.cost, 0.0)
        if now_s >= self._blocked_until_s:  # else it was sent before the silence that holds, and is no further one
            self._refusals = min(self._refusals + 1, 10)
        penalty_s = min(FIRST_PENALTY_S * 2.0 ** max(0, self._refusals - 1), LAST_PENALTY_S)
        wait_s = max(penalty_s, retry_after_s or 0.0)
        self._blocked_until_s = max(self._blocked_until_s, now_s + wait_s)
        return wait_s

    def _end(self, ticket: Ticket, now_s: float, cost: int, late_s: float) -> None:
        self._kinds[ticket.kind].window.settle(now_s, ticket.cost, cost, late_s=late_s)
        self._all.settle(now_s, ticket.cost, cost, late_s=late_s)

    def spent(self, now_s: float) -> int:
        """Weight that counts now."""
        return self._all.spent(now_s)

    def room(self, kind: str, now_s: float) -> int:
        """Weight that the minute still has for this kind; who waits already comes first, unless for a cap of its own.

        Of it a successor's reserve (see UNTOLD_S) lets through as much at once as it does.
        """
        if now_s < self._blocked_until_s:
            return 0
        first = sum(each.waiting[0].cost for each in self._kinds.values() if self._is_next(each, now_s))
        own = self._kinds[kind].window
        return max(0, min(own.limit - own.spent(now_s), self._all.limit - self._all.spent(now_s) - first))

    # -- over a take-over ----------------------------------------------------------------------------------------

    def told(self, now_s: float) -> dict[str, list[tuple[float, int]]]:
        """What counts, by kind, and under ALL that of all together: each as `Window.told`."""
        return {ALL: self._all.told(now_s), **{name: kind.window.told(now_s) for name, kind in self._kinds.items()}}

    def hold(self, now_s: float, kind: str, ends_in_s: float, cost: int) -> None:
        """Count what somebody else spent, as `told` gave it; a kind that is not known here is left alone."""
        if kind == ALL:
            self._all.hold(now_s, ends_in_s, cost)
        elif kind in self._kinds:
            self._kinds[kind].window.hold(now_s, ends_in_s, cost)

    def blocked_for_s(self, now_s: float) -> float:
        """For how long the venue wants nobody to send."""
        return max(0.0, self._blocked_until_s - now_s)

    def block(self, now_s: float, for_s: float) -> None:
        """Send nothing for so long: the venue said so to somebody else."""
        self._blocked_until_s = max(self._blocked_until_s, now_s + for_s)
