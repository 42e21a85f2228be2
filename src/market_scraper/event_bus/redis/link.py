"""The way to a Redis server: scripts asked one at a time, and whether it answers."""

import hashlib
from collections.abc import Callable, Iterator
from importlib import resources
from itertools import repeat
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as NoAnswer

from market_scraper.domain.errors import BusUnreachable
from market_scraper.event_bus.redis.address import RedisAddress
from market_scraper.ports.clock import Clock

log = structlog.get_logger(__name__)

OLDEST_VERSION = (6, 2)
"""XTRIM MINID, exclusive ranges and ZADD GT came with it."""

Delays = Callable[[], Iterator[float]]
"""Makes an endless row of waits in seconds; a new one for each spell of trouble."""

Argument = bytes | str | int | float

_UNWELL = (ReadOnlyError, OutOfMemoryError, MasterDownError, ClusterDownError, TryAgainError)
_UNWELL_WORDS = ("MISCONF", "NOREPLICAS", "BUSY ")
"""Answers of a server that will do it later: not the master, out of memory, its disk full, a long script running."""


class Script:
    """One of the files in `scripts/`, run by the server as a whole or not at all."""

    def __init__(self, name: str) -> None:
        folder = resources.files(__package__) / "scripts"
        self.text = (folder / "common.lua").read_text() + (folder / f"{name}.lua").read_text()
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


RENEW = Script("renew")
PUBLISH = Script("publish")
EXTEND = Script("extend")
OPEN = Script("open")
JOIN, DEAL, TAKE, ACK, LEAVE = (Script(name) for name in ("join", "deal", "take", "ack", "leave"))
FOLLOW, UNFOLLOW = Script("follow"), Script("unfollow")
TRIM, LEASE = Script("trim"), Script("lease")
HELD, BEHIND = Script("held"), Script("behind")
ALL = (PUBLISH, EXTEND, OPEN, JOIN, DEAL, TAKE, ACK, LEAVE, FOLLOW, UNFOLLOW, TRIM, LEASE, HELD, BEHIND)


