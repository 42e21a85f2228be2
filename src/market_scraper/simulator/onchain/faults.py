"""What can go wrong at the on-chain hosts, and what it makes of a value.

`host` is one of `HOSTS`, empty = all; `metric` is the host's own word (`AdrActCnt`, `lth_sopr_24h`, `Puell`, `value`,
`hash-rate`), empty = all. See `simulator.faults` for schedules.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Literal, TypeVar

import msgspec

Host = Literal["", "blockchain_info", "fear_greed", "coin_metrics", "coin_metrics_csv", "cbbi", "bitview"]
HOSTS: tuple[Host, ...] = ("blockchain_info", "fear_greed", "coin_metrics", "coin_metrics_csv", "cbbi", "bitview")


class _AtHost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag=str.lower):
    at_s: float = 0.0
    for_s: float = 0.0  # 0 = until the end
    host: Host = ""


class _OfMetric(_AtHost, frozen=True, kw_only=True, tag=str.lower):
    metric: str = ""


class OnChainStatus(_AtHost, frozen=True, kw_only=True, tag="onchain_status"):
    """Every answer has this status; `retry_after_s` > 0 says so in a header."""

    status: int = 500
    retry_after_s: int = 0


class OnChainHtml(_AtHost, frozen=True, kw_only=True, tag="onchain_html"):
    """A page for people, with status 200."""


class OnChainHalf(_AtHost, frozen=True, kw_only=True, tag="onchain_half"):
    """The answer ends in the middle of its newest row, as if it were whole."""


class OnChainHuge(_AtHost, frozen=True, kw_only=True, tag="onchain_huge"):
    """An answer that begins well and goes on for `megabytes`, streamed."""

    megabytes: int = 40


class OnChainStall(_AtHost, frozen=True, kw_only=True, tag="onchain_stall"):
    """An answer that begins and never ends, until the fault does."""


class OnChainSlow(_AtHost, frozen=True, kw_only=True, tag="onchain_slow"):
    """Answers come later by `by_s`."""

    by_s: float


class OnChainSunset(_AtHost, frozen=True, kw_only=True, tag="onchain_sunset"):
    """Answers carry the headers `Deprecation` and `Sunset`."""

    date: str = "Fri, 01 Jan 2027 00:00:00 GMT"


class OnChainScientific(_AtHost, frozen=True, kw_only=True, tag="onchain_scientific"):
    """Values come in scientific notation."""


class OnChainForbid(_OfMetric, frozen=True, kw_only=True, tag="onchain_forbid"):
    """A metric is paid for from now on: 403 for the request that names it, where one names metrics."""


class OnChainRename(_OfMetric, frozen=True, kw_only=True, tag="onchain_rename"):
    """A metric is called `to`; nobody knows the old name any more."""

    metric: str
    to: str


class OnChainNulls(_OfMetric, frozen=True, kw_only=True, tag="onchain_nulls"):
    """The newest `days` have no value."""

    days: int = 2


class OnChainFreeze(_OfMetric, frozen=True, kw_only=True, tag="onchain_freeze"):
    """The newest `days` repeat the value of the day before them."""

    days: int = 5


class OnChainRestate(_OfMetric, frozen=True, kw_only=True, tag="onchain_restate"):
    """All days but the newest `days` are changed by this share: history is written anew."""

    days: int = 30
    by: float = 0.02


class OnChainFactor(_OfMetric, frozen=True, kw_only=True, tag="onchain_factor"):
    """Values are multiplied: a wrong unit (1000) or a source that says otherwise (1.1)."""

    factor: float


OfDelivery = OnChainStatus | OnChainHtml | OnChainHalf | OnChainHuge | OnChainStall | OnChainSlow | OnChainSunset
OfValues = (
    OnChainScientific | OnChainForbid | OnChainRename | OnChainNulls | OnChainFreeze | OnChainRestate | OnChainFactor
)
OnChainFault = OfDelivery | OfValues

_Kind = TypeVar("_Kind")


class Spoil:
    """The faults in force at one host, as its answers ask about them. Without faults it changes nothing."""

    def __init__(self, faults: Iterable[object], host: Host) -> None:
        self._faults: list[OnChainFault] = [
            fault for fault in faults if isinstance(fault, OnChainFault) and fault.host in ("", host)
        ]
        self._of_metrics = [fault for fault in self._faults if isinstance(fault, _OfMetric)]
        self._scientific = self.first(OnChainScientific) is not None

    @property
    def mark(self) -> str:
        """What tells one set of these faults from another: part of an answer's version."""
        return repr(self._faults) if self._faults else ""

    @property
    def spares_values(self) -> bool:
        """Whether every value is said as it is."""
        return not self._of_metrics and not self._scientific

    def first(self, kind: type[_Kind]) -> _Kind | None:
        """The oldest fault of a kind."""
        return next((fault for fault in self._faults if isinstance(fault, kind)), None)

    def forbids(self, metric: str) -> bool:
        return any(isinstance(fault, OnChainForbid) and fault.metric in ("", metric) for fault in self._faults)

    def name(self, metric: str) -> str:
        """What the host calls it now."""
        for fault in self._faults:
            if isinstance(fault, OnChainRename) and fault.metric == metric:
                return fault.to
        return metric

    def meaning(self, asked: str) -> str | None:
        """The reverse: our word for what was asked for; None for a name that is gone."""
        for fault in self._faults:
            if isinstance(fault, OnChainRename):
                if fault.to == asked:
                    return fault.metric
                if fault.metric == asked:
                    return None
        return asked

    def value(self, metric: str, day: int, newest: int, true: Callable[[int], float | None]) -> float | None:
        """What the host says of a day, where `true` knows what is right and `newest` is its newest day."""
        if not self._of_metrics:
            return true(day)
        factor = 1.0
        for fault in self._of_metrics:
            if fault.metric not in ("", metric):
                continue
            recent = day > newest - getattr(fault, "days", 0)
            match fault:
                case OnChainNulls() if recent:
                    return None
                case OnChainFreeze() if recent:
                    day = newest - fault.days
                case OnChainRestate() if not recent:
                    factor *= 1 + fault.by
                case OnChainFactor():
                    factor *= fault.factor
                case _:
                    pass
        value = true(day)
        return value if value is None or factor == 1.0 else value * factor

    def number(self, text: str) -> str:
        """A number as the host writes it now: 612345 -> 6.12345E+5 under a fault."""
        return f"{Decimal(text):E}" if self._scientific else text


CLEAN = Spoil((), "coin_metrics")
"""Nothing goes wrong."""
