"""The real WebSocket client against a small venue of our own, over loopback."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from socket import socket as tcp_socket
from typing import Any

import pytest
import structlog
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from market_scraper.connectors.hyperliquid import HyperliquidSockets, MarketTable, Timing
from market_scraper.connectors.hyperliquid.websocket import Backoff
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.market import Market
from market_scraper.domain.values import Symbol
from market_scraper.ports.sources import (
    FrameLost,
    Heard,
    PrintsHeard,
    PulseHeard,
    SocketLost,
    SocketOpened,
    TradesSubscribed,
)
from market_scraper.runtime.clock import ScaledClock
from tests.integration.connectors.ears import Ears

BTC = Symbol("BTC")
TRADES: dict[str, object] = {"type": "trades", "coin": "BTC"}
MIDS: dict[str, object] = {"type": "allMids"}

PATIENT = Timing(quiet_s=1e6, ping_s=1e6, pong_s=1e6, unconfirmed_s=1e6)
"""For venue time that runs fast: a busy machine's pause must not look like a silent venue."""


def print_frame(tid: int) -> str:
    users = ["0x" + "ab" * 20, "0x" + "cd" * 20]
    match = {
        "coin": "BTC",
        "side": "B",
        "px": "1.0",
        "sz": "0.1",
        "time": 1700000000000 + tid,
        "tid": tid,
        "users": users,
    }
    return json.dumps({"channel": "trades", "data": [match]})


