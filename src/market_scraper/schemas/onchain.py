"""Answers of `/api/v1/onchain/btc`: values with all that one must know to trust them."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from market_scraper.domain.derived import NETFLOW, wave_metric
from market_scraper.domain.onchain import (
    AGE_BANDS,
    CBBI_COMPONENTS,
    CBBI_CONFIDENCE,
    TERMS,
    Judged,
    Metric,
    Reading,
    ReadingState,
    Source,
    Unit,
    cbbi_metric,
)
from market_scraper.schemas.times import moment


class OnChainCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What a second source says of the same metric, of the newest day that both know."""

    value: float
    as_of: datetime
    known_at: datetime
    source: Source


class OnChainValue(msgspec.Struct, frozen=True, kw_only=True):
    """One on-chain value. `state` is the worst of `flags`; `missing` has no value, `stale` the last one there was.

    `as_of` is the day (00:00 UTC) or moment that it speaks of, `known_at` when it could be known; `age_s` counts from
    `as_of`. `since` says since when it is missing, stale, frozen or disputed, `reason` why it is not `final`.
    `revision` 0 is what was said first. `label` is the source's own word for the value.
    """

    value: float | None
    unit: Unit
    as_of: datetime | None
    known_at: datetime | None
    source: Source | None
    state: ReadingState
    flags: list[ReadingState]
    age_s: float | None
    revision: int | None
    label: str | None
    reason: str | None
    since: datetime | None
    checked_by: OnChainCheck | None
    license: str | None
    attribution: str | None
    source_url: str | None


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """An answer whose parts may be missing. With 503 (no part has a value) it says `detail` and `code` too."""

    detail: str | UnsetType = UNSET
    code: str | UnsetType = UNSET


class Network(Marked, frozen=True, kw_only=True):
    """The network itself: hash rate in EH/s, supply in BTC."""

    hash_rate: OnChainValue
    difficulty: OnChainValue
    block_height: OnChainValue
    supply: OnChainValue


class Sentiment(Marked, frozen=True, kw_only=True):
    """Fear & Greed (0..100, its label as it came) and CBBI confidence (0..1)."""

    fear_greed: OnChainValue
    cbbi_confidence: OnChainValue


class Valuation(Marked, frozen=True, kw_only=True):
    """Ratios that compare price with what holders paid or miners earn, and the CBBI's components (0..1)."""

    mvrv: OnChainValue
    puell: OnChainValue
    nupl: OnChainValue
    cbbi_components: dict[str, OnChainValue]


class Activity(Marked, frozen=True, kw_only=True):
    """Use of the chain in a day."""

    active_addresses: OnChainValue
    transaction_count: OnChainValue
    supply: OnChainValue


class Sopr(Marked, frozen=True, kw_only=True):
    """Spent output profit ratio of all, short-term and long-term holders; 1 = coins move at what was paid for them."""

    sopr: OnChainValue
    sth_sopr: OnChainValue
    lth_sopr: OnChainValue


class Nupl(Marked, frozen=True, kw_only=True):
    """Net unrealised profit or loss = 1 - 1/MVRV, as a share of market cap."""

    nupl: OnChainValue


class Mvrv(Marked, frozen=True, kw_only=True):
    """Market value to realised value."""

    mvrv: OnChainValue


class ExchangeFlows(Marked, frozen=True, kw_only=True):
    """Coins that moved onto and off labelled exchanges in a day, and what lies there; BTC."""

    inflow: OnChainValue
    outflow: OnChainValue
    netflow: Annotated[
        OnChainValue,
        Meta(description="inflow - outflow of the same day: positive = coins onto exchanges, negative = off them"),
    ]
    exchange_supply: OnChainValue


class HodlWaves(Marked, frozen=True, kw_only=True):
    """Share (0..1) of the same day's supply by how long ago coins last moved, youngest first."""

    waves: dict[str, OnChainValue]


class Summary(Marked, frozen=True, kw_only=True):
    """All parts in one."""

    network: Network
    sentiment: Sentiment
    valuation: Valuation
    activity: Activity
    sopr: Sopr
    nupl: Nupl
    mvrv: Mvrv
    exchange_flows: ExchangeFlows
    hodl_waves: HodlWaves


