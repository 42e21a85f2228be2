"""Commands that change a running system, wherever their performer runs."""

from typing import Protocol

from market_scraper.domain.traders import Choice
from market_scraper.domain.values import Address


class Operations(Protocol):
    """What API and CLI may order. Each is done, and stored so that it survives a restart, when it returns."""

    async def start_connector(self, name: str) -> None:
        """Start a connector; starting one that runs does nothing. Raises UnknownThing."""
        ...

    async def stop_connector(self, name: str) -> None: ...

    async def choose_trader(self, trader: Address, choice: Choice) -> None:
        """Track or untrack by hand."""
        ...
