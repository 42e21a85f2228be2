"""A way to Redis that can be cut: before a request arrives, or after it was done and before the answer comes back."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Wire:
    """Passes bytes on. `lose_answers` cuts connections instead of bringing that many answers back."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.lose_answers = 0
        self.lost = 0  # answers
        self.chance_of_cut = 0.0  # of each piece of either direction
        self._to = port
        self._random = random.Random(6)
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}/0"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.close()
            return
        both = {writer, to_writer}
        self._open |= both
        passing = [
            asyncio.create_task(self._pass_on(reader, to_writer, answers=False)),
            asyncio.create_task(self._pass_on(to_reader, writer, answers=True)),
        ]
        await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)
        self._open -= both
        for end in both:
            end.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(2**16):
                if answers and self.lose_answers > 0:
                    self.lose_answers -= 1
                    self.lost += 1
                    return
                if self._random.random() < self.chance_of_cut:
                    self.lost += answers
                    return
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def wire_to(port: int) -> AsyncIterator[Wire]:
    """Open one to a port of this machine."""
    wire = Wire(port)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        for writer in wire._open:
            writer.close()
        await server.wait_closed()
