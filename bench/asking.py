"""Asks a `bench.serving` process as fast as it answers, and says what an answer costs it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bench.figures import Round

CONNECTIONS = 4
ROOT = Path(__file__).resolve().parent.parent


class Line:
    """One kept-alive connection; asks one thing after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, port: int) -> "Line":
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**22))

    async def ask(self, target: str, *, method: str = "GET", body: bytes = b"") -> bytes:
        """Give the body of a 200; anything else is a mistake of the benchmark."""
        head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        assert answer.startswith(b"http/1.1 200"), answer
        length = int(answer.partition(b"content-length:")[2].partition(b"\r\n")[0])
        return await self._reader.readexactly(length)

    def close(self) -> None:
        """End it."""
        self._writer.close()


class Served:
    """The two applications of one `bench.serving` process."""

    def __init__(self, ours: int, bare: int, pid: int) -> None:
        self.ours, self.bare, self.pid = ours, bare, pid

    async def prebuild(self, targets: Sequence[str]) -> None:
        """Put the bytes of our present answers into the bare route, under the same query strings."""
        asked, kept = await Line.to(self.ours), await Line.to(self.bare)
        for target in targets:
            await kept.ask(_bare(target), method="PUT", body=await asked.ask(target))
        asked.close()
        kept.close()

    async def round(self, targets: Sequence[str], seconds: float) -> Round:
        """Answers a processor second of the serving process: ours, and the bare route's."""
        return Round(
            await self._rate(self.ours, targets, seconds),
            await self._rate(self.bare, [_bare(target) for target in targets], seconds),
        )

    async def _rate(self, port: int, targets: Sequence[str], seconds: float) -> float:
        watch = await Line.to(self.bare)
        before = float(await watch.ask("/cpu"))
        ends = asyncio.get_running_loop().time() + seconds
        answered = await asyncio.gather(*(_ask_until(port, targets, n, ends) for n in range(CONNECTIONS)))
        used = float(await watch.ask("/cpu")) - before
        watch.close()
        return sum(answered) / used


def _bare(target: str) -> str:
    return f"/bare?{target.partition('?')[2]}"


async def _ask_until(port: int, targets: Sequence[str], first: int, ends: float) -> int:
    line, answered = await Line.to(port), 0
    loop = asyncio.get_running_loop()
    while loop.time() < ends:
        await line.ask(targets[(first * len(targets) // CONNECTIONS + answered) % len(targets)])
        answered += 1
    line.close()
    return answered


@asynccontextmanager
async def served(traders: int, *words: str) -> AsyncIterator[Served]:
    """Start the process; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.serving", str(traders), *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        ports = json.loads(await process.stdout.readline())
        yield Served(ports["ours"], ports["bare"], process.pid)
    finally:
        process.stdin.close()
        await process.wait()


async def compare(targets: Sequence[str], *, traders: int, seconds: float, rounds: int) -> list[Round]:
    """Measure `targets` in turn beside the same bytes prebuilt."""
    async with served(traders) as server:
        await server.prebuild(targets)
        return [await server.round(targets, seconds) for _ in range(rounds)]
