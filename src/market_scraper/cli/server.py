"""`server`: the program itself."""

import signal
from collections.abc import Iterable
from typing import Annotated

import typer

from market_scraper.cli.options import ConfigFile, Json

ROLES = ("collect", "process", "api")


def server(
    symbol: Annotated[
        list[str] | None, typer.Option(help="A coin to collect; may be given again.", show_default=False)
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Listen here. Default: API_HOST, 127.0.0.1.", show_default=False)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Default: API_PORT, 8000. 0 = any free one.", show_default=False),
    ] = None,
    no_collectors: Annotated[bool, typer.Option("--no-collectors", help="API only.")] = False,
    roles: Annotated[str, typer.Option(help="Which parts run in this process.")] = ",".join(ROLES),
    file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Collect, process and serve, until Ctrl-C or SIGTERM.

    \b
    Example: market-scraper server
             market-scraper server --symbol BTC --symbol ETH --port 8080
    """
    from market_scraper.cli.printing import remark
    from market_scraper.config import choose_backends, load

    chosen = chosen_roles(roles)
    flags: dict[str, object] = {
        "api_host": host,
        "api_port": port,
        "hyperliquid.symbol": tuple(symbol) if symbol else None,
        "logging.format": "json" if as_json else None,
    }
    settings = load(flags, file=file)
    for note in choose_backends(settings).notes:
        remark(note)

    import asyncio  # the heavy part comes when all is known to be right

    from market_scraper import logs
    from market_scraper.app.run import run

    logs.configure(settings.logging)
    stop_like_ctrl_c()
    try:
        asyncio.run(
            run(
                settings,
                roles=frozenset({"api"}) if no_collectors else chosen,
                collectors=not no_collectors,
                on_ready=lambda base: announce(base, as_json, roles=chosen),
            )
        )
    except KeyboardInterrupt:  # before the program could take the signal itself
        raise typer.Exit(0) from None


def chosen_roles(text: str) -> frozenset[str]:
    """Read a comma list of roles."""
    roles = frozenset(part.strip() for part in text.split(",") if part.strip())
    if not roles or not roles <= set(ROLES):
        raise typer.BadParameter(f"expected some of {','.join(ROLES)}, was {text!r}", param_hint="--roles")
    return roles


def announce(base: str | None, as_json: bool, *, roles: Iterable[str] = ROLES) -> None:
    """Say where the server is; None = it serves nobody."""
    from market_scraper.cli.printing import print_json, print_line

    if as_json:
        print_json(
            {"event": "ready", "url": base, "docs": None if base is None else f"{base}/docs", "roles": sorted(roles)}
        )
    elif base is None:
        print_line(f"ready: {', '.join(sorted(roles))}")
    else:
        print_line(f"ready: {base}  (API pages: {base}/docs)")


def stop_like_ctrl_c() -> None:
    """Until the event loop takes SIGTERM itself, treat it as Ctrl-C, so that blocks are left in order."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
