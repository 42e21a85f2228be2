"""What happens from time to time: saying that we live, cutting what everybody has read, looking at the figures."""

from collections.abc import Callable

import structlog

from market_scraper.domain.errors import BusUnreachable
from market_scraper.event_bus.redis.acks import Acks
from market_scraper.event_bus.redis.link import TRIM, Link

log = structlog.get_logger(__name__)

TRIM_S = 1.0
UNWATCHED_MS = 10_000
"""A time as long in which no process looked, because Redis or all of us were away, counts against nobody."""


class Upkeep:
    """Run it as a task."""

    def __init__(self, link: Link, acks: Acks, *, beat_s: float) -> None:
        self.beats: list[Callable[[], None]] = []
        self.held = 0  # events in Redis
        self.given_up = 0  # readers, since the data began
        self.absent: list[str] = []  # groups that nobody reads now
        self._link = link
        self._acks = acks
        self._beat_s = beat_s
        self._every_s = min(TRIM_S, beat_s)

    async def run(self) -> None:
        """Look after everything until cancelled."""
        clock = self._link.clock
        beaten_s = clock.monotonic()
        while True:
            await clock.sleep(self._every_s)
            if clock.monotonic() - beaten_s >= self._beat_s:
                beaten_s = clock.monotonic()
                for beat in tuple(self.beats):
                    beat()
            try:
                await self.trim()
            except BusUnreachable:
                pass  # told by the link; the next round comes soon

    async def trim(self, *, at_once: bool = False) -> None:
        """Have the server cut what everybody has read, unless another process just did."""
        stamp = self._acks.stamp
        least_ms = 0 if at_once else round(self._every_s * 500)
        waiting, self.held, self.given_up, gone, absent = await self._link.ask(TRIM, least_ms, UNWATCHED_MS)
        for name in gone:
            log.warning("reader_given_up", reader=name.decode())
        self.absent = [name.decode() for name in absent]
        known = self._acks.waiting()
        for name, count in zip(waiting[::2], waiting[1::2], strict=True):
            if (group := name.decode()) in known:
                self._acks.waits(group, int(count), stamp)
