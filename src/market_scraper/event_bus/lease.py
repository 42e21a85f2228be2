"""What leases have in common, and the lease of a process that shares its bus with nobody."""

import asyncio
from collections.abc import Callable

import structlog

from market_scraper.ports.lease import MOST_LEFT

log = structlog.get_logger(__name__)


class Estate:
    """What a holder leaves to the next one, asked for when it is wanted."""

    def __init__(self, lease: str) -> None:
        self._lease = lease
        self._state: Callable[[], bytes] | None = None

    def leave(self, state: Callable[[], bytes]) -> None:
        """Ask this one from now on."""
        self._state = state

    def now(self) -> bytes | None:
        """Give what is left now; None: nothing that could be kept. A mistake in it must not cost the lease."""
        if self._state is None:
            return None
        try:
            left = self._state()
        except Exception as error:
            log.error("lease_state_failed", lease=self._lease, exc_info=error)
            return None
        if len(left) > MOST_LEFT:
            log.error("lease_state_too_long", lease=self._lease, bytes=len(left), most=MOST_LEFT)
            return None
        return left


class LocalLease:
    """Implements `ports.lease.Lease`: whoever asks holds it until it is released.

    `estates` keeps what was left, by the leases' names, as long as its owner does.
    """

    def __init__(self, name: str, estates: dict[str, bytes] | None = None) -> None:
        self.name = name
        self._estates = {} if estates is None else estates
        self._estate = Estate(name)
        self._left: bytes | None = None
        self._token: int | None = None
        self._given = 0
        self._lost = asyncio.Event()
        self._lost.set()

    @property
    def token(self) -> int | None:
        return self._token

    @property
    def left(self) -> bytes | None:
        return self._left

    def leave(self, state: Callable[[], bytes]) -> None:
        """As the port says. Nothing is renewed here: `state` is asked at release."""
        self._estate.leave(state)

    async def acquire(self) -> int:
        if self._token is None:
            self._left = self._estates.get(self.name)
            self._given += 1
            self._token = self._given
            self._lost.clear()
        return self._token

    async def lost(self) -> None:
        await self._lost.wait()

    async def release(self) -> None:
        if self._token is not None and (left := self._estate.now()) is not None:
            self._estates[self.name] = left
        self._token = None
        self._lost.set()
