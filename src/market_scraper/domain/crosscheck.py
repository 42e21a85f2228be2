"""Cross-examination: from all that the sources say of each metric, what may be served and how far it is to be trusted.

Pure: the same readings at the same moment give the same verdicts, now or for a moment of the past.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from market_scraper.domain.derived import COMPUTED, SERVED, Held, Key, with_computed
from market_scraper.domain.identities import Dispute, broken_identities, trailing
from market_scraper.domain.onchain import (
    AGE_BANDS,
    DAY_MS,
    Judged,
    Metric,
    Reading,
    ReadingState,
    Source,
    Unit,
    age_metric,
    stale_after_s,
)
from market_scraper.domain.values import iso

RECENT_DAYS = 10
"""Days of each source's metric that a verdict needs: enough to see what is frozen, and a second source that is late."""

CHECK_WITHIN_MS = 3 * DAY_MS
"""A second source's word on a day so much older than the served value says nothing of that value."""

HEIGHT_APART = 3
"""Blocks. Two sources that are asked at different minutes differ by one or two."""

HEIGHT_FOR_MS = 30 * 60_000
"""For how long heights must be apart."""

HEIGHT_TOGETHER_MS = 15 * 60_000
"""Heights taken so near in time are compared."""

FROZEN_DAYS = 3
"""Days in a row with the same digits after which a source is taken to repeat itself (facts, section 6).

Recorded Coin Metrics series never did in 2,344 days. Of the CBBI's components PiCycle does by itself now and then (5
runs in the newest 1,100 days; 94, 70 and 56 days after the tops of 2013 and 2017), and 2YMA did once: a false alarm
that says how long it has stood still costs less than a frozen component that nobody notices.
"""

FROZEN_DAYS_OF: Mapping[str, int] = {
    "fear_greed": 5,  # whole points: 36 runs of 3 or 4 days, and none of 5, in 3,121 recorded days
    "hash_rate": 5,  # the difficulty times whole blocks: three days with as many come by once in some years
    "difficulty": 30,  # moves every 2,016 blocks, two weeks
}

