"""`backfill`: candle history, now."""

import asyncio
from typing import Annotated

import typer

from market_scraper.cli.options import ConfigFile, Json


def backfill(
    symbol: Annotated[
        list[str] | None, typer.Option(help="A coin; may be given again. Default: all configured.", show_default=False)
    ] = None,
    file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Fill the candles of all six intervals as far back as the venue has them, holes included.

    A running server does this by itself; the command is for a store that shall be filled without one.

    \b
    Example: market-scraper backfill --symbol BTC
    """
    from market_scraper import logs
    from market_scraper.app.backfill import backfill as fill
    from market_scraper.cli.printing import print_json, print_line, remark
    from market_scraper.cli.remote import CommandFailed
    from market_scraper.config import choose_backends, load

    settings = load({"hyperliquid.symbol": tuple(symbol) if symbol else None}, file=file)
    chosen = choose_backends(settings).store
    if chosen == "memory":
        raise CommandFailed("STORAGE__BACKEND=memory keeps nothing: there is no store to fill")
    logs.configure(settings.logging.model_copy(update={"level": "ERROR"}))
    symbols = ", ".join(settings.hyperliquid.symbols)
    store = f"MongoDB ({settings.mongo.database})" if chosen == "mongo" else str(settings.storage.path)
    remark(f"filling the candles of {symbols} in {store}; the venue's limits make this take minutes ...")
    bars = asyncio.run(fill(settings))
    if as_json:
        print_json({"bars": bars, "symbols": settings.hyperliquid.symbols, "store": store})
    else:
        print_line(f"{bars} bars came")
