"""A small coherent Bitcoin: what is true of a day or a moment, before any source puts it in its own units.

Every fact is a formula of seed and time, so any day can be asked for in any order and nothing is computed before.
Heights pass through the real halvings; levels follow the years as recorded (yearly means of Coin Metrics' and
lukmol's files, January 2009 to 2026), with noise of the right size. Days are numbers since 1970 (see `days`).

Identities that hold exactly: supply is the sum of subsidies up to the height, the age bands add up to the supply,
hash rate is the one that finds a day's blocks at that difficulty, and the exchanges' supply changes by in - out.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from datetime import date
from functools import lru_cache

import msgspec

from market_scraper.simulator.onchain.days import DAY_MS, GENESIS, SECOND_BLOCK, day_at, number_of
from market_scraper.simulator.onchain.noise import Noise

COIN = 100_000_000  # satoshi
ERA_BLOCKS = 210_000  # between halvings
PERIOD_BLOCKS = 2_016  # between changes of difficulty
HASHES_PER_DIFFICULTY = 2**32

FIRST_FLOWS = number_of(date(2011, 6, 20))  # exchanges are known from here on

_HEIGHTS = (  # height at 00:00 of a day; the halvings are real ones, the last point is from the facts
    (SECOND_BLOCK, 0),
    (number_of(date(2012, 11, 28)), 210_000),
    (number_of(date(2016, 7, 9)), 420_000),
    (number_of(date(2020, 5, 11)), 630_000),
    (number_of(date(2024, 4, 20)), 840_000),
    (number_of(date(2026, 10, 20)), 970_695),
)
_BLOCKS_A_DAY = 144  # after the last of them
_HEIGHT_WOBBLE = 12  # blocks early or late at midnight

_YEAR_0 = number_of(date(2009, 1, 15))
_HASH_RATES = (  # TH/s in the middle of January, from 2009 on
    *(5.2e-6, 9.3e-6, 0.147, 9.26, 21.0, 15_148.0, 309_337.0, 835_580.0, 2.73e6, 1.754e7),
    *(3.99e7, 1.067e8, 1.525e8, 1.924e8, 2.73e8, 5.08e8, 7.84e8, 1.014e9, 1.2e9),
)
_TRANSACTIONS = (  # a day
    *(100.0, 190.0, 1_000.0, 6_000.0, 45_000.0, 60_000.0, 85_000.0, 180_000.0, 270_000.0, 280_000.0),
    *(270_000.0, 310_000.0, 320_000.0, 260_000.0, 300_000.0, 480_000.0, 380_000.0, 480_000.0, 480_000.0),
)
_ADDRESSES = (  # active on a day
    *(100.0, 300.0, 2_000.0, 15_000.0, 45_000.0, 140_000.0, 220_000.0, 380_000.0, 550_000.0, 850_000.0),
    *(620_000.0, 720_000.0, 1_080_000.0, 930_000.0, 940_000.0, 930_000.0, 760_000.0, 680_000.0, 680_000.0),
)
_ON_EXCHANGES = (  # share of the supply
    *(0.001, 0.001, 0.005, 0.02, 0.04, 0.06, 0.07, 0.08, 0.1, 0.13),
    *(0.15, 0.17, 0.16, 0.155, 0.14, 0.135, 0.13, 0.125, 0.12),
)
_TURNOVER = (  # BTC a day onto exchanges, and about as many from them
    *(1.0, 10.0, 5_000.0, 15_000.0, 50_000.0, 60_000.0, 50_000.0, 45_000.0, 60_000.0, 70_000.0),
    *(45_000.0, 40_000.0, 48_000.0, 40_000.0, 32_000.0, 33_000.0, 34_000.0, 32_000.0, 32_000.0),
)

_DAY, _WEEK, _MONTH, _YEAR = 1.0, 7.0, 30.4375, 365.25
AGE_BANDS: tuple[tuple[str, float, float, float], ...] = (  # name, from and to (days), usual share of the supply
    ("under_1h", 0.0, 1 / 24, 0.0004),
    ("1h_to_1d", 1 / 24, _DAY, 0.004),
    ("1d_to_1w", _DAY, _WEEK, 0.012),
    ("1w_to_1m", _WEEK, _MONTH, 0.03),
    ("1m_to_2m", _MONTH, 2 * _MONTH, 0.04),
    ("2m_to_3m", 2 * _MONTH, 3 * _MONTH, 0.03),
    ("3m_to_4m", 3 * _MONTH, 4 * _MONTH, 0.03),
    ("4m_to_5m", 4 * _MONTH, 5 * _MONTH, 0.028),
    ("5m_to_6m", 5 * _MONTH, 6 * _MONTH, 0.025),
    ("6m_to_9m", 6 * _MONTH, 9 * _MONTH, 0.06),
    ("9m_to_1y", 9 * _MONTH, _YEAR, 0.06),
    ("1y_to_18m", _YEAR, 18 * _MONTH, 0.09),
    ("18m_to_2y", 18 * _MONTH, 2 * _YEAR, 0.08),
    ("2y_to_3y", 2 * _YEAR, 3 * _YEAR, 0.12),
    ("3y_to_4y", 3 * _YEAR, 4 * _YEAR, 0.07),
    ("4y_to_5y", 4 * _YEAR, 5 * _YEAR, 0.055),
    ("5y_to_6y", 5 * _YEAR, 6 * _YEAR, 0.045),
    ("6y_to_7y", 6 * _YEAR, 7 * _YEAR, 0.04),
    ("7y_to_8y", 7 * _YEAR, 8 * _YEAR, 0.035),
    ("8y_to_10y", 8 * _YEAR, 10 * _YEAR, 0.05),
    ("10y_to_12y", 10 * _YEAR, 12 * _YEAR, 0.045),
    ("12y_to_15y", 12 * _YEAR, 15 * _YEAR, 0.03),
    ("over_15y", 15 * _YEAR, 20 * _YEAR, 0.09),
)


class Flows(msgspec.Struct, frozen=True):
    """One day's coins onto and from exchanges, and what lies there at its end; satoshi."""

    inflow: int
    outflow: int
    held: int


