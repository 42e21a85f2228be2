"""`health`: is the running server well?"""

import typer

from market_scraper.cli.options import Json, Url


def health(url: Url = None, as_json: Json = False) -> None:
    """Ask the running server how it is. Exit 0 when healthy, 1 when not, with the reasons.

    \b
    Example: market-scraper health
             market-scraper health --json | jq .components
    """
    from market_scraper.cli.printing import cell, print_json, print_line, print_table
    from market_scraper.cli.remote import Remote, ServerRefused, ServerUnreachable

    try:
        answer = Remote.from_settings(url).get("/health/status")
    except ServerUnreachable as error:
        if as_json:
            print_json({"status": "unreachable", "reason": str(error)})
        raise
    except ServerRefused as error:  # an unwell server may say so with 503
        if not (isinstance(error.body, dict) and "status" in error.body):
            raise
        answer = error.body
    if as_json:
        print_json(answer)
    else:
        print_line(f"{answer['status']} (version {answer.get('version', '?')})")
        print_table(
            ["component", "status", "age", "reason"],
            [
                (name, part.get("status"), _age(part.get("age_s")), cell(part.get("reason")))
                for name, part in sorted(answer.get("components", {}).items())
            ],
        )
    raise typer.Exit(0 if answer["status"] == "healthy" else 1)


def _age(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:,.1f} s"
