"""Recorded frames given back: a file of frames with receive times, sent to the sockets as they once came.

One JSON object a line (plain, .gz or .zst): `at_ms` = when it was received (ms since the epoch), `frame` = its text
(or the JSON itself). Other keys are ignored, and so are lines without a frame. The first frame's time is the moment
at which playing begins, and distances between frames are kept.
"""

import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import msgspec
import zstandard

from market_scraper.simulator.link import Frame
from market_scraper.simulator.subscriptions import Subscription

_CONTROL = frozenset({"subscriptionResponse", "pong", "error", "post"})


class _Line(msgspec.Struct):
    at_ms: int | None = None
    frame: msgspec.Raw = msgspec.Raw(b"")


class Played(msgspec.Struct, frozen=True):
    """A recorded frame, `offset_ms` after the first one, for those who subscribed to `subscription`."""

    offset_ms: int
    frame: Frame
    subscription: Subscription


def _open(path: Path) -> io.TextIOBase:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    if path.suffix == ".zst":
        reader = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), closefd=True)
        return io.TextIOWrapper(reader, encoding="utf-8")
    return path.open(encoding="utf-8")


def subscription_of(frame: object) -> Subscription | None:
    """Whose frame this is; None for control frames and for what belongs to no one."""
    match frame:
        case {"channel": str(channel)} if channel in _CONTROL:
            return None
        case {"channel": "trades", "data": [{"coin": str(coin)}, *_]}:
            return Subscription("trades", coin=coin)
        case {"channel": "bbo" | "activeAssetCtx" as channel, "data": {"coin": str(coin)}}:
            return Subscription(channel, coin=coin)
        case {"channel": "candle", "data": {"s": str(coin), "i": str(interval)}}:
            return Subscription("candle", coin=coin, interval=interval)
        case {"channel": "allMids", "data": dict(data)}:
            return Subscription("allMids", dex=data.get("dex", ""))
        case {"channel": "clearinghouseState", "data": {"user": str(user)} as data}:
            return Subscription("clearinghouseState", user=user.lower(), dex=data.get("dex", ""))
        case {"channel": "userFills", "data": {"user": str(user)}}:
            return Subscription("userFills", user=user.lower())
    return None


def read_frames(path: Path) -> Iterator[Played]:
    """Yield the frames of a recording in its order; texts are given back byte for byte."""
    first_ms: int | None = None
    newest_ms = 0
    with _open(path) as lines:
        for text in lines:
            if not text.strip():
                continue
            line = msgspec.json.decode(text, type=_Line)
            if line.at_ms is None or not bytes(line.frame):
                continue
            frame = msgspec.json.decode(line.frame)
            raw = bytes(line.frame).decode()
            if isinstance(frame, str):
                raw = frame
                try:
                    frame = msgspec.json.decode(raw)
                except msgspec.DecodeError:
                    continue  # recorded broken: nobody could say whose it is
            subscription = subscription_of(frame)
            if subscription is None:
                continue
            first_ms = line.at_ms if first_ms is None else first_ms
            newest_ms = max(newest_ms, line.at_ms - first_ms)
            coin = subscription.coin
            yield Played(newest_ms, Frame(subscription.kind, raw, coin), subscription)
