"""`/ws` with a real client on a real port."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from market_scraper.api.serving import serving
from market_scraper.domain.errors import BusUnreachable
from market_scraper.domain.events import Event, PositionChanged, SignalGenerated
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.bus import Envelope, Inbox
from tests.unit.api.parts import ANN, EVE, NOW_MS, World, changed, full_world, position, signal

PATIENCE_S = 10


class Running:
    """A served world."""

    def __init__(self, world: World, port: int) -> None:
        self.world = world
        self.port = port
        self.version = 1

    def connect(self, query: str = "channel=traders", **options: Any) -> connect:
        return connect(f"ws://127.0.0.1:{self.port}/ws?{query}", proxy=None, **options)

    async def change(self, lots: int, trader: str = ANN) -> None:
        self.version += 1
        fact = position(trader, lots=lots, version=self.version)  # type: ignore[arg-type]
        await self.world.bus.publish([changed(fact)])


@asynccontextmanager
async def run(**options: Any) -> AsyncIterator[Running]:
    world = await full_world(**options)
    async with world.bus, serving(world.app, "127.0.0.1", 0) as port:
        yield Running(world, port)


async def receive(socket: ClientConnection) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        return json.loads(await socket.recv())


async def test_both_channels_deliver_after_a_hello_with_the_newest_number() -> None:
    async with run() as server, server.connect() as traders, server.connect("channel=signals") as signals:
        hello = await receive(traders)
        assert (hello["type"], hello["channel"]) == ("hello", "traders")
        assert (await receive(signals))["type"] == "hello"

        await server.change(50_000)
        await server.change(60_000, EVE)  # seen on the tape only: not pushed
        await server.world.bus.publish([SignalGenerated(known_at_ms=NOW_MS, signal=signal(5))])
        await server.change(0)

        first, second, told = await receive(traders), await receive(traders), await receive(signals)
    assert [m["data"]["size"] for m in (first, second)] == [0.5, 0]
    assert hello["seq"] < first["seq"] < told["seq"] < second["seq"]
    assert (told["type"], told["data"]["id"]) == ("signal", f"{5:024x}")


async def test_a_client_resumes_with_each_missed_message_once() -> None:
    async with run() as server:
        async with server.connect() as socket:
            await receive(socket)
            await server.change(1)
            seen = (await receive(socket))["seq"]
        for lots in (2, 3):
            await server.change(lots)
        async with server.connect(f"channel=traders&last_seq={seen}") as socket:
            assert (await receive(socket))["type"] == "hello"
            await server.change(4)
            sizes = [(await receive(socket))["data"]["size"] for _ in range(3)]
    assert sizes == [2e-5, 3e-5, 4e-5]


async def test_after_a_restart_there_is_one_gap_and_then_higher_numbers() -> None:
    reserve = reserve_in_memory()
    async with run(bus=MemoryBus(reserve)) as server, server.connect() as socket:
        await receive(socket)
        await server.change(1)
        seen = (await receive(socket))["seq"]
    async with (
        run(bus=MemoryBus(reserve)) as server,
        server.connect(f"channel=traders&last_seq={seen}") as socket,
    ):
        hello, gap = await receive(socket), await receive(socket)
        await server.change(2)
        message = await receive(socket)

    assert (hello["type"], gap["type"], gap["last_seq"]) == ("hello", "gap", seen)
    assert message["type"] == "position"
    assert seen < gap["seq"] < message["seq"]


async def test_hellos_number_can_be_resumed_from_even_before_the_first_message() -> None:
    async with run() as server:
        async with server.connect() as socket:
            seq = (await receive(socket))["seq"]
        await server.change(1)
        async with server.connect(f"channel=traders&last_seq={seq}") as socket:
            assert [(await receive(socket))["type"] for _ in range(2)] == ["hello", "position"]


async def test_any_followed_trader_can_be_asked_for() -> None:
    async with run() as server, server.connect(f"channel=traders&address={EVE}&symbol=btc") as socket:
        await receive(socket)
        await server.change(1, ANN)
        await server.change(2, EVE)
        assert (await receive(socket))["data"]["address"] == EVE


@pytest.mark.parametrize("said", ["ping", '{"type":"ping"}', '{"method":"ping"}', b"ping"])
async def test_a_ping_is_answered_and_nonsense_is_not(said: str | bytes) -> None:
    async with run() as server, server.connect() as socket:
        await receive(socket)
        for nonsense in ("hello?", "[" * 50_000, b"\xff\xfe", '{"type":{}}'):
            await socket.send(nonsense)
        await socket.send(said)
        assert (await receive(socket))["type"] == "pong"


async def test_silence_of_the_market_does_not_cut_a_client_and_heartbeats_tell_it_so() -> None:
    async with run(heartbeat_s=0.05) as server, server.connect() as socket:
        await receive(socket)
        await server.world.clock.advance(300)  # five minutes of the venue
        beats = [await receive(socket) for _ in range(3)]
        await server.change(1)
        while (message := await receive(socket))["type"] == "heartbeat":
            pass
    assert {beat["type"] for beat in beats} == {"heartbeat"}
    assert message["type"] == "position"


@pytest.mark.parametrize(
    "query",
    ["", "channel=trades", "channel=traders&symbol=DOGE", "channel=traders&address=0x1", "channel=signals&last_seq=-1"],
)
async def test_a_bad_question_is_closed_with_1008_and_a_reason(query: str) -> None:
    async with run() as server, server.connect(query) as socket:
        with pytest.raises(ConnectionClosed):
            await receive(socket)
    assert socket.close_code == 1008
    assert socket.close_reason


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
    ],
)
async def test_foreign_pages_and_foreign_names_are_refused_at_the_handshake(headers: dict[str, str]) -> None:
    async with run() as server:
        url = f"GET /ws?channel=traders HTTP/1.1\r\nHost: {headers.get('Host', f'127.0.0.1:{server.port}')}\r\n"
        url += f"Origin: {headers['Origin']}\r\n" if "Origin" in headers else ""
        url += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        url += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(url.encode())
        async with asyncio.timeout(PATIENCE_S):
            status = await reader.readline()
        writer.close()
    assert status.split()[1] == b"403"


async def test_our_own_page_may_connect_and_others_see_the_reason() -> None:
    async with run() as server:
        async with server.connect(origin=f"http://127.0.0.1:{server.port}") as socket:
            assert (await receive(socket))["type"] == "hello"
        with pytest.raises(InvalidStatus) as refused:
            async with server.connect(origin="http://evil.example"):
                pass
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body or b"")["code"] == "foreign_origin"


async def test_one_that_does_not_read_loses_its_own_and_holds_up_nobody() -> None:
    async with run() as server, server.connect() as brisk, server.connect(max_queue=1) as slow:
        await receive(brisk)
        number = 12_000
        for start in range(0, number, 500):
            facts: list[PositionChanged] = [
                changed(position(ANN, lots=start + n + 1, version=start + n)) for n in range(500)
            ]
            await server.world.bus.publish(facts)
            for _ in facts:
                last = await receive(brisk)
        assert last["data"]["size"] == number / 1e5

        sizes: list[float] = []
        dropped = 0
        await receive(slow)
        while not sizes or sizes[-1] != number / 1e5:
            message = await receive(slow)
            if message["type"] == "dropped":
                dropped += message["count"]
            elif message["type"] == "position":
                sizes.append(message["data"]["size"])
    assert dropped > 0
    assert dropped + len(sizes) == number
    assert sizes == sorted(set(sizes))


async def test_stopping_says_goodbye_with_1001_and_does_not_wait_for_one_that_does_not_read() -> None:
    number = 20_000  # more than the kernel's buffers hold
    async with run() as server:
        socket, stuck = await server.connect(), await server.connect(max_queue=1)
        await receive(socket)
        for start in range(0, number, 500):
            facts = [changed(position(ANN, lots=start + n + 1, version=start + n)) for n in range(500)]
            await server.world.bus.publish(facts)
        while True:
            message = await receive(socket)
            if message["type"] == "position" and message["data"]["size"] == number / 1e5:
                break
        reading = asyncio.create_task(_read_on(socket))
    async with asyncio.timeout(PATIENCE_S):
        await reading
    stuck.transport.abort()
    assert (socket.close_code, socket.close_reason) == (1001, "the server stops")


class BrokenBus(MemoryBus):
    """A bus whose followers fail when told to."""

    def __init__(self) -> None:
        super().__init__(reserve_in_memory())
        self.breaks = asyncio.Event()

    @asynccontextmanager
    async def follow(self, *kinds: type[Event], size: int = 10_000) -> AsyncIterator[Inbox]:
        async with super().follow(*kinds, size=size):
            yield BrokenInbox(self.breaks)


class BrokenInbox:
    def __init__(self, breaks: asyncio.Event) -> None:
        self.breaks = breaks

    async def take(self, limit: int = 500) -> Sequence[Envelope]:
        await self.breaks.wait()
        raise BusUnreachable("gone")

    def ack(self, envelopes: Sequence[Envelope]) -> None: ...

    def retry(self, envelopes: Sequence[Envelope]) -> None: ...

    async def park(self, envelope: Envelope, reason: str) -> None: ...


async def test_our_own_failure_is_not_taken_for_a_quiet_market() -> None:
    bus = BrokenBus()
    async with run(bus=bus) as server:
        async with server.connect() as socket:
            await receive(socket)
            bus.breaks.set()
            async with asyncio.timeout(PATIENCE_S):
                await _read_on(socket)
        async with httpx2.AsyncClient() as client:
            alive = await client.get(f"http://127.0.0.1:{server.port}/health/live")
    assert socket.close_code == 1001
    assert alive.status_code == 200


async def _read_on(socket: ClientConnection) -> None:
    with suppress(ConnectionClosed):
        async for _ in socket:
            pass
