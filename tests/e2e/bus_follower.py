"""Reads the bus beside the program, and keeps what was accepted there, and when it came."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from market_scraper.domain.events import (
    CandlesClosed,
    Event,
    PositionChanged,
    ReadingsTaken,
    SignalGenerated,
    TapeAdvanced,
    TapeGapped,
    TraderSignalGenerated,
)
from market_scraper.event_bus.redis import RedisAddress, RedisBus
from market_scraper.ports.bus import Envelope, Inbox
from market_scraper.runtime.backoff import backoff
from market_scraper.runtime.clock import ScaledClock

FACTS: tuple[type[Event], ...] = (
    PositionChanged,
    TapeAdvanced,
    TapeGapped,
    CandlesClosed,
    SignalGenerated,
    TraderSignalGenerated,
    ReadingsTaken,
)


@dataclass
class Heard:
    """Everything that was read, in the order of reading; `at_s` are Unix seconds of reading, one for each."""

    envelopes: list[Envelope] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)

    def of(self, *kinds: type[Event]) -> Iterable[Event]:
        """The events of these kinds."""
        return (envelope.event for envelope in self.envelopes if isinstance(envelope.event, kinds))

    def disorder(self) -> list[str]:
        """Where numbers, a coin's versions, or its tape's marks do not rise: two writers, or a lost order."""
        found: list[str] = []
        newest_seq = 0
        versions: dict[str, int] = {}
        marks: dict[str, tuple[int, int]] = {}
        for envelope in self.envelopes:
            if envelope.seq <= newest_seq:
                found.append(f"number {envelope.seq} after {newest_seq}")
            newest_seq = max(newest_seq, envelope.seq)
            match envelope.event:
                case PositionChanged(after=after):
                    if after.version <= versions.get(after.symbol, 0):
                        found.append(f"{envelope.seq}: version {after.version} after {versions[after.symbol]}")
                    versions[after.symbol] = max(after.version, versions.get(after.symbol, 0))
                case TapeAdvanced(mark=mark) | TapeGapped(mark=mark):
                    place = (mark.watermark_ms, mark.epoch_ms)
                    if place < marks.get(mark.symbol, place):
                        found.append(f"{envelope.seq}: mark {place} after {marks[mark.symbol]}")
                    marks[mark.symbol] = place
        return found

    async def first_advance(self, known_after_ms: int, within_s: float) -> float:
        """When (Unix seconds) the first TapeAdvanced was read that its collector knew after that venue moment."""
        looked = 0
        deadline = time.monotonic() + within_s
        while True:
            for envelope, at_s in zip(self.envelopes[looked:], self.at_s[looked:], strict=True):
                if isinstance(envelope.event, TapeAdvanced) and envelope.event.known_at_ms > known_after_ms:
                    return at_s
            looked = len(self.envelopes)
            assert time.monotonic() < deadline, f"the tape does not go on: nothing for {within_s:g} s"
            await asyncio.sleep(0.02)


async def _no_numbers(_size: int) -> int:
    raise AssertionError("a follower reserves no numbers")


@asynccontextmanager
async def following(url: str, *kinds: type[Event]) -> AsyncIterator[Heard]:
    """Follow the program's bus; enter once a process has opened it, before the facts that matter."""
    heard = Heard()
    async with (
        RedisBus(RedisAddress(url=url), _no_numbers, clock=ScaledClock(), delays=partial(backoff, most_s=1.0)) as bus,
        bus.follow(*(kinds or FACTS)) as inbox,
    ):
        reading = asyncio.create_task(_read(inbox, heard), name="bus-follower")
        try:
            yield heard
        finally:
            reading.cancel()
            (result,) = await asyncio.gather(reading, return_exceptions=True)
            if not isinstance(result, asyncio.CancelledError):
                assert result is None, result


async def _read(inbox: Inbox, heard: Heard) -> None:
    while True:
        batch = await inbox.take()
        now_s = time.time()
        heard.envelopes += batch
        heard.at_s += [now_s] * len(batch)
