"""The whole system as real processes: the paper venue and a server against it, started and stopped by PID."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
from websockets.asyncio.client import connect

from market_scraper.domain.onchain import Source

ROOT = Path(__file__).resolve().parent.parent.parent
READY_S = 30.0
STOP_S = 15.0


@dataclass
class Process:
    """One of our programs; everything that it said is kept for a failing test to show."""

    process: asyncio.subprocess.Process
    ready: dict[str, Any]
    log: Path

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    async def says(self, within_s: float) -> dict[str, Any]:
        """The next line of its standard output."""
        assert self.process.stdout is not None
        said: dict[str, Any] = json.loads(await asyncio.wait_for(self.process.stdout.readline(), within_s))
        return said

    async def stop(self, within_s: float = STOP_S) -> int:
        """SIGTERM and wait; gives the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), within_s)

    async def ctrl_c(self, within_s: float = STOP_S) -> int:
        """What a terminal does: SIGINT for everyone in the foreground; gives the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return await asyncio.wait_for(self.process.wait(), within_s)

    async def kill(self) -> None:
        """`kill -9`."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


@dataclass(frozen=True)
class Finished:
    """What a command said, and how it ended."""

    code: int
    out: str
    error: str

    @property
    def data(self) -> Any:
        """Its `--json` answer."""
        return json.loads(self.out)


def clean_environment() -> dict[str, str]:
    """The environment without settings of ours, whoever's they are."""
    clean = {key: value for key, value in os.environ.items() if "__" not in key and not key.startswith("API_")}
    return {**clean, "NO_PROXY": "127.0.0.1"}


async def command(*words: str, env: Mapping[str, str] | None = None, within_s: float = 60.0) -> Finished:
    """Run `python -m market_scraper WORDS...` to its end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "market_scraper", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=clean_environment() | dict(env or {}),
    )
    try:
        out, error = await asyncio.wait_for(process.communicate(), within_s)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Finished(process.returncode, out.decode(), error.decode())


def children(pid: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    threads = Path(f"/proc/{pid}/task").iterdir()  # a child belongs to the thread that started it
    mine = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    return [*mine, *(grandchild for child in mine for grandchild in children(child))]


async def ended(descriptor: int, within_s: float) -> None:
    """Wait until the process behind an `os.pidfd_open` has ended, and close the descriptor."""
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, gone.set)
    try:
        await asyncio.wait_for(gone.wait(), within_s)
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


@asynccontextmanager
async def running(
    arguments: Sequence[str],
    *,
    folder: Path,
    name: str,
    env: dict[str, str] | None = None,
    by: Sequence[str] = (sys.executable, "-m"),
    ready_s: float = READY_S,
) -> AsyncIterator[Process]:
    """Start `python -m ARGUMENTS` with `--json` and wait for its line that says it is ready.

    It leads a process group, as what is started in a terminal does.
    """
    log = folder / f"{name}.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *by,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            env=clean_environment() | (env or {}),
            start_new_session=True,
        )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), ready_s)
        assert line, f"{name} ended before it was ready: {log.read_text()[-3000:]}"
        yield Process(process, json.loads(line), log)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()


@asynccontextmanager
async def paper_venue(folder: Path, *, traders: int = 300, speed: float = 1.0, seed: int = 1) -> AsyncIterator[Process]:
    """The simulator in a process of its own."""
    arguments = ["market_scraper", "simulate", "--port", "0", "--traders", str(traders), "--speed", str(speed)]
    async with running([*arguments, "--seed", str(seed), "--json"], folder=folder, name="venue") as process:
        yield process


@asynccontextmanager
async def server(
    folder: Path, venue: Process | None, *, module: Sequence[str] = ("market_scraper",), **settings: str
) -> AsyncIterator[Process]:
    """A server on a store in `folder`, against `venue` (None = hosts that cannot be reached)."""
    base = "http://127.0.0.1:9" if venue is None else venue.url
    env = upstreams(base) | {"STORAGE__PATH": str(folder / "store.db")} | settings
    if venue is not None:
        env |= venue_clock(venue)
    async with running([*module, "server", "--port", "0", "--json"], folder=folder, name="server", env=env) as process:
        yield process


@asynccontextmanager
async def demo(
    folder: Path, *arguments: str, by: Sequence[str] = (sys.executable, "-m", "market_scraper")
) -> AsyncIterator[Process]:
    """`demo`, whose temporary store lies in `folder`."""
    words = ["demo", "--port", "0", "--json", *arguments]
    async with running(words, by=by, folder=folder, name="demo", env={"TMPDIR": str(folder)}) as process:
        yield process


def upstreams(base: str) -> dict[str, str]:
    """Settings that make `base` the venue and all on-chain hosts."""
    return {
        "HYPERLIQUID__API_URL": base,
        "HYPERLIQUID__WS_URL": base.replace("http", "ws") + "/ws",
        "HYPERLIQUID__LEADERBOARD_URL": f"{base}/Mainnet/leaderboard",
        **{f"ONCHAIN__{source.name}_URL": base for source in Source},
        "ONCHAIN__HISTORY_DAYS": "100",  # a whole past is 350,000 readings
    }


def venue_clock(venue: Process) -> dict[str, str]:
    """Settings that make a program live by the venue's clock."""
    return {"CLOCK__ORIGIN": repr(venue.ready["origin"]), "CLOCK__SPEED": repr(venue.ready["speed"])}


