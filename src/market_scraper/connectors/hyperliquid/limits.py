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

SPENDABLE_PER_MINUTE = 1_150
"""What we take of it: others behind the same address spend too, and clients that took it all met 429."""

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

WINDOW_S = 60.0
MARGIN_S = 1.0
"""Added to every window, for clocks that do not tick alike."""

UNANSWERED_S = 30.0
"""How much longer a charge is held whose request got no answer: the venue may count it that late."""

FIRST_PENALTY_S, LAST_PENALTY_S = 10.0, 60.0
"""Silence after a 429 without Retry-After: doubled with each further one."""


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
            admitted.append(ticket)
        return admitted

    def _next(self, now_s: float) -> Ticket | None:
        if now_s < self._blocked_until_s:
            return None
        hungry = sorted(
            (kind.window.spent(now_s) / kind.share.part, name) for name, kind in self._kinds.items() if kind.waiting
        )
        for spent, name in hungry:
            kind = self._kinds[name]
            ticket = kind.waiting[0]
            if spent > 0 and not kind.window.fits(now_s, ticket.cost):
                continue  # its own cap: that is nobody else's concern
            return ticket if self._all.fits(now_s, ticket.cost) else None
        return None

    def next_at(self, now_s: float) -> float | None:
        """When `admit` may give more; None = not before an answer, a wish or a withdrawal."""
        if now_s < self._blocked_until_s:
            return self._blocked_until_s
        if not any(kind.waiting for kind in self._kinds.values()):
            return None
        self._all.spent(now_s)
        return self._all.eases_at()

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
        wait_s = min(FIRST_PENALTY_S * 2**self._refusals, LAST_PENALTY_S) if retry_after_s is None else retry_after_s
        self._refusals = min(self._refusals + 1, 10)
        self._blocked_until_s = max(self._blocked_until_s, now_s + wait_s)
        return wait_s

    def _end(self, ticket: Ticket, now_s: float, cost: int, late_s: float) -> None:
        self._kinds[ticket.kind].window.settle(now_s, ticket.cost, cost, late_s=late_s)
        self._all.settle(now_s, ticket.cost, cost, late_s=late_s)

    def spent(self, now_s: float) -> int:
        """Weight that counts now."""
        return self._all.spent(now_s)
