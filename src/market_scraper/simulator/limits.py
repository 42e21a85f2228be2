"""The venue's published limits per client IP, counted by a clock that is passed in (venue seconds).

Source: "Rate limits and user limits", read 2026-09-26. The window is sliding (a client that took it for a bucket was
refused). Not established, and decided here: parts of a surcharge's chunk count as whole ones; what is refused (429)
or not understood (422) is not billed; `post` over a socket spends the same budget.
"""

import math
from collections import deque
from dataclasses import dataclass

WINDOW_S = 60.0
LIGHT = 2
HEAVY = 60
ORDINARY = 20
WEIGHTS: dict[str, int] = {
    "l2Book": LIGHT,
    "allMids": LIGHT,
    "clearinghouseState": LIGHT,
    "orderStatus": LIGHT,
    "spotClearinghouseState": LIGHT,
    "exchangeStatus": LIGHT,
    "userRole": HEAVY,
}
ITEMS_PER_WEIGHT: dict[str, int] = {
    "recentTrades": 20,
    "userFills": 20,
    "userFillsByTime": 20,
    "userTwapSliceFills": 20,
    "userTwapSliceFillsByTime": 20,
    "fundingHistory": 20,
    "userFunding": 20,
    "userNonFundingLedgerUpdates": 20,
    "candleSnapshot": 60,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOptions:
    """The published values; smaller ones make tests short."""

    weight_per_minute: int = 1200
    sockets: int = 10
    new_sockets_per_minute: int = 30
    subscriptions: int = 1000
    users: int = 10  # documented; 15 in the error text of 2026-06, 14 and 15 measured
    user_release_s: float = 2.0  # how long a closed socket's users stay taken
    messages_per_minute: int = 2000
    inflight_posts: int = 100


def base_weight(kind: str) -> int:
    """What asking costs before anything is returned."""
    return WEIGHTS.get(kind, ORDINARY)


def surcharge(kind: str, items: int) -> int:
    """What the returned items cost on top."""
    per = ITEMS_PER_WEIGHT.get(kind)
    return 0 if per is None else math.ceil(items / per)


class SlidingWindow:
    """Sums amounts over the last `window_s`; an amount leaves exactly so long after it came."""

    def __init__(self, limit: int, window_s: float = WINDOW_S) -> None:
        self._limit = limit
        self._window_s = window_s
        self._entries: deque[tuple[float, int]] = deque()
        self._sum = 0
        self.peak = 0

    def used(self, now_s: float) -> int:
        """The sum over the window."""
        entries = self._entries
        while entries and entries[0][0] <= now_s - self._window_s:
            self._sum -= entries.popleft()[1]
        return self._sum

    def allows(self, now_s: float, amount: int) -> bool:
        """Whether `amount` more still fits."""
        return self.used(now_s) + amount <= self._limit

    def add(self, now_s: float, amount: int) -> None:
        """Count it, whether it fits or not (a surcharge is known only after the answer)."""
        if amount:
            self.used(now_s)
            self._entries.append((now_s, amount))
            self._sum += amount
            self.peak = max(self.peak, self._sum)

    def take(self, now_s: float, amount: int = 1) -> bool:
        """Count it if it fits."""
        if not self.allows(now_s, amount):
            return False
        self.add(now_s, amount)
        return True


class UserSlots:
    """Unique users over all user subscriptions of one IP.

    The same user again, on any socket, is free. Unsubscribing frees at once, closing a socket after a while.
    """

    def __init__(self, options: LimitOptions) -> None:
        self._options = options
        self._holders: dict[str, int] = {}
        self._leaving: dict[str, float] = {}  # user -> when its slot is free

    def _expire(self, now_s: float) -> None:
        for user in [user for user, free_s in self._leaving.items() if free_s <= now_s]:
            del self._leaving[user]

    def used(self, now_s: float) -> int:
        """Slots taken now."""
        self._expire(now_s)
        return len(self._holders.keys() | self._leaving.keys())

    def take(self, user: str, now_s: float) -> bool:
        """Hold a slot for one more subscription of this user."""
        self._expire(now_s)
        if (
            user not in self._holders
            and user not in self._leaving
            and len(self._holders.keys() | self._leaving.keys()) >= self._options.users
        ):
            return False
        self._leaving.pop(user, None)
        self._holders[user] = self._holders.get(user, 0) + 1
        return True

    def release(self, user: str, now_s: float, *, closed: bool) -> None:
        """Give one subscription's hold back; `closed` = its socket went down instead of unsubscribing."""
        left = self._holders[user] - 1
        if left:
            self._holders[user] = left
            return
        del self._holders[user]
        if closed:
            self._leaving[user] = now_s + self._options.user_release_s


class ClientLimits:
    """Everything that is counted for one client IP."""

    def __init__(self, options: LimitOptions) -> None:
        self.options = options
        self.weight = SlidingWindow(options.weight_per_minute)
        self.connections = SlidingWindow(options.new_sockets_per_minute)
        self.messages = SlidingWindow(options.messages_per_minute)
        self.users = UserSlots(options)
        self.sockets = 0
        self.subscriptions = 0
        self.inflight_posts = 0
