"""What is computed from readings when it is asked for: netflow, the waves' shares, and NUPL from an MVRV.

Parts of one computed value are always of the same source and the same t, so that nothing is mixed that was not
measured together.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from market_scraper.domain.onchain import AGE_BANDS, METRICS, Metric, Reading, Source, Unit, age_metric

Key = tuple[Source, str]
"""Who says it, and of which metric."""

Held = Mapping[Key, Sequence[Reading]]
"""Readings by who says what: oldest t first, the newest revision of each t."""

NETFLOW = "netflow"


def wave_metric(band: str) -> str:
    """`1d_to_1w` as the name of its share of supply: `wave.1d_to_1w`."""
    return f"wave.{band}"


class Computed(msgspec.Struct, frozen=True, kw_only=True):
    """One metric that `source` does not give itself, but whose parts it gives."""

    metric: Metric
    source: Source
    parts: tuple[str, ...]
    words: str  # how it is made
    make: Callable[..., float | None]  # from the parts' values, in their order; None = they allow no value


def nupl_of(mvrv: float) -> float | None:
    """NUPL = (market cap - realised cap) / market cap = 1 - 1/MVRV, where both use the same caps."""
    return 1.0 - 1.0 / mvrv if mvrv > 0 else None


def _netflow(inflow: float, outflow: float) -> float:
    """Through the digits that were published: the difference of two floats shows digits that nobody measured."""
    return float(Decimal(repr(inflow)) - Decimal(repr(outflow)))


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _computed() -> Iterable[Computed]:
    yield Computed(
        metric=Metric(name=NETFLOW, unit=Unit.BTC, sources=(Source.EXCHANGE_FLOW,), least=-21e6, most=21e6),
        source=Source.EXCHANGE_FLOW,
        parts=("inflow", "outflow"),
        words="inflow - outflow of the same day; positive = coins onto exchanges",
        make=_netflow,
    )
    for band in AGE_BANDS:
        yield Computed(
            metric=Metric(name=wave_metric(band), unit=Unit.SHARE, sources=(Source.BITVIEW,), most=1.0),
            source=Source.BITVIEW,
            parts=(age_metric(band), "supply"),
            words="coins of this age / supply of the same day",
            make=_share,
        )
    yield Computed(
        metric=msgspec.structs.replace(METRICS["nupl"], sources=(Source.BITVIEW, Source.COIN_METRICS)),
        source=Source.COIN_METRICS,
        parts=("mvrv",),
        words="1 - 1/MVRV of the same day",
        make=nupl_of,
    )


COMPUTED: dict[Key, Computed] = {(each.source, each.metric.name): each for each in _computed()}
"""By who is said to say it."""

SERVED: dict[str, Metric] = METRICS | {each.metric.name: each.metric for each in COMPUTED.values()}
"""All that is judged and served: what is measured, and what is computed of it."""


def find_metric(name: str) -> Metric | None:
    """The metric of this name, in any case of its letters."""
    return SERVED.get(name) or _FOLDED.get(name.casefold())


_FOLDED = {name.casefold(): metric for name, metric in SERVED.items()}


def with_computed(held: Held) -> dict[Key, Sequence[Reading]]:
    """The same readings and all that can be computed of them."""
    return {**held, **{key: made for key in COMPUTED if (made := compute(key, held))}}


def compute(key: Key, held: Held) -> list[Reading]:
    """A computed metric's readings, of every t of which all parts are held; oldest first."""
    of = COMPUTED[key]
    first, *others = (held.get((of.source, part), ()) for part in of.parts)
    by_t = [{reading.t_ms: reading for reading in series if not reading.withdrawn} for series in others]
    made = []
    for reading in (said for said in first if not said.withdrawn):
        parts = [reading, *(found for series in by_t if (found := series.get(reading.t_ms)) is not None)]
        if len(parts) == len(of.parts) and (one := _from(of, parts)) is not None:
            made.append(one)
    return made


def _from(of: Computed, parts: Sequence[Reading]) -> Reading | None:
    value = of.make(*(part.value for part in parts))
    if value is None or not of.metric.least <= value <= of.metric.most:
        return None
    return Reading(
        source=of.source,
        metric=of.metric.name,
        t_ms=parts[0].t_ms,
        revision=max(part.revision for part in parts),
        value=value,
        known_at_ms=max(part.known_at_ms for part in parts),
        provisional=any(part.provisional for part in parts),
        restated=any(part.restated for part in parts),
    )
