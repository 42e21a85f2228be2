"""What is true now, kept in memory: all that api, dashboard and agents read. Reading never waits."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from market_scraper.domain.claims import Claim
from market_scraper.domain.events import ComponentReported
from market_scraper.domain.market import Candle, Market, MarketContext
from market_scraper.domain.onchain import Judged, Reading
from market_scraper.domain.positions import Position
from market_scraper.domain.signals import Signal
from market_scraper.domain.traders import Choice, RatedTrader
from market_scraper.domain.values import Address, Interval, Symbol


class PositionNow(msgspec.Struct, frozen=True, gc=False):
    """A position with what may be claimed of it at the moment of asking."""

    position: Position | None  # None: nothing was ever seen (state inferred or unknown)
    claim: Claim


class PositionsView(Protocol):
    """Latest positions. Size and `as_of` always come from one applied prefix of the coin's stream."""

    def get(self, trader: Address, symbol: Symbol) -> PositionNow | None:
        """None = never heard of; an inferred position counts as heard of."""
        ...

    def known(self, symbol: Symbol) -> Sequence[Address]: ...

    def coverage(self, symbol: Symbol) -> float:
        """Sum of |size| over exact traders / (2 x open interest), 0..1; 0 while open interest is unknown."""
        ...

    def version(self, symbol: Symbol) -> int:
        """Rises whenever an answer may differ (for ETags and caches)."""
        ...


class TradersView(Protocol):
    """The newest ratings."""

    @property
    def captured_at_ms(self) -> int | None: ...

    def get(self, trader: Address) -> RatedTrader | None: ...

    def tracked(self) -> Sequence[RatedTrader]:
        """Best score first, then by address."""
        ...

    def is_tracked(self, trader: Address) -> bool: ...

    def choice(self, trader: Address) -> Choice | None: ...

    @property
    def version(self) -> int: ...


class MarketsView(Protocol):
    """Collected markets."""

    def all(self) -> Sequence[Market]: ...

    def get(self, symbol: Symbol) -> Market | None: ...

    def context(self, symbol: Symbol) -> tuple[MarketContext, int] | None:
        """The newest context and when it became known."""
        ...

    def forming(self, symbol: Symbol, interval: Interval) -> Candle | None: ...


class SignalsView(Protocol):
    """The current signal of each symbol."""

    def current(self, symbol: Symbol) -> Signal | None: ...


class OnChainView(Protocol):
    """The newest on-chain values, cross-examined; those that are computed (netflow, the waves' shares) among them."""

    def metric(self, name: str) -> Judged:
        """Raises UnknownThing for a name that is not in `domain.derived.SERVED`."""
        ...

    def all(self) -> Mapping[str, Judged]:
        """Every metric, by name."""
        ...

    def readings(self) -> Sequence[Reading]:
        """What is held, stored or not: the newest days of every source's metrics, one revision of each t."""
        ...

    @property
    def version(self) -> int:
        """Rises whenever an answer may differ but for what ages by itself."""
        ...


class ComponentHealth(msgspec.Struct, frozen=True, gc=False):
    """One component, judged now. Where only its silence is wrong, `report` has that as its reason."""

    name: str
    kind: str
    status: str  # healthy, degraded, unhealthy, stopped
    age_s: float | None  # since the last success
    report: ComponentReported


class HealthView(Protocol):
    """Health is the truth: a component is healthy because data came within its allowed age."""

    def components(self) -> Sequence[ComponentHealth]: ...

    def get(self, name: str) -> ComponentHealth | None: ...

    def overall(self) -> str:
        """healthy, degraded (something fails or is late) or unhealthy (nothing that matters is well)."""
        ...

    def checks(self) -> dict[str, bool]:
        """What readiness asks for the roles of this process; all true = ready."""
        ...


class Views(Protocol):
    """All of them."""

    @property
    def positions(self) -> PositionsView: ...

    @property
    def traders(self) -> TradersView: ...

    @property
    def markets(self) -> MarketsView: ...

    @property
    def signals(self) -> SignalsView: ...

    @property
    def onchain(self) -> OnChainView: ...

    @property
    def health(self) -> HealthView: ...
