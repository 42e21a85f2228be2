"""Acknowledgements on their way to the server: queued at once, sent together, never forgotten while we live."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from market_scraper.event_bus.redis.link import ACK, Argument, Link
from market_scraper.ports.bus import Envelope

AT_ONCE = 1_000
"""Numbers of one partition in one call; Lua's stack holds some thousands."""


class Acks:
    """Run it as a task. Also knows what waits for each group: as the server last said, less what is on its way."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._queued: dict[str, dict[str, list[int]]] = {}
        self._unsent: Counter[str] = Counter()
        self._waiting: dict[str, int] = {}
        self._stamp = 0  # odd while a call is under way
        self._look = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, group: str, envelopes: Sequence[Envelope]) -> None:
        """Queue them; returns at once."""
        keys = self._queued.setdefault(group, {})
        for envelope in envelopes:
            keys.setdefault(envelope.key, []).append(envelope.seq)
        self._announce(group, len(envelopes))

    def done(self, group: str, key: str, seq: int) -> None:
        """Queue one number."""
        self._queued.setdefault(group, {}).setdefault(key, []).append(seq)
        self._announce(group, 1)

    def _announce(self, group: str, count: int) -> None:
        self._unsent[group] += count
        self._idle.clear()
        self._look.set()

    async def flushed(self) -> None:
        """Wait until the server has all."""
        await self._idle.wait()

    @property
    def stamp(self) -> int:
        """Changes whenever acknowledgements are sent or have arrived."""
        return self._stamp

    def waits(self, group: str, count: int, stamp: int) -> None:
        """Note what the server said, asked at `stamp`; the answer to acknowledgements sent since then knows better."""
        if stamp == self._stamp and not stamp % 2:
            self._waiting[group] = count

    def waiting(self) -> dict[str, int]:
        """Events unread or unacknowledged, by group."""
        return {group: max(0, count - self._unsent[group]) for group, count in self._waiting.items()}

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._look.wait()
            self._look.clear()
            queued, self._queued = self._queued, {}
            for group, keys in queued.items():
                count = sum(map(len, keys.values()))
                arguments: list[Argument] = [group]
                for key, seqs in keys.items():
                    for first in range(0, len(seqs), AT_ONCE):
                        arguments += [key, " ".join(map(str, seqs[first : first + AT_ONCE]))]
                self._stamp += 1
                try:
                    (waiting,) = await self._link.insist(ACK, *arguments)
                finally:
                    self._stamp += 1
                self._unsent[group] -= count
                self._waiting[group] = waiting
            if not self._queued:
                self._idle.set()
