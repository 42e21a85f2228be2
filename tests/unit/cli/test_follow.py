"""`/ws` is followed over a lost connection, from the last number on."""

import json
from contextlib import aclosing
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from market_scraper.cli import follow as following
from market_scraper.cli.follow import follow
from market_scraper.cli.remote import CommandFailed, Remote, ServerUnreachable


def message(seq: int, kind: str = "signal") -> str:
    return json.dumps({"seq": seq, "type": kind, "channel": "signals", "data": {}})


async def test_it_goes_on_from_the_last_number_after_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_RETRY_S", 0.0)
    asked: list[str] = []

    async def handler(socket: ServerConnection) -> None:
        assert socket.request is not None
        asked.append(socket.request.path)
        await socket.send(message(90, "hello"))
        if len(asked) == 1:
            await socket.send(message(7))
            await socket.send(message(8, "heartbeat"))
        else:
            await socket.send(message(12))
            await socket.wait_closed()

    async with serve(handler, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        got: list[dict[str, Any]] = []
        async with aclosing(follow(Remote(f"http://127.0.0.1:{port}"), "signals", "BTC")) as messages:
            async for each in messages:
                got.append(each)
                if len(got) == 2:
                    break
    assert [each["seq"] for each in got] == [7, 12]
    assert asked == ["/ws?channel=signals&symbol=BTC", "/ws?channel=signals&symbol=BTC&last_seq=8"]


async def test_a_refused_channel_is_an_error_and_not_tried_again() -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.close(1008, "no such symbol")

    async with serve(handler, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(CommandFailed, match="no such symbol"):
            await anext(follow(Remote(f"http://127.0.0.1:{port}"), "signals", None))


async def test_no_server_is_told_at_once() -> None:
    with pytest.raises(ServerUnreachable, match="no server answers"):
        await anext(follow(Remote("http://127.0.0.1:1"), "signals", None))
