"""The outside world as collectors ask it: one method a question, domain values back.

Every method raises SourceError when the venue does not answer well and InvalidInput when the answer makes no sense.
Spending is counted where the request is sent: a call waits until the budget allows it.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from market_scraper.domain.market import Candle, Market, MarketContext, Print
from market_scraper.domain.onchain import Answer, Source
from market_scraper.domain.positions import AccountSnapshot
from market_scraper.domain.traders import LeaderboardRow
from market_scraper.domain.values import Address, Interval, Symbol


class VenueHttp(Protocol):
    """The REST side."""

    async def markets(self) -> list[Market]:
        """All perps of the main dex and of the dexes of the followed symbols."""
        ...

    async def contexts(self) -> tuple[list[Market], list[MarketContext]]:
        """The states of all markets of those dexes, with the listing that the venue tells with them."""
        ...

    async def candles(
        self, symbol: Symbol, interval: Interval, start_ms: int, end_ms: int, *, urgent: bool = False
    ) -> list[Candle]:
        """Oldest first, at most about the newest 5,000 that exist; the last one may still be forming.

        `urgent`: it waits for no other candles; for a few bars that are worth nothing later.
        """
        ...

    async def account(self, trader: Address, dex: str = "") -> AccountSnapshot: ...

    def leaderboard(self) -> AsyncIterator[Sequence[LeaderboardRow]]:
        """One pull, in slices that never hold the event loop for long; bad rows are parked and counted."""
        ...

    def spent_last_minute(self) -> int:
        """Weight used in the last 60 s."""
        ...

    def account_room(self) -> int:
        """How many account questions could be sent now without waiting for the budget."""
        ...


class PrintsHeard(msgspec.Struct, frozen=True, gc=False):
    """A trades frame of one coin, in the venue's order. `replay` = the first one after a subscribe."""

    symbol: Symbol
    prints: tuple[Print, ...]
    replay: bool


class TimeHeard(msgspec.Struct, frozen=True, gc=False):
    """A frame of this coin with a venue time and no prints (bbo)."""

    symbol: Symbol
    time_ms: int


class PulseHeard(msgspec.Struct, frozen=True, gc=False):
    """A frame that says only that the socket lives, with the mids it carried (USD)."""

    mids: dict[Symbol, float]


class CandleHeard(msgspec.Struct, frozen=True, gc=False):
    """A bar as of now; it closes when a later one comes."""

    symbol: Symbol
    interval: Interval
    candle: Candle


class ContextHeard(msgspec.Struct, frozen=True, gc=False):
    """A market's mark, mid and open interest."""

    context: MarketContext


class AccountHeard(msgspec.Struct, frozen=True, gc=False):
    """An account answer pushed over a user slot."""

    snapshot: AccountSnapshot


class TradesSubscribed(msgspec.Struct, frozen=True, gc=False):
    """The venue has confirmed a `trades` subscription: the next frame of the coin is the replay."""

    symbol: Symbol


class FrameLost(msgspec.Struct, frozen=True, gc=False):
    """A frame could not be read: prints may be missing. `symbol` None = any coin's."""

    symbol: Symbol | None
    reason: str


class SocketOpened(msgspec.Struct, frozen=True, gc=False):
    """A socket is connected; subscriptions are on their way."""


class SocketLost(msgspec.Struct, frozen=True, gc=False):
    """The socket is closed; it will be opened again by its owner."""

    reason: str


Heard = (
    PrintsHeard
    | TimeHeard
    | PulseHeard
    | CandleHeard
    | ContextHeard
    | AccountHeard
    | TradesSubscribed
    | FrameLost
    | SocketOpened
    | SocketLost
)


class VenueSocket(Protocol):
    """One WebSocket that is kept open: it reconnects by itself, with delays that really wait, and never gives up."""

    @property
    def name(self) -> str: ...

    def want(self, subscriptions: Sequence[dict[str, object]]) -> None:
        """Set what this socket should be subscribed to (the venue's own payloads); differences are sent."""
        ...

    def renew_trades(self, symbol: Symbol) -> None:
        """Unsubscribe and subscribe a coin's trades anew, to get a replay."""
        ...

    def reconnect(self, reason: str) -> None:
        """Close and open again now (silence, or before the venue's 3 hours are over)."""
        ...


class VenueSockets(Protocol):
    """Opens sockets within the venue's limits (connections, new ones a minute, messages, user slots)."""

    def open(self, name: str, on_heard: Callable[[Heard], None]) -> AbstractAsyncContextManager[VenueSocket]:
        """Keep a socket open while in the block. `on_heard` is called at once, in order, and must not block."""
        ...


class OnChainSource(Protocol):
    """One on-chain upstream: it knows the source's words and units, and has no policy of its own.

    `read` raises SourceError when the source does not answer well and InvalidInput when its whole answer makes no
    sense; a part that makes none is left out and noted, so that it cannot take the others down.
    """

    @property
    def name(self) -> Source: ...

    @property
    def metrics(self) -> tuple[str, ...]:
        """What it may give."""
        ...

    async def read(self, newest: Mapping[str, int], now_ms: int) -> Answer:
        """Ask for what is new, where `newest` says the newest t that we have of each metric.

        A metric that is not in `newest` is asked for from its beginning; of the others the source's last days come
        again, as far back as it is known to revise them.
        """
        ...
