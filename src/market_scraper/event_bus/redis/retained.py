"""What the server still holds, read once from its oldest entry on."""

from collections.abc import AsyncIterator, Sequence

import structlog

from market_scraper.domain.events import Event, key_of
from market_scraper.event_bus.redis.link import HELD, Link
from market_scraper.event_bus.redis.member import AT_ONCE
from market_scraper.event_bus.redis.reading import envelopes_of
from market_scraper.ports.bus import Envelope

log = structlog.get_logger(__name__)


async def retained(link: Link, *kinds: type[Event]) -> AsyncIterator[Sequence[Envelope]]:
    """As `ports.bus.Bus.retained` says; waits while the server is away. What cannot be read is left to the groups."""
    names = sorted(kind.__name__ for kind in kinds)
    cursor, last = 0, 0
    while True:
        cursor, last, flat = await link.insist(HELD, AT_ONCE, cursor, last, *names)
        read, unreadable = await envelopes_of(None, flat, attempt=1, key_of_event=key_of)
        for seq, _, reason in unreadable:
            log.error("event_unreadable", seq=seq, reason=reason)
        if read:
            yield sorted(read, key=lambda envelope: envelope.seq)
        if cursor >= last:
            return
