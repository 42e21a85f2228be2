"""The loop of every processor: take, handle, try again, give up on what can never work, acknowledge."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import structlog

from market_scraper.domain.errors import BusUnreachable, InvalidInput, StoreError
from market_scraper.ports.bus import Envelope, Inbox
from market_scraper.ports.clock import Clock

log = structlog.get_logger(__name__)

ATTEMPTS = 5
"""Failures after which an event is taken to fail deterministically. InvalidInput says so at once."""

AWAY = (StoreError, BusUnreachable)
"""What is waited for, however long it takes: the event is fine, its effect cannot be had now."""

Delays = Callable[[], Iterator[float]]
"""Makes an endless row of waits in seconds; a new one for each spell of trouble."""

Handle = Callable[[Envelope], Awaitable[None]]
"""Has the event's effect. It may be called again for the same event and must then leave the same trace."""


async def consume(inbox: Inbox, handle: Handle, *, clock: Clock, delays: Delays, limit: int = 500) -> None:
    """Handle an inbox's events until cancelled; each is acknowledged after `handle` has returned.

    A failed event holds up its own key only: it is tried again at once, then after a delay, and parked after
    `ATTEMPTS` failures. Cancelled or crashed, what was taken and not handled goes back, to be taken again.
    """
    failures: Counter[int] = Counter()
    waits = delays()
    while True:
        batch = await inbox.take(limit)
        done: list[Envelope] = []
        blocked: set[str] = set()
        is_to_wait = False
        try:
            for envelope in batch:
                if envelope.key in blocked:
                    continue
                try:
                    await handle(envelope)
                except AWAY as error:
                    if not is_to_wait:
                        log.warning("event_waits", reason=str(error), kind=type(envelope.event).__name__)
                    blocked.add(envelope.key)
                    is_to_wait = True
                except InvalidInput as error:
                    failures.pop(envelope.seq, None)
                    await park(inbox, envelope, error, clock=clock, delays=delays)
                except Exception as error:
                    failures[envelope.seq] += 1
                    if failures[envelope.seq] >= ATTEMPTS:
                        del failures[envelope.seq]
                        await park(inbox, envelope, error, clock=clock, delays=delays)
                    else:
                        is_to_wait = is_to_wait or failures[envelope.seq] > 1
                        blocked.add(envelope.key)
                else:
                    done.append(envelope)
                    failures.pop(envelope.seq, None)
        finally:
            inbox.ack(done)
            if len(done) < len(batch):
                inbox.retry(batch)  # those that were acknowledged or parked stay so
        if is_to_wait:
            await clock.sleep(next(waits))
        else:
            waits = delays()


async def park(inbox: Inbox, envelope: Envelope, error: Exception, *, clock: Clock, delays: Delays) -> None:
    """Give up on an event; where dead letters cannot be kept now, wait until they can."""
    reason = f"{type(error).__name__}: {error}"
    log.error("event_parked", kind=type(envelope.event).__name__, seq=envelope.seq, reason=reason, exc_info=error)
    for delay_s in delays():
        try:
            await inbox.park(envelope, reason)
        except AWAY:
            await clock.sleep(delay_s)
        else:
            return
