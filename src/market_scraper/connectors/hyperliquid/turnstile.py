"""Where requests wait for the weight budget: the budget decides, this wakes them."""

import asyncio
import uuid

from market_scraper.connectors.hyperliquid import spending
from market_scraper.connectors.hyperliquid.limits import ALL, MARGIN_S, UNANSWERED_S, WINDOW_S, Ticket, WeightBudget
from market_scraper.connectors.hyperliquid.spent_file import SpentFile
from market_scraper.ports.clock import Clock

ANSWERED_MS = round((WINDOW_S + MARGIN_S) * 1000)
UNANSWERED_MS = round((UNANSWERED_S + WINDOW_S + MARGIN_S) * 1000)
"""How long a request counts from its answer on, and from when nobody waits for one any more."""


class Turnstile:
    """Lets requests through as the budget admits them. Every ticket given must come back to exactly one of the ends.

    One of those who wait watches the clock for all, so that a long queue costs no more than a short one.
    """

    def __init__(self, budget: WeightBudget, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._teller = uuid.uuid4().hex
        self._bells: dict[Ticket, asyncio.Event] = {}
        self._watch: Ticket | None = None
        self._file: SpentFile | None = None
        self._places: dict[Ticket, int] = {}  # in the file, of what is under way

    async def enter(self, kind: str, weight: int) -> Ticket:
        """Wait until a request of this weight may go; it is charged then."""
        ticket = self._budget.ask(kind, weight)
        bell = self._bells[ticket] = asyncio.Event()
        try:
            while True:
                self._admit()
                if ticket.admitted:
                    return ticket
                bell.clear()
                if self._watch is None:
                    self._watch = ticket
                nap_s = self._nap_s() if self._watch is ticket else None
                try:
                    async with self._clock.timeout(nap_s):
                        await bell.wait()
                except TimeoutError:
                    pass  # a charge has ended
        except BaseException:
            self._budget.give_up(ticket, self._clock.monotonic())
            self._keep_end(ticket, UNANSWERED_MS, ticket.cost)
            raise
        finally:
            del self._bells[ticket]
            if self._watch is ticket:
                self._watch = next(iter(self._bells), None)
            self._ring_watch()

    def settle(self, ticket: Ticket, cost: int | None = None) -> None:
        """The answer came, and cost so much (None = what was charged)."""
        self._budget.settle(ticket, self._clock.monotonic(), cost)
        self._keep_end(ticket, ANSWERED_MS, ticket.cost if cost is None else min(cost, ticket.cost))
        self._admit()

    def give_up(self, ticket: Ticket) -> None:
        """No answer came."""
        self._budget.give_up(ticket, self._clock.monotonic())
        self._keep_end(ticket, UNANSWERED_MS, ticket.cost)
        self._admit()

    def refuse(self, ticket: Ticket, retry_after_s: float | None) -> float:
        """The venue refused for having spent too much. Gives how long everyone now waits, in seconds."""
        wait_s = self._budget.refuse(ticket, self._clock.monotonic(), retry_after_s)
        self._keep_end(ticket, ANSWERED_MS, ticket.cost)
        if self._file is not None:
            self._file.block(self._clock.now_ms() + round(self._budget.blocked_for_s(self._clock.monotonic()) * 1000))
        self._ring_watch()
        return wait_s

    def spent(self) -> int:
        """Weight of the last minute."""
        return self._budget.spent(self._clock.monotonic())

    def room(self, kind: str) -> int:
        """Weight that this kind could send now without waiting."""
        return self._budget.room(kind, self._clock.monotonic())

    def tell_spending(self, venue_now_ms: int, *, ended: bool = False) -> bytes:
        """What a successor needs to know: see `spending.tell`."""
        return spending.tell(
            self._budget, self._teller, now_s=self._clock.monotonic(), venue_now_ms=venue_now_ms, ended=ended
        )

    def take_up_spending(self, left: bytes | None, *, venue_now_ms: int, active_ms: int | None, usual_ms: int) -> None:
        """Count what the predecessor spent: see `spending.take_up`."""
        spending.take_up(
            self._budget,
            self._teller,
            left,
            now_s=self._clock.monotonic(),
            venue_now_ms=venue_now_ms,
            active_ms=active_ms,
            usual_ms=usual_ms,
        )
        self._ring_watch()

    def keep_spending(self, file: SpentFile | None, active_ms: int | None) -> None:
        """Count what `file` says that its last process spent, before anything is sent here, and keep ours in it.

        Without a file, or with one that says nothing, what a process spent that was active at `active_ms` is unknown:
        see `spending.unknown_spending`.
        """
        now_ms, now_s = self._clock.now_ms(), self._clock.monotonic()
        left = None if file is None else file.read()
        if left is None:
            counting, blocked_ms = spending.unknown_spending(self._budget.limit, active_ms), 0
        else:
            counting, blocked_ms = left
        # Our clock may have been set back meanwhile: nothing counts for longer than it could.
        most_ms = now_ms + UNANSWERED_MS
        counting = [(min(ends_ms, most_ms), weight) for ends_ms, weight in counting if ends_ms > now_ms]
        blocked_ms = min(blocked_ms, now_ms + spending.BLOCKED_AT_MOST_MS)
        for ends_ms, weight in counting:
            self._budget.hold(now_s, ALL, (ends_ms - now_ms) / 1000, weight)
        self._budget.block(now_s, (blocked_ms - now_ms) / 1000)
        if file is not None:
            file.begin(counting, blocked_ms)
        self._file = file
        self._ring_watch()

    def _admit(self) -> None:
        for admitted in self._budget.admit(self._clock.monotonic()):
            if self._file is not None:  # before it is sent
                now_ms = self._clock.now_ms()
                self._places[admitted] = self._file.charge(now_ms, now_ms + UNANSWERED_MS, admitted.cost)
            self._bells[admitted].set()
        self._ring_watch()

    def _keep_end(self, ticket: Ticket, counts_ms: int, weight: int) -> None:
        place = self._places.pop(ticket, None)
        if self._file is not None and place is not None:
            self._file.settle(place, self._clock.now_ms() + counts_ms, weight)

    def _ring_watch(self) -> None:
        """Have the watch look anew: when to wake may have changed."""
        if self._watch is not None:
            self._bells[self._watch].set()

    def _nap_s(self) -> float | None:
        now_s = self._clock.monotonic()
        next_s = self._budget.next_at(now_s)
        return None if next_s is None else max(next_s - now_s, 0.001)
