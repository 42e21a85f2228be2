"""`/info` and the leaderboard over HTTP, with the faults of answers."""

import zlib
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from market_scraper.ports.clock import Clock
from market_scraper.simulator.faults import Answer as AnswerFault
from market_scraper.simulator.faults import Rename, Slow, Stall
from market_scraper.simulator.info import NOT_UNDERSTOOD
from market_scraper.simulator.session import Answer
from market_scraper.simulator.shapes import leader_row
from market_scraper.simulator.venue import Venue

_SLICE_ROWS = 200
_STALL_STEP_S = 0.25
LEADERBOARD = "leaderboard"  # the name by which faults mean the leaderboard route


class HttpDoor:
    """Handlers of the venue's own paths."""

    def __init__(self, venue: Venue, clock: Clock) -> None:
        self._venue = venue
        self._clock = clock

    async def info(self, request: Request) -> Response:
        """POST /info."""
        try:
            payload = msgspec.json.decode(await request.body())
        except (msgspec.DecodeError, RecursionError):
            payload = None
        kind = payload.get("type") if isinstance(payload, dict) else None
        spoiled = await self._spoiled(kind if isinstance(kind, str) else "")
        if spoiled is not None:
            return spoiled
        if not request.headers.get("content-type", "").startswith("application/json"):
            return _response(NOT_UNDERSTOOD)
        answer = self._venue.ask(request.client.host if request.client else "", payload)
        return _response(self._renamed(answer, kind))

    async def leaderboard(self, request: Request) -> Response:
        """GET /Mainnet/leaderboard: one blob without paging, written in slices; gzip when asked for."""
        spoiled = await self._spoiled(LEADERBOARD)
        if spoiled is not None:
            return spoiled
        slices = self._leaderboard_slices()
        headers = {}
        if "gzip" in request.headers.get("accept-encoding", ""):
            slices, headers["content-encoding"] = _gzip(slices), "gzip"
        return StreamingResponse(slices, media_type="application/json", headers=headers)

    async def _leaderboard_slices(self) -> AsyncIterator[bytes]:
        rows = self._venue.world.leaderboard(self._venue.step())
        renames = [fault for fault in self._venue.faults_of_answer(LEADERBOARD) if isinstance(fault, Rename)]
        yield b'{"leaderboardRows":['
        for first in range(0, len(rows), _SLICE_ROWS):
            part = msgspec.json.encode([leader_row(row) for row in rows[first : first + _SLICE_ROWS]])[1:-1]
            yield (b"," if first else b"") + _rename(part, renames)
            await self._clock.sleep(0)  # a blob of 40 MB must not hold up the sockets
        yield b"]}"

    async def _spoiled(self, kind: str) -> Response | None:
        """What a fault makes of an answer; None = it is given (perhaps after a while)."""
        if self._venue.outage(rest=True):
            return Response(status_code=502)
        self._venue.step()
        for fault in self._venue.faults_of_answer(kind):
            match fault:
                case Slow():
                    await self._clock.sleep(fault.by_s)
                case AnswerFault():
                    return Response(fault.body.encode(), fault.status, media_type="application/json")
                case Stall():
                    return StreamingResponse(self._stalled(fault), media_type="application/json")
                case _:
                    pass
        return None

    async def _stalled(self, fault: Stall) -> AsyncIterator[bytes]:
        yield b"{"
        while fault in self._venue.feed.faults:
            await self._clock.sleep(_STALL_STEP_S)

    def _renamed(self, answer: Answer, kind: object) -> Answer:
        if not isinstance(kind, str) or answer.status != 200:
            return answer
        renames = [fault for fault in self._venue.faults_of_answer(kind) if isinstance(fault, Rename)]
        return Answer(answer.status, _rename(answer.body, renames), answer.media_type) if renames else answer


def _rename(body: bytes, renames: list[Rename]) -> bytes:
    for fault in renames:
        if not fault.channel:  # one that names a channel means frames alone
            body = body.replace(f'"{fault.old}":'.encode(), f'"{fault.new}":'.encode())
    return body


async def _gzip(slices: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(level=1, wbits=31)
    async for part in slices:
        packed = packer.compress(part)
        if packed:
            yield packed
    yield packer.flush()


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, media_type=answer.media_type)