def to_ms(text: str) -> int:
    """An answer's time in milliseconds."""
    moment = datetime.fromisoformat(text)
    return round(moment.timestamp() * 1000)


@dataclass
class Checked:
    """What comparing answers with the truth showed."""

    exact: int = 0
    seen: int = 0
    wrong: list[str] = field(default_factory=list)


class Witness:
    """Asks both sides: what the server says, and what is true."""

    def __init__(self, venue: Process, server: Process, coin: str = "BTC") -> None:
        self.venue = venue
        self.server = server
        self.coin = coin
        self._http = httpx2.AsyncClient(timeout=20.0)

    async def __aenter__(self) -> "Witness":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def ask(self, path: str, **params: Any) -> Any:
        """A JSON answer of the server."""
        answer = await self._http.get(self.server.url + path, params=params)
        answer.raise_for_status()
        return answer.json()

    async def order(self, path: str) -> Any:
        """A POST to the server."""
        answer = await self._http.post(self.server.url + path)
        answer.raise_for_status()
        return answer.json()

    async def break_venue(self, *faults: dict[str, Any]) -> None:
        """Have something go wrong at the venue."""
        answer = await self._http.post(f"{self.venue.url}/_control", json=list(faults))
        answer.raise_for_status()

    async def stats(self) -> Any:
        """What the venue counted."""
        return (await self._http.get(f"{self.venue.url}/_stats")).json()

    async def people(self) -> list[str]:
        """Everybody at the venue."""
        traders = (await self._http.get(f"{self.venue.url}/_truth/traders")).json()["traders"]
        return [trader["user"] for trader in traders]

    async def truth(self, at_ms: int, user: str | None = None) -> dict[str, float]:
        """True sizes after all blocks up to a moment."""
        params: dict[str, Any] = {"coin": self.coin, "at_ms": at_ms}
        if user is not None:
            params["user"] = user
        answer = await self._http.get(f"{self.venue.url}/_truth", params=params)
        answer.raise_for_status()
        return {name: float(size) for name, size in answer.json()["sizes"].items()}

    async def position(self, trader: str) -> dict[str, Any] | None:
        """What the server says of one trader's position; None when it does not know the trader."""
        answer = await self._http.get(f"{self.server.url}/api/v1/traders/{trader}")
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        positions: list[dict[str, Any]] = answer.json()["positions"]
        return next(position for position in positions if position["coin"] == self.coin)

    @asynccontextmanager
    async def listening(self, trader: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """What `/ws` says of one trader's positions from now on."""
        url = self.server.url.replace("http", "ws") + f"/ws?channel=traders&address={trader}"
        async with connect(url) as socket:
            hello = json.loads(await socket.recv())
            assert hello["type"] == "hello"

            async def facts() -> AsyncIterator[dict[str, Any]]:
                async for text in socket:
                    message = json.loads(text)
                    if message["type"] == "position":
                        yield message["data"]

            yield facts()

    async def check(self, traders: Sequence[str]) -> Checked:
        """Compare every position that is served as exact with the truth at its own `as_of`."""
        checked = Checked()
        for trader in traders:
            said = await self.position(trader)
            if said is None:
                continue
            checked.seen += 1
            if said["state"] != "exact":
                continue
            checked.exact += 1
            true = (await self.truth(to_ms(said["as_of"]), trader)).get(trader, 0.0)
            if said["size"] != true:
                checked.wrong.append(f"{trader} as of {said['as_of']}: said {said['size']}, was {true}")
        return checked