class PastValue(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of one day (00:00 UTC) or moment."""

    as_of: datetime
    value: float | None  # null: taken back
    known_at: datetime
    revision: int  # 0 = what was said first
    provisional: bool
    restated: bool
    withdrawn: bool  # its source has taken the value back
    label: str | None


class OnChainHistory(msgspec.Struct, frozen=True, kw_only=True):
    """One metric's values as one source gave them, each day's newest revision, newest day first."""

    metric: str
    unit: Unit
    source: Source | None  # null: no source has ever given it
    license: str | None
    attribution: str | None
    source_url: str | None
    history: list[PastValue]
    count: int
    next_cursor: str | None


class OnChainRevisions(msgspec.Struct, frozen=True, kw_only=True):
    """All that one source ever said of one day, what it said first first."""

    metric: str
    unit: Unit
    source: Source
    as_of: datetime
    license: str
    attribution: str
    source_url: str
    revisions: list[PastValue]
    count: int


Show = Callable[[str], OnChainValue]
"""Gives a metric's value by its name."""


def value(of: Judged, now_ms: int) -> OnChainValue:
    """Show a verdict as it stood at `now_ms`."""
    reading = of.reading
    terms = None if reading is None else TERMS[reading.source]
    return OnChainValue(
        value=None if reading is None else reading.value,
        unit=of.unit,
        as_of=None if reading is None else moment(reading.t_ms),
        known_at=None if reading is None else moment(reading.known_at_ms),
        source=None if reading is None else reading.source,
        state=of.state,
        flags=list(of.flags),
        age_s=None if reading is None else max(0, now_ms - reading.t_ms) / 1000,
        revision=None if reading is None else reading.revision,
        label=None if reading is None else reading.label,
        reason=of.reason,
        since=moment(of.since_ms),
        checked_by=None if of.checked_by is None else _check(of.checked_by),
        license=None if terms is None else terms.license,
        attribution=None if terms is None else terms.attribution,
        source_url=None if terms is None else terms.url,
    )


def _check(reading: Reading) -> OnChainCheck:
    return OnChainCheck(
        value=reading.value,
        as_of=moment(reading.t_ms),
        known_at=moment(reading.known_at_ms),
        source=reading.source,
    )


def network(show: Show) -> Network:
    """Hash rate, difficulty, block height, supply."""
    return Network(
        hash_rate=show("hash_rate"),
        difficulty=show("difficulty"),
        block_height=show("block_height"),
        supply=show("supply"),
    )


def sentiment(show: Show) -> Sentiment:
    """Fear & Greed and CBBI confidence."""
    return Sentiment(fear_greed=show("fear_greed"), cbbi_confidence=show(CBBI_CONFIDENCE))


def valuation(show: Show) -> Valuation:
    """MVRV, Puell, NUPL and the nine components."""
    components = {name: show(cbbi_metric(name)) for name in CBBI_COMPONENTS}
    return Valuation(mvrv=show("mvrv"), puell=show("puell"), nupl=show("nupl"), cbbi_components=components)


def activity(show: Show) -> Activity:
    """Active addresses, transactions, supply."""
    return Activity(
        active_addresses=show("active_addresses"),
        transaction_count=show("transaction_count"),
        supply=show("supply"),
    )


def sopr(show: Show) -> Sopr:
    """The three SOPRs."""
    return Sopr(sopr=show("sopr"), sth_sopr=show("sth_sopr"), lth_sopr=show("lth_sopr"))


def nupl(show: Show) -> Nupl:
    """NUPL alone."""
    return Nupl(nupl=show("nupl"))


def mvrv(show: Show) -> Mvrv:
    """MVRV alone."""
    return Mvrv(mvrv=show("mvrv"))


def exchange_flows(show: Show) -> ExchangeFlows:
    """In, out, net, and what lies there."""
    return ExchangeFlows(
        inflow=show("inflow"),
        outflow=show("outflow"),
        netflow=show(NETFLOW),
        exchange_supply=show("exchange_supply"),
    )


def hodl_waves(show: Show) -> HodlWaves:
    """The waves, youngest first."""
    return HodlWaves(waves={band: show(wave_metric(band)) for band in AGE_BANDS})


def summary(show: Show) -> Summary:
    """Everything."""
    return Summary(
        network=network(show),
        sentiment=sentiment(show),
        valuation=valuation(show),
        activity=activity(show),
        sopr=sopr(show),
        nupl=nupl(show),
        mvrv=mvrv(show),
        exchange_flows=exchange_flows(show),
        hodl_waves=hodl_waves(show),
    )


def past(of: Reading) -> PastValue:
    """Show one reading of a history."""
    return PastValue(
        as_of=moment(of.t_ms),
        value=None if of.withdrawn else of.value,
        known_at=moment(of.known_at_ms),
        revision=of.revision,
        provisional=of.provisional,
        restated=of.restated,
        withdrawn=of.withdrawn,
        label=of.label,
    )


def history(metric: Metric, source: Source | None, page: list[Reading], next_cursor: str | None) -> OnChainHistory:
    """Show a page of a metric's history."""
    terms = None if source is None else TERMS[source]
    return OnChainHistory(
        metric=metric.name,
        unit=metric.unit,
        source=source,
        license=None if terms is None else terms.license,
        attribution=None if terms is None else terms.attribution,
        source_url=None if terms is None else terms.url,
        history=[past(reading) for reading in page],
        count=len(page),
        next_cursor=next_cursor,
    )


def revisions(metric: Metric, source: Source, said: list[Reading]) -> OnChainRevisions:
    """Show all that was said of one day; `said` is not empty."""
    terms = TERMS[source]
    return OnChainRevisions(
        metric=metric.name,
        unit=metric.unit,
        source=source,
        as_of=moment(said[0].t_ms),
        license=terms.license,
        attribution=terms.attribution,
        source_url=terms.url,
        revisions=[past(reading) for reading in said],
        count=len(said),
    )
