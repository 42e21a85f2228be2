"""A small HTTP host of our own on a loopback port, which answers as a test says and remembers what it was asked."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, urlsplit

Write = Callable[[bytes], Awaitable[None]]
Stream = Callable[[Write], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    at_s: float  # monotonic


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered. `stream` writes the body piece by piece, which then ends with the connection."""

    body: bytes = b"{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    stream: Stream | None = None


def said(body: object, **headers: str) -> Reply:
    """A JSON answer; `last_modified` stands for the header Last-Modified."""
    return Reply(json.dumps(body).encode(), headers={name.replace("_", "-"): text for name, text in headers.items()})


class Upstream:
    """`async with Upstream(answer) as host`, then `host.url`; `answer` may be set anew at any time."""

    def __init__(self, answer: Callable[[Asked], Reply]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.sent_bytes = 0
        self.url = ""
        self._talks: list[asyncio.Task[None]] = []
        self.cut = asyncio.Event()  # a client left in the middle of an answer

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._talks.append(asyncio.create_task(self._talk(reader, writer)))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                target = urlsplit(head[0].split(" ")[1])
                headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in head[1:] if line)}
                asked = Asked(target.path, dict(parse_qsl(target.query)), headers, time.monotonic())
                self.asked.append(asked)
                if not await self._reply(self.answer(asked), reader, writer):
                    return
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _reply(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer; whether the connection goes on."""
        headers = {"Content-Type": "application/json"} | reply.headers
        if reply.stream is None:
            headers = {"Content-Length": str(len(reply.body))} | headers
        else:
            headers["Connection"] = "close"
        lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
        writer.write(f"HTTP/1.1 {reply.status} X\r\n{lines}\r\n".encode())
        if reply.stream is None:
            writer.write(reply.body)
            await writer.drain()
            return True
        leaving = asyncio.create_task(reader.read(1))
        streaming = asyncio.create_task(reply.stream(self._writing(writer)))
        await asyncio.wait((leaving, streaming), return_when=asyncio.FIRST_COMPLETED)
        if not streaming.done() or streaming.exception() is not None:
            self.cut.set()
        leaving.cancel()
        streaming.cancel()
        await asyncio.gather(leaving, streaming, return_exceptions=True)
        return False

    def _writing(self, writer: asyncio.StreamWriter) -> Write:
        async def write(part: bytes) -> None:
            writer.write(part)
            await writer.drain()
            self.sent_bytes += len(part)

        return write
