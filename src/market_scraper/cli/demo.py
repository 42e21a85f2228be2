"""`demo`: the whole system against the paper venue; no key, no server, no internet."""

import asyncio
import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from market_scraper.cli.options import Json
from market_scraper.cli.simulate import DEFAULT_TRADERS, Seed, Speed, Traders

if TYPE_CHECKING:
    from market_scraper.config import Settings

_ONCHAIN_STEP_S = 1.0  # real seconds

MIN_SCORE = 20.0
"""Of tens of thousands of real traders hundreds reach the product's 50 points; of 300 simulated ones 2 did: no vote."""


def demo(
    traders: Traders = DEFAULT_TRADERS,
    speed: Speed = 1.0,
    seed: Seed = 1,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Default: API_PORT, 8000. 0 = any free one.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run everything against the built-in simulator, with a store that is thrown away, until Ctrl-C.

    \b
    Example: market-scraper demo
             market-scraper demo --traders 1000 --speed 5 --port 9000
    """
    from market_scraper.cli.server import stop_like_ctrl_c

    stop_like_ctrl_c()
    os.environ["NO_PROXY"] = f"127.0.0.1,{os.environ.get('NO_PROXY', '')}"  # the venue is on this machine
    try:
        with tempfile.TemporaryDirectory(prefix="market-scraper-demo-", ignore_cleanup_errors=True) as folder:
            asyncio.run(_demo(Path(folder), traders=traders, speed=speed, seed=seed, port=port, as_json=as_json))
    except KeyboardInterrupt:  # before the server could take the signal itself
        raise typer.Exit(0) from None


HISTORY_DAYS = 400
"""Of the on-chain past: all of it is 350,000 readings, which would share the first minute with the first signal."""


async def _demo(folder: Path, *, traders: int, speed: float, seed: int, port: int | None, as_json: bool) -> None:
    """Run venue and server; ends when the server was told to stop, or fails when the venue is lost."""
    from market_scraper import logs
    from market_scraper.cli.paper import paper_venue
    from market_scraper.cli.printing import remark
    from market_scraper.cli.remote import CommandFailed
    from market_scraper.config import load
    from market_scraper.config.rules import Filters

    own: dict[str, object] = {
        "api_port": port,
        "hyperliquid.symbol": ("BTC",),
        "storage.backend": "sqlite",
        "storage.path": str(folder / "market_scraper.db"),
        "mongo.url": "",
        "redis.url": "",
        "logging.format": "json" if as_json else None,
    }
    settings = load(own)  # a wrong setting is told before anything starts
    logs.configure(settings.logging)
    if settings.filters.min_score == Filters().min_score:
        own["filters.min_score"] = MIN_SCORE
    own["onchain.history_days"] = settings.onchain.history_days or HISTORY_DAYS
    remark("starting the paper venue ...")
    async with paper_venue(traders=traders, speed=speed, seed=seed) as venue:
        remark(f"the paper venue is at {venue.url}")
        server = asyncio.create_task(_serve(load({**own, **venue.flags()}), as_json), name="server")
        lost = asyncio.create_task(venue.process.wait(), name="paper-venue")
        try:
            await asyncio.wait({server, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not server.done():
                os.kill(os.getpid(), signal.SIGTERM)  # the server's own way to stop in order
                await server
                raise CommandFailed(f"the paper venue ended by itself, exit code {lost.result()}")
            await server
        finally:
            for task in (server, lost):
                task.cancel()
            await asyncio.gather(server, lost, return_exceptions=True)


async def _serve(settings: "Settings", as_json: bool) -> None:
    from market_scraper.app.run import run
    from market_scraper.cli.server import ROLES, announce

    showing: list[asyncio.Task[None]] = []

    def on_ready(base: str | None) -> None:
        assert base is not None, "it has the api role"
        announce(base, as_json)
        for name, shown in (("first-signal", _first_signal), ("onchain", _onchain)):
            showing.append(asyncio.create_task(shown(base, settings.api_key, as_json), name=name))

    try:
        await run(settings, roles=frozenset(ROLES), on_ready=on_ready)
    finally:
        for task in showing:
            task.cancel()
        await asyncio.gather(*showing, return_exceptions=True)


async def _onchain(base: str, api_key: str | None, as_json: bool) -> None:
    """Show how Bitcoin stands on-chain, once sentiment is: in seconds. Meanwhile history comes by, oldest first."""
    from market_scraper.cli.printing import print_json, print_line
    from market_scraper.cli.remote import CommandFailed, Remote
    from market_scraper.runtime.clock import real_sleep

    remote = Remote(base, api_key)
    while True:
        try:
            data = await asyncio.to_thread(remote.get, "/api/v1/onchain/btc/sentiment")
        except CommandFailed:  # 503: nothing yet
            data = {}
        if data and all(data[part]["state"] not in ("missing", "stale") for part in ("fear_greed", "cbbi_confidence")):
            break
        await real_sleep(_ONCHAIN_STEP_S)
    greed, cbbi = data["fear_greed"], data["cbbi_confidence"]
    if as_json:
        print_json({"event": "onchain", "data": data})
    else:
        said = f"fear & greed {greed['value']:.0f} ({greed['label']}), CBBI {cbbi['value']:.4f}"
        print_line(f"bitcoin on-chain: {said}\nmore: {base}/api/v1/onchain/btc/summary")


async def _first_signal(base: str, api_key: str | None, as_json: bool) -> None:
    """Show that it works: the first signal that may be leaned on."""
    from market_scraper.cli.follow import follow
    from market_scraper.cli.printing import print_json, print_line
    from market_scraper.cli.remote import Remote
    from market_scraper.cli.signals import one_line

    async for message in follow(Remote(base, api_key), "signals", None, on_lost=lambda _reason: None):
        if message["type"] == "signal" and message["data"]["state"] == "live":
            data = message["data"]
            if as_json:
                print_json({"event": "first_signal", "data": data})
            else:
                print_line(f"first signal: {one_line(data)}\nwhy: {base}/api/v1/signals/{data['id']}/explain")
            return
