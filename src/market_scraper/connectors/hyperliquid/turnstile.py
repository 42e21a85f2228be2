"""Where requests wait for the weight budget: the budget decides, this wakes them."""

import asyncio
import uuid

from market_scraper.connectors.hyperliquid import spending
from market_scraper.connectors.hyperliquid.limits import Ticket, WeightBudget
from market_scraper.ports.clock import Clock


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
            raise
        finally:
            del self._bells[ticket]
            if self._watch is ticket:
                self._watch = next(iter(self._bells), None)
            self._ring_watch()

    def settle(self, ticket: Ticket, cost: int | None = None) -> None:
        """The answer came, and cost so much (None = what was charged)."""
        self._budget.settle(ticket, self._clock.monotonic(), cost)
        self._admit()

    def give_up(self, ticket: Ticket) -> None:
        """No answer came."""
        self._budget.give_up(ticket, self._clock.monotonic())
        self._admit()

    def refuse(self, ticket: Ticket, retry_after_s: float | None) -> float:
        """The venue refused for having spent too much. Gives how long everyone now waits, in seconds."""
        wait_s = self._budget.refuse(ticket, self._clock.monotonic(), retry_after_s)
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

    def _admit(self) -> None:
        for admitted in self._budget.admit(self._clock.monotonic()):
            self._bells[admitted].set()
        self._ring_watch()

    def _ring_watch(self) -> None:
        """Have the watch look anew: when to wake may have changed."""
        if self._watch is not None:
            self._bells[self._watch].set()

    def _nap_s(self) -> float | None:
        now_s = self._clock.monotonic()
        next_s = self._budget.next_at(now_s)
        return None if next_s is None else max(next_s - now_s, 0.001)
