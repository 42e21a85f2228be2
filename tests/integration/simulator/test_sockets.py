"""Sockets over a real connection: what ends them, what silences them, and the order of what they bring."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import websockets

from market_scraper.simulator.faults import Outage
from market_scraper.simulator.lateness import TIDY
from tests.integration.simulator.conftest import SMALL, Start, channel, control, frames, subscribe


async def closed(socket: websockets.ClientConnection, within_s: float = 10.0) -> tuple[int, str]:
    """Read to the end; how it ended (1006 = without a close frame)."""
    async with asyncio.timeout(within_s):
        await socket.wait_closed()
    return socket.close_code or 0, socket.close_reason or ""


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something inside the venue, which tells nobody."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_client_gets_what_it_subscribed_to(start: Start) -> None:
    venue = await start(speed=5.0)
    wanted: list[dict[str, object]] = [
        {"type": "trades", "coin": "BTC"},
        {"type": "bbo", "coin": "BTC"},
        {"type": "candle", "coin": "BTC", "interval": "1m"},
        {"type": "allMids"},
        {"type": "activeAssetCtx", "coin": "BTC"},
        {"type": "clearinghouseState", "user": "0x" + "0" * 40},
        {"type": "userFills", "user": "0x" + "0" * 40},
    ]
    async with websockets.connect(venue.ws_url) as socket:
        assert await socket.recv() == "Websocket connection established."
        for subscription in wanted:
            await subscribe(socket, **subscription)
        seen: dict[str, list[Any]] = {}

        def everything(frame: Any) -> bool:
            seen.setdefault(frame["channel"], []).append(frame)
            return len(seen) == 8 and len(seen["allMids"]) > 2

        heard = await frames(socket, everything)
    echoes = [frame["data"]["subscription"]["type"] for frame in seen["subscriptionResponse"]]
    assert echoes == [subscription["type"] for subscription in wanted]
    for subscription in wanted:  # nothing of a channel comes before its echo
        kinds = [
            frame["data"]["subscription"]["type"] if frame["channel"] == "subscriptionResponse" else frame["channel"]
            for frame in heard
        ]
        place = kinds.index(str(subscription["type"]))
        assert heard[place]["channel"] == "subscriptionResponse"
    assert seen["userFills"][0]["data"]["isSnapshot"] is True


async def test_two_sockets_bring_the_same_prints_each_in_its_own_time(start: Start) -> None:
    venue = await start(speed=10.0)
    for_s = 20.0

    async def listen() -> list[int]:
        tids: dict[int, None] = {}
        async with websockets.connect(venue.ws_url) as socket:
            await subscribe(socket, type="trades", coin="BTC")
            heard = await frames(
                socket,
                lambda frame: frame["channel"] == "trades" and frame["data"][-1]["time"] > until_ms,
            )
        for frame in heard:
            if frame["channel"] == "trades":
                tids |= dict.fromkeys(trade["tid"] for trade in frame["data"] if from_ms < trade["time"] <= until_ms)
        return list(tids)

    from_ms = venue.venue.now_ms()
    until_ms = from_ms + round(for_s * 1000)
    prints = await asyncio.gather(listen(), listen(), listen())
    assert len(prints[0]) > 20
    assert prints[0] == prints[1] == prints[2]


@pytest.mark.parametrize(("code", "seen"), [(1006, (1006, "")), (1000, (1000, "Expired")), (1008, (1008, "Expired"))])
async def test_sockets_are_disconnected_on_request(start: Start, code: int, seen: tuple[int, str]) -> None:
    venue = await start()
    async with websockets.connect(venue.ws_url) as first, websockets.connect(venue.ws_url) as second:
        await first.recv()
        await second.recv()
        await control(venue, {"kind": "disconnect", "code": code, "reason": "Expired", "sockets": [0]})
        assert await closed(first) == seen
        await second.send('{"method":"ping"}')
        assert (await frames(second, channel("pong")))[-1] == {"channel": "pong"}


async def test_the_venue_expires_sockets_after_3_hours_and_idle_ones_after_60_seconds(start: Start) -> None:
    venue = await start(replace(SMALL, expire_s=100.0, prints_per_s=1.0), speed=200.0)
    async with websockets.connect(venue.ws_url) as idle, websockets.connect(venue.ws_url) as busy:
        await subscribe(busy, type="allMids")
        await idle.recv()
        assert await closed(idle) == (1000, "Inactive")
        with pytest.raises(websockets.ConnectionClosed):
            await frames(busy, lambda _frame: False)
        assert (busy.close_code, busy.close_reason) == (1000, "Expired")
    assert SMALL.expire_s == 3 * 3600
    assert SMALL.idle_close_s == 60


async def test_the_11th_socket_is_closed_with_1008(start: Start) -> None:
    venue = await start()
    sockets = [await websockets.connect(venue.ws_url) for _ in range(11)]
    assert await closed(sockets[10]) == (1008, "Cannot open more than 10 connections.")
    await sockets[0].close()
    await until(lambda: venue.venue.stats()["sockets"] == 9)
    again = await websockets.connect(venue.ws_url)
    assert await again.recv() == "Websocket connection established."
    for socket in (*sockets, again):
        await socket.close()


async def test_all_sockets_go_down_and_handshakes_fail_with_502_during_an_outage(start: Start) -> None:
    venue = await start(speed=10.0)
    socket = await websockets.connect(venue.ws_url)
    await control(venue, {"kind": "outage", "for_s": 5})
    assert await closed(socket) == (1006, "")
    with pytest.raises(websockets.InvalidStatus) as refusal:
        await websockets.connect(venue.ws_url)
    assert refusal.value.response.status_code == 502
    await until(lambda: not any(isinstance(fault, Outage) for fault in venue.venue.feed.faults))
    async with websockets.connect(venue.ws_url) as again:
        assert await again.recv() == "Websocket connection established."


async def test_a_mute_socket_answers_nothing_and_a_half_open_one_does_not_even_read(start: Start) -> None:
    venue = await start(speed=10.0)
    async with websockets.connect(venue.ws_url) as mute, websockets.connect(venue.ws_url) as half:
        await mute.recv()
        await half.recv()
        await control(
            venue,
            {"kind": "mute", "sockets": [0], "channel": "trades"},
            {"kind": "half_open", "sockets": [1], "for_s": 5},
        )
        await subscribe(mute, type="trades", coin="BTC")
        await subscribe(mute, type="allMids")
        heard = await frames(mute, channel("allMids"))
        assert {frame["channel"] for frame in heard} == {"subscriptionResponse", "allMids"}
        await half.send('{"method":"ping"}')
        with pytest.raises(TimeoutError):
            await frames(half, channel("pong"), within_s=0.3)
        assert (await frames(half, channel("pong")))[-1] == {"channel": "pong"}  # read after the fault is over


async def test_a_recording_is_played_back_byte_for_byte(start: Start, tmp_path: Any) -> None:
    texts = [json.dumps({"channel": "trades", "data": [{"coin": "BTC", "tid": n}]}, indent=n) for n in range(3)]
    file = tmp_path / "frames.jsonl"
    lines = [json.dumps({"at_ms": 1_000 + n * 400, "frame": text}) for n, text in enumerate(texts)]
    file.write_text("\n".join(lines), encoding="utf-8")
    venue = await start(replace(SMALL, playback=file, untidy=TIDY), speed=10.0)
    async with websockets.connect(venue.ws_url) as socket:
        await subscribe(socket, type="trades", coin="BTC")
        heard = [str(await asyncio.wait_for(socket.recv(), 5)) for _ in range(5)]
    assert heard[2:] == texts


async def test_stopping_ends_every_socket_quickly(start: Start) -> None:
    venue = await start()
    socket = await websockets.connect(venue.ws_url)
    await socket.recv()
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    await venue.__aexit__(None, None, None)
    assert await closed(socket) == (1006, "")
    assert loop.time() - begun_s < 3
    await venue.__aenter__()  # the fixture closes it once more
