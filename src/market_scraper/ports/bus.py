"""The event bus: at least once, in order per key, bounded."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from market_scraper.domain.events import Event


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """One event on its way. `seq` is given at publishing: strictly increasing over all events, with holes."""

    seq: int
    key: str
    event: Event
    attempt: int = 1  # 2 and more: it was delivered before and not acknowledged


class Inbox(Protocol):
    """One group's unread events of the kinds it asked for. Unread ones wait; when full, publishers wait."""

    async def take(self, limit: int = 500) -> Sequence[Envelope]:
        """Wait for at least one event and give up to `limit`, in order of publishing within each key."""
        ...

    def ack(self, envelopes: Sequence[Envelope]) -> None:
        """Say that the effect is done; unknown or repeated acknowledgements are ignored."""
        ...

    def retry(self, envelopes: Sequence[Envelope]) -> None:
        """Put events back in front, to be taken again before anything later of their key."""
        ...

    async def park(self, envelope: Envelope, reason: str) -> None:
        """Give up on an event that fails deterministically: acknowledge it and count it as a dead letter."""
        ...


class Bus(Protocol):
    """Carries events from rooms that know to rooms that do."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Hand events over, in this order; waits while any subscribed group's inbox is full."""
        ...

    def subscribe(self, group: str, *kinds: type[Event], size: int = 10_000) -> AbstractAsyncContextManager[Inbox]:
        """Open an inbox for events published from now on. Leaving the block unsubscribes.

        Two inboxes of one group share its events; each group gets every event.
        """
        ...

    def follow(self, *kinds: type[Event], size: int = 10_000) -> AbstractAsyncContextManager[Inbox]:
        """Like subscribe, with a cursor of one's own and no group; nothing needs acknowledging."""
        ...

    def retained(self, *kinds: type[Event]) -> AsyncIterator[Sequence[Envelope]]:
        """Everything of these kinds that the bus still holds, by rising number, up to what is published now.

        At least all that some group has not acknowledged: so who follows first, reads this then and the store after
        it misses nothing of what a group stores. Some of it may be in the store, or in the inbox, as well.
        """
        ...

    async def keep_for(self, group: str, *kinds: type[Event]) -> None:
        """Declare that the group exists, before anybody reads for it: what is published from now on waits for it.

        A group that is known already stays as it is. One that nobody joins has the deadline of every reader.
        """
        ...

    async def lost_before(self, group: str) -> int:
        """Events up to this number may never reach the group: it begins behind them. 0: none can have been missed.

        It rises when the group has been given up, for it begins anew then, and when the bus itself has lost events:
        whoever finds it higher than before must take all that is known from the group's work as unsure. While the
        group is given up it is the newest number; `keep_for` first makes it stand still.
        """
        ...

    @property
    def newest_seq(self) -> int:
        """The newest number given; before the first one of this life, the number below `oldest_seq`."""
        ...

    @property
    def oldest_seq(self) -> int:
        """The first number this bus can have given in its present life: older ones cannot be resumed from."""
        ...

    def stats(self) -> dict[str, int]:
        """Counters by name: published, delivered, acknowledged, retried, parked, and `waiting_<group>`."""
        ...
