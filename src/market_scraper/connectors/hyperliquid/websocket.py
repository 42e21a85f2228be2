"""The venue's WebSocket side: sockets that stay open, within the limits of one IP.

What to send and when to give a connection up is the session's word; this module owns the sockets and the waiting.
Delays are venue time (the venue's limits run on it), the handshake's timeout is real time.
"""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidURI

from market_scraper.connectors.hyperliquid import limits
from market_scraper.connectors.hyperliquid.addresses import AddressTable
from market_scraper.connectors.hyperliquid.limits import Window
from market_scraper.connectors.hyperliquid.outage import Outage
from market_scraper.connectors.hyperliquid.reader import FrameReader
from market_scraper.connectors.hyperliquid.session import EXPIRES, Session, Timing
from market_scraper.connectors.hyperliquid.table import MarketTable
from market_scraper.connectors.hyperliquid.twins import Twins
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.values import Symbol
from market_scraper.ports.clock import Clock
from market_scraper.ports.sources import Heard, SocketLost, SocketOpened, VenueSocket

MAX_FRAME_BYTES = 16 * 2**20
"""Far above the largest real frame (all mids: some tens of kB; a block of a crash: thousands of prints)."""

SHORT_LIFE_S = 10.0
"""A connection that ends sooner counts as failed, even when closed cleanly: too many new ones end like that."""

CLOSE_S = 0.1
"""Real seconds granted to the closing handshake, a courtesy: a coin's tape waits for the next connection meanwhile."""

LONGEST_NAP_S = 3_600.0

LATE_S = 5.0
"""How late, in venue seconds, the venue may count a message or a connection after we sent or gave it up."""

BETWEEN_RENEWALS_S = 120.0
"""Sockets that are old at the same time are renewed one after the other: one replaces another's ears at a time."""

NOT_OPENED = (OSError, InvalidHandshake, InvalidMessage, InvalidURI, EOFError, TimeoutError)

FrameTap = Callable[[str, bytes], None]
"""Gets each frame's socket name and bytes, before it is read."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays before the next try: doubled with each failure, then cut by a random part, in venue seconds.

    All sockets together try so often while the venue is down: some 20 times in the first minute, of the 30 that the
    venue allows, so that every socket may come up as soon as one can.
    """

    first_s: float = 0.5
    last_s: float = 4.0
    jitter: float = 0.25  # at most this part is cut off

    def delay_s(self, failures: int, draw: float) -> float:
        """The delay after `failures` in a row (1 or more); `draw` is uniform in 0..1."""
        full_s = min(self.first_s * 2.0 ** min(failures - 1, 30), self.last_s)
        return full_s * (1.0 - self.jitter * draw)


