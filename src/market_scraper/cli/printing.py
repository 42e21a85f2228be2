"""How commands speak: data to standard output, remarks to standard error, colour only on a terminal."""

import json
import sys
from collections.abc import Iterable, Sequence

PIPED_WIDTH = 10_000
"""A table that is piped is never folded: columns are as wide as their text."""


def print_json(data: object) -> None:
    """One JSON document on one line, for `jq` and scripts."""
    print(json.dumps(data, ensure_ascii=False, default=str), flush=True)


def print_line(text: str) -> None:
    print(printable(text), flush=True)


def remark(text: str) -> None:
    """Tell the person something that is no data."""
    print(printable(text), file=sys.stderr, flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under headings. Cells are plain text: nothing in them is read as markup or as a terminal command."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    # FORCE_COLOR, as CI machines set it, must not put control codes into what is piped.
    force = None if terminal else False
    width = None if terminal else PIPED_WIDTH
    Console(width=width, force_terminal=force, no_color=not terminal, highlight=False).print(table)


def cell(value: object) -> str:
    """One value as people read it: nothing as `-`, numbers short, lists with commas."""
    match value:
        case None | "" | [] | ():
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) < 1000 else f"{value:,.0f}"
        case list() | tuple():
            return ", ".join(cell(item) for item in value)
        case dict():
            return json.dumps(value, ensure_ascii=False, default=str)
        case _:
            return printable(str(value))


def printable(text: str) -> str:
    """Names are chosen by strangers: what could steer a terminal becomes `?`."""
    return "".join(char if char.isprintable() or char in "\n\t" else "?" for char in text)
