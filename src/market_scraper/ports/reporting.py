"""How a component says how it is doing."""

from collections.abc import Mapping
from typing import Protocol

Detail = Mapping[str, bool | float | int | str | None]
"""Figures and words that are shown with a component's health."""


class Reporter(Protocol):
    """One component's voice. Calls return at once; repeating oneself is free and logs nothing."""

    def ok(self, detail: Detail | None = None) -> None:
        """Say that data came or work was done now; `detail` replaces what was shown before, None keeps it."""
        ...

    def failed(self, reason: str, *, told: bool = False, detail: Detail | None = None) -> None:
        """Say what does not work; it stands until the next `ok`. `told`: the log has it already, from the source.

        `detail` as with `ok`: figures are looked at most when something fails.
        """
        ...
