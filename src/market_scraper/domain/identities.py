"""What must hold between readings of one source, and where it does not.

A broken identity says that something is wrong, not what: all whose values take part are disputed, but for the CBBI,
whose confidence is computed from its components.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from market_scraper.domain.derived import COMPUTED, Held, Key, nupl_of
from market_scraper.domain.onchain import (
    AGE_BANDS,
    CBBI_COMPONENTS,
    CBBI_CONFIDENCE,
    METRICS,
    Reading,
    Source,
    age_metric,
    cbbi_metric,
)

MEAN_TOLERANCE = 1e-4
"""Confidence is written with 4 decimals, and so are its components: recorded means were off by up to 7.8e-5."""

NUPL_TOLERANCE = 0.005
"""One source's NUPL and MVRV are of the same caps; what is left is rounding, and a block between two questions."""


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A value that may be wrong."""

    since_ms: int  # the first t of the unbroken run up to the newest, in which it does not hold
    reason: str


def broken_identities(held: Held) -> dict[Key, Dispute]:
    """Everything that is disputed because an identity is broken on the newest day of which its parts are held."""
    found = {**_confidence(held), **_nupl(held), **_age_bands(held)}
    for key, of in COMPUTED.items():  # a value is as doubtful as what it is made of
        parts = (found.get((of.source, part)) for part in of.parts)
        if (dispute := next((part for part in parts if part is not None), None)) is not None:
            found[key] = dispute
    return found


def trailing(verdicts: Iterable[tuple[int, str | None]]) -> Dispute | None:
    """From (t, what is wrong or None), newest first: the dispute that still stands."""
    since_ms, reason = None, None
    for t_ms, wrong in verdicts:
        if wrong is None:
            break
        since_ms, reason = t_ms, reason or wrong
    return None if since_ms is None or reason is None else Dispute(since_ms=since_ms, reason=reason)


def _confidence(held: Held) -> dict[Key, Dispute]:
    """CBBI's confidence is the mean of that day's components that are not null, to 4 decimals."""
    key = (Source.CBBI, CBBI_CONFIDENCE)
    parts = [_by_t(held.get((Source.CBBI, cbbi_metric(name)), ())) for name in CBBI_COMPONENTS]

    def verdicts() -> Iterator[tuple[int, str | None]]:
        for said in reversed(held.get(key, ())):
            day = [part[said.t_ms].value for part in parts if said.t_ms in part]
            if day:
                mean = sum(day) / len(day)
                wrong = f"its {len(day)} components average {mean:.4f}, not {said.value:.4f}"
                yield said.t_ms, None if abs(mean - said.value) <= MEAN_TOLERANCE else wrong

    dispute = trailing(verdicts())
    return {} if dispute is None else {key: dispute}


def _nupl(held: Held) -> dict[Key, Dispute]:
    """NUPL = 1 - 1/MVRV."""
    nupl, mvrv = (Source.BITVIEW, "nupl"), (Source.BITVIEW, "mvrv")
    by_t = _by_t(held.get(mvrv, ()))

    def verdicts() -> Iterator[tuple[int, str | None]]:
        for said in reversed(held.get(nupl, ())):
            other = by_t.get(said.t_ms)
            expected = None if other is None else nupl_of(other.value)
            if other is None or expected is None:
                continue
            holds = abs(expected - said.value) <= NUPL_TOLERANCE
            wrong = f"NUPL {said.value:.4f} is not 1 - 1/MVRV of MVRV {other.value:.4f}, which is {expected:.4f}"
            yield said.t_ms, None if holds else wrong

    dispute = trailing(verdicts())
    return {} if dispute is None else {nupl: dispute, mvrv: dispute}


def _age_bands(held: Held) -> dict[Key, Dispute]:
    """All age bands together are the supply of the same day."""
    keys = [(Source.BITVIEW, age_metric(band)) for band in AGE_BANDS]
    bands = [_by_t(held.get(key, ())) for key in keys]
    supply = _by_t(held.get((Source.BITVIEW, "supply"), ()))
    tolerance = METRICS["supply"].tolerance

    def verdicts() -> Iterator[tuple[int, str | None]]:
        for t_ms in sorted(supply, reverse=True):
            day = [band[t_ms].value for band in bands if t_ms in band]
            if len(day) < len(bands):
                continue
            whole, total = supply[t_ms].value, sum(day)
            holds = abs(total - whole) <= tolerance * whole
            yield t_ms, None if holds else f"the age bands sum to {total:.0f} BTC, the supply is {whole:.0f} BTC"

    dispute = trailing(verdicts())
    return {} if dispute is None else dict.fromkeys(keys, dispute)


def _by_t(series: Sequence[Reading]) -> dict[int, Reading]:
    return {reading.t_ms: reading for reading in series}
