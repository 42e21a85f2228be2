"""The paper venue as a program of its own: it serves the venue's paths on one port, for any client.

`/info`, `/Mainnet/leaderboard` and `/ws` are the venue's; the Bitcoin on-chain hosts are served under their own paths
(see `onchain.hosts`); `/_truth`, `/_truth/{traders,activity,off_tape,onchain}`, `/_stats`
and `/_control` are ours (see `control`).
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from market_scraper.ports.clock import Clock
from market_scraper.simulator.control import Control
from market_scraper.simulator.http import HttpDoor
from market_scraper.simulator.onchain import OnChainHosts
from market_scraper.simulator.options import VenueOptions
from market_scraper.simulator.transport import AbortableWebSocket
from market_scraper.simulator.venue import Venue
from market_scraper.simulator.websocket import SocketDoor
from market_scraper.simulator.world import World

_TICK_REAL_S = 0.02  # how often the feed wakes
_KEEP_ALIVE_S = 75  # real seconds; an idle REST connection is closed after it
_GRACE_S = 1  # real seconds that answers under way get when the venue closes


class _Server(uvicorn.Server):
    """A server that leaves signals to the program around it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    """Bind and listen. The protocol is named, for asyncio turns Nagle's delay (40 ms an answer) off only then."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


class PaperVenue:
    """A running paper venue: `async with PaperVenue(options, clock) as venue`, then `venue.url`."""

    def __init__(self, options: VenueOptions, clock: Clock, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._options = options
        self._clock = clock
        self._host = host
        self._wanted_port = port

    async def __aenter__(self) -> Self:
        """Listen and build the world. Raises OSError when the port is taken, ValueError for an impossible world."""
        self._socket = _listen(self._host, self._wanted_port)
        self.port: int = self._socket.getsockname()[1]
        try:
            self.venue = Venue(self._options, self._clock)
        except BaseException:
            self._socket.close()
            raise
        config = uvicorn.Config(
            self._routes(),
            ws=AbortableWebSocket,
            ws_ping_interval=None,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="venue-server")
        self._feeding = asyncio.create_task(self._feed(), name="venue-feed")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cut all sockets and stop; raises what broke the feed, if anything did."""
        for seat in list(self.venue.seats.values()):
            seat.link.close(1006, "stopped")
        self._server.should_exit = True
        await self._serving
        self._feeding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._feeding

    def _routes(self) -> Starlette:
        http, sockets = HttpDoor(self.venue, self._clock), SocketDoor(self.venue, self._clock)
        hosts = OnChainHosts(self._options.seed, self._clock, lambda: self.venue.faults.in_force(self.venue.now_ms()))
        control = Control(self.venue, hosts.stats)
        return Starlette(
            routes=[
                Route("/info", http.info, methods=["POST"]),
                Route("/Mainnet/leaderboard", http.leaderboard, methods=["GET"]),
                WebSocketRoute("/ws", sockets.serve),
                Route("/_truth", control.truth, methods=["GET"]),
                Route("/_truth/traders", control.traders, methods=["GET"]),
                Route("/_truth/activity", control.activity, methods=["GET"]),
                Route("/_truth/off_tape", control.off_tape, methods=["GET"]),
                Route("/_stats", control.stats, methods=["GET"]),
                Route("/_control", control.control, methods=["POST"]),
                *hosts.routes(),
            ]
        )

    async def _feed(self) -> None:
        tick_s = _TICK_REAL_S * self._options.speed
        while True:
            self.venue.step()
            await self._clock.sleep(tick_s)

    @property
    def world(self) -> World:
        """The truth."""
        return self.venue.world

    @property
    def url(self) -> str:
        """The REST base, as `HYPERLIQUID__API_URL` wants it."""
        return f"http://{self._host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """As `HYPERLIQUID__WS_URL` wants it."""
        return f"ws://{self._host}:{self.port}/ws"

    @property
    def leaderboard_url(self) -> str:
        """As `HYPERLIQUID__LEADERBOARD_URL` wants it."""
        return f"{self.url}/Mainnet/leaderboard"

    async def wait(self) -> None:
        """Serve until cancelled; raises what broke the feed or the server."""
        await asyncio.wait({self._feeding, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        for task in (self._feeding, self._serving):
            if task.done():
                task.result()


async def run(
    options: VenueOptions,
    clock: Clock,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    on_ready: Callable[[PaperVenue], None] | None = None,
) -> None:
    """Serve until cancelled; `on_ready` is called once when the port listens."""
    async with PaperVenue(options, clock, host=host, port=port) as venue:
        if on_ready is not None:
            on_ready(venue)
        await venue.wait()
