"""`doctor`: what could keep the program from working here?"""

import asyncio
from typing import Annotated

import typer

from market_scraper.cli.options import ConfigFile, Json


def doctor(
    upstreams: Annotated[
        bool,
        typer.Option("--upstreams", help="Ask the venue and the on-chain sources too, and check what they answer."),
    ] = False,
    file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Check clock, limits, port, store and bus, and on request the upstreams. Exit 1 when something is not well.

    \b
    Example: market-scraper doctor --upstreams
    """
    from market_scraper import logs
    from market_scraper.cli import checkup
    from market_scraper.cli.printing import print_json, print_table
    from market_scraper.config import load

    settings = load(file=file)
    logs.configure(settings.logging.model_copy(update={"level": "CRITICAL"}))  # findings say it
    found = asyncio.run(checkup.examine(settings, upstreams=upstreams))
    if as_json:
        print_json([{"check": it.check, "ok": it.ok, "detail": it.detail} for it in found])
    else:
        print_table(["check", "ok", "detail"], [(it.check, it.ok, it.detail) for it in found])
    raise typer.Exit(int(not all(it.ok for it in found)))
