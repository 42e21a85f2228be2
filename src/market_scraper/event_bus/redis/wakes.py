"""One task that listens for all of this process: something was published, room was made, partitions are to be dealt."""

from collections.abc import Callable

from market_scraper.domain.errors import BusUnreachable
from market_scraper.event_bus.redis.link import Delays, Link

LISTEN_MS = 2_000
"""How long one question waits; well below the time that an answer may take."""


class Wakes:
    """Calls whoever signed on. A wake may come without a reason; none is lost, however often the server goes away."""

    def __init__(self, link: Link, delays: Delays) -> None:
        self.rooms = -1  # rises when publishers may look again
        self.newest_seq = 0
        self._link = link
        self._delays = delays
        self._listeners: list[Callable[[], None]] = []

    def add(self, listener: Callable[[], None]) -> None:
        """Call this one at every wake; it must return at once."""
        self._listeners.append(listener)

    def remove(self, listener: Callable[[], None]) -> None:
        self._listeners.remove(listener)

    async def run(self) -> None:
        """Listen until cancelled."""
        waits = self._delays()
        after: bytes | None = None
        while True:
            try:
                if after is None:  # at first, and when wakes may have been missed
                    entry = await self._link.newest_wake()
                    after = b"0-0" if entry is None else entry[0]
                    self.rooms -= 1
                else:
                    entry = await self._link.read_wake(after, LISTEN_MS)
                    if entry is None:
                        continue
                    after = entry[0]
            except BusUnreachable:
                after = None
                await self._link.clock.sleep(next(waits))
                continue
            waits = self._delays()
            if entry is not None:
                facts = dict(zip(entry[1][::2], entry[1][1::2], strict=True))
                self.newest_seq = max(self.newest_seq, int(facts[b"s"]))
                self.rooms = int(facts[b"r"])
            for listener in tuple(self._listeners):
                listener()
