"""Upstreams that are not there: a port that leads nowhere until it is opened, and one that never says a word."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class Gate:
    """A port on which nobody listens, until it is opened to lead to a venue."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    @asynccontextmanager
    async def opened(self, to: str) -> AsyncIterator[None]:
        """Lead to that address while in the block."""
        host, port = to.removeprefix("http://").split(":")

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection(host, int(port))
            await asyncio.gather(_copy(reader, back), _copy(there, writer))

        listener = await asyncio.start_server(pass_on, sock=self._socket)
        try:
            yield
        finally:
            listener.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # one side left; the other is told below
    finally:
        writer.close()


@contextmanager
def tar_pit() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
