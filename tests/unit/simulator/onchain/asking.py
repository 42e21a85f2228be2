"""The on-chain hosts at a moment of one's choice, asked without a network."""

import asyncio
import json
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any

import httpx2
from starlette.applications import Starlette

from market_scraper.simulator.faults import Fault, decode_faults
from market_scraper.simulator.onchain import OnChainHosts
from market_scraper.simulator.onchain.days import DAY_MS
from tests.fakes import FakeClock

AGENT = "somebody/1.0"


def at(text: str) -> int:
    """An ISO time (UTC) in ms."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOW = at("2026-11-22T12:00:00")
TODAY = NOW // DAY_MS


class Asking:
    """`await Asking(now_ms).get("/stats")`."""

    def __init__(self, now_ms: int = NOW, *, faults: list[dict[str, Any]] | None = None, seed: int = 1) -> None:
        self.clock = FakeClock(now_ms)
        self.faults: tuple[Fault, ...] = decode_faults(faults or [])
        self.hosts = OnChainHosts(seed, self.clock, lambda: self.faults)
        self._app = Starlette(routes=[*self.hosts.routes()])

    @property
    def chain(self) -> Any:
        return self.hosts.chain

    @property
    def mood(self) -> Any:
        return self.hosts.mood

    async def get(
        self, path: str, headers: Mapping[str, str] | None = None, **params: str | int | float
    ) -> httpx2.Response:
        """Any answer."""
        transport = httpx2.ASGITransport(app=self._app)
        asked = {"user-agent": AGENT, "accept-encoding": "identity", **(headers or {})}
        async with httpx2.AsyncClient(transport=transport, base_url="http://paper", headers=asked) as client:
            return await client.get(path, params={name: str(value) for name, value in params.items()} or None)

    async def head(self, path: str) -> Mapping[str, str]:
        """The headers of an answer whose body nobody waits for."""
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [(b"user-agent", b"x")]}
        told: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                told.set_result({name.decode(): value.decode() for name, value in message["headers"]})
                raise asyncio.CancelledError

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.disconnect"}

        await asyncio.gather(self._app(scope, receive, send), return_exceptions=True)
        return told.result()

    async def json(self, path: str, **params: str | int | float) -> Any:
        """A good answer's content."""
        answer = await self.get(path, None, **params)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text)
