"""`/ws`: one reader and one writer a client; whichever ends first ends the other."""

import asyncio
from contextlib import suppress
from datetime import datetime

import msgspec
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from market_scraper.api.answers import ENCODER
from market_scraper.api.deps import ApiDeps, state_of
from market_scraper.api.errors import problem
from market_scraper.api.guards import is_foreign
from market_scraper.api.hub import Hub, Seat, Wanted
from market_scraper.api.mailbox import Mailbox
from market_scraper.api.messages import Channel
from market_scraper.api.params import find_symbol
from market_scraper.domain.errors import InvalidInput, MarketScraperError
from market_scraper.domain.values import parse_address
from market_scraper.schemas import frames
from market_scraper.schemas.times import moment

POLICY = 1008
GOING_AWAY = 1001
FAREWELL_S = 1.0  # real seconds

router = APIRouter()


@router.websocket("/ws")
async def stream(websocket: WebSocket) -> None:
    """Push one channel's messages until the client leaves or the server stops."""
    reason = is_foreign(websocket)
    if reason is not None:
        await websocket.send_denial_response(problem(403, "foreign_origin", reason))
        return
    await websocket.accept()
    state = state_of(websocket)
    try:
        wanted, last_seq = _parse(state.deps, websocket)
    except MarketScraperError as error:
        await websocket.close(POLICY, _short(str(error)))
        return
    with state.hub.seat(wanted, last_seq) as seat:
        await _serve(websocket, Writer(websocket, state.deps, state.hub, wanted, seat), seat.mailbox, last_seq)


async def _serve(websocket: WebSocket, writer: "Writer", mailbox: Mailbox, last_seq: int | None) -> None:
    writing = asyncio.create_task(writer.run(last_seq), name="ws-write")
    reading = asyncio.create_task(_read(websocket, writer), name="ws-read")
    # On its own, for the writer may be stuck at a client that does not read.
    closing = asyncio.create_task(mailbox.wait_closed(), name="ws-close")
    halves = (writing, reading, closing)
    try:
        await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in halves:
            task.cancel()
        for done in await asyncio.gather(*halves, return_exceptions=True):
            # The client's leaving is seen by both halves, each in its own words.
            if isinstance(done, Exception) and not isinstance(done, WebSocketDisconnect | RuntimeError | OSError):
                raise done
    if mailbox.closed:
        with suppress(WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
            # One that does not read cannot be told; it does not hold up the others' end either.
            async with state_of(websocket).deps.real_clock.timeout(FAREWELL_S):
                await websocket.close(GOING_AWAY, "the server stops")


class Writer:
    """Sends to one client, one frame at a time; waiting messages go out together, as soon as it can take them."""

    def __init__(self, websocket: WebSocket, deps: ApiDeps, hub: Hub, wanted: Wanted, seat: Seat) -> None:
        self._websocket = websocket
        self._deps = deps
        self._hub = hub
        self._wanted = wanted
        self._seat = seat
        self._turn = asyncio.Lock()  # reader's pongs and writer's batches do not mix

    async def run(self, last_seq: int | None) -> None:
        """Greet, catch up, then push until the mailbox is closed."""
        await self._catch_up(last_seq)
        mailbox = self._seat.mailbox
        clock = self._deps.real_clock
        beat_at = clock.monotonic() + self._deps.heartbeat_s
        while True:
            try:
                async with clock.timeout(max(0.0, beat_at - clock.monotonic())):
                    await mailbox.wait()
            except TimeoutError:
                pass
            if mailbox.closed:
                return
            dropped, batch = mailbox.take(self._deps.broadcast_batch_size)
            async with self._turn:
                if dropped:
                    await self._send(frames.Dropped(count=dropped))
                for message in batch:
                    await self._websocket.send_text(message.text())
                if clock.monotonic() >= beat_at:
                    await self._send(frames.Heartbeat(seq=self._hub.newest_seq, timestamp=self._now()))
                    beat_at = clock.monotonic() + self._deps.heartbeat_s

    async def pong(self) -> None:
        """Answer a client's `ping`."""
        async with self._turn:
            await self._send(frames.Pong(timestamp=self._now()))

    async def _catch_up(self, last_seq: int | None) -> None:
        channel, newest = self._wanted.channel, self._seat.newest_seq
        async with self._turn:
            await self._send(frames.Hello(channel=channel, seq=newest, timestamp=self._now()))
            if self._seat.missed is None:
                assert last_seq is not None
                gap = frames.Gap(channel=channel, last_seq=last_seq, seq=newest, timestamp=self._now())
                await self._send(gap)
            for message in self._seat.missed or ():
                await self._websocket.send_text(message.text())

    async def _send(self, frame: msgspec.Struct) -> None:
        await self._websocket.send_text(ENCODER.encode(frame).decode())

    def _now(self) -> datetime:
        return moment(self._deps.clock.now_ms())


async def _read(websocket: WebSocket, writer: Writer) -> None:
    """Answer pings; whatever else a client says is ignored."""
    while True:
        heard = await websocket.receive()
        if heard["type"] == "websocket.disconnect":
            return
        if _is_ping(heard.get("text") or heard.get("bytes") or ""):
            await writer.pong()


def _is_ping(said: str | bytes) -> bool:
    """`ping`, `{"type": "ping"}` or `{"method": "ping"}`."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    if text.strip().lower() == "ping":
        return True
    try:
        word = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return isinstance(word, dict) and "ping" in (word.get("type"), word.get("method"))


def _parse(deps: ApiDeps, websocket: WebSocket) -> tuple[Wanted, int | None]:
    query = websocket.query_params
    try:
        channel = Channel(query.get("channel", ""))
    except ValueError as error:
        raise InvalidInput(f"channel: expected one of {', '.join(Channel)}") from error
    symbol, address, last_seq = query.get("symbol"), query.get("address"), query.get("last_seq")
    if last_seq is not None and not (last_seq.isascii() and last_seq.isdigit() and len(last_seq) < 20):
        raise InvalidInput("last_seq: expected a number")
    wanted = Wanted(
        channel=channel,
        symbol=None if symbol is None else find_symbol(deps, symbol),
        address=None if address is None else parse_address(address),
    )
    return wanted, None if last_seq is None else int(last_seq)


def _short(reason: str) -> str:
    """A close reason may have 123 bytes."""
    return reason.encode()[:123].decode(errors="ignore")