def _by_year(levels: Sequence[float], day: float) -> float:
    """Between the years' levels, in logarithms; flat at both ends."""
    place = (day - _YEAR_0) / _YEAR
    if place <= 0:
        return levels[0]
    number = min(int(place), len(levels) - 2)
    share = min(place - number, 1.0)
    return levels[number] * math.pow(levels[number + 1] / levels[number], share)


def supply_at_height(height: int) -> int:
    """Satoshi that the blocks 0 to `height` have brought; 0 for height -1."""
    left, subsidy, total = height + 1, 50 * COIN, 0
    while left > 0:
        total += min(left, ERA_BLOCKS) * subsidy
        left -= ERA_BLOCKS
        subsidy //= 2
    return total


class Chain:
    """One Bitcoin. `..._at` take a moment in ms and count over the 24 hours before it; others take a day."""

    def __init__(self, seed: int) -> None:
        self._noise = {
            name: Noise(seed, name)
            for name in ("height", "difficulty", "transactions", "addresses", "fees", "held", "turnover")
        }
        self._ages = [(name, low, high, share, Noise(seed, name)) for name, low, high, share in AGE_BANDS]
        self.last_height = lru_cache(16_384)(self._last_height)
        self.held = lru_cache(256)(self._held)  # neighbours need each other's
        self.flows = lru_cache(256)(self._flows)
        self._supplied = lru_cache(256)(supply_at_height)
        self._counted = lru_cache(256)(self._count)

    # -- blocks -------------------------------------------------------------------------------------------------------
    def _last_height(self, day: int) -> int:
        """Height of the last block up to the end of a day; -1 before the first one."""
        if day < SECOND_BLOCK:
            return 0 if day >= GENESIS else -1
        wobble = _HEIGHT_WOBBLE * self._noise["height"].at(day)
        return max(0, math.floor(_plain_height(day + 1) + wobble))

    def height_at(self, at_ms: int) -> int:
        """Of the newest block."""
        day = day_at(at_ms)
        before = self.last_height(day - 1)
        return before + math.floor((self.last_height(day) - before) * (at_ms % DAY_MS) / DAY_MS)

    def tip_ms(self, at_ms: int) -> int:
        """When the newest block was found."""
        day, share = day_at(at_ms), (at_ms % DAY_MS) / DAY_MS
        blocks = self.last_height(day) - self.last_height(day - 1)
        return day * DAY_MS if blocks == 0 else day * DAY_MS + math.floor(share * blocks) * DAY_MS // blocks

    def blocks_at(self, at_ms: int) -> int:
        return self.height_at(at_ms) - self.height_at(at_ms - DAY_MS)

    def supply_at(self, at_ms: int) -> int:
        """Satoshi."""
        return self._supplied(self.height_at(at_ms))

    def issued_at(self, at_ms: int) -> int:
        """Satoshi."""
        return self.supply_at(at_ms) - self.supply_at(at_ms - DAY_MS)

    def difficulty(self, height: int) -> float:
        """In force at a height: what made the network's usual hash rate of that time find 144 blocks a day."""
        period = height // PERIOD_BLOCKS
        usual = _by_year(_HASH_RATES, _plain_day(period * PERIOD_BLOCKS)) * 1e12
        return max(1.0, usual * 600 / HASHES_PER_DIFFICULTY * (1 + 0.02 * self._noise["difficulty"].at(period)))

    def hash_rate_at(self, at_ms: int) -> float:
        """Hashes a second that find as many blocks at this difficulty."""
        found = self.blocks_at(at_ms) * self.difficulty(self.height_at(at_ms))
        return found * HASHES_PER_DIFFICULTY / (DAY_MS / 1000)

    # -- who uses it --------------------------------------------------------------------------------------------------
    def transactions(self, day: int) -> int:
        return self._counted("transactions", _TRANSACTIONS, day)

    def addresses(self, day: int) -> int:
        return self._counted("addresses", _ADDRESSES, day)

    def fees(self, day: int) -> int:
        """Satoshi."""
        return round(COIN * self.transactions(day) * 8e-6 * (1 + 0.3 * self._noise["fees"].at(day)))

    def transactions_at(self, at_ms: int) -> int:
        """The last 24 hours: parts of two days."""
        day, share = day_at(at_ms), (at_ms % DAY_MS) / DAY_MS
        return round(share * self.transactions(day) + (1 - share) * self.transactions(day - 1))

    def _count(self, name: str, levels: Sequence[float], day: int) -> int:
        if day < SECOND_BLOCK:
            return int(day == GENESIS)
        noise, weekend = self._noise[name], 0.88 if (day + 3) % 7 >= 5 else 1.0  # 1970-01-01 was a Thursday
        return max(
            1, round(_by_year(levels, day) * weekend * (1 + 0.06 * noise.at(day)) * (1 + 0.1 * noise.wander(day, 60)))
        )

    def _held(self, day: int) -> int:
        """Satoshi on exchanges at a day's end."""
        noise = self._noise["held"]
        share = _by_year(_ON_EXCHANGES, day) * (1 + 0.02 * noise.wander(day, 90) + 0.0003 * noise.at(day))
        return round(self.supply_at((day + 1) * DAY_MS) * share)

    def _flows(self, day: int) -> Flows | None:
        """None before exchanges are known."""
        if day < FIRST_FLOWS:
            return None
        held = self.held(day)
        net = held - self.held(day - 1)
        turnover = round(COIN * _by_year(_TURNOVER, day) * (1 + 0.25 * self._noise["turnover"].at(day)))
        inflow = turnover + max(net, 0)
        return Flows(inflow, inflow - net, held)

    def ages_at(self, at_ms: int) -> dict[str, int]:
        """Satoshi by how long ago they moved, youngest first; together they are the supply."""
        supply, place = self.supply_at(at_ms), at_ms / DAY_MS
        age = max(place - SECOND_BLOCK, 1 / 24)
        weights = {}
        for name, low, high, share, noise in self._ages:
            there = min(max((age - low) / (high - low), 0.0), 1.0)
            weights[name] = there * share * (1 + 0.25 * noise.wander(place, 20 + high / 4))
        total = sum(weights.values())
        coins = {name: math.floor(supply * weight / total) for name, weight in weights.items()}
        coins[max(weights, key=weights.__getitem__)] += supply - sum(coins.values())
        return coins


@lru_cache(4)
def chain_of(seed: int) -> Chain:
    """The chain of a seed; whoever asks for the same one shares what was computed."""
    return Chain(seed)


def _plain_height(day: float) -> float:
    """Without wobble, at the beginning of a day."""
    number = min(max(bisect_right(_HEIGHTS, day, key=lambda point: point[0]) - 1, 0), len(_HEIGHTS) - 1)
    start, height = _HEIGHTS[number]
    if number == len(_HEIGHTS) - 1:
        return height + (day - start) * _BLOCKS_A_DAY
    end, next_height = _HEIGHTS[number + 1]
    return height + (day - start) * (next_height - height) / (end - start)


def _plain_day(height: float) -> float:
    """The reverse of `_plain_height`."""
    number = min(max(bisect_right(_HEIGHTS, height, key=lambda point: point[1]) - 1, 0), len(_HEIGHTS) - 1)
    start, first = _HEIGHTS[number]
    if number == len(_HEIGHTS) - 1:
        return start + (height - first) / _BLOCKS_A_DAY
    end, next_height = _HEIGHTS[number + 1]
    return start + (height - first) * (end - start) / (next_height - first)
