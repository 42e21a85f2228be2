"""The least that each path must cost: the bare library call on the same bytes, or the same loop without our work.

Each gives seconds, and is measured in the same run as the figure that it stands beside.
"""

from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from bench.figures import Stopwatch
from market_scraper.connectors.hyperliquid import messages


class _Board(msgspec.Struct, rename="camel"):
    leaderboard_rows: list[messages.WireLeaderboardRow]


class _Trades(msgspec.Struct):
    data: list[messages.WireTrade]


class _Account(msgspec.Struct):
    data: messages.WireAccountPush


def decode_leaderboard(body: bytes) -> float:
    """One typed decode of the whole answer, numbers as floats; the garbage collector stays on."""
    decoder = msgspec.json.Decoder(_Board, strict=False)
    with Stopwatch() as watch:
        decoder.decode(body)
    return watch.cpu_s


def decode_trades(frames: Sequence[bytes]) -> float:
    """Typed decodes of the same frames, each once."""
    return _decode_each(msgspec.json.Decoder(_Trades, strict=False).decode, frames)


def decode_accounts(frames: Sequence[bytes]) -> float:
    """Typed decodes of the same frames, each once."""
    return _decode_each(msgspec.json.Decoder(_Account, strict=False).decode, frames)


def _decode_each(decode: Callable[[bytes], object], frames: Sequence[bytes]) -> float:
    with Stopwatch() as watch:
        for frame in frames:
            decode(frame)
    return watch.cpu_s


def move_through_queues(make: Callable[[int], object], count: int, *, groups: int = 3) -> float:
    """Make `count` things and move each through `groups` bare deques."""
    queues: list[deque[object]] = [deque() for _ in range(groups)]
    with Stopwatch() as watch:
        for number in range(count):
            thing = make(number)
            for queue in queues:
                queue.append(thing)
        for queue in queues:
            while queue:
                queue.popleft()
    return watch.cpu_s
