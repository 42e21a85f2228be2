"""`simulate`: the paper venue and the on-chain hosts alone, for any client that speaks their wire."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from market_scraper.cli.options import Json

if TYPE_CHECKING:
    from market_scraper.runtime.clock import ScaledClock
    from market_scraper.simulator.faults import Fault
    from market_scraper.simulator.options import VenueOptions

Traders = Annotated[int, typer.Option(min=20, max=100_000, help="How many accounts trade.")]
Speed = Annotated[float, typer.Option(min=0.01, max=1_000, help="Venue seconds in one real second.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same traders and trades.")]

DEFAULT_TRADERS = 300
DEFAULT_PORT = 8_001


def simulate(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 = any free one.")] = DEFAULT_PORT,
    host: Annotated[str, typer.Option(help="Listen here.")] = "127.0.0.1",
    traders: Traders = DEFAULT_TRADERS,
    speed: Speed = 1.0,
    seed: Seed = 1,
    faults: Annotated[
        Path | None,
        typer.Option(help="A YAML schedule of what goes wrong.", exists=True, dir_okay=False, show_default=False),
    ] = None,
    lifeline: Annotated[bool, typer.Option("--lifeline", hidden=True, help="Stop when standard input ends.")] = False,
    as_json: Json = False,
) -> None:
    """Run the paper venue until Ctrl-C: the venue's wire, its limits, and traders whose truth is known.

    The Bitcoin on-chain hosts are served on the same port, under their real paths.

    \b
    Example: market-scraper simulate --port 8001 --speed 10
             HYPERLIQUID__API_URL=http://127.0.0.1:8001 HYPERLIQUID__WS_URL=ws://127.0.0.1:8001/ws ...
    \b
    Venue:   /info  /ws  /Mainnet/leaderboard
    On-chain (ONCHAIN__..._URL=http://127.0.0.1:8001):
             /stats  /charts/NAME  /fng/  /v4/timeseries/asset-metrics  /v4/catalog-v2/asset-metrics
             /coinmetrics/data/master/csv/btc.csv  /cbbi/data/latest.json
             /api/series/NAME/day1  /api/series/bulk  /api/series/search  /api/blocks/tip/height  /health
    Ours:    /_truth  /_truth/onchain  /_stats  /_control (faults, as in --faults)
    """
    from market_scraper import logs
    from market_scraper.cli.server import stop_like_ctrl_c
    from market_scraper.config import load
    from market_scraper.runtime.clock import ScaledClock
    from market_scraper.simulator.options import VenueOptions

    logs.configure(load({"logging.format": "json" if as_json else None}).logging)
    options = VenueOptions(traders=traders, seed=seed, speed=speed, faults=_schedule(faults))
    clock = ScaledClock(origin_s=ScaledClock().now_ms() / 1000, speed=speed)
    stop_like_ctrl_c()
    try:
        asyncio.run(_serve(options, clock, host, port, lifeline=lifeline, as_json=as_json))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


async def _serve(
    options: "VenueOptions", clock: "ScaledClock", host: str, port: int, *, lifeline: bool, as_json: bool
) -> None:
    from market_scraper.cli.printing import print_json, print_line
    from market_scraper.cli.remote import CommandFailed
    from market_scraper.simulator.server import PaperVenue

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        try:
            venue = await stack.enter_async_context(PaperVenue(options, clock, host=host, port=port))
        except OSError as error:
            raise CommandFailed(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
        if lifeline:
            stack.push_async_callback(_cancelled, asyncio.create_task(_until_stdin_ends(stopped), name="lifeline"))
        url = venue.url
        if as_json:
            print_json(
                {"event": "ready", "url": url, "port": venue.port, "origin": clock.origin_s, "speed": clock.speed}
            )
        else:
            print_line(f"the paper venue is at {url}  (CLOCK__ORIGIN={clock.origin_s!r} CLOCK__SPEED={clock.speed!r})")
        await stopped.wait()


async def _until_stdin_ends(stopped: asyncio.Event) -> None:
    """The parent holds the other end of our standard input: it ends when the parent does, however it dies."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    stopped.set()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _schedule(file: Path | None) -> "tuple[Fault, ...]":
    import msgspec
    import yaml

    from market_scraper.domain.errors import ConfigError
    from market_scraper.simulator.faults import load_faults

    if file is None:
        return ()
    try:
        return load_faults(file)
    except (msgspec.ValidationError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is no schedule of faults: {' '.join(str(error).split())}") from error
