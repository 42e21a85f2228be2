"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="The running server. Default: from API_HOST and API_PORT.", show_default=False),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="YAML file. Default: config/market_config.yaml, if it is there.", show_default=False),
]
Symbol = Annotated[
    str | None, typer.Option("--symbol", help="The coin. Default: the server's first one.", show_default=False)
]


def command_group(help_text: str) -> typer.Typer:
    """Give a group of commands in the house's manner."""
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=None)
