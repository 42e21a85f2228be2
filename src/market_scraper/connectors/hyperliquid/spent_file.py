"""What counts still of the venue's weight, in a file beside the store: who starts again knows it, after `kill -9` too.

Each request is written down before it is sent, and again when it is known until when it counts: one small write in
place each (a few microseconds). They are in the kernel's hands then, and outlive the process. They need not outlive the
machine: that is away for longer than anything counts.
"""

import os
import struct
from collections.abc import Sequence
from pathlib import Path

import structlog

from market_scraper.connectors.hyperliquid.limits import WEIGHT_PER_MINUTE

log = structlog.get_logger(__name__)

Counting = tuple[int, int]
"""(venue milliseconds since the epoch until which it counts, weight)"""

PLACES = 2_048
"""Several times what fits into a minute's weight, with requests of 2 each and a minute and a half that they count."""

_RECORD = struct.Struct("<qq")
_SIZE = (PLACES + 1) * _RECORD.size
_UNDER_WAY = 2**62


class SpentFile:
    """A place for each request that counts, and before them one that says until when the venue wants nobody to send.

    For one process at a time. Where the file cannot be written any more it is taken away, for one that says too little
    is worse than none, and this goes on without.
    """

    def __init__(self, path: Path) -> None:
        """Open or make it; raises OSError where that cannot be done."""
        self._path = path
        self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._ends = [0] * PLACES  # venue ms
        self._next = 0

    def read(self) -> tuple[list[Counting], int] | None:
        """What the last process left, and until when nobody was to send; None where nothing can be known."""
        data = b"" if self._file is None else os.pread(self._file, _SIZE + 1, 0)
        if len(data) != _SIZE:
            return None
        (blocked_ms, _), *records = _RECORD.iter_unpack(data)
        if any(not 0 <= weight <= WEIGHT_PER_MINUTE for _, weight in records):
            return None  # not ours, or torn when the machine fell
        return [(ends_ms, weight) for ends_ms, weight in records if weight], blocked_ms

    def begin(self, counting: Sequence[Counting], blocked_ms: int) -> None:
        """Say from now on what we spend, and still what counts of others.

        Records move towards the front at most, so that even half of this write leaves none out.
        """
        kept = counting[-PLACES:]
        self._ends[: len(kept)] = [ends_ms for ends_ms, _ in kept]
        records = [(blocked_ms, 0), *kept]
        self._write(b"".join(_RECORD.pack(*record) for record in records).ljust(_SIZE, b"\0"), 0)

    def charge(self, now_ms: int, ends_ms: int, weight: int) -> int:
        """Write down what is sent now and counts until `ends_ms` if we hear no more of it; gives its place."""
        for _ in range(PLACES):
            place = self._next
            self._next = (place + 1) % PLACES
            if self._ends[place] <= now_ms:
                break
        self._ends[place] = _UNDER_WAY
        self._put(place, ends_ms, weight)
        return place

    def settle(self, place: int, ends_ms: int, weight: int) -> None:
        """It counts until `ends_ms`; the place is free then."""
        self._ends[place] = ends_ms
        self._put(place, ends_ms, weight)

    def block(self, until_ms: int) -> None:
        """The venue wants nobody to send until then."""
        self._write(_RECORD.pack(until_ms, 0), 0)

    def close(self) -> None:
        """May be called twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _put(self, place: int, ends_ms: int, weight: int) -> None:
        self._write(_RECORD.pack(ends_ms, weight), (place + 1) * _RECORD.size)

    def _write(self, data: bytes, at: int) -> None:
        if self._file is None:
            return
        try:
            os.pwrite(self._file, data, at)
        except OSError as error:
            log.warning("spending_not_kept", file=str(self._path), reason=str(error))
            self._path.unlink(missing_ok=True)
            self.close()
