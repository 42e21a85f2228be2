"""Bitcoin on-chain metrics: what is measured, who measures it, and what one of them said when.

Units are normalised once, at the connector: hash rate in EH/s, supply and flows in BTC, ratios as plain numbers.
Nothing here is a price: prices come from the venue's candles.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

DAY_MS = 86_400_000


class Unit(StrEnum):
    """What a value counts."""

    EXAHASH = "EH/s"
    BTC = "BTC"
    COUNT = "count"
    RATIO = "ratio"  # a plain number; 1 = break-even where it divides two values of the same coins
    POINTS = "points"  # 0..100
    SHARE = "share"  # 0..1
    DIFFICULTY = "difficulty"


class Source(StrEnum):
    """Who measures: also the connector's name."""

    BLOCKCHAIN_INFO = "blockchain_info"
    FEAR_GREED = "fear_greed"
    COIN_METRICS = "coin_metrics"
    CBBI = "cbbi"
    BITVIEW = "bitview"
    EXCHANGE_FLOW = "exchange_flow"


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is measured. A value outside `least`..`most` is a mistake of the source, and refused."""

    name: str
    unit: Unit
    sources: tuple[Source, ...]  # the first that has a value worth serving is served, the next one checks it
    least: float = 0.0
    most: float = float("inf")
    tolerance: float = 0.05  # relative difference of two sources from which on they dispute
    stale_after_s: float = float("inf")  # what is known of moments alone may be too old sooner than its source's days


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What one must say of a source when showing its values, and how old they may become."""

    url: str  # where a reader finds it
    license: str
    attribution: str
    stale_after_s: float  # a value that holds for a moment longer ago than that says little of now


_HOUR_S, _DAY_S = 3_600.0, 86_400.0

TERMS: dict[Source, Terms] = {
    Source.BLOCKCHAIN_INFO: Terms(
        url="https://www.blockchain.com/explorer/charts",
        license="none stated",
        attribution="Blockchain.com",
        stale_after_s=2 * _HOUR_S,
    ),
    Source.FEAR_GREED: Terms(
        url="https://alternative.me/crypto/fear-and-greed-index/",
        license="none stated; attribution is asked for",
        attribution="Crypto Fear & Greed Index, alternative.me",
        stale_after_s=2 * _DAY_S,
    ),
    Source.COIN_METRICS: Terms(
        url="https://coinmetrics.io/community-network-data/",
        license="CC BY-NC 4.0",
        attribution="Coin Metrics community data, non-commercial use",
        stale_after_s=3 * _DAY_S,
    ),
    Source.CBBI: Terms(
        url="https://colintalkscrypto.com/cbbi/",
        license="none stated",
        attribution="CBBI, Colin Talks Crypto",
        # Woobull comes a day after the others, at about 08:30 UTC: its newest is then over 3 days old.
        stale_after_s=4 * _DAY_S,
    ),
    Source.BITVIEW: Terms(
        url="https://bitview.space",
        license="MIT (Bitcoin Research Kit)",
        attribution="Bitview, Bitcoin Research Kit",
        stale_after_s=2 * _DAY_S,
    ),
    Source.EXCHANGE_FLOW: Terms(
        url="https://coinmetrics.io/community-network-data/",
        license="CC BY-NC 4.0",
        attribution="Coin Metrics community data, non-commercial use",
        stale_after_s=3 * _DAY_S,
    ),
}

CBBI_COMPONENTS = (
    "PiCycle",
    "RUPL",
    "RHODL",
    "Puell",
    "2YMA",
    "Trolololo",
    "MVRV",
    "ReserveRisk",
    "Woobull",
)
"""As upstream spells them (facts, section 6). All are clipped to 0..1."""

CBBI_CONFIDENCE = "cbbi_confidence"

AGE_BANDS = (
    "under_1h",
    "1h_to_1d",
    "1d_to_1w",
    "1w_to_1m",
    "1m_to_2m",
    "2m_to_3m",
    "3m_to_4m",
    "4m_to_5m",
    "5m_to_6m",
    "6m_to_9m",
    "9m_to_1y",
    "1y_to_18m",
    "18m_to_2y",
    "2y_to_3y",
    "3y_to_4y",
    "4y_to_5y",
    "5y_to_6y",
    "6y_to_7y",
    "7y_to_8y",
    "8y_to_10y",
    "10y_to_12y",
    "12y_to_15y",
    "over_15y",
)
"""HODL waves, youngest first; together they are the supply (facts, section 1.4)."""


def cbbi_metric(component: str) -> str:
    """`PiCycle` as a metric's name: `cbbi.PiCycle`."""
    return f"cbbi.{component}"


def age_metric(band: str) -> str:
    """`1d_to_1w` as a metric's name: `age.1d_to_1w`, in BTC."""
    return f"age.{band}"


