"""One socket's way out: frames wait here until this socket's lateness is over, and meet the faults in force.

Holds no transport and no clock: the feed puts frames in, the socket's sender takes out what is due.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from market_scraper.simulator.faults import (
    Duplicate,
    Fault,
    HalfOpen,
    Late,
    Lose,
    Malform,
    Mute,
    OfFrames,
    Rename,
    Truncate,
)
from market_scraper.simulator.lateness import WanderingDelay

OUTBOX_SIZE = 20_000  # frames; a client so far behind is dropped (what the venue does is not known)


class Frame(msgspec.Struct, frozen=True, gc=False):
    """A frame, encoded once and shared by all sockets that get it."""

    channel: str
    text: str
    coin: str = ""


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A text and the venue time at which it may leave."""

    release_ms: int
    text: str
    on_sent: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """How the socket ends; `code` 1006 = abort without a close frame."""

    code: int
    reason: str


class Link:
    """The outbox of socket number `index` (in order of opening, from 0) of a client at `ip`."""

    def __init__(self, index: int, ip: str, delay: WanderingDelay, rng: random.Random, now_ms: int) -> None:
        self.index = index
        self.ip = ip
        self.opened_ms = now_ms
        self.traffic_ms = now_ms  # last frame either way
        self.closing: Closing | None = None
        self.half_open = False
        self.wake = asyncio.Event()
        self._delay = delay
        self._rng = rng
        self._outbox: deque[Outgoing] = deque()
        self._newest_release_ms = now_ms

    def put(self, frame: Frame, now_ms: int, faults: list[Fault], on_sent: Callable[[], None] | None = None) -> None:
        """Queue a frame behind all earlier ones, this socket's present lateness from now."""
        release_ms = now_ms + self._delay.at(now_ms)
        texts = (frame.text,) if not faults else self._suffer(frame, faults)
        for fault in faults:
            if isinstance(fault, Late) and self._hits(fault, frame):
                release_ms += round(fault.by_s * 1000)
        self._newest_release_ms = max(self._newest_release_ms, release_ms)
        if not texts and on_sent is not None:
            on_sent()
        for text in texts:
            self._outbox.append(Outgoing(self._newest_release_ms, text, on_sent))
            on_sent = None
        if len(self._outbox) > OUTBOX_SIZE:
            self.close(1006, "too slow")

    def _hits(self, fault: OfFrames, frame: Frame) -> bool:
        return (
            (not fault.channel or fault.channel == frame.channel)
            and (not fault.coin or fault.coin == frame.coin)
            and (not fault.sockets or self.index in fault.sockets)
            and (fault.share >= 1.0 or self._rng.random() < fault.share)
        )

    def _suffer(self, frame: Frame, faults: list[Fault]) -> tuple[str, ...]:
        """What is left of a frame after the faults in force, in their order."""
        texts: tuple[str, ...] = (frame.text,)
        for fault in faults:
            match fault:
                case Mute() if not fault.sockets or self.index in fault.sockets:
                    if not fault.channel or fault.channel == frame.channel:
                        return ()
                case Lose() if self._hits(fault, frame):
                    return ()
                case Duplicate() if self._hits(fault, frame):
                    texts += texts
                case Malform() if self._hits(fault, frame):
                    texts = tuple(self._malformed(frame) for _ in texts)
                case Truncate() if self._hits(fault, frame):
                    texts = tuple(text[: self._rng.randint(1, len(text) - 1)] for text in texts)
                case Rename() if not fault.type and self._hits(fault, frame):
                    texts = tuple(text.replace(f'"{fault.old}":', f'"{fault.new}":') for text in texts)
                case _:
                    pass
        return texts

    def _malformed(self, frame: Frame) -> str:
        """JSON whose coin can be read, or not even that."""
        if self._rng.random() < 0.5:
            return f'{{"channel":"{frame.channel}","data":[{{"coin":"{frame.coin}","px":{{}}}}]}}'
        return f'{{"channel":"{frame.channel}","data":7}}'

    def set_half_open(self, now_ms: int, faults: list[Fault]) -> None:
        """Follow the faults in force; what waits while the socket is half open is lost."""
        half_open = any(
            isinstance(fault, HalfOpen) and (not fault.sockets or self.index in fault.sockets) for fault in faults
        )
        if self.half_open and not half_open:
            self.traffic_ms = now_ms
            self.wake.set()
        self.half_open = half_open

    def nudge(self, now_ms: int) -> None:
        """Wake the sender when there is something for it to do."""
        if self.closing is not None or (self._outbox and self._outbox[0].release_ms <= now_ms):
            self.wake.set()

    def take_due(self, now_ms: int) -> list[Outgoing]:
        """Take what may leave by now, in order."""
        due: list[Outgoing] = []
        outbox = self._outbox
        while outbox and outbox[0].release_ms <= now_ms:
            due.append(outbox.popleft())
        if self.half_open:
            for lost in due:
                if lost.on_sent is not None:
                    lost.on_sent()
            return []
        if due:
            self.traffic_ms = now_ms
        return due

    def close(self, code: int, reason: str = "") -> None:
        """Have the sender close the socket; the first reason stands. May be called twice."""
        if self.closing is None:
            self.closing = Closing(code, reason)
            self.wake.set()

    def abandon(self) -> None:
        """Drop what waits, when the socket is gone; those who wait for their answer are told."""
        while self._outbox:
            lost = self._outbox.popleft()
            if lost.on_sent is not None:
                lost.on_sent()

    @property
    def waiting(self) -> int:
        """Frames in the outbox."""
        return len(self._outbox)
