"""A way to a server on which it is noted what was asked."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_ASKED = re.compile(rb'"type"\s*:\s*"(\w+)"')


class Tap:
    """Passes on what one client says to a server, and what it answers."""

    def __init__(self, to: str) -> None:
        self.url = ""
        self._host, _, self._port = to.removeprefix("http://").partition(":")
        self._said = bytearray()

    def asked(self) -> list[str]:
        """The types of all requests to `/info`, in order."""
        return [kind.decode() for kind in _ASKED.findall(self._said)]

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        there, back = await asyncio.open_connection(self._host, int(self._port))
        try:
            await asyncio.gather(_copy(reader, back, self._said.extend), _copy(there, writer, lambda _data: None))
        except ConnectionError:
            pass  # one side was killed
        finally:
            writer.close()
            back.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Callable[[bytes], None]) -> None:
    while data := await reader.read(65_536):
        note(data)
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def tapped(to: str) -> AsyncIterator[Tap]:
    """Lead to that address while in the block."""
    tap = Tap(to)
    listener = await asyncio.start_server(tap.pass_on, "127.0.0.1", 0)
    tap.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield tap
    finally:
        listener.close()