class Link:
    """Asks one server. `clock` runs in real time: the server's patience does not scale with a paper venue's."""

    def __init__(self, address: RedisAddress, namespace: str, clock: Clock, delays: Delays) -> None:
        self.clock = clock
        self.base = f"{{{namespace}}}"
        self.away_since_ms: int | None = None
        self._takes_no_events = False  # it answers, and refuses what is published: out of memory, its disk full
        self._delays = delays
        self._address = address
        self._redis: Redis = Redis.from_url(
            address.url,
            protocol=2,
            socket_connect_timeout=address.connect_s,
            socket_timeout=None,  # `_command` has its own
            retry=Retry(NoBackoff(), 0),  # what to do when it is away is decided here
            client_name="market-scraper",
        )
        self._redis.response_callbacks.clear()  # the plain answers: our scripts' are lists of bytes and numbers

    async def open(self) -> str:
        """Reach the server and give its version, or raise BusUnreachable in one clear line without credentials."""
        try:
            return await self._open()
        except BusUnreachable:
            await self.close()
            raise
        except (RedisError, OSError) as error:
            await self.close()
            raise self._unreachable(error) from error

    async def _open(self) -> str:
        facts = _facts(await self._command("INFO"))
        version = tuple(int(part) for part in facts.get("redis_version", "0").split(".")[:2])
        if version < OLDEST_VERSION:
            raise BusUnreachable(
                f"Redis at {self._address.place} is {facts.get('redis_version')}: 6.2 or newer is needed"
            )
        if facts.get("maxmemory_policy", "noeviction") != "noeviction":
            log.warning("redis_may_drop_events", maxmemory_policy=facts["maxmemory_policy"], wanted="noeviction")
        if facts.get("aof_enabled") == "0":
            log.info(
                "redis_keeps_no_log", hint="with appendonly yes and appendfsync always a crash of Redis loses nothing"
            )
        if await self._command("SCRIPT", "EXISTS", PUBLISH.sha) != [1]:
            await self._load()
        return facts["redis_version"]

    async def close(self) -> None:
        """Close the connections. May be called twice."""
        await self._redis.aclose()

    async def ask(self, script: Script, *arguments: Argument) -> Any:
        """Run a script once; raises BusUnreachable when no answer came. It may have run all the same."""
        try:
            try:
                answer = await self._command("EVALSHA", script.sha, 1, self.base, *arguments)
            except NoScriptError:
                await self._load()
                answer = await self._command("EVALSHA", script.sha, 1, self.base, *arguments)
        except (NoConnection, NoAnswer, OSError) as error:
            raise self._went(error) from error
        except ResponseError as error:
            if isinstance(error, _UNWELL) or str(error).startswith(_UNWELL_WORDS):
                self._takes_no_events = self._takes_no_events or script is PUBLISH
                raise self._went(error) from error
            raise
        if script is PUBLISH:
            self._takes_no_events = False
        self._came()
        return answer

    async def insist(self, script: Script, *arguments: Argument) -> Any:
        """Run a script that may run twice, until its answer came, however long the server is away."""
        for delay_s in self._delays():
            try:
                return await self.ask(script, *arguments)
            except BusUnreachable:
                await self.clock.sleep(delay_s)
        raise AssertionError("delays never end")

    async def read_wake(self, after: bytes, wait_ms: int) -> Any:
        """The entry of `:wake` after this one, waiting for it; None when none came. On a connection of its own."""
        try:
            answer = await self._command(
                "XREAD", "COUNT", 1, "BLOCK", wait_ms, "STREAMS", f"{self.base}:wake", after, wait_s=wait_ms / 1000
            )
        except (NoConnection, NoAnswer, ResponseError, OSError) as error:
            raise self._went(error) from error
        return answer[0][1][0] if answer else None

    async def newest_wake(self) -> Any:
        """The newest entry of `:wake`, None when there is none."""
        try:
            answer = await self._command("XREVRANGE", f"{self.base}:wake", "+", "-", "COUNT", 1)
        except (NoConnection, NoAnswer, ResponseError, OSError) as error:
            raise self._went(error) from error
        self._came()
        return answer[0] if answer else None

    async def _command(self, *arguments: Argument, wait_s: float = 0.0) -> Any:
        """One command, answered in time. redis-py's own time limit may lose a cancellation (Python 3.11 `wait_for`)."""
        async with self.clock.timeout(self._address.answer_s + wait_s):
            return await self._redis.execute_command(*arguments)  # type: ignore[no-untyped-call]

    async def _load(self) -> None:
        """Give a server that does not know our scripts all of them.

        It has restarted, and may have come back with older data: before anybody can publish there again, numbers
        have to be reserved above all that were given.
        """
        await self._command("EVAL", RENEW.text, 1, self.base)
        for script in ALL:
            await self._command("SCRIPT", "LOAD", script.text)

    def hangs(self) -> None:
        """Take the server as away: it gave no answer in the time that somebody had."""
        self._went(TimeoutError())

    def _went(self, error: Exception) -> BusUnreachable:
        told = self._unreachable(error)
        if self.away_since_ms is None:
            self.away_since_ms = self.clock.now_ms()
            log.warning("bus_away", reason=str(told))
        return told

    def _came(self) -> None:
        if self.away_since_ms is not None and not self._takes_no_events:
            log.info("bus_back", away_s=(self.clock.now_ms() - self.away_since_ms) / 1000)
            self.away_since_ms = None

    def _unreachable(self, error: Exception) -> BusUnreachable:
        reason = str(error).rstrip(".") or "no answer in time"
        return BusUnreachable(f"cannot reach Redis at {self._address.place}: {reason}")


async def reach(address: RedisAddress, clock: Clock) -> str:
    """Give the server's place and version, or raise BusUnreachable. `clock` runs in real time."""
    link = Link(address, "market-scraper", clock, lambda: repeat(1.0))
    version = await link.open()
    await link.close()
    return f"Redis {version} at {address.place}"


def _facts(info: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in info.decode().splitlines())
    return {name: value for name, colon, value in lines if colon}