class _ConnectionEnded(Exception):
    """The conversation is over. `calm`: nothing is wrong, connect again at once."""

    def __init__(self, reason: str, *, calm: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.calm = calm


class HyperliquidSockets:
    """Implements `ports.sources.VenueSockets`: all sockets of this program share the limits of its IP.

    A subscription beyond the venue's totals is refused by `want` with InvalidInput.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        table: MarketTable,
        handshake_s: float,
        timing: Timing | None = None,
        backoff: Backoff | None = None,
        user_slots: int = limits.USERS,
        on_frame: FrameTap | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.url = url
        self.clock = clock
        self.handshake_s = handshake_s
        self.backoff = backoff or Backoff()
        self.on_frame = on_frame
        self.draw = draw
        self.outage = Outage("hyperliquid_ws")
        self.messages = Window(limits.MESSAGES_PER_MINUTE)
        self._timing = timing or Timing()
        self._table = table
        self._addresses = AddressTable()
        self._twins = Twins()
        self._user_slots = user_slots
        self._connections = Window(limits.CONNECTIONS_PER_MINUTE)
        self._next_renewal_s = -math.inf
        self._trying = asyncio.Lock()
        self._failures = 0  # tries in a row that opened nothing, over all sockets
        self._sockets: dict[str, _Socket] = {}

    @asynccontextmanager
    async def open(self, name: str, on_heard: Callable[[Heard], None]) -> AsyncIterator[VenueSocket]:
        """Keep a socket open while in the block. `on_heard` is called at once, in order, and must not block."""
        if name in self._sockets:
            raise InvalidInput(f"a socket named {name!r} is open already")
        if len(self._sockets) >= limits.CONNECTIONS:
            raise InvalidInput(f"the venue allows {limits.CONNECTIONS} sockets")
        session = Session(self._timing)
        reader = FrameReader(session, self._table, self._addresses, self._twins)
        socket = _Socket(name, self, session, reader, on_heard)
        self._sockets[name] = socket
        try:
            async with asyncio.TaskGroup() as tasks:
                keeper = tasks.create_task(socket.run(), name=f"hyperliquid-{name}")
                yield socket
                keeper.cancel()
        except BaseExceptionGroup as group:
            if len(group.exceptions) == 1:  # the caller's own error leaves the block as it was raised
                raise group.exceptions[0] from None
            raise
        finally:
            del self._sockets[name]

    def check(self, name: str, subscriptions: Sequence[dict[str, object]]) -> None:
        """Refuse what would exceed the venue's totals over all sockets."""
        every = list(subscriptions)
        for other in self._sockets.values():
            if other.name != name:
                every.extend(other.wanted)
        if len(every) > limits.SUBSCRIPTIONS:
            raise InvalidInput(f"the venue allows {limits.SUBSCRIPTIONS} subscriptions, {len(every)} are wanted")
        users = {str(payload["user"]).lower() for payload in every if "user" in payload}
        if len(users) > self._user_slots:
            raise InvalidInput(f"the venue allows {self._user_slots} users, {len(users)} are wanted")

    def renewal_turn(self, now_s: float) -> float:
        """When a socket that is old may be renewed: now, or after those that came before it."""
        turn_s = max(now_s, self._next_renewal_s)
        self._next_renewal_s = turn_s + BETWEEN_RENEWALS_S
        return turn_s

    async def connect(self) -> ClientConnection:
        """Open a connection, however long that takes.

        While the venue is down one socket tries for all: four that each try for themselves spend the minute's count
        of new connections in twenty seconds, and are kept out for the rest of it when the venue is back.
        """
        if not self._failures:
            try:
                return await self._try()
            except NOT_OPENED as error:
                self._failures = self._failures or 1  # all that fail in this first moment count once
                self._note(error)
        async with self._trying:
            while True:
                if self._failures:
                    await self.clock.sleep(self.backoff.delay_s(self._failures, self.draw()))
                try:
                    connection = await self._try()
                except NOT_OPENED as error:
                    self._failures += 1
                    self._note(error)
                else:
                    self._failures = 0
                    return connection

    def _note(self, error: Exception) -> None:
        self.outage.failed(f"{type(error).__name__}: {error}"[:200])

    async def _try(self) -> ClientConnection:
        """Try once, as soon as the venue's count of new connections allows it."""
        while not self._connections.fits(now_s := self.clock.monotonic(), 1):
            eases_s = self._connections.eases_at()
            await self.clock.sleep(1.0 if eases_s is None else eases_s - now_s)
        self._connections.charge(1)
        try:
            # Compression is off: the venue's support is not established, and it costs more than loopback or LAN saves.
            # Its protocol pings are off too: the gateway answers them, so they prove nothing.
            return await connect(
                self.url,
                open_timeout=self.handshake_s,
                close_timeout=CLOSE_S,
                ping_interval=None,
                compression=None,
                max_size=MAX_FRAME_BYTES,
            )
        finally:
            self._connections.settle(self.clock.monotonic(), 1, 1, late_s=LATE_S)


class _Socket:
    """Implements `ports.sources.VenueSocket`."""

    def __init__(
        self,
        name: str,
        sockets: HyperliquidSockets,
        session: Session,
        reader: FrameReader,
        on_heard: Callable[[Heard], None],
    ) -> None:
        self._name = name
        self._sockets = sockets
        self._clock = sockets.clock
        self._session = session
        self._reader = reader
        self._on_heard = on_heard
        self._poked = asyncio.Event()
        self._asked: str | None = None  # why the owner wants a new connection
        self._log = structlog.get_logger(__name__).bind(socket=name)
        self.wanted: tuple[dict[str, object], ...] = ()

    @property
    def name(self) -> str:
        """As given to `open`."""
        return self._name

    def want(self, subscriptions: Sequence[dict[str, object]]) -> None:
        """Set what should be subscribed, in order of urgency; InvalidInput when the venue would refuse so many."""
        self._sockets.check(self._name, subscriptions)
        self.wanted = tuple(subscriptions)
        self._session.want(subscriptions)
        self._poked.set()

    def renew_trades(self, symbol: Symbol) -> None:
        """Unsubscribe and subscribe a coin's trades anew, to get a replay."""
        self._session.renew({"type": "trades", "coin": symbol})
        self._poked.set()

    def reconnect(self, reason: str) -> None:
        """Close and open again now; without a connection there is nothing to close."""
        self._asked = reason
        self._poked.set()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        failures = 0
        while True:
            connection = await self._sockets.connect()
            opened_s = self._clock.monotonic()
            ended = await self._talk(connection)
            lived_s = self._clock.monotonic() - opened_s
            failures = failures + 1 if lived_s < SHORT_LIFE_S else 0
            if not ended.calm or failures:
                await self._clock.sleep(self._sockets.backoff.delay_s(max(failures, 1), self._sockets.draw()))

    async def _talk(self, connection: ClientConnection) -> _ConnectionEnded:
        """Hold one conversation; the first half to end it ends both."""
        self._asked = None
        self._reader.opened()
        self._session.opened(self._clock.monotonic())
        self._on_heard(SocketOpened())
        ended = _ConnectionEnded("the program stops", calm=True)
        try:
            async with asyncio.TaskGroup() as halves:
                halves.create_task(self._read(connection), name=f"hyperliquid-{self._name}-read")
                halves.create_task(self._keep(connection), name=f"hyperliquid-{self._name}-keep")
        except* _ConnectionEnded as group:
            (ended, *_) = _leaves(group)
        finally:
            self._session.closed()
            self._on_heard(SocketLost(ended.reason))
            await self._close(connection, ended)
        self._log.info("socket_lost", reason=ended.reason)
        return ended

    async def _read(self, connection: ClientConnection) -> None:
        read, on_heard, monotonic = self._reader.read, self._on_heard, self._clock.monotonic
        tap, notes, session = self._sockets.on_frame, self._reader.notes, self._session
        first = True
        try:
            while True:
                data = await connection.recv(decode=False)
                if tap is not None:
                    tap(self._name, data)
                heard = read(data, monotonic())
                on_heard(heard)
                if first:
                    first = False
                    self._sockets.outage.answered()
                if session.stirred:
                    self._poked.set()
                if notes:
                    for note in notes:
                        self._log.warning("frame_noted", note=note)
                    notes.clear()
        except ConnectionClosed as error:
            raise _ended_by(error) from error

    async def _keep(self, connection: ClientConnection) -> None:
        """Send what the session wants sent, and end the conversation when it or the owner says so."""
        renewing = False
        while True:
            self._poked.clear()
            if self._asked is not None:
                raise _ConnectionEnded(self._asked, calm=True)
            now_s = self._clock.monotonic()
            verdict = self._session.verdict(now_s)
            if verdict == EXPIRES and not renewing and (turn_s := self._sockets.renewal_turn(now_s)) > now_s:
                renewing = True
                self._session.postpone_renewal(turn_s)
            elif verdict is not None:
                raise _ConnectionEnded(verdict, calm=True)
            try:
                for message in self._session.due(now_s):
                    await self._send(connection, message)
            except ConnectionClosed as error:
                raise _ended_by(error) from error
            nap_s = self._session.next_at(now_s) - self._clock.monotonic()
            try:
                async with self._clock.timeout(min(max(nap_s, 0.01), LONGEST_NAP_S)):
                    await self._poked.wait()
            except TimeoutError:
                pass  # the session's next moment has come

    async def _send(self, connection: ClientConnection, message: dict[str, object]) -> None:
        messages = self._sockets.messages
        while not messages.fits(now_s := self._clock.monotonic(), 1):
            eases_s = messages.eases_at()
            await self._clock.sleep(1.0 if eases_s is None else eases_s - now_s)
        messages.charge(1)
        messages.settle(now_s, 1, 1, late_s=LATE_S)
        await connection.send(msgspec.json.encode(message).decode())

    async def _close(self, connection: ClientConnection, ended: _ConnectionEnded) -> None:
        """Say goodbye to who may hear it; drop who was silent."""
        if ended.reason.startswith("silent"):
            connection.transport.abort()
            return
        await connection.close()


def _ended_by(error: ConnectionClosed) -> _ConnectionEnded:
    close = error.rcvd
    if close is None:
        return _ConnectionEnded("the connection broke", calm=False)
    return _ConnectionEnded(f"closed by the venue: {close.code} {close.reason}".rstrip(), calm=close.code == 1000)


def _leaves(group: BaseExceptionGroup[_ConnectionEnded]) -> list[_ConnectionEnded]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]
