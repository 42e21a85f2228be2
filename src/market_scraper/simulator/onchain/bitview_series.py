"""Bitview's series at `day1`: names and units of client 0.12.2, and the index of a day (facts, sections 1.3 and 1.4).

`day1` is not linear: index 0 is 2009-01-03, index 1 is 2009-01-09, then one a day. The last two buckets move: today's
is as of the newest block, yesterday's settles in the course of the day.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from market_scraper.simulator.onchain.chain import AGE_BANDS, COIN, Chain
from market_scraper.simulator.onchain.days import DAY_MS, GENESIS, SECOND_BLOCK, date_of, day_at
from market_scraper.simulator.onchain.mood import Mood, Valuation

MOVING = 2  # buckets
_UNSETTLED_PART = 48  # yesterday's is as of up to a 48th of a day before its end
_DIGITS = 9

AT_HEIGHT_ONLY = frozenset({"sopr", "asopr", "active_addrs", "tx_count"})
"""Names that look right and are not there at `day1`."""


def index_of(day: int) -> int:
    """The bucket in which a day lies; 0 for all before the second."""
    return max(0, day - SECOND_BLOCK + 1)


def day_of(index: int) -> int:
    """The reverse."""
    return GENESIS if index == 0 else SECOND_BLOCK + index - 1


class Series(msgspec.Struct, frozen=True):
    """A series: its type's name, how many bytes a value weighs, and its value at a moment."""

    type: Literal["f32", "f64", "Date"]
    value: "Callable[[Reading, int], float | None]"

    @property
    def weight(self) -> int:
        return 4 if self.type == "f32" else 8


class Reading:
    """What one request computes: everything as of one newest block, each moment once."""

    def __init__(self, chain: Chain, mood: Mood, now_ms: int) -> None:
        self.chain, self._mood = chain, mood
        self.tip_ms = chain.tip_ms(now_ms)
        self.height = chain.height_at(now_ms)
        self.today = day_at(self.tip_ms)
        self._ages: dict[int, dict[str, int]] = {}
        self._values: dict[int, Valuation | None] = {}

    def moment(self, day: int) -> int:
        """As of when a day's bucket is."""
        end = (day + 1) * DAY_MS
        since_end = self.tip_ms - end
        if since_end < 0:
            return self.tip_ms
        return end if since_end >= DAY_MS else end - (DAY_MS - since_end) // _UNSETTLED_PART

    def value(self, series: Series, day: int) -> float | None:
        if series.type == "Date":
            return day
        value = series.value(self, self.moment(day))
        return value if value is None or series.type == "f64" else float(f"{value:.{_DIGITS}g}")

    def ages(self, at_ms: int) -> dict[str, int]:
        if at_ms not in self._ages:
            self._ages[at_ms] = self.chain.ages_at(at_ms)
        return self._ages[at_ms]

    def valuation(self, at_ms: int) -> Valuation | None:
        if at_ms not in self._values:
            self._values[at_ms] = self._mood.valuation_at(at_ms)
        return self._values[at_ms]


def _ratio(formula: Callable[[Valuation], float]) -> Series:
    def value(reading: Reading, at_ms: int) -> float | None:
        valuation = reading.valuation(at_ms)
        return None if valuation is None else formula(valuation)

    return Series("f32", value)


def _cap(formula: Callable[[Valuation], float]) -> Series:
    """USD a coin times all coins."""

    def value(reading: Reading, at_ms: int) -> float | None:
        valuation = reading.valuation(at_ms)
        return None if valuation is None else round(formula(valuation) * reading.chain.supply_at(at_ms) / COIN, 2)

    return Series("f64", value)


def _band(name: str) -> Series:
    return Series("f64", lambda reading, at_ms: reading.ages(at_ms)[name] / COIN)


_SUPPLY = Series("f64", lambda reading, at_ms: reading.chain.supply_at(at_ms) / COIN)

SERIES: dict[str, Series] = {
    "date": Series("Date", lambda _, at_ms: day_at(at_ms)),  # a day's number, written as a date by `text`
    "sopr_24h": _ratio(lambda it: it.sopr),
    "sth_sopr_24h": _ratio(lambda it: it.sth_sopr),
    "lth_sopr_24h": _ratio(lambda it: it.lth_sopr),
    "asopr_24h": _ratio(lambda it: it.sopr**1.1),
    "sth_asopr_24h": _ratio(lambda it: it.sth_sopr**1.1),
    "nupl": _ratio(lambda it: it.nupl),
    "sth_nupl": _ratio(lambda it: 1 - 1 / it.sth_mvrv),
    "lth_nupl": _ratio(lambda it: 1 - 1 / it.lth_mvrv),
    "mvrv": _ratio(lambda it: it.mvrv),
    "sth_mvrv": _ratio(lambda it: it.sth_mvrv),
    "lth_mvrv": _ratio(lambda it: it.lth_mvrv),
    "realized_price": _ratio(lambda it: it.paid),
    "price_close": _ratio(lambda it: it.price),
    "market_cap": _cap(lambda it: it.price),
    "realized_cap": _cap(lambda it: it.paid),
    "thermo_cap": _cap(lambda it: 0.1 * it.paid),
    "cointime_cap": _cap(lambda it: 0.9 * it.paid),
    "puell_multiple": _ratio(lambda it: it.puell),
    "rhodl_ratio": _ratio(lambda it: 1_000 * it.mvrv**2),
    "reserve_risk": _ratio(lambda it: 0.002 * it.mvrv**1.5),
    "pi_cycle": _ratio(lambda it: 0.5 * it.sth_mvrv),
    "nvt": _ratio(lambda it: 40 / it.sopr),
    "aviv_ratio": _ratio(lambda it: it.mvrv**0.9),
    "capital_sentiment_score": _ratio(lambda it: it.nupl / 2),
    "liveliness": _ratio(lambda it: 0.6 + 0.02 * it.nupl),
    "vaultedness": _ratio(lambda it: 0.4 - 0.02 * it.nupl),
    "supply": _SUPPLY,
    "circulating_supply": _SUPPLY,
    "hash_rate": Series("f64", lambda reading, at_ms: reading.chain.hash_rate_at(at_ms)),  # H/s
    "difficulty": Series("f64", lambda reading, at_ms: reading.chain.difficulty(reading.chain.height_at(at_ms))),
    "tx_count_sum_24h": Series("f64", lambda reading, at_ms: reading.chain.transactions_at(at_ms)),
    "active_addrs_average_24h": Series(  # per block
        "f32", lambda reading, at_ms: reading.chain.addresses(day_at(at_ms - 1)) / 45
    ),
    **{f"utxos_{name}_old_supply": _band(name) for name, *_ in AGE_BANDS},
}


def text(series: Series, value: float | None) -> str:
    """A value as the host writes it."""
    if value is None:
        return "null"
    return f'"{date_of(int(value))}"' if series.type == "Date" else repr(value)
