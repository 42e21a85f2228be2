"""What holders paid, gained and felt: a price with four-year cycles, and the ratios that follow from it.

NUPL = 1 - 1/MVRV holds by construction, and CBBI's confidence is the mean of what is there. The other ratios are
inventions of the right size and direction: none is computed from coins.
"""

import math
from collections.abc import Mapping
from datetime import date
from functools import lru_cache

import msgspec

from market_scraper.simulator.onchain.days import DAY_MS, FIRST_PRICE, GENESIS, number_of
from market_scraper.simulator.onchain.noise import Noise

_HALVING = number_of(date(2024, 4, 20))
_CYCLE_DAYS = 1_420.0
_PEAK = 0.36  # where in the cycle prices stand highest
_SWING, _PAID_SWING = 0.40, 0.16  # decades
_PAID_LAG_DAYS = 200
_PAID_BELOW = 0.1  # decades

CBBI_FIRST = number_of(date(2011, 6, 27))
CBBI_LATE = {"PiCycle": 349, "Puell": 20, "ReserveRisk": 1}  # days at the beginning without a value (recorded)
CBBI_LAGS = {  # name -> how far it is behind the cycle, in cycles; names and order as recorded
    "PiCycle": 0.06,
    "RUPL": 0.01,
    "RHODL": 0.03,
    "Puell": -0.02,
    "2YMA": 0.04,
    "Trolololo": 0.0,
    "MVRV": 0.02,
    "ReserveRisk": 0.05,
    "Woobull": 0.02,
}

FEAR_GREED_FIRST = number_of(date(2018, 2, 1))


class Valuation(msgspec.Struct, frozen=True, kw_only=True):
    """A day's ratios; 1 = break-even, except NUPL, where 0 is. `price` and `paid` in USD a coin."""

    price: float
    paid: float  # what coins cost when they last moved, on average
    mvrv: float
    sth_mvrv: float
    lth_mvrv: float
    sopr: float
    sth_sopr: float
    lth_sopr: float
    puell: float

    @property
    def nupl(self) -> float:
        return 1 - 1 / self.mvrv


def _trend(day: float) -> float:
    """Decades of USD: a power of the chain's age."""
    return 5.82 * math.log10(day - GENESIS) - 17.2


def _cycle(day: float, lag: float = 0.0) -> float:
    """-1..1, highest in the second year after a halving."""
    return math.cos(2 * math.pi * ((day - _HALVING) / _CYCLE_DAYS - _PEAK - lag))


class Mood:
    """One market's history; the same seed gives the same."""

    def __init__(self, seed: int) -> None:
        self._price, self._ratio, self._survey = (Noise(seed, name) for name in ("price", "ratio", "survey"))
        self._parts = {name: Noise(seed, f"cbbi {name}") for name in CBBI_LAGS}
        self._closing = lru_cache(16_384)(self._closing_decades)
        self._close_usd = lru_cache(16_384)(lambda day: math.pow(10.0, self._closing(day)))
        self._components = lru_cache(16_384)(self._cbbi)

    def _closing_decades(self, day: int) -> float:
        noise = self._price
        return _trend(day) + _SWING * _cycle(day) + 0.06 * noise.wander(day, 45) + 0.02 * noise.at(day)

    def price_at(self, at_ms: int) -> float:
        """USD: from one day's close to the next."""
        day, rest = divmod(at_ms, DAY_MS)
        if rest == 0:
            return self._close_usd(day - 1)
        first, second = self._closing(day - 1), self._closing(day)
        return math.pow(10.0, first + (second - first) * rest / DAY_MS)

    def valuation_at(self, at_ms: int) -> Valuation | None:
        """As of a moment; None before there was a price."""
        place = at_ms / DAY_MS
        if place < FIRST_PRICE + 1:
            return None
        price = self.price_at(at_ms)
        paid = 10.0 ** (_trend(place - _PAID_LAG_DAYS) + _PAID_SWING * _cycle(place, 0.1) - _PAID_BELOW)
        mvrv = price / paid
        recent, old = mvrv**0.4 * (1 + 0.02 * self._ratio.wander(place, 5)), mvrv**1.3
        return Valuation(
            price=price,
            paid=paid,
            mvrv=mvrv,
            sth_mvrv=recent,
            lth_mvrv=old,
            sopr=recent**0.2 * (1 + 0.008 * self._ratio.wander(place, 0.7)),
            sth_sopr=recent**0.25 * (1 + 0.01 * self._ratio.wander(place + 0.2, 0.7)),
            lth_sopr=old**0.8 * (1 + 0.05 * self._ratio.wander(place + 0.4, 0.7)),
            puell=10.0 ** (0.25 * _cycle(place, -0.04) + 0.04 * self._ratio.wander(place, 9)),
        )

    def fear_greed(self, day: int) -> int:
        """0..100, from a month's way of the price."""
        way = self._closing(day - 1) - self._closing(day - 31)
        return min(max(round(48 + 260 * way + 5 * self._survey.at(day)), 5), 95)

    def cbbi(self, day: int) -> dict[str, float | None]:
        """The nine components of a day, 0..1 to 4 decimals; None where it has none yet."""
        return dict(zip(CBBI_LAGS, self._components(day), strict=True))

    def _cbbi(self, day: int) -> tuple[float | None, ...]:
        age = day - CBBI_FIRST
        return tuple(
            None if age < CBBI_LATE.get(name, 0) else self._part(name, day, lag) for name, lag in CBBI_LAGS.items()
        )

    def _part(self, name: str, day: int, lag: float) -> float:
        noise = self._parts[name]
        raw = 0.5 + 0.42 * _cycle(day, lag) + 0.12 * noise.wander(day, 35) + 0.006 * noise.at(day)
        return round(min(max(raw, 0.0), 1.0), 4)


@lru_cache(4)
def mood_of(seed: int) -> Mood:
    """The market of a seed; whoever asks for the same one shares what was computed."""
    return Mood(seed)


def confidence(components: Mapping[str, float | None]) -> float | None:
    """CBBI's own rule: the plain mean of the components that are there, to 4 decimals."""
    there = [value for value in components.values() if value is not None]
    return round(sum(there) / len(there), 4) if there else None
