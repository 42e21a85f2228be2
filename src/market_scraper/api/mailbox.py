"""What waits for one WebSocket client."""

import asyncio
from collections import deque
from collections.abc import Sequence

from market_scraper.api.messages import Message

SIZE = 2_000
"""Messages that may wait for one client; at the venue's usual pace that is minutes."""


class Mailbox:
    """One client's messages: when full, its own oldest go and are counted, and nobody else notices."""

    def __init__(self, size: int = SIZE) -> None:
        self._messages: deque[Message] = deque(maxlen=size)
        self._filled = asyncio.Event()
        self._closed = asyncio.Event()
        self._dropped = 0

    @property
    def closed(self) -> bool:
        """Whether the server stops."""
        return self._closed.is_set()

    def put(self, message: Message) -> None:
        """Add a message; never waits."""
        self._dropped += len(self._messages) == self._messages.maxlen
        self._messages.append(message)
        self._filled.set()

    def close(self) -> None:
        """Tell the reader that the server stops; what waits is not sent any more."""
        self._closed.set()
        self._filled.set()

    async def wait_closed(self) -> None:
        """Return when the server stops."""
        await self._closed.wait()

    async def wait(self) -> None:
        """Return as soon as something waits, or the mailbox is closed."""
        await self._filled.wait()

    def take(self, limit: int) -> tuple[int, Sequence[Message]]:
        """How many were dropped before these, and up to `limit` messages, oldest first."""
        dropped, self._dropped = self._dropped, 0
        batch = [self._messages.popleft() for _ in range(min(limit, len(self._messages)))]
        if not self._messages and not self.closed:
            self._filled.clear()
        return dropped, batch
