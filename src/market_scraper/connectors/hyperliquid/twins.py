"""Sockets that carry the same subscription bring the same bytes: what one has read, the others need not read again."""

from dataclasses import dataclass

from market_scraper.domain.market import Market
from market_scraper.ports.sources import PrintsHeard

CAPACITY = 512
"""Frames remembered: sockets run at most some seconds apart, and a coin brings about twelve frames a second."""

MAX_BYTES = 65_536
"""Longer frames are read anew each time; so the memory is bounded (some 30 MB at the very worst)."""

START = b'{"channel":"trades"'

TAIL = 160
"""Bytes at a frame's end by which it is looked up: its last print's number and users are there. To hash all of it, some
1,300 bytes, took 3 % of the way from bytes to facts."""


@dataclass(slots=True)
class _Twin:
    data: bytes
    market: Market
    heard: PrintsHeard
    awaited: int  # readers that have not brought it


class Twins:
    """Trades frames that were read and that not every socket has brought yet. Shared by all of a connector.

    Each frame is given out to the other readers, one time each, and then forgotten: what is let go at once leaves the
    processor's caches to others (3 % of the way from bytes to facts).
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._read: dict[bytes, _Twin] = {}
        self._capacity = capacity
        self._readers = 0

    def join(self) -> None:
        """One more socket hears trades; to be said once by each."""
        self._readers += 1

    def take(self, data: bytes) -> tuple[Market, PrintsHeard] | None:
        """By which listing the sizes of this very frame were read, and what it said."""
        if data.startswith(START):
            tail = data[-TAIL:]
            twin = self._read.get(tail)
            if twin is not None and twin.data == data:
                twin.awaited -= 1
                if twin.awaited <= 0:
                    del self._read[tail]
                return twin.market, twin.heard
        return None

    def keep(self, data: bytes, market: Market, heard: PrintsHeard) -> None:
        """Remember a frame that was read without a fault; the oldest goes."""
        if len(data) > MAX_BYTES or not data.startswith(START):
            return
        if len(self._read) >= self._capacity:
            del self._read[next(iter(self._read))]
        self._read[data[-TAIL:]] = _Twin(data, market, heard, self._readers - 1)
