"""Serving the application with uvicorn inside our event loop; whoever starts it owns the signals."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI

from market_scraper.api.deps import ApiState
from market_scraper.domain.errors import ConfigError
from market_scraper.ports.clock import Clock

# Real seconds.
GOODBYE_S = 2.0  # WebSocket clients get this long to take the close frame
REQUESTS_S = 1  # and requests under way this long to end
PING_EVERY_S = 20.0
PONG_WITHIN_S = 60.0  # generous: a client that reads slowly answers late, and loses only its own messages
LOOK_EVERY_S = 0.02
BACKLOG = 2048


async def run_server(app: FastAPI, host: str, port: int) -> None:
    """Serve until cancelled, then stop as `serving` does. Raises ConfigError when the address cannot be had."""
    async with serving(app, host, port):
        await asyncio.Event().wait()


@asynccontextmanager
async def serving(app: FastAPI, host: str, port: int) -> AsyncIterator[int]:
    """Serve while in the block; gives the port (useful with port 0). Raises ConfigError.

    Leaving it closes WebSockets with 1001, lets requests under way end, and frees the port.
    """
    listeners = bind(host, port)
    state: ApiState = app.state.api
    bound = int(listeners[0].getsockname()[1])
    server = _Server(
        uvicorn.Config(
            app,
            access_log=False,  # /metrics counts answers by route
            log_config=None,  # logging is the program's
            lifespan="on",
            loop="none",
            proxy_headers=False,  # the write guard must see the true peer
            server_header=False,
            timeout_graceful_shutdown=REQUESTS_S,
            ws_ping_interval=PING_EVERY_S,
            ws_ping_timeout=PONG_WITHIN_S,
            ws_max_size=64 * 1024,  # clients have little to say
            ws_per_message_deflate=False,  # one encoding is shared by all clients; compression would be one each
        )
    )
    task = asyncio.create_task(server.serve(sockets=listeners), name="http-server")
    try:
        await _until_started(state.deps.real_clock, server, task)
        yield bound
    finally:
        await _stop(state, server, task)
        for listener in listeners:
            listener.close()


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets for every address of `host`, all on one port. Raises ConfigError that names the setting."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError, OverflowError) as error:
        raise ConfigError(f"API_HOST, API_PORT: cannot listen on {host}:{port}: {error}") from error
    listeners: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            at = (address[0], port or (listeners[0].getsockname()[1] if listeners else 0), *address[2:])
            listener = socket.socket(family, kind, protocol)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(at)
            listener.listen(BACKLOG)
            listener.setblocking(False)
    except OSError as error:
        for listener in listeners:
            listener.close()
        raise ConfigError(_why(host, port, error)) from error
    return listeners


def _why(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"API_PORT: {host}:{port} is in use by another program; stop it or choose another port"
        case errno.EACCES:
            return f"API_PORT: this user may not listen on {host}:{port}; choose a port above 1023"
        case errno.EADDRNOTAVAIL:
            return f"API_HOST: {host} is no address of this machine"
        case _:
            return f"API_HOST, API_PORT: cannot listen on {host}:{port}: {error}"


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program."""
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop; a failed start is an error here, not the end of the program."""
        try:
            await super().serve(sockets)
        except SystemExit as error:
            raise RuntimeError("the HTTP server could not start; its log says why") from error


async def _until_started(clock: Clock, server: _Server, task: "asyncio.Task[None]") -> None:
    """Wait until requests are answered; raise what kept the server from starting."""
    while not server.started:
        if task.done():
            task.result()
            raise RuntimeError("the HTTP server ended before it had started")
        await clock.sleep(LOOK_EVERY_S)


async def _stop(state: ApiState, server: _Server, task: "asyncio.Task[None]") -> None:
    clock = state.deps.real_clock
    state.hub.close()
    give_up_at = clock.monotonic() + GOODBYE_S
    while any(state.hub.clients().values()) and clock.monotonic() < give_up_at:
        await clock.sleep(LOOK_EVERY_S)
    server.should_exit = True
    await asyncio.gather(task, return_exceptions=True)
