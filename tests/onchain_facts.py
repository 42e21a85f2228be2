"""On-chain readings for tests, made from the few fields that a test cares about."""

from market_scraper.domain.onchain import (
    AGE_BANDS,
    CBBI_COMPONENTS,
    CBBI_CONFIDENCE,
    DAY_MS,
    Reading,
    Source,
    age_metric,
    cbbi_metric,
)

NOW_MS = 1_700_000_000_000  # 2023-11-14T22:13:20Z, where the clock of tests/fakes.py stands
TODAY_MS = NOW_MS // DAY_MS * DAY_MS
INFO, GREED, CM, CBBI, BITVIEW, FLOW = Source


def reading(
    source: Source,
    metric: str,
    value: float,
    *,
    days_ago: int = 0,
    t_ms: int | None = None,
    revision: int = 0,
    known_at_ms: int = NOW_MS,
    provisional: bool = False,
    restated: bool = False,
    label: str | None = None,
) -> Reading:
    """A value of today (00:00 UTC), known now, unless said otherwise."""
    return Reading(
        source=source,
        metric=metric,
        t_ms=TODAY_MS - days_ago * DAY_MS if t_ms is None else t_ms,
        revision=revision,
        value=value,
        known_at_ms=known_at_ms,
        provisional=provisional,
        restated=restated,
        label=label,
    )


def series(
    source: Source, metric: str, *values: float, newest_days_ago: int = 0, known_at_ms: int = NOW_MS
) -> list[Reading]:
    """One value a day, the last one `newest_days_ago`."""
    return [
        reading(source, metric, value, days_ago=newest_days_ago + back, known_at_ms=known_at_ms)
        for back, value in zip(reversed(range(len(values))), values, strict=True)
    ]


def everything(days: int = 3, *, known_at_ms: int = NOW_MS) -> list[Reading]:
    """What six well sources say, in agreement: `days` days up to yesterday, and this minute's moments."""
    readings = []
    for back in range(1, days + 1):
        for source, metric, value in _day(back):
            readings.append(reading(source, metric, value, days_ago=back, known_at_ms=known_at_ms))
    for metric, value in (("hash_rate", 1_000.0), ("difficulty", 1.4e14), ("block_height", 970_695), ("supply", 20e6)):
        readings.append(reading(INFO, metric, value, t_ms=NOW_MS - 60_000))
        readings.append(reading(BITVIEW, metric, value, t_ms=NOW_MS - 120_000))
    readings.append(reading(GREED, "fear_greed", 47, known_at_ms=known_at_ms, label="Neutral"))
    return readings


def _day(back: int) -> list[tuple[Source, str, float]]:
    step = back / 1000  # every value moves a little from day to day
    parts = [0.1 + 0.02 * place + step for place in range(len(CBBI_COMPONENTS))]
    supply = 20e6 - 450 * back
    mvrv = 1.5 + step
    return [
        *((CBBI, cbbi_metric(name), part) for name, part in zip(CBBI_COMPONENTS, parts, strict=True)),
        (CBBI, CBBI_CONFIDENCE, round(sum(parts) / len(parts), 4)),
        *((BITVIEW, age_metric(band), supply / len(AGE_BANDS)) for band in AGE_BANDS),
        (BITVIEW, "supply", supply),
        (BITVIEW, "mvrv", mvrv),
        (BITVIEW, "nupl", 1 - 1 / mvrv),
        (BITVIEW, "puell", 0.8 + step),
        (BITVIEW, "sopr", 1.01 + step),
        (BITVIEW, "sth_sopr", 0.99 + step),
        (BITVIEW, "lth_sopr", 1.2 + step),
        (CM, "mvrv", mvrv + 0.001),
        (CM, "active_addresses", 700_000 + back),
        (CM, "transaction_count", 500_000 + back),
        (FLOW, "inflow", 20_000 + back),
        (FLOW, "outflow", 21_000.5 + back),
        (FLOW, "exchange_supply", 2.5e6 + back),
    ]
