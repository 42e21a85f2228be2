"""`/ws`: one socket's reader and sender around its session and its outbox."""

import asyncio

from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from market_scraper.ports.clock import Clock
from market_scraper.simulator.transport import abort_of
from market_scraper.simulator.venue import Seat, Venue

_GREETING = "Websocket connection established."


class _Gone(Exception):
    """The socket is gone; ends both halves."""


class SocketDoor:
    """Lets sockets in and serves them until they end."""

    def __init__(self, venue: Venue, clock: Clock) -> None:
        self._venue = venue
        self._clock = clock

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one socket from its handshake to its end."""
        if self._venue.outage(rest=False):
            await websocket.send_denial_response(Response(status_code=502))
            return
        ip = websocket.client.host if websocket.client else ""
        await websocket.accept()
        refusal = self._venue.refuse_socket(ip)
        if refusal is not None:
            await websocket.close(1008, refusal)
            return
        seat = self._venue.attach(ip)
        try:
            if self._venue.options.greeting:
                await websocket.send_text(_GREETING)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(websocket, seat), name=f"venue-read-{seat.link.index}")
                tasks.create_task(self._send(websocket, seat), name=f"venue-send-{seat.link.index}")
        except* (_Gone, WebSocketDisconnect):
            pass
        finally:
            self._venue.detach(seat)

    async def _read(self, websocket: WebSocket, seat: Seat) -> None:
        link = seat.link
        while True:
            message = await websocket.receive()
            if message["type"] != "websocket.receive":
                raise _Gone
            while link.half_open and link.closing is None:
                await self._clock.sleep(0.2)
            if link.closing is not None:
                continue  # the closing handshake is under way: the disconnect comes next
            link.traffic_ms = self._venue.now_ms()
            text = message.get("text")
            seat.session.hear(text if text is not None else "", self._venue.now_s())
            link.nudge(link.traffic_ms)

    async def _send(self, websocket: WebSocket, seat: Seat) -> None:
        link = seat.link
        while link.closing is None:
            await link.wake.wait()
            link.wake.clear()
            for outgoing in link.take_due(self._venue.now_ms()):
                await websocket.send({"type": "websocket.send", "text": outgoing.text})
                if outgoing.on_sent is not None:
                    outgoing.on_sent()
        self._venue.detach(seat)  # what it held is free (users: after a while), though the goodbye may take time
        if link.closing.code == 1006:
            abort_of(websocket.scope)()
            raise _Gone
        await websocket.close(link.closing.code, link.closing.reason)
