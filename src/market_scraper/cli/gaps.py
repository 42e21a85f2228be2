"""`gaps`: what is missing in the store."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from market_scraper.cli.options import ConfigFile, Json

if TYPE_CHECKING:
    from market_scraper.config import Settings

INTERVALS = ("1m", "5m", "15m", "1h", "4h", "1d")


def gaps(
    symbol: Annotated[
        list[str] | None, typer.Option(help="A coin; may be given again. Default: all configured.", show_default=False)
    ] = None,
    interval: Annotated[
        list[str] | None, typer.Option(help=f"Of {', '.join(INTERVALS)}; may be given again.", show_default=False)
    ] = None,
    path: Annotated[Path | None, typer.Option(help="The store. Default: STORAGE__PATH.", show_default=False)] = None,
    file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """List what is missing: candles between stored ones, and stretches of the tape that nobody heard.

    Reads the SQLite file itself; the server may run or not. Exit 1 for missing candles.

    \b
    Example: market-scraper gaps --symbol BTC --interval 1h
    """
    from market_scraper.cli.printing import print_json, print_line, print_table
    from market_scraper.config import load

    wrong = [each for each in interval or [] if each not in INTERVALS]
    if wrong:
        raise typer.BadParameter(f"expected one of {', '.join(INTERVALS)}, was {wrong[0]!r}", param_hint="--interval")
    flags = {
        "hyperliquid.symbol": tuple(symbol) if symbol else None,
        "storage.path": path and str(path),
        "storage.backend": path and "sqlite",
    }
    found = asyncio.run(_found(load(flags, file=file), tuple(interval or INTERVALS)))
    candles = sum(each["kind"] == "candles" for each in found)
    if as_json:
        print_json(found)
    elif found:
        columns = ["kind", "symbol", "interval", "from", "to", "missing"]
        print_table(columns, [[each[column] for column in columns] for each in found])
    else:
        print_line("no gaps")
    raise typer.Exit(int(candles > 0))


async def _found(settings: "Settings", intervals: tuple[str, ...]) -> list[dict[str, object]]:
    from market_scraper.cli.kept import kept_store
    from market_scraper.domain.values import Interval, iso

    found: list[dict[str, object]] = []
    async with kept_store(settings) as store:
        for symbol in settings.hyperliquid.symbols:
            for interval in map(Interval, intervals):
                for first, last in await store.candles.gaps(symbol, interval):
                    found.append(
                        {
                            "kind": "candles",
                            "symbol": symbol,
                            "interval": interval.value,
                            "from": iso(first),
                            "to": iso(last),
                            "missing": (last - first) // interval.ms + 1,
                        }
                    )
            mark = (await store.positions.marks()).get(symbol)
            for gap in mark.gaps if mark is not None else ():
                part = {"from": iso(gap.since_ms), "to": iso(gap.until_ms), "missing": None}
                found.append({"kind": "tape", "symbol": symbol, "interval": None, **part})
    return found
