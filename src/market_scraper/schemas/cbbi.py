"""Answers of `/api/v1/cbbi`: the ColinTalksCrypto Bitcoin Bull Run Index, 0 (deep bear) to 1 (top)."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from market_scraper.domain.onchain import CBBI_COMPONENTS, CBBI_CONFIDENCE, Judged, Reading, cbbi_metric
from market_scraper.schemas.onchain import Marked, OnChainValue, PastValue, past, value
from market_scraper.schemas.times import moment

TITLES: Mapping[str, str] = {
    "PiCycle": "Pi Cycle Top: how near the 111-day average is to twice the 350-day average of the price",
    "RUPL": "Relative unrealised profit and loss: the share of market cap that is profit on paper (NUPL)",
    "RHODL": "Realised-value HODL ratio: value held for a week against value held for one to two years",
    "Puell": "Puell Multiple: a day's issuance in USD against its 365-day average",
    "2YMA": "Two-year moving average: the price between that average and five times it",
    "Trolololo": "Trolololo trend line: the price's place in its logarithmic regression bands",
    "MVRV": "MVRV Z-score: market cap less realised cap, in standard deviations",
    "ReserveRisk": "Reserve risk: the price against the conviction of long-term holders",
    "Woobull": "Woobull Top Cap against CVDD: the price between a modelled top and bottom",
}
"""What each component looks at; docs/CBBI_GUIDE.md says more."""


class Cbbi(Marked, frozen=True, kw_only=True):
    """The index and its nine components, each 0..1; null where missing. `values` has each with its marks.

    `timestamp` is the day of the confidence. A component may be of an earlier day: see its `as_of`.
    """

    timestamp: datetime | None
    confidence: float | None
    components: dict[str, float | None]
    values: dict[str, OnChainValue]


class CbbiComponent(OnChainValue, frozen=True, kw_only=True):
    """One component: its value with all its marks, and what it looks at."""

    name: str
    title: str


class CbbiComponents(Marked, frozen=True, kw_only=True):
    """All nine with their marks."""

    timestamp: datetime | None
    confidence: float | None
    components: dict[str, CbbiComponent]


class CbbiComponentHistory(CbbiComponent, frozen=True, kw_only=True):
    """One component, now and before: each day's newest revision, newest day first.

    With 503 (it has no value) it says `detail` and `code` too.
    """

    timestamp: datetime | None
    history: list[PastValue]
    count: int
    next_cursor: str | None
    detail: str | UnsetType = UNSET
    code: str | UnsetType = UNSET


def cbbi(judged: Mapping[str, Judged], now_ms: int) -> Cbbi:
    """Show the index."""
    timestamp, confidence = _confidence(judged)
    components = {name: _number(judged[cbbi_metric(name)]) for name in CBBI_COMPONENTS}
    values = {name: value(judged[cbbi_metric(name)], now_ms) for name in CBBI_COMPONENTS}
    return Cbbi(
        timestamp=timestamp,
        confidence=confidence,
        components=components,
        values={"Confidence": value(judged[CBBI_CONFIDENCE], now_ms), **values},
    )


def components(judged: Mapping[str, Judged], now_ms: int) -> CbbiComponents:
    """Show the components."""
    timestamp, confidence = _confidence(judged)
    shown = {}
    for name in CBBI_COMPONENTS:
        marks = value(judged[cbbi_metric(name)], now_ms)
        shown[name] = CbbiComponent(name=name, title=TITLES[name], **msgspec.structs.asdict(marks))
    return CbbiComponents(timestamp=timestamp, confidence=confidence, components=shown)


def component(name: str, of: Judged, now_ms: int, page: list[Reading], next_cursor: str | None) -> CbbiComponentHistory:
    """Show one component with a page of its history."""
    marks = value(of, now_ms)
    return CbbiComponentHistory(
        name=name,
        title=TITLES[name],
        timestamp=marks.as_of,
        history=[past(reading) for reading in page],
        count=len(page),
        next_cursor=next_cursor,
        **msgspec.structs.asdict(marks),
    )


def _confidence(judged: Mapping[str, Judged]) -> tuple[datetime | None, float | None]:
    reading = judged[CBBI_CONFIDENCE].reading
    return (None, None) if reading is None else (moment(reading.t_ms), reading.value)


def _number(of: Judged) -> float | None:
    return None if of.reading is None else of.reading.value