_CBBI_DECIMALS = 4  # what it publishes; the others repeat all their digits, and have neighbours that agree in four
_AGES = frozenset(map(age_metric, AGE_BANDS))
_ORDER = {state: place for place, state in enumerate(ReadingState)}


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of sources beside their readings."""

    since_ms: int | None = None  # when we began to ask, or from when on at the latest we did
    reasons: Mapping[Source, str] = {}  # why a source says nothing now


NOTHING_KNOWN = Silence()


def silence_at(facts: Iterable[Reading], then_ms: int) -> Silence:
    """What is known of sources at a moment of the past, of which `facts` is all that is held.

    Who then was asked, and answered what, nobody has written down. But from the first fact on there was someone who
    took them, and what had not come by `then_ms` was missing all that time; without facts only the moment is sure.
    """
    return Silence(since_ms=min((fact.known_at_ms for fact in facts), default=then_ms))


def grouped(readings: Iterable[Reading]) -> dict[Key, list[Reading]]:
    """Readings of one revision each t, in any order, as `judge` takes them."""
    held: dict[Key, list[Reading]] = {}
    for reading in sorted(readings, key=lambda reading: reading.t_ms):
        held.setdefault((reading.source, reading.metric), []).append(reading)
    return held


def judge(held: Held, now_ms: int, silence: Silence = NOTHING_KNOWN) -> dict[str, Judged]:
    """Every served metric by name: the value of the first source whose word is fresh, and all flags that hold.

    `held` has each source's newest RECENT_DAYS values, or more; what was taken back counts as never said.
    """
    held = {key: said for key, every in held.items() if (said := [each for each in every if not each.withdrawn])}
    whole = with_computed(held)
    broken = broken_identities(held)
    return {name: _judge(metric, whole, broken, now_ms, silence) for name, metric in SERVED.items()}


def _judge(metric: Metric, held: Held, broken: Mapping[Key, Dispute], now_ms: int, silence: Silence) -> Judged:
    served = _choose(metric, held, now_ms)
    if served is None:
        return _missing(metric, silence)
    key = (served.source, metric.name)
    flags: dict[ReadingState, tuple[int | None, str]] = {}
    if _is_stale(metric, served, now_ms):
        flags[ReadingState.STALE] = _stale(metric, served, silence)
    if (frozen := _frozen(key, metric, held)) is not None:
        flags[ReadingState.FROZEN] = frozen
    checked_by, second = _second_opinion(metric, served, held)
    disputes = [dispute for dispute in (second, broken.get(key)) if dispute is not None]
    if disputes:
        since_ms = min(dispute.since_ms for dispute in disputes)
        flags[ReadingState.DISPUTED] = since_ms, "; ".join(dispute.reason for dispute in disputes)
    if served.provisional:
        flags[ReadingState.PROVISIONAL] = None, "its source still moves this value"
    if served.restated:
        flags[ReadingState.REVISED] = None, "its source has changed this value after it was final"
    ordered = sorted(flags, key=_ORDER.__getitem__)
    return Judged(
        metric=metric.name,
        unit=metric.unit,
        state=ordered[0] if ordered else ReadingState.FINAL,
        flags=tuple(ordered) or (ReadingState.FINAL,),
        reading=served,
        since_ms=flags[ordered[0]][0] if ordered else None,
        reason="; ".join(flags[state][1] for state in ordered) or None,
        checked_by=checked_by,
    )


def _missing(metric: Metric, silence: Silence) -> Judged:
    why = (f"{source}: {silence.reasons[source]}" for source in metric.sources if source in silence.reasons)
    return Judged(
        metric=metric.name,
        unit=metric.unit,
        state=ReadingState.MISSING,
        flags=(ReadingState.MISSING,),
        reading=None,
        since_ms=silence.since_ms,
        reason="; ".join((f"none of {', '.join(metric.sources)} has given it yet", *why)),
    )


# -- choice and age --------------------------------------------------------------------------------------------------


def _choose(metric: Metric, held: Held, now_ms: int) -> Reading | None:
    """The newest value of the first source in order that is not stale; if all are, the newest of all."""
    newest = [series[-1] for source in metric.sources if (series := held.get((source, metric.name)))]
    fresh = (reading for reading in newest if not _is_stale(metric, reading, now_ms))
    return next(fresh, None) or max(newest, key=lambda reading: reading.t_ms, default=None)


def _stale_from_ms(metric: Metric, reading: Reading) -> int:
    return reading.t_ms + round(stale_after_s(reading.source, metric) * 1000)


def _is_stale(metric: Metric, reading: Reading, now_ms: int) -> bool:
    return now_ms > _stale_from_ms(metric, reading)


def _stale(metric: Metric, reading: Reading, silence: Silence) -> tuple[int, str]:
    why = silence.reasons.get(reading.source)
    said = f"{reading.source} has given nothing newer than {iso(reading.t_ms)}"
    return _stale_from_ms(metric, reading), said if why is None else f"{said} ({why})"


# -- frozen ----------------------------------------------------------------------------------------------------------


def _frozen(key: Key, metric: Metric, held: Held) -> tuple[int, str] | None:
    """Since which day a source repeats its digits, or those of what a computed value is made of."""
    source, name = key
    if key in COMPUTED:
        parts = (_frozen((source, part), SERVED[part], held) for part in COMPUTED[key].parts)
        return next((part for part in parts if part is not None), None)
    days = list(reversed(_by_day(held[key]).values())) if key in held else []
    if not days:
        return None
    decimals = _CBBI_DECIMALS if source is Source.CBBI else None
    value = _rounded(days[0].value, decimals)
    if metric.unit is Unit.SHARE and value in (0.0, 1.0):
        return None  # clipped there: it is at its bound, and may stay for months
    if value == 0.0 and name in _AGES:
        return None  # nothing is so old yet
    same = [days[0]]
    for reading in days[1:]:
        if _rounded(reading.value, decimals) != value:
            break
        same.append(reading)
    if len(same) < FROZEN_DAYS_OF.get(name, FROZEN_DAYS):
        return None
    return same[-1].t_ms, f"the same {value:g} on {len(same)} days in a row: its source seems to repeat itself"


def _rounded(value: float, decimals: int | None) -> float:
    return value if decimals is None else round(value, decimals)


# -- a second source -------------------------------------------------------------------------------------------------


def _second_opinion(metric: Metric, served: Reading, held: Held) -> tuple[Reading | None, Dispute | None]:
    """What the next source that can says of the newest day that both know, and whether they disagree."""
    series = held[served.source, metric.name]
    for source in metric.sources:
        others = held.get((source, metric.name), ())
        if source is served.source or not others:
            continue
        pairs = _pairs_of_moments(series, others) if metric.name == "block_height" else _pairs_of_days(series, others)
        if not pairs or served.t_ms - pairs[0][0].t_ms > CHECK_WITHIN_MS:
            continue
        if metric.name == "block_height":
            return pairs[0][1], _heights_apart(pairs)
        return pairs[0][1], trailing((ours.t_ms, _apart(metric, ours, other)) for ours, other in pairs)
    return None, None


def _pairs_of_days(ours: Sequence[Reading], others: Sequence[Reading]) -> list[tuple[Reading, Reading]]:
    """The last value of each day that both know, newest first."""
    mine, theirs = _by_day(ours), _by_day(others)
    return [(mine[day], theirs[day]) for day in sorted(mine.keys() & theirs.keys(), reverse=True)]


def _pairs_of_moments(ours: Sequence[Reading], others: Sequence[Reading]) -> list[tuple[Reading, Reading]]:
    """Each value of the other with ours that was taken nearest to it, newest first."""
    pairs = []
    for other in reversed(others):
        mine = min(ours, key=lambda reading: abs(reading.t_ms - other.t_ms))
        if abs(mine.t_ms - other.t_ms) <= HEIGHT_TOGETHER_MS:
            pairs.append((mine, other))
    return pairs


def _heights_apart(pairs: Sequence[tuple[Reading, Reading]]) -> Dispute | None:
    def verdict(ours: Reading, other: Reading) -> str | None:
        if abs(ours.value - other.value) <= HEIGHT_APART:
            return None
        return f"{other.source} is at block {other.value:.0f} where {ours.source} is at {ours.value:.0f}"

    dispute = trailing((other.t_ms, verdict(ours, other)) for ours, other in pairs)
    lasts = dispute is not None and pairs[0][1].t_ms - dispute.since_ms > HEIGHT_FOR_MS
    return dispute if lasts else None


def _apart(metric: Metric, ours: Reading, other: Reading) -> str | None:
    a, b = ours.value, other.value
    if metric.name == "nupl":  # crosses 0, where shares of it say nothing: compare the MVRV that each means
        a, b = _mvrv_of(a), _mvrv_of(b)
    if a == b or abs(a - b) <= metric.tolerance * max(abs(a), abs(b)):
        return None
    return f"{other.source} says {other.value:.6g} where {ours.source} says {ours.value:.6g}"


def _mvrv_of(nupl: float) -> float:
    return 1.0 / (1.0 - nupl) if nupl < 1 else float("inf")


def _by_day(series: Sequence[Reading]) -> dict[int, Reading]:
    """Each day's last value, oldest day first."""
    return {reading.t_ms // DAY_MS: reading for reading in series}