def _metrics() -> Iterable[Metric]:
    info, greed, cm = Source.BLOCKCHAIN_INFO, Source.FEAR_GREED, Source.COIN_METRICS
    cbbi, bitview, flow = Source.CBBI, Source.BITVIEW, Source.EXCHANGE_FLOW
    # Estimates of a day's hash rate from found blocks: their own noise is 1/sqrt(144), 8 %.
    yield Metric(name="hash_rate", unit=Unit.EXAHASH, sources=(info, bitview, cm), most=1e5, tolerance=0.25)
    yield Metric(name="difficulty", unit=Unit.DIFFICULTY, sources=(info, bitview), most=1e18, tolerance=0.01)
    # Judged by blocks, not share; Bitview, which has days of all else, tells it every three hours.
    yield Metric(name="block_height", unit=Unit.COUNT, sources=(info, bitview), most=1e8, stale_after_s=4 * _HOUR_S)
    yield Metric(name="supply", unit=Unit.BTC, sources=(info, bitview, cm), most=21e6, tolerance=0.001)
    yield Metric(name="fear_greed", unit=Unit.POINTS, sources=(greed,), most=100.0)
    yield Metric(name="active_addresses", unit=Unit.COUNT, sources=(cm,), most=1e9)
    yield Metric(name="transaction_count", unit=Unit.COUNT, sources=(cm, bitview, info), most=1e9, tolerance=0.15)
    yield Metric(name="mvrv", unit=Unit.RATIO, sources=(bitview, cm), most=1e3)
    yield Metric(name="nupl", unit=Unit.RATIO, sources=(bitview,), least=-1e3, most=1.0)
    yield Metric(name="puell", unit=Unit.RATIO, sources=(bitview,), most=1e3)
    for name in ("sopr", "sth_sopr", "lth_sopr"):
        yield Metric(name=name, unit=Unit.RATIO, sources=(bitview,), most=1e4)
    for name in ("inflow", "outflow", "exchange_supply"):
        yield Metric(name=name, unit=Unit.BTC, sources=(flow,), most=21e6)
    yield Metric(name=CBBI_CONFIDENCE, unit=Unit.SHARE, sources=(cbbi,), most=1.0)
    for component in CBBI_COMPONENTS:
        yield Metric(name=cbbi_metric(component), unit=Unit.SHARE, sources=(cbbi,), most=1.0)
    for band in AGE_BANDS:
        yield Metric(name=age_metric(band), unit=Unit.BTC, sources=(bitview,), most=21e6)


METRICS: dict[str, Metric] = {metric.name: metric for metric in _metrics()}
"""Everything that is measured. `netflow` and the shares of the waves are computed from these."""


def stale_after_s(source: Source, metric: Metric) -> float:
    """How old a source's value of a metric may become; it says little of now from then on."""
    return min(TERMS[source].stale_after_s, metric.stale_after_s)


class Observation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a source's answer says of one metric for one day (00:00 UTC) or moment; parsed, in our units."""

    metric: str
    t_ms: int
    value: float
    label: str | None = None  # the source's own word for the value, as it came
    published_ms: int | None = None  # the source's own stamp of when this became known
    provisional: bool = False  # the source says, or is known for it, that this value still moves


class Reading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An observation as we keep it: revisions are further readings of the same t, never changes of an old one."""

    source: Source
    metric: str
    t_ms: int
    revision: int  # 0 = what was said first
    value: float
    known_at_ms: int  # when we could know this revision: never before t
    label: str | None = None
    published_ms: int | None = None
    provisional: bool = False
    restated: bool = False  # a value that was final once has been changed since
    withdrawn: bool = False  # the source takes `value`, its last word, back: it says nothing of this t any more


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Something about a source that its operator should know, though values still come."""

    kind: str  # missing_metric, schema_drift, sunset, refused, disputed, fallback
    text: str
    metric: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking a source once. `observations` are oldest first within each metric."""

    observations: tuple[Observation, ...] = ()
    withdrawn: tuple[tuple[str, int], ...] = ()  # (metric, t_ms) of which the source says that it has no value
    notes: tuple[Note, ...] = ()
    next_in_s: float | None = None  # the source's own word on when something new is due
    unchanged: bool = False  # the source says that nothing has changed since we last asked (304)


class ReadingState(StrEnum):
    """How good a served value is; of several the worst that holds, in this order."""

    MISSING = "missing"  # no source ever gave it, or none since `since_ms`
    STALE = "stale"  # the last good value, older than its source's values may be
    FROZEN = "frozen"  # the same digits for days where they should move: its source repeats itself
    DISPUTED = "disputed"  # a second source, or an identity that must hold, says otherwise
    PROVISIONAL = "provisional"  # its source still moves it
    REVISED = "revised"  # its source has changed it since it was final (`Reading.restated`)
    FINAL = "final"


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What may be said of one metric at one moment."""

    metric: str
    unit: Unit
    state: ReadingState
    flags: tuple[ReadingState, ...]  # all that hold, worst first; (FINAL,) when none does
    reading: Reading | None  # None: missing
    since_ms: int | None  # missing, stale, frozen or disputed since
    reason: str | None = None  # in words, for every state that is not final
    checked_by: Reading | None = None  # what the second source says of it, where there is one
