"""How an on-chain host's answer reaches its client: ETag and 304, gzip, slices, and the faults of delivery."""

import itertools
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from email.utils import formatdate

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from market_scraper.ports.clock import Clock
from market_scraper.simulator.onchain.faults import (
    Host,
    OnChainHalf,
    OnChainHtml,
    OnChainHuge,
    OnChainSlow,
    OnChainStall,
    OnChainStatus,
    OnChainSunset,
    Spoil,
)

_PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking your browser.</body></html>"
_STALL_STEP_S = 0.25
_GZIP_FROM_BYTES = 1_000
_HUGE_SLICE = 2**16


class Sheet(msgspec.Struct, kw_only=True):
    """What a host answers. `parts` are made as they are sent, each in a few milliseconds."""

    parts: Iterable[bytes]
    status: int = 200
    media_type: str = "application/json"
    version: str | None = None  # the same version has the same bytes; None = the host gives no ETag
    modified_ms: int | None = None
    headers: dict[str, str] = {}


Answering = Callable[[Request, Spoil], Sheet]


def sheet(data: object, status: int = 200, **more: str) -> Sheet:
    """A small JSON answer; `more` are headers."""
    return Sheet(parts=(msgspec.json.encode(data),), status=status, headers=more)


class Delivery:
    """Serves every on-chain host's answers, and counts them."""

    def __init__(self, clock: Clock, in_force: Callable[[], Iterable[object]]) -> None:
        self._clock = clock
        self._in_force = in_force
        self.requests: Counter[str] = Counter()
        self.not_modified: Counter[str] = Counter()
        self.sent_bytes: Counter[str] = Counter()  # bodies, as they went over the wire

    def handler(self, host: Host, answering: Answering) -> Callable[[Request], Awaitable[Response]]:
        """A route's endpoint."""

        async def handle(request: Request) -> Response:
            self.requests[host] += 1
            spoil = Spoil(self._in_force(), host)
            slow = spoil.first(OnChainSlow)
            if slow is not None:
                await self._clock.sleep(slow.by_s)
            return self._spoiled(host, spoil) or self._whole(host, request, spoil, answering(request, spoil))

        return handle

    def stats(self) -> dict[str, dict[str, int]]:
        """What was counted, by host."""
        return {
            host: {
                "requests": count,
                "not_modified": self.not_modified[host],
                "sent_bytes": self.sent_bytes[host],
            }
            for host, count in self.requests.items()
        }

    def _whole(self, host: Host, request: Request, spoil: Spoil, answer: Sheet) -> Response:
        headers = dict(answer.headers)
        sunset = spoil.first(OnChainSunset)
        if sunset is not None:
            headers |= {"deprecation": "true", "sunset": sunset.date}
        if answer.modified_ms is not None:
            headers["last-modified"] = formatdate(answer.modified_ms / 1000, usegmt=True)
        if answer.version is not None and answer.status == 200:
            etag = f'"{zlib.crc32(f"{request.url.path} {answer.version} {spoil.mark}".encode()):08x}"'
            headers["etag"] = etag
            asked = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
            if etag in asked:
                self.not_modified[host] += 1
                return Response(status_code=304, headers=headers)
        parts = answer.parts
        if spoil.first(OnChainHalf) is not None and answer.status == 200:
            parts = (_half(b"".join(parts), answer.media_type),)
        packed = "gzip" in request.headers.get("accept-encoding", "")
        if isinstance(parts, tuple):
            body = b"".join(parts)
            if packed and len(body) >= _GZIP_FROM_BYTES:
                headers["content-encoding"] = "gzip"
                body = b"".join(_gzip((body,)))
            self.sent_bytes[host] += len(body)
            return Response(body, answer.status, headers, answer.media_type)
        if packed:
            headers["content-encoding"] = "gzip"
            parts = _gzip(parts)
        return StreamingResponse(self._in_turns(host, parts), answer.status, headers, answer.media_type)

    async def _in_turns(self, host: Host, parts: Iterable[bytes]) -> AsyncIterator[bytes]:
        for part in parts:
            if part:
                self.sent_bytes[host] += len(part)
                yield part
            await self._clock.sleep(0)  # whole histories must not hold up the venue's sockets

    def _spoiled(self, host: Host, spoil: Spoil) -> Response | None:
        """What a fault sends instead of the answer."""
        status, huge = spoil.first(OnChainStatus), spoil.first(OnChainHuge)
        if status is not None:
            headers = {"retry-after": str(status.retry_after_s)} if status.retry_after_s else None
            return Response(b"", status.status, headers)
        if spoil.first(OnChainHtml) is not None:
            return Response(_PAGE, media_type="text/html")
        if spoil.first(OnChainStall) is not None:
            return StreamingResponse(self._stalled(spoil), media_type="application/json")
        if huge is not None:
            return StreamingResponse(self._in_turns(host, _huge(huge.megabytes)), media_type="application/json")
        return None

    async def _stalled(self, spoil: Spoil) -> AsyncIterator[bytes]:
        yield b'{"'
        while spoil.first(OnChainStall) in list(self._in_force()):
            await self._clock.sleep(_STALL_STEP_S)


def sliced(head: str, rows: Iterator[str], between: str, tail: str, *, at_once: int) -> Iterator[bytes]:
    """Rows joined, some at a time, between head and tail."""
    yield head.encode()
    begun = False
    while held := list(itertools.islice(rows, at_once)):
        yield ((between if begun else "") + between.join(held)).encode()
        begun = True
    yield tail.encode()


def _huge(megabytes: int) -> Iterator[bytes]:
    yield b'{"data":['
    row = b'{"x":1,"y":1},' * (_HUGE_SLICE // 14)
    for _ in range(megabytes * 2**20 // len(row)):
        yield row
    yield b'{"x":1,"y":1}]}'


def _half(body: bytes, media_type: str) -> bytes:
    """Cut the newest row in two; of a table the newest but one, for the last row is half empty on any day."""
    if not media_type.startswith("text/"):
        return body[: max(len(body) * 9 // 10, len(body) - 60)]
    rows = body.splitlines(keepends=True)[:-1]
    return b"".join(rows[:-1]) + rows[-1][: len(rows[-1]) // 2] if rows else body


def _gzip(parts: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(level=1, wbits=31)
    for part in parts:
        yield packer.compress(part)
    yield packer.flush()
