"""Who may act where only one may: a lease with a rising fencing token."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from market_scraper.ports.bus import Bus

MOST_LEFT = 64 * 1024
"""Bytes that a holder may leave behind; more are not kept, and said so in the log."""


class Lease(Protocol):
    """At most one holder acts at a time. A holder that was away too long is refused by its token, not by its clock."""

    async def acquire(self) -> int:
        """Wait until the lease is ours; give its token, higher than any before. Ours already: the token it has."""
        ...

    @property
    def token(self) -> int | None:
        """The token while the lease is ours, else None."""
        ...

    @property
    def left(self) -> bytes | None:
        """What the holder before us left, as of `acquire`; None: nothing, or more than an hour ago."""
        ...

    def leave(self, state: Callable[[], bytes]) -> None:
        """Keep what `state` gives for the next holder, at most MOST_LEFT bytes.

        It is asked at every renewal and at release, so that a holder that is killed leaves what it had a moment ago.
        The newest is kept, longer than the lease itself. May be called again: the last `state` counts.
        """
        ...

    async def lost(self) -> None:
        """Wait until the lease is not ours (any more)."""
        ...

    async def release(self) -> None:
        """Give it up, so that the next holder need not wait. Harmless when it is not ours."""
        ...


class LeasedBus(Bus, Protocol):
    """A bus that knows leases."""

    def lease(self, name: str) -> AbstractAsyncContextManager[Lease]:
        """Open a lease; it is renewed while it is held, and released when the block is left."""
        ...

    def fenced_by(self, lease: Lease) -> Bus:
        """The same bus; `publish` there raises Fenced, and publishes nothing more, once the lease is not ours."""
        ...
