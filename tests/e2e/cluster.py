"""The program as separate processes over one Redis: any number of each role, killed, paused and started by name."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.system import STOP_S, Process, running, to_ms, upstreams, venue_clock

READY_S = 120.0  # many start at once, on a machine that has other work; what has to be quick is measured
LOOK_S = 0.05  # nobody is told when somebody else's log grows


@dataclass
class Member:
    """One named process through its lives; each life has a log of its own."""

    name: str
    roles: str
    settings: dict[str, str] = field(default_factory=dict)  # besides those of all
    port: int = 0  # of its API, the same in each life
    lives: int = 0
    process: Process | None = None
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    logs: list[Path] = field(default_factory=list)


class Cluster:
    """Use as `async with`; at the end everything that still runs is killed. Tests that care stop it in order before.

    Names are roles with something behind: `collect-1`, `api-west`. The store is MongoDB's where an address is given,
    else one SQLite file that all share.
    """

    def __init__(
        self, folder: Path, venue: Process, redis_url: str, *, mongo_url: str | None = None, **settings: str
    ) -> None:
        self.folder = folder
        self.venue = venue
        self.members: dict[str, Member] = {}
        self._paused: set[str] = set()
        self._env = (
            upstreams(venue.url)
            | venue_clock(venue)
            | {"REDIS__URL": redis_url, "STORAGE__PATH": str(folder / "store.db")}
            | ({} if mongo_url is None else {"MONGO__URL": mongo_url})
            | {"LOGGING__FORMAT": "json"}
            | settings
        )

    async def __aenter__(self) -> "Cluster":
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(self.kill(name) for name in list(self.members)))

    # -- doing -------------------------------------------------------------------------------------------------------

    async def start(self, *names: str, **settings: str) -> None:
        """Start these, all at once, for the first time or again; each is ready on return.

        `settings` are for these alone, in this life and those after it.
        """
        await asyncio.gather(*(self._start(name, settings) for name in names))

    async def _start(self, name: str, settings: dict[str, str]) -> None:
        member = self.members.setdefault(name, Member(name, roles=name.partition("-")[0]))
        member.settings |= settings
        assert member.process is None, f"{name} runs already"
        member.lives += 1
        label = f"{name}.{member.lives}"
        member.logs.append(self.folder / f"{label}.log")
        arguments = ["market_scraper", "server", "--roles", member.roles, "--port", str(member.port), "--json"]
        life = running(arguments, folder=self.folder, name=label, env=self._env | member.settings, ready_s=READY_S)
        member.process = await member.stack.enter_async_context(life)
        if member.process.ready["url"] is not None:
            member.port = int(member.process.url.rpartition(":")[2])

    async def kill(self, name: str) -> float:
        """`kill -9`; gives the moment (Unix seconds). Harmless when it does not run."""
        member, moment = self.members[name], time.time()
        if member.process is not None:
            await member.process.kill()
            await self._bury(member)
        return moment

    async def stop(self, *names: str) -> dict[str, int]:
        """SIGTERM these, all at once, and wait; gives their exit codes."""
        processes = {name: self[name] for name in names}
        codes = await asyncio.gather(*(process.stop() for process in processes.values()))
        for name in names:
            await self._bury(self.members[name])
        return dict(zip(names, codes, strict=True))

    async def _bury(self, member: Member) -> None:
        member.process = None
        self._paused.discard(member.name)
        await member.stack.aclose()
        member.stack = AsyncExitStack()

    def pause(self, name: str) -> float:
        """SIGSTOP: it does nothing more, and does not know it. Gives the moment (Unix seconds)."""
        self[name].process.send_signal(signal.SIGSTOP)
        self._paused.add(name)
        return time.time()

    def resume(self, name: str) -> float:
        """SIGCONT; gives the moment (Unix seconds)."""
        moment = time.time()
        self._paused.discard(name)
        self[name].process.send_signal(signal.SIGCONT)
        return moment

    # -- seeing ------------------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Process:
        """The process that runs under this name."""
        process = self.members[name].process
        assert process is not None, f"{name} does not run"
        return process

    @property
    def names(self) -> list[str]:
        """Who runs, paused ones too."""
        return [name for name, member in self.members.items() if member.process is not None]

    def ended(self) -> dict[str, int]:
        """Who ended by itself, with its exit code."""
        codes = {name: self[name].process.returncode for name in self.names}
        return {name: code for name, code in codes.items() if code is not None}

    def said(self, name: str, *events: str) -> Iterator[dict[str, Any]]:
        """The log lines of all its lives, oldest first; only these events where some are named."""
        for log in self.members[name].logs:
            for line in log.read_bytes().splitlines():
                if line.startswith(b"{") and line.endswith(b"}"):
                    said: dict[str, Any] = json.loads(line)
                    if not events or said.get("event") in events:
                        yield said

    def tracebacks(self) -> dict[str, str]:
        """Each life's newest log line that has one.

        Not those of a store that cannot be reached: who reads it begins anew until it can, and says so.
        """
        found: dict[str, str] = {}
        for member in self.members.values():
            for log in member.logs:
                for line in log.read_bytes().splitlines():
                    if b"Traceback" in line and b"StoreUnreachable" not in line:
                        found[log.stem] = line.decode()[-4_000:]
        return found

    def active(self, role: str) -> str | None:
        """Who acts: of all that run and are not paused, who took the role's lease last and has not lost it."""
        taken: dict[str, int] = {}
        for name in self.names:
            if name in self._paused or role not in self.members[name].roles.split(","):
                continue
            life = self.members[name].logs[-1]
            for line in life.read_bytes().splitlines():
                if b'"lease_' not in line or not line.endswith(b"}"):
                    continue
                said = json.loads(line)
                if said.get("lease") == role and said["event"] == "lease_acquired":
                    taken[name] = to_ms(said["timestamp"])
                elif said.get("lease") == role and said["event"] == "lease_lost":
                    taken.pop(name, None)
        return max(taken, key=lambda name: taken[name], default=None)

    def standing_by(self, role: str) -> list[str]:
        """Who runs this role, is not paused, and does not act."""
        active = self.active(role)
        return [
            name
            for name in self.names
            if role in self.members[name].roles.split(",") and name not in self._paused and name != active
        ]

    async def until_active(self, role: str, *, within_s: float) -> str:
        """Wait until somebody acts; gives who."""
        await until(lambda: self.active(role) is not None, within_s, f"nobody acts as {role}")
        active = self.active(role)
        assert active is not None
        return active


async def until(is_so: Callable[[], bool], within_s: float, otherwise: str) -> None:
    """Look until it is so, so many real seconds at most."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, otherwise
        await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def cluster(
    folder: Path, venue: Process, redis_url: str, *names: str, mongo_url: str | None = None, **settings: str
) -> AsyncIterator[Cluster]:
    """A cluster with these processes running, ended in order at the end of a test that went well."""
    async with Cluster(folder, venue, redis_url, mongo_url=mongo_url, **settings) as started:
        await started.start(*names)
        yield started
        codes = await asyncio.wait_for(started.stop(*started.names), 2 * STOP_S)
        assert set(codes.values()) <= {0}, codes
        assert started.tracebacks() == {}
