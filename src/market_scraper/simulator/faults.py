"""What can go wrong on request: the vocabulary of the schedule (`--faults`, `POST /_control`) and what is in force.

A schedule is a list of faults, each with `kind` and `at_s`, the venue second (from the start) at which it happens:

    - {kind: disconnect, at_s: 30, code: 1006, sockets: [0]}
    - {kind: outage, at_s: 60, for_s: 20}
    - {kind: lose, at_s: 90, for_s: 30, share: 0.1, channel: trades}
    - {kind: answer, at_s: 120, for_s: 10, type: clearinghouseState, status: 429}

    - {kind: onchain_freeze, host: cbbi, metric: Puell, at_s: 0, for_s: 3600}

`sockets` counts sockets in the order in which they were opened (empty = all that are open then); `channel`, `coin`
and `type` empty = any. Faults of frames are rolled for each socket on its own. Those of the on-chain hosts are in
`onchain.faults`.
"""

from pathlib import Path
from typing import ClassVar, Literal

import msgspec
import yaml

from market_scraper.simulator.onchain.faults import OnChainFault


class _Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag=str.lower):
    at_s: float = 0.0


class _Lasting(_Fault, frozen=True, kw_only=True, tag=str.lower):
    for_s: float = 0.0  # 0 = until the end


class Disconnect(_Fault, frozen=True, kw_only=True):
    """Close sockets: 1006 = the connection is aborted without a word, 1000 and 1008 = a close frame."""

    code: Literal[1000, 1006, 1008] = 1006
    reason: str = ""
    sockets: tuple[int, ...] = ()


class HalfOpen(_Lasting, frozen=True, kw_only=True, tag="half_open"):
    """The connection stands, but nothing is read from it and nothing sent; what was sent meanwhile is lost."""

    sockets: tuple[int, ...] = ()


class Mute(_Lasting, frozen=True, kw_only=True):
    """Sockets that accept everything and send nothing (of one channel, when named)."""

    sockets: tuple[int, ...] = ()
    channel: str = ""


class Outage(_Lasting, frozen=True, kw_only=True):
    """All sockets go down and handshakes get HTTP 502 meanwhile; `rest` = REST answers 502 too."""

    rest: bool = False


class _OfFrames(_Lasting, frozen=True, kw_only=True, tag=str.lower):
    share: float = 1.0
    channel: str = ""
    coin: str = ""
    sockets: tuple[int, ...] = ()


class Duplicate(_OfFrames, frozen=True, kw_only=True):
    """Frames come twice."""


class Lose(_OfFrames, frozen=True, kw_only=True):
    """Frames never come."""


class Late(_OfFrames, frozen=True, kw_only=True):
    """Frames come later by `by_s`; what is behind them on the socket waits (order is kept)."""

    by_s: float = 1.0


class Malform(_OfFrames, frozen=True, kw_only=True):
    """Frames are JSON of a shape that nobody expects."""


class Truncate(_OfFrames, frozen=True, kw_only=True):
    """Frames end somewhere in the middle."""


class Rename(_OfFrames, frozen=True, kw_only=True):
    """A field is called differently, in frames and in REST answers (`type` limits it to one request type)."""

    old: str
    new: str
    type: str = ""


class Answer(_Lasting, frozen=True, kw_only=True):
    """REST requests get this status (429 answers are not counted as the client's fault)."""

    status: int
    body: str = "null"
    type: str = ""
    share: float = 1.0


class Slow(_Lasting, frozen=True, kw_only=True):
    """REST answers come later by `by_s`."""

    by_s: float
    type: str = ""
    share: float = 1.0


class Stall(_Lasting, frozen=True, kw_only=True):
    """REST answers begin and never end, until the fault does."""

    type: str = ""
    share: float = 1.0


class OffTape(_Fault, frozen=True, kw_only=True, tag="off_tape"):
    """A position changes without a print. Empty user = one who has a position, chosen by the seed."""

    coin: str
    user: str = ""
    lots: int = 0


class Trade(_Fault, frozen=True, kw_only=True):
    """An account trades, by ordinary prints, until it holds `lots` (signed). Not a fault: a known act to look for."""

    coin: str
    user: str
    lots: int = 0


class Delist(_Fault, frozen=True, kw_only=True):
    """A coin is delisted: positions are settled without a print."""

    coin: str


class Halt(_Fault, frozen=True, kw_only=True):
    """A deployer halts a coin: positions are settled without a print."""

    coin: str


class Burst(_Lasting, frozen=True, kw_only=True):
    """A busy stretch."""

    coin: str
    prints_per_s: float = 50.0


class ClockJump(_Lasting, frozen=True, kw_only=True, tag="clock_jump"):
    """The stamps of snapshots (and exchangeStatus) are off by this; block times are not, they are the chain's."""

    by_ms: int


OfFrames = Duplicate | Lose | Late | Malform | Truncate | Rename
OfAnswers = Answer | Slow | Stall
OfWorld = OffTape | Trade | Delist | Halt | Burst
Fault = Disconnect | HalfOpen | Mute | Outage | OfFrames | OfAnswers | OfWorld | ClockJump | OnChainFault


def decode_faults(raw: object) -> tuple[Fault, ...]:
    """Read a schedule, or one fault. Raises msgspec.ValidationError that says where it is wrong."""
    if isinstance(raw, dict):
        raw = [raw]
    return tuple(msgspec.convert(raw, list[Fault]))


def load_faults(path: Path) -> tuple[Fault, ...]:
    """Read a schedule from a YAML (or JSON) file."""
    return decode_faults(yaml.safe_load(path.read_text(encoding="utf-8")) or [])


class FaultBoard:
    """Knows which faults come when and which are in force; its owner carries out what happens at once."""

    _MOMENTARY: ClassVar[tuple[type, ...]] = (Disconnect, OffTape, Trade, Delist, Halt)

    def __init__(self, schedule: tuple[Fault, ...], start_ms: int) -> None:
        self._start_ms = start_ms
        self._waiting: list[tuple[int, Fault]] = []
        self._running: list[tuple[float, Fault]] = []  # (end in ms, fault)
        self.happened = 0
        self.add(schedule)

    def add(self, faults: tuple[Fault, ...], *, from_ms: int | None = None) -> None:
        """Schedule more; `from_ms` = what their `at_s` counts from (default: the start)."""
        base = self._start_ms if from_ms is None else from_ms
        self._waiting += [(base + round(fault.at_s * 1000), fault) for fault in faults]
        self._waiting.sort(key=lambda entry: entry[0])

    def due(self, now_ms: int) -> list[tuple[int, Fault]]:
        """The faults that begin by now, as (when, fault), each once; lasting ones are in force from here on."""
        self._running = [(end, fault) for end, fault in self._running if end > now_ms]
        begun: list[tuple[int, Fault]] = []
        while self._waiting and self._waiting[0][0] <= now_ms:
            at_ms, fault = self._waiting.pop(0)
            begun.append((at_ms, fault))
            self.happened += 1
            if isinstance(fault, self._MOMENTARY):
                continue
            for_s = getattr(fault, "for_s", 0.0)
            self._running.append((at_ms + for_s * 1000 if for_s else float("inf"), fault))
        return begun

    def next_ms(self) -> int | None:
        """When the next one begins."""
        return self._waiting[0][0] if self._waiting else None

    def in_force(self, now_ms: int) -> list[Fault]:
        """Lasting faults that have begun and not ended, oldest first."""
        return [fault for end, fault in self._running if end > now_ms]
