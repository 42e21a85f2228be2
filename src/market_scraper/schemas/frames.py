"""What `/ws` sends. Messages carry a `seq`; the others speak of the connection itself."""

from datetime import datetime

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `data` has the fields of the HTTP answer."""

    seq: int  # given by the bus: strictly increasing, with holes, never reused
    channel: str  # traders, signals
    type: str  # position, score, signal
    timestamp: datetime
    data: msgspec.Raw


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """The first frame: `seq` is the newest number; resume later with `last_seq` = the last one seen."""

    channel: str
    seq: int
    timestamp: datetime


class Gap(msgspec.Struct, frozen=True, kw_only=True, tag="gap"):
    """What came after `last_seq` is gone: read the state anew over HTTP."""

    channel: str
    last_seq: int
    seq: int
    timestamp: datetime


class Dropped(msgspec.Struct, frozen=True, kw_only=True, tag="dropped"):
    """You read too slowly: your own oldest `count` messages were left out here."""

    count: int


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag="heartbeat"):
    """The connection lives, whatever the market does."""

    seq: int
    timestamp: datetime


class Pong(msgspec.Struct, frozen=True, kw_only=True, tag="pong"):
    """The answer to `ping`."""

    timestamp: datetime
