"""From a print to a WebSocket client, at 1,000 prints a second with 47,000 known traders; and the memory that takes."""

import asyncio
import itertools
import json
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from pathlib import Path

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from bench import asking, made
from bench.figures import Aim, Benchmark, Round, main
from bench.serving import TRACKED
from market_scraper.domain.values import Address

PRINTS_A_SECOND = 1_000
A_BLOCK = 10
ROUND_S = 5.0
KIB = 1_024


class _Data(msgspec.Struct, frozen=True):
    price: float | None = None


class _Message(msgspec.Struct):
    type: str
    data: _Data = _Data()


_messages = msgspec.json.Decoder(_Message)


class Blocks:
    """Trades frames as of now. Each print has a price of its own, to know its message by, and a tracked buyer."""

    def __init__(self, traders: Sequence[Address]) -> None:
        self._tracked, self._others = traders[:TRACKED], traders[TRACKED:] or traders[A_BLOCK:]
        self._random = random.Random(7)
        self._numbers = itertools.count(1)
        self._last_ms = 0

    def make(self, now_ms: int) -> tuple[bytes, list[float]]:
        """One block, and its prices."""
        self._last_ms = now_ms = max(now_ms, self._last_ms + 1)
        tracked = self._random.sample(self._tracked, A_BLOCK)
        others = self._random.sample(self._others, A_BLOCK)
        prices = [50_000.0 + next(self._numbers) / 10 for _ in range(A_BLOCK)]
        trades = [
            {
                "coin": "BTC",
                "side": "B",
                "px": f"{price:.1f}",
                "sz": f"{self._random.randrange(1, 99_999) / 100_000:.5f}",
                "time": now_ms,
                "hash": f"0x{0:064x}",
                "tid": self._random.getrandbits(50),
                "users": [buyer, seller],
            }
            for price, buyer, seller in zip(prices, tracked, others, strict=True)
        ]
        return json.dumps({"channel": "trades", "data": trades}).encode(), prices


async def _paced(seconds: float, send: Callable[[], Awaitable[None]]) -> None:
    """Call `send` once a block, `PRINTS_A_SECOND / A_BLOCK` times a second; what comes late is made up for."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(round(seconds * PRINTS_A_SECOND / A_BLOCK)):
        wait_s = began + number * A_BLOCK / PRINTS_A_SECOND - loop.time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        await send()


async def print_to_client(feed: ClientConnection, client: ClientConnection, blocks: Blocks, seconds: float) -> float:
    """The 99th percentile of milliseconds from sending a print to its message."""
    sent: dict[float, float] = {}
    took: list[float] = []

    async def send() -> None:
        frame, prices = blocks.make(time.time_ns() // 1_000_000)
        sent.update(dict.fromkeys(prices, time.perf_counter()))
        await feed.send(frame)

    async def receive() -> None:
        wanted = round(seconds * PRINTS_A_SECOND / A_BLOCK) * A_BLOCK
        while len(took) < wanted:
            message = _messages.decode(await client.recv())
            at = sent.pop(message.data.price or 0.0, None)
            if at is not None:
                took.append(time.perf_counter() - at)

    await asyncio.wait_for(asyncio.gather(_paced(seconds, send), receive()), seconds + 20.0)
    return 1e3 * statistics.quantiles(took, n=100)[98]


async def echoed(client: ClientConnection, seconds: float) -> float:
    """The same for a bare echo of messages as long, as many and in the same rhythm."""
    waiting: list[float] = []
    took: list[float] = []
    text = "x" * 560

    async def send() -> None:
        for _ in range(A_BLOCK):
            waiting.append(time.perf_counter())
            await client.send(text)

    async def receive() -> None:
        for number in range(round(seconds * PRINTS_A_SECOND / A_BLOCK) * A_BLOCK):
            await client.recv()
            took.append(time.perf_counter() - waiting[number])

    await asyncio.wait_for(asyncio.gather(_paced(seconds, send), receive()), seconds + 20.0)
    return 1e3 * statistics.quantiles(took, n=100)[98]


def resident_mib(pid: int) -> float:
    """Memory of a process that is in use now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / KIB


@cache
def run(size: float, rounds: int) -> tuple[Sequence[Round], Sequence[Round]]:
    """Both figures' rounds: latency, and memory after each."""
    return asyncio.run(_run(size, rounds))


async def _run(size: float, rounds: int) -> tuple[Sequence[Round], Sequence[Round]]:
    count = max(100, round(made.LEADERBOARD_ROWS * size))
    seconds = max(0.3, ROUND_S * size)
    blocks = Blocks(made.addresses(count))
    latency, memory = [], []
    async with asking.served(count, "live") as server:
        bare = f"ws://127.0.0.1:{server.bare}"
        async with (
            connect(f"{bare}/feed", compression=None) as feed,
            connect(f"{bare}/echo", compression=None) as echo,
            connect(f"ws://127.0.0.1:{server.ours}/ws?channel=traders", compression=None, max_queue=None) as client,
        ):
            await feed.send(blocks.make(time.time_ns() // 1_000_000 - 1_000)[0])  # the replay
            await asyncio.sleep(0.2)
            for _ in range(rounds):
                floor_ms = await echoed(echo, seconds)
                latency.append(Round(await print_to_client(feed, client, blocks, seconds), floor_ms))
                memory.append(Round(resident_mib(server.pid)))
    return latency, memory


BENCHMARK = Benchmark(
    name="live_latency",
    unit="ms",
    says="from a print's frame to its message on `/ws`, 99th percentile, at 1,000 prints/s with 47,345 known traders "
    "(500 tracked, every print by one of them), signals and persister at work",
    floor_is="a bare WebSocket echo of messages as long, as many and in the same rhythm, in the same process",
    measure=lambda size, rounds: run(size, rounds)[0],
    aim=Aim(of="ratio", at_most=3.0),
)

MEMORY = Benchmark(
    name="live_memory",
    unit="MiB",
    says="resident memory of the process there",
    floor_is=None,
    measure=lambda size, rounds: run(size, rounds)[1],
    aim=Aim(of="value", at_most=350.0),
    takes="worst",
)

if __name__ == "__main__":
    main(BENCHMARK)
    main(MEMORY)
