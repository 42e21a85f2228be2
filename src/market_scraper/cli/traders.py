"""`traders`: who is tracked, and what one of them holds."""

from typing import Annotated, Any

import typer

from market_scraper.cli.options import Json, Symbol, Url, command_group

group = command_group("List the tracked traders, show one, and choose by hand who is tracked.")

Who = Annotated[str, typer.Argument(metavar="ADDRESS", help="0x and 40 hex digits.")]


@group.command(name="list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many.")] = 50,
    min_score: Annotated[float | None, typer.Option(help="At least this score.", show_default=False)] = None,
    tag: Annotated[str | None, typer.Option(help="With this tag, such as whale.", show_default=False)] = None,
    sort: Annotated[str | None, typer.Option(help="The order. Default: score.", show_default=False)] = None,
    symbol: Symbol = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """List the tracked traders, best score first.

    \b
    Example: market-scraper traders list --limit 20 --tag whale
    """
    from market_scraper.cli.printing import print_json, print_line, print_table
    from market_scraper.cli.remote import Remote

    answer = Remote.from_settings(url).get(
        "/api/v1/traders", limit=limit, min_score=min_score, tag=tag, sort=sort, symbol=symbol
    )
    if as_json:
        print_json(answer)
        return
    print_table(
        ["address", "score", "account_value", "size", "state", "as_of", "tags"],
        [
            (each["address"], each["score"], each["account_value"], *_held(each["position"]), each["tags"])
            for each in answer["traders"]
        ],
    )
    print_line(f"{len(answer['traders'])} of {answer['total']} tracked traders, {answer['symbol']}")


@group.command()
def show(address: Who, url: Url = None, as_json: Json = False) -> None:
    """Show one trader: score, performance and positions.

    \b
    Example: market-scraper traders show 0x6859da14835424957a1e6b397d8026b1d9ff7e1e
    """
    _answer("GET", address, "", url, as_json)


@group.command()
def track(address: Who, url: Url = None, as_json: Json = False) -> None:
    """Track a trader by hand; it stays tracked whatever its score.

    \b
    Example: market-scraper traders track 0x6859da14835424957a1e6b397d8026b1d9ff7e1e
    """
    _answer("POST", address, "/track", url, as_json)


@group.command()
def untrack(address: Who, url: Url = None, as_json: Json = False) -> None:
    """Leave a trader out, whatever its score.

    \b
    Example: market-scraper traders untrack 0x6859da14835424957a1e6b397d8026b1d9ff7e1e
    """
    _answer("POST", address, "/untrack", url, as_json)


def _answer(method: str, raw: str, verb: str, url: str | None, as_json: bool) -> None:
    from market_scraper.cli.printing import print_json
    from market_scraper.cli.remote import Remote
    from market_scraper.domain.values import parse_address

    path = f"/api/v1/traders/{parse_address(raw)}{verb}"
    remote = Remote.from_settings(url)
    answer = remote.get(path) if method == "GET" else remote.post(path)
    if as_json:
        print_json(answer)
    else:
        _print(answer)


def _print(trader: dict[str, Any]) -> None:
    from market_scraper.cli.printing import print_line, print_table

    nested = ("positions", "performance", "score_detail", "position", "class")
    fields = [(key, value) for key, value in trader.items() if key not in nested]
    if (classed := trader.get("class")) is not None:
        fields += [("class", f"{classed['name']}: {classed['reason']}"), ("vote", classed["vote"])]
    print_table(["field", "value"], fields)
    if trader.get("positions"):
        print_line("")
        columns = [
            "coin",
            "size",
            "state",
            "doubt",
            "entry_price",
            "unrealized_pnl",
            "leverage",
            "as_of",
            "confirmed_at",
        ]
        print_table(columns, [[each.get(column) for column in columns] for each in trader["positions"]])


def _held(position: dict[str, Any] | None) -> tuple[object, object, object]:
    return (None, None, None) if position is None else (position["size"], position["state"], position["as_of"])
