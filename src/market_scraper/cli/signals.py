"""`signals`: follow them, and see why."""

from typing import Annotated, Any

import typer

from market_scraper.cli.options import Json, Symbol, Url, command_group

group = command_group("Follow the signals, and see what each is made of.")


@group.command()
def tail(
    symbol: Symbol = None,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many.", show_default=False)] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Print signals as they come, until Ctrl-C. After a lost connection it goes on where it was.

    \b
    Example: market-scraper signals tail
             market-scraper signals tail --json | jq -c '{timestamp, recommendation, confidence}'
    """
    import asyncio

    from market_scraper.cli.follow import follow
    from market_scraper.cli.printing import print_json, print_line, remark
    from market_scraper.cli.remote import Remote

    remote = Remote.from_settings(url)

    async def run() -> None:
        printed = 0
        async for message in follow(remote, "signals", symbol):
            if message["type"] != "signal":
                remark(_aside(message))
                continue
            if as_json:
                print_json(message["data"])
            else:
                print_line(one_line(message["data"]))
            printed += 1
            if printed == count:
                return

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


@group.command()
def explain(
    signal_id: Annotated[str, typer.Argument(metavar="ID", help="24 hex digits.")],
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Show what a signal is made of: each trader's share, and what changed since the one before.

    \b
    Example: market-scraper signals explain 507f1f77bcf86cd799439011
    """
    import re

    from market_scraper.cli.printing import print_json, print_line
    from market_scraper.cli.remote import Remote

    if not re.fullmatch(r"[0-9a-fA-F]{24}", signal_id):
        raise typer.BadParameter(f"expected 24 hex digits, was {signal_id!r}")
    answer: dict[str, Any] = Remote.from_settings(url).get(f"/api/v1/signals/{signal_id}/explain")
    if as_json:
        print_json(answer)
        return
    print_line(one_line(answer["signal"]))
    left_out = ", ".join(f"{count} {name}" for name, count in answer["left_out"].items())
    title = f"made by {answer['voters']} voters" + (f"; without a vote: {left_out}" if left_out else "")
    _print_part(title, answer["contributions"])
    if answer["others"]:
        print_line(f"and {answer['others']} smaller ones, together {answer['others_share']:+.4f} of the net exposure")
    if answer["previous"] is not None:
        print_line(f"\nbefore: {one_line(answer['previous'])}")
        _print_part("what changed", answer["changes"])


def _print_part(title: str, rows: list[dict[str, Any]]) -> None:
    from market_scraper.cli.printing import print_line, print_table

    print_line(f"\n{title}")
    if rows:
        print_table(list(rows[0]), [list(row.values()) for row in rows])


def one_line(signal: dict[str, Any]) -> str:
    """A signal as people read it."""
    sure = "calibrated" if signal["calibrated"] else "not calibrated"
    return (
        f"{signal['timestamp']}  {signal['symbol']}  {signal['recommendation']:<7}  "
        f"confidence {signal['confidence']:.2f} ({sure})  net exposure {signal['net_exposure']:+.2f}  "
        f"long {signal['traders_long']} short {signal['traders_short']} flat {signal['traders_flat']}  "
        f"coverage {signal['coverage']:.0%}  {signal['state']}  {signal['id'] or '-'}"
    )


def _aside(message: dict[str, Any]) -> str:
    match message["type"]:
        case "gap":
            return "(some signals were missed: they are no longer kept; see `/api/v1/signals`)"
        case "dropped":
            return f"({message.get('count', '?')} messages were dropped: this reader was too slow)"
        case other:
            return f"({other})"
