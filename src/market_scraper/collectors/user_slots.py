"""The ten WebSocket user slots, given to the traders that matter most: their whole state, pushed every 5 s."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Self

from market_scraper.domain.positions import AccountSnapshot
from market_scraper.domain.values import Address
from market_scraper.ports.sources import AccountHeard, Heard, VenueSocket, VenueSockets


class UserSlots:
    """One socket with an account subscription per slot (trader x dex, each trader takes one slot)."""

    def __init__(self, sockets: VenueSockets, *, slots: int, on_snapshot: Callable[[AccountSnapshot], None]) -> None:
        self._sockets = sockets
        self._slots = slots
        self._dexes: tuple[str, ...] = ()
        self._on_snapshot = on_snapshot
        self._socket: VenueSocket | None = None
        self._stack = AsyncExitStack()
        self.traders: tuple[Address, ...] = ()
        self.answers = 0  # pushed so far

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        if self._slots:
            self._socket = await self._stack.enter_async_context(self._sockets.open("users", self._hear))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    def give(self, traders: Sequence[Address], dexes: Sequence[str]) -> None:
        """Give the slots to the first of these, on all these dexes; who has one and is still among them keeps it."""
        chosen = tuple(traders[: self._slots])
        if self._socket is None or (set(chosen) == set(self.traders) and set(dexes) == set(self._dexes)):
            return
        self.traders, self._dexes = chosen, tuple(dexes)
        self._socket.want(
            [
                {"type": "clearinghouseState", "user": trader, **({"dex": dex} if dex else {})}
                for trader in chosen
                for dex in self._dexes
            ]
        )

    def _hear(self, heard: Heard) -> None:
        if isinstance(heard, AccountHeard):
            self.answers += 1
            self._on_snapshot(heard.snapshot)
