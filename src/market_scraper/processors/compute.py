"""The loop of a processor that computes: apply events one by one, publish what came of them, acknowledge.

Unlike an effect on the outside (`consume`), applying is plain computation on known state: what it raises it would
raise again, so that event is parked at once. Only publishing can have to wait.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat

import structlog

from market_scraper.domain.events import Event
from market_scraper.ports.bus import Bus, Inbox
from market_scraper.ports.clock import Clock
from market_scraper.processors.consume import AWAY, Delays, park

log = structlog.get_logger(__name__)


def every_second() -> Iterator[float]:
    """Try again each second."""
    return repeat(1.0)


class Outbox:
    """Events made and not yet published, in order. What a bus that is away leaves goes out first when it is back."""

    def __init__(self, bus: Bus, clock: Clock, delays: Delays = every_second) -> None:
        self.clock = clock
        self.delays = delays
        self._bus = bus
        self._events: list[Event] = []
        self._turn = asyncio.Lock()

    def add(self, events: Sequence[Event]) -> None:
        """Put events at the end; nothing is published yet."""
        self._events.extend(events)

    async def flush(self) -> None:
        """Publish all, waiting for a bus that is away. Concurrent callers keep the order."""
        async with self._turn:
            while self._events:
                await self._publish(self._events[0])
                del self._events[0]

    async def _publish(self, event: Event) -> None:
        is_away = False
        for delay_s in self.delays():
            try:
                await self._bus.publish([event])
            except AWAY as error:
                if not is_away:
                    log.warning("publish_waits", reason=str(error))
                is_away = True
                await self.clock.sleep(delay_s)
            else:
                if is_away:
                    log.info("publish_goes_on")
                return


async def compute(
    inbox: Inbox, apply: Callable[[Event], None], settle: Callable[[bool], None], outbox: Outbox, *, limit: int
) -> None:
    """Read until cancelled. `settle` is told after each batch whether more events may be waiting."""
    while True:
        batch = await inbox.take(limit)
        for envelope in batch:
            try:
                apply(envelope.event)
            except Exception as error:  # one bad event must not stop the rest; it is kept and counted
                await park(inbox, envelope, error, clock=outbox.clock, delays=outbox.delays)
        settle(len(batch) >= limit)
        await outbox.flush()
        inbox.ack(batch)
