"""Sockets that carry the same subscription bring the same bytes: what one has read, the others need not read again."""

from market_scraper.domain.market import Market, Print

CAPACITY = 512
"""Frames remembered: sockets run at most some seconds apart, and a coin brings about twelve frames a second."""

MAX_BYTES = 65_536
"""Longer frames are read anew each time; so the memory is bounded (some 30 MB at the very worst)."""

START = b'{"channel":"trades"'


class Twins:
    """The last trades frames that were read, by their very bytes. Shared by all sockets of a connector."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._read: dict[bytes, tuple[Market, tuple[Print, ...]]] = {}
        self._capacity = capacity

    def get(self, data: bytes) -> tuple[Market, tuple[Print, ...]] | None:
        """What this very frame said, and by which listing its sizes were read."""
        return self._read.get(data)

    def keep(self, data: bytes, market: Market, prints: tuple[Print, ...]) -> None:
        """Remember a frame that was read without a fault; the oldest goes."""
        if len(data) > MAX_BYTES or not data.startswith(START):
            return
        if len(self._read) >= self._capacity:
            del self._read[next(iter(self._read))]
        self._read[data] = (market, prints)
