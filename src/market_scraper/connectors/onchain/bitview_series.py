"""Bitview's words: what its series are called, and its wrapped answers as values by day (facts, section 1).

Names as at `day1` in the provider's client 0.12.2 (September 2026). Bare `sopr` exists there at `height` only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec

from market_scraper.connectors.onchain.day_index import day_of_index, day_of_text
from market_scraper.connectors.onchain.sieve import Sieve, decode, iso_day
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.onchain import AGE_BANDS, DAY_MS, age_metric

DATE = "date"
"""The helper series that says which day each index is."""

MOST_NAMES, MOST_CHARACTERS = 32, 2_048
"""Of one bulk request, DATE included."""

DAY1 = frozenset({"day1", "1d", "d", "day", "date", "daily", "dateindex"})

MOST_DAYS = 100_000
"""Far above every index there will be: a larger one is a mistake."""

LATE_DAYS = 4
"""A server that indexes along has yesterday at least; one that lags more cannot be told from another way to count."""

MOVING_DAYS = 2
"""The server itself takes its last two days for volatile."""


@dataclass(frozen=True, slots=True)
class Series:
    """What a metric is called, best name first, and what makes its numbers ours."""

    names: tuple[str, ...]
    scale: float = 1.0


SERIES: dict[str, Series] = {
    "hash_rate": Series(("hash_rate",), 1e-18),  # H/s
    "difficulty": Series(("difficulty",)),
    "transaction_count": Series(("tx_count_sum_24h",)),
    "mvrv": Series(("mvrv",)),
    "nupl": Series(("nupl",)),
    "puell": Series(("puell_multiple",)),
    "sopr": Series(("sopr_24h",)),
    "sth_sopr": Series(("sth_sopr_24h",)),
    "lth_sopr": Series(("lth_sopr_24h",)),
    "supply": Series(("supply", "circulating_supply")),
} | {age_metric(band): Series((f"utxos_{band}_old_supply",)) for band in AGE_BANDS}

WAVES = ("supply", *map(age_metric, AGE_BANDS))
GROUPS = (tuple(metric for metric in SERIES if metric not in WAVES), WAVES)
"""What is asked for in one request: the bands come with the supply that they add up to, as of the same block."""


class WireSeries(msgspec.Struct, frozen=True):
    """One wrapped series. `end` is exclusive."""

    index: str
    start: int
    end: int
    data: list[object]


class Fewer(InvalidInput):
    """A bulk answer lacks some of the series that were asked for; which, only asking for fewer at a time tells."""


def wrapped(body: bytes, names: Sequence[str]) -> dict[str, WireSeries | InvalidInput]:
    """A bulk answer by name; it carries none itself and is in the order of asking. Raises Fewer, or InvalidInput.

    A series that is not whole comes as the reason why, so that the others stay.
    """
    is_single = body.lstrip()[:1] == b"{"  # what a bulk of one name gives
    items: list[object] = [decode(body, dict[str, object])] if is_single else decode(body, list[object])
    if len(items) != len(names):
        is_error = is_single and isinstance(_whole(items[0]), InvalidInput)  # no series, but words
        kind = Fewer if len(items) < len(names) and not is_error else InvalidInput
        raise kind(f"{len(items)} series came for {len(names)} names")
    return {name: _whole(item) for name, item in zip(names, items, strict=True)}


def one_wrapped(body: bytes) -> WireSeries | InvalidInput:
    """The answer of one series, or the reason why it is none."""
    try:
        return wrapped(body, ("",))[""]
    except InvalidInput as error:
        return error


def gather(
    found: Mapping[str, WireSeries | InvalidInput],
    named: Mapping[str, str],
    sieve: Sieve,
    *,
    start_ms: int,
    end_ms: int | None,
    now_ms: int,
) -> None:
    """Put the values of the metrics (`named` says by which series) from `start_ms` on into `sieve`.

    `end_ms` None: the answer goes as far as the server does. Raises InvalidInput when the days cannot be told.
    """
    today_ms = now_ms - now_ms % DAY_MS
    dates = _dates(found.get(DATE), sieve)
    days_of: dict[tuple[int, int], list[int]] = {}
    for metric, name in named.items():
        series = found[name]
        if isinstance(series, InvalidInput):
            sieve.refuse(metric, None, f"{name}: {series}")
            continue
        span = (series.start, series.end)
        if span not in days_of:
            days_of[span] = _days(*span, dates, start_ms, end_ms, today_ms)
        days = days_of[span]
        moving_ms = (today_ms if end_ms is not None or not days else days[-1]) - (MOVING_DAYS - 1) * DAY_MS
        for t_ms, raw in zip(days, series.data, strict=True):
            if t_ms > today_ms:
                sieve.refuse(metric, t_ms, "a day that has not begun")
            elif t_ms >= start_ms:
                sieve.take(metric, t_ms, raw, scale=SERIES[metric].scale, provisional=t_ms >= moving_ms)


def _whole(item: object) -> WireSeries | InvalidInput:
    try:
        series = msgspec.convert(item, WireSeries)
    except msgspec.ValidationError as error:
        return InvalidInput(f"another shape: {error}"[:200])
    if series.index not in DAY1:
        return InvalidInput(f"by {series.index[:40]!r} instead of day1")
    if not 0 <= series.start <= series.end <= MOST_DAYS or series.end - series.start != len(series.data):
        return InvalidInput(f"{len(series.data)} values for {series.start} to {series.end}")
    return series


def _dates(series: WireSeries | InvalidInput | None, sieve: Sieve) -> dict[int, int]:
    """By index, the day that the server itself says; {} when it says none, or what is no row of days."""
    if series is None or isinstance(series, InvalidInput):
        return {}
    try:
        days = [day_of_text(raw) for raw in series.data]
    except InvalidInput as error:
        sieve.note("schema_drift", f"the series date: {error}")
        return {}
    if any(later <= earlier for earlier, later in pairwise(days)):
        sieve.note("schema_drift", "the series date does not rise")
        return {}
    said = dict(enumerate(days, series.start))
    other = next((index for index, t_ms in said.items() if day_of_index(index) != t_ms), None)
    if other is not None:
        text = f"day1 index {other} is {iso_day(said[other])}, not {iso_day(day_of_index(other))} as we count"
        sieve.note("schema_drift", text)
    return said


def _days(
    start: int, end: int, dates: Mapping[int, int], start_ms: int, end_ms: int | None, today_ms: int
) -> list[int]:
    """The days of indexes: as the server says, else by the formula if what was asked for comes out of it."""
    if all(index in dates for index in range(start, end)):
        return [dates[index] for index in range(start, end)]
    days = [day_of_index(index) for index in range(start, end)]
    if end_ms is not None:
        fits = days[0] == start_ms or start <= 1  # the index begins with a hole of five days
    else:
        fits = today_ms - LATE_DAYS * DAY_MS <= days[-1] <= today_ms
    if not fits:
        raise InvalidInput(f"days {iso_day(days[0])} to {iso_day(days[-1])} came, from {iso_day(start_ms)} was asked")
    return days
