"""Entries of the streams as envelopes."""

from collections.abc import Awaitable, Callable, Sequence

import structlog

from market_scraper.domain.errors import InvalidInput
from market_scraper.event_bus.codec import decode_event
from market_scraper.event_bus.group import one_turn
from market_scraper.ports.bus import Envelope

log = structlog.get_logger(__name__)

DECODED_PER_TURN = 250
"""After so many entries others run: about a millisecond."""

Unreadable = Callable[[bytes, str], Awaitable[None]]
"""Keep the bytes of an event that this program cannot read, with the reason."""


async def forget_bytes(data: bytes, reason: str) -> None:
    """An `Unreadable` that keeps nothing."""


async def envelopes_of(
    key: str | None, flat: Sequence[bytes], *, attempt: int, key_of_event: Callable[..., str]
) -> tuple[list[Envelope], list[tuple[int, bytes, str]]]:
    """Decode [id, kind, event, ...]; gives what could not be read beside it, as (number, bytes, reason)."""
    read: list[Envelope] = []
    unreadable: list[tuple[int, bytes, str]] = []
    for place in range(0, len(flat), 3):
        seq = int(flat[place][:-2])  # every id is NUMBER-0
        try:
            event = decode_event(flat[place + 2])
        except InvalidInput as error:
            unreadable.append((seq, flat[place + 2], str(error)))
            continue
        read.append(Envelope(seq, key_of_event(event) if key is None else key, event, attempt))
        if not len(read) % DECODED_PER_TURN:
            await one_turn()
    return read, unreadable
