"""The paper venue as a process of its own, which never outlives ours."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from market_scraper.cli.remote import CommandFailed
from market_scraper.runtime.clock import real_timeout

ONCHAIN = ("blockchain_info", "fear_greed", "coin_metrics", "cbbi", "bitview", "exchange_flow")
"""The on-chain sources; the venue serves their hosts under their own paths."""

START_S = 60.0  # a slow machine imports for seconds; real seconds
STOP_S = 3.0


@dataclass(frozen=True, slots=True)
class PaperProcess:
    """A running paper venue: where it is, and which clock it lives by."""

    process: Process
    url: str
    origin_s: float
    speed: float

    def flags(self) -> dict[str, object]:
        """The settings that point a server to it."""
        return {
            "hyperliquid.enabled": True,
            "hyperliquid.api_url": self.url,
            "hyperliquid.ws_url": f"{self.url.replace('http', 'ws', 1)}/ws",
            "hyperliquid.leaderboard_url": f"{self.url}/Mainnet/leaderboard",
            **{f"onchain.{host}_url": self.url for host in ONCHAIN},
            "clock.origin": self.origin_s,
            "clock.speed": self.speed,
        }


@asynccontextmanager
async def paper_venue(*, traders: int, speed: float, seed: int) -> AsyncIterator[PaperProcess]:
    """Start one and wait until it answers; leaving the block ends it.

    Its standard input is our pipe: when we die, even by SIGKILL, the pipe ends and so does it. It has a session of
    its own, so that a Ctrl-C reaches us alone and the server stops before its venue does.
    """
    words = ["simulate", "--port", "0", "--json", "--lifeline"]
    words += ["--traders", str(traders), "--speed", repr(speed), "--seed", str(seed)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "market_scraper", *words, stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    try:
        yield await _greeted(process)
    finally:
        await _ended(process)


async def _greeted(process: Process) -> PaperProcess:
    assert process.stdout is not None  # asked for above
    try:
        async with real_timeout(START_S):
            line = await process.stdout.readline()
    except TimeoutError as error:
        raise CommandFailed(f"the paper venue did not start within {START_S:.0f} s") from error
    if not line:
        raise CommandFailed(f"the paper venue ended at its start, exit code {await process.wait()}")
    ready = json.loads(line)
    return PaperProcess(process, ready["url"], ready["origin"], ready["speed"])


async def _ended(process: Process) -> None:
    assert process.stdin is not None  # asked for above
    process.stdin.close()
    try:
        async with real_timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
