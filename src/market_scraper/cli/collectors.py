"""`collectors`: the connectors of the running server."""

from typing import Annotated

import typer

from market_scraper.cli.options import Json, Url, command_group

group = command_group("See, start and stop what the running server collects. The choice survives a restart.")

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="As `collectors status` lists them.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]

_PATH = "/api/v1/connectors"


@group.command()
def status(url: Url = None, as_json: Json = False) -> None:
    """List the collectors. Exit 1 when one of them fails.

    \b
    Example: market-scraper collectors status
    """
    from market_scraper.cli.printing import print_json
    from market_scraper.cli.remote import Remote

    answer = Remote.from_settings(url).get(_PATH)
    if as_json:
        print_json(answer)
    else:
        _print(answer)
    raise typer.Exit(int(any(each["status"] == "failing" for each in answer)))


@group.command()
def start(names: Names = None, everything: All = False, url: Url = None, as_json: Json = False) -> None:
    """Start collectors; starting one that runs changes nothing.

    \b
    Example: market-scraper collectors start --all
    """
    _order("start", names or [], everything, url, as_json)


@group.command()
def stop(names: Names = None, everything: All = False, url: Url = None, as_json: Json = False) -> None:
    """Stop collectors.

    \b
    Example: market-scraper collectors stop candles leaderboard
    """
    _order("stop", names or [], everything, url, as_json)


def _order(verb: str, names: list[str], everything: bool, url: str | None, as_json: bool) -> None:
    from urllib.parse import quote

    from market_scraper.cli.printing import print_json
    from market_scraper.cli.remote import Remote

    if bool(names) == everything:
        raise typer.BadParameter("say either names or --all")
    remote = Remote.from_settings(url)
    chosen = [each["name"] for each in remote.get(_PATH)] if everything else names
    answers = [remote.post(f"{_PATH}/{quote(name, safe='')}/{verb}") for name in chosen]
    if as_json:
        print_json(answers)
    else:
        _print(answers)


def _print(connectors: list[dict[str, object]]) -> None:
    from market_scraper.cli.printing import print_table

    columns = ["name", "status", "last_success", "age_s", "errors", "reason"]
    print_table(columns, [[each.get(column) for column in columns] for each in connectors])