class Venue:
    """Confirms subscriptions, replays one print on each, answers pings; tests script the rest."""

    def __init__(self) -> None:
        self.connections: list[ServerConnection] = []
        self.received: list[dict[str, Any]] = []
        self.tids = itertools.count(1)
        self.greet: Callable[[ServerConnection], Awaitable[None]] | None = None
        self.mute = False
        self.url = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["Venue"]:
        async with serve(self.talk, "127.0.0.1", 0) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
            yield self

    async def talk(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        await connection.send("Websocket connection established.")
        if self.greet is not None:
            await self.greet(connection)
        async for raw in connection:
            message = json.loads(raw)
            self.received.append(message)
            if self.mute:
                continue
            if message["method"] == "ping":
                await connection.send('{"channel":"pong"}')
                continue
            echo = {"method": message["method"], "subscription": message["subscription"] | {"extra": None}}
            await connection.send(json.dumps({"channel": "subscriptionResponse", "data": echo}))
            if message["method"] == "subscribe" and message["subscription"]["type"] == "trades":
                await connection.send(print_frame(next(self.tids)))

    def subscribes(self) -> list[dict[str, Any]]:
        return [message["subscription"] for message in self.received if message["method"] == "subscribe"]


def sockets(url: str, *, speed: float = 1.0, **options: Any) -> HyperliquidSockets:
    table = MarketTable([BTC])
    table.learn([Market(symbol=BTC, sz_decimals=5, max_leverage=40)])
    return HyperliquidSockets(url, clock=ScaledClock(speed=speed), table=table, handshake_s=5.0, **options)


def socket_of_nobody() -> tcp_socket:
    """A port that refuses connections and stays ours: bound, and nobody listens yet."""
    held = tcp_socket()
    held.bind(("127.0.0.1", 0))
    return held


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    async with Venue().serve() as served:
        yield served


@pytest.fixture
def ears() -> Ears:
    return Ears()


async def test_what_is_wanted_is_heard_and_the_first_frame_is_the_replay(venue: Venue, ears: Ears) -> None:
    async with sockets(venue.url).open("tape-1", ears) as socket:
        socket.want([TRADES, MIDS])
        await ears.of(PrintsHeard)
        await venue.connections[0].send(print_frame(99))
        first, second = await ears.of(PrintsHeard, 2)
    assert isinstance(first, PrintsHeard)
    assert isinstance(second, PrintsHeard)
    assert (first.replay, second.replay) == (True, False)
    order = [type(heard) for heard in ears.heard]
    assert order[0] is SocketOpened
    assert order.index(TradesSubscribed) < order.index(PrintsHeard)
    assert order[-1] is SocketLost
    assert venue.subscribes() == [TRADES, MIDS]


async def test_a_broken_connection_is_opened_again_and_subscribed_anew(venue: Venue, ears: Ears) -> None:
    async with sockets(venue.url, speed=20.0, timing=PATIENT).open("tape-1", ears) as socket:
        socket.want([TRADES])
        for number in range(1, 4):
            await ears.of(PrintsHeard, number)
            venue.connections[-1].transport.abort()
            await ears.of(SocketLost, number)
        await ears.of(PrintsHeard, 4)
    assert [heard.replay for heard in ears.all(PrintsHeard) if isinstance(heard, PrintsHeard)] == [True] * 4


async def test_a_clean_close_after_a_while_is_followed_at_once(venue: Venue, ears: Ears) -> None:
    endless = Backoff(first_s=1e6, last_s=1e6)
    async with sockets(venue.url, speed=1_000.0, backoff=endless, timing=PATIENT).open("tape-1", ears) as socket:
        socket.want([TRADES])
        await ears.of(PrintsHeard)
        await asyncio.sleep(0.02)  # 20 venue seconds
        await venue.connections[0].close(1000, "Expired")
        await ears.of(PrintsHeard, 2)
    lost = ears.all(SocketLost)[0]
    assert isinstance(lost, SocketLost)
    assert lost.reason == "closed by the venue: 1000 Expired"


async def test_sockets_that_are_closed_at_once_do_not_spiral(venue: Venue, ears: Ears) -> None:
    async def slam(connection: ServerConnection) -> None:
        await connection.close(1000)

    venue.greet = slam
    clock = ScaledClock(speed=10.0)
    started_s = clock.monotonic()
    async with sockets(venue.url, speed=10.0, draw=lambda: 0.0, timing=PATIENT).open("tape-1", ears):
        await ears.of(SocketLost, 5)
    assert clock.monotonic() - started_s >= 0.5 + 1 + 2 + 4


async def test_the_delay_between_tries_really_waits_and_it_never_gives_up(ears: Ears) -> None:
    delays = [Backoff().delay_s(failures, draw) for failures in (1, 2, 5, 50, 10_000) for draw in (0.0, 1.0)]
    assert delays == [0.5, 0.375, 1.0, 0.75, 4.0, 3.0, 4.0, 3.0, 4.0, 3.0]


async def test_an_unreachable_venue_is_told_once_and_its_return_once(ears: Ears) -> None:
    failures = 0
    thrice = asyncio.Event()

    def draw() -> float:
        nonlocal failures
        failures += 1
        if failures == 3:
            thrice.set()
        return 0.0

    with socket_of_nobody() as held, structlog.testing.capture_logs() as logs:
        url = f"ws://127.0.0.1:{held.getsockname()[1]}/ws"
        quick = Backoff(first_s=0.01, last_s=0.01)
        async with sockets(url, backoff=quick, draw=draw).open("tape-1", ears) as socket:
            socket.want([TRADES])
            async with asyncio.timeout(20):
                await thrice.wait()
            async with serve(Venue().talk, sock=held):
                await ears.of(PrintsHeard)
    events = [entry["event"] for entry in logs if entry["event"].startswith("source")]
    assert events == ["source_down", "source_back"]


async def test_while_the_venue_is_down_one_socket_tries_for_all_so_that_all_are_up_as_soon_as_it_is_back() -> None:
    speed, tries, is_down = 20.0, 0, True
    thrown_out = asyncio.Event()

    def answer(connection: ServerConnection, _request: Request) -> Response | None:
        nonlocal tries
        tries += 1
        if tries == 12:
            thrown_out.set()
        return connection.respond(502, "down") if is_down else None

    clock = ScaledClock(speed=speed)
    async with serve(Venue().talk, "127.0.0.1", 0, process_request=answer) as server, AsyncExitStack() as stack:
        pool = sockets(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws", speed=speed, draw=lambda: 0.5)
        every = [Ears() for _ in range(4)]
        for number, ears in enumerate(every):
            await stack.enter_async_context(pool.open(f"tape-{number}", ears))
        async with asyncio.timeout(20):
            await thrown_out.wait()  # four, and then one after the other: half a minute
        is_down = False
        back_s = clock.monotonic()
        for ears in every:
            await ears.of(SocketOpened)
        assert clock.monotonic() - back_s < 20
    assert tries <= 18


async def test_no_more_than_thirty_new_connections_a_minute_over_all_sockets(venue: Venue, ears: Ears) -> None:
    async def slam(connection: ServerConnection) -> None:
        await connection.close(1000)

    venue.greet = slam
    quick = Backoff(first_s=0.0, last_s=0.0)
    pool = sockets(venue.url, backoff=quick)
    async with pool.open("a", ears), pool.open("b", ears), pool.open("c", ears):
        await ears.of(SocketLost, 30)
        await asyncio.sleep(0.2)
    assert len(venue.connections) == 30


async def test_a_mute_venue_is_left_for_a_new_connection(venue: Venue, ears: Ears) -> None:
    timing = Timing(quiet_s=0.4, pong_s=0.4)
    async with sockets(venue.url, timing=timing).open("tape-1", ears) as socket:
        socket.want([TRADES])
        await ears.of(PrintsHeard)
        venue.mute = True
        lost = (await ears.of(SocketLost))[0]
        venue.mute = False
        await ears.of(PrintsHeard, 2)
    assert isinstance(lost, SocketLost)
    assert lost.reason.startswith("silent")


async def test_a_quiet_connection_is_kept_by_pings(venue: Venue, ears: Ears) -> None:
    timing = Timing(ping_s=0.05, quiet_s=0.05, pong_s=5.0)
    async with sockets(venue.url, timing=timing).open("tape-1", ears):
        await ears.of(PulseHeard, 5)
    assert [message["method"] for message in venue.received].count("ping") >= 3
    assert len(venue.connections) == 1


async def test_a_renewal_brings_a_replay_and_ends_the_stretch_before(venue: Venue, ears: Ears) -> None:
    async with sockets(venue.url).open("tape-1", ears) as socket:
        socket.want([TRADES])
        await ears.of(PrintsHeard)
        socket.renew_trades(BTC)
        await ears.of(PrintsHeard, 2)
    kinds = [type(heard) for heard in ears.heard if not isinstance(heard, PulseHeard)]
    replay = [TradesSubscribed, PrintsHeard]
    assert kinds == [SocketOpened, *replay, FrameLost, *replay, SocketLost]


async def test_sockets_of_one_age_are_renewed_one_after_the_other(venue: Venue) -> None:
    timing = Timing(max_age_s=10.0, quiet_s=1e6, ping_s=1e6, pong_s=1e6)
    pool = sockets(venue.url, speed=100.0, timing=timing)
    clock = ScaledClock(speed=100.0)
    lost_s: list[float] = []

    def note(heard: Heard) -> None:
        if isinstance(heard, SocketLost) and heard.reason == "renewed before it expires":
            lost_s.append(clock.monotonic())
            if len(lost_s) == 2:
                done.set()

    done = asyncio.Event()
    async with pool.open("a", note), pool.open("b", note), asyncio.timeout(20):
        await done.wait()
    assert lost_s[1] - lost_s[0] >= 119.0


async def test_the_owner_can_ask_for_a_new_connection(venue: Venue, ears: Ears) -> None:
    async with sockets(venue.url).open("tape-1", ears) as socket:
        socket.want([TRADES])
        await ears.of(PrintsHeard)
        socket.reconnect("silent trades")
        await ears.of(PrintsHeard, 2)
    assert len(venue.connections) == 2


async def test_an_unreadable_frame_is_a_loss_and_not_an_end(venue: Venue, ears: Ears) -> None:
    async with sockets(venue.url).open("tape-1", ears) as socket:
        socket.want([TRADES])
        await ears.of(PrintsHeard)
        await venue.connections[0].send(print_frame(5)[:60])
        await venue.connections[0].send("{")
        lost = await ears.of(FrameLost, 2)
        await venue.connections[0].send(print_frame(6))
        await ears.of(PrintsHeard, 2)
    assert [heard.symbol for heard in lost if isinstance(heard, FrameLost)] == ["BTC", None]
    assert len(venue.connections) == 1


async def test_the_tap_gets_every_frame_as_it_came(venue: Venue, ears: Ears) -> None:
    taken: list[tuple[str, bytes]] = []
    pool = sockets(venue.url, on_frame=lambda name, data: taken.append((name, data)))
    async with pool.open("tape-1", ears) as socket:
        socket.want([TRADES])
        await ears.of(PrintsHeard)
    assert taken[0] == ("tape-1", b"Websocket connection established.")
    assert taken[-1][1] == print_frame(1).encode()


async def test_more_than_the_venue_allows_is_refused_before_it_is_asked(venue: Venue) -> None:
    pool = sockets(venue.url, user_slots=2)
    users: list[dict[str, object]] = [{"type": "clearinghouseState", "user": f"0x{n:040x}"} for n in range(3)]
    async with pool.open("a", Ears()) as one, pool.open("b", Ears()) as two:
        one.want(users[:2])
        two.want(users[:1])
        with pytest.raises(InvalidInput):
            two.want(users[2:])
        with pytest.raises(InvalidInput):
            one.want([{"type": "trades", "coin": f"C{n}"} for n in range(1_001)])
        with pytest.raises(InvalidInput):
            async with pool.open("a", Ears()):
                pass


async def test_the_callers_own_error_leaves_the_block_as_it_is(venue: Venue, ears: Ears) -> None:
    with pytest.raises(InvalidInput):
        async with sockets(venue.url).open("tape-1", ears):
            raise InvalidInput("mine")
