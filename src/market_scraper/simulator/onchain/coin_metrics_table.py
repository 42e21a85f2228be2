"""What Coin Metrics gives away of a day: the free columns in its own words and units (facts, sections 2 and 3)."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import lru_cache

import msgspec

from market_scraper.simulator.onchain.chain import COIN, FIRST_FLOWS, Chain, chain_of
from market_scraper.simulator.onchain.days import DAY_MS, FIRST_PRICE, GENESIS, day_at
from market_scraper.simulator.onchain.faults import CLEAN, Spoil
from market_scraper.simulator.onchain.mood import Mood, mood_of
from market_scraper.simulator.onchain.noise import Noise

_COMPLETE_MS = 3 * 3_600_000 + 15 * 60_000  # after the end of its day; 03:22 was seen
_COMPLETE_SPREAD_MS = 10 * 60_000
_FLOWS_SETTLE_MS = DAY_MS  # after the end of its day, as labels of exchanges' addresses come in
_UNSETTLED = 0.004

Figure = Callable[[int], float | None]

REFERENCE = frozenset({"ReferenceRate", "ReferenceRateETH", "ReferenceRateEUR", "ReferenceRateUSD"})
"""All that a day's row holds before the day is over."""

PAID = frozenset(
    (
        *("CapRealUSD", "DiffMean", "NVTAdj", "NVTAdj90", "FeeMeanNtv", "FeeMeanUSD", "FeeMedNtv", "FeeMedUSD"),
        *("FeeTotUSD", "BlkSizeByte", "BlkSizeMeanByte", "IssContNtv", "TxTfrValAdjUSD", "TxTfrValMeanUSD", "SOPR"),
        *("VtyDayRet30d", "VtyDayRet180d"),
    )
)
"""Exist and are not free (any more): 403."""


class Column(msgspec.Struct, frozen=True):
    """A metric: its first day and its value for a day."""

    first: int
    figure: Figure


def _end(day: int) -> int:
    return (day + 1) * DAY_MS


class Table:
    """The free metrics of every day, by the moment at which it is asked."""

    def __init__(self, seed: int, chain: Chain, mood: Mood) -> None:
        self._chain, self._mood = chain, mood
        self._late, self._labels = Noise(seed, "completion"), Noise(seed, "labels")
        self.columns = dict(sorted(self._columns().items()))
        self._settled_line = lru_cache(8_192)(self._line_once_settled)  # as long as the file

    def complete_ms(self, day: int) -> int:
        """When the row of a day became complete."""
        return _end(day) + _COMPLETE_MS + round(_COMPLETE_SPREAD_MS * (1 + self._late.at(day)) / 2) // 1000 * 1000

    def newest(self, now_ms: int) -> int:
        """The newest complete day."""
        day = day_at(now_ms) - 1
        return day if self.complete_ms(day) <= now_ms else day - 1

    def version(self, now_ms: int) -> str:
        """Changes whenever a row does."""
        return f"{self.newest(now_ms)} {day_at(now_ms)}"

    def row(self, metrics: Iterable[str], day: int, now_ms: int, spoil: Spoil) -> list[str | None]:
        """A day's values as text; None = none yet, or none so early."""
        complete, today = self.newest(now_ms), day_at(now_ms)
        cells: list[str | None] = []
        for metric in metrics:
            column = self.columns[metric]
            newest = today if metric in REFERENCE else complete
            value = None
            if column.first <= day <= newest:
                value = spoil.value(metric, day, newest, self._settling(metric, column.figure, now_ms))
            cells.append(None if value is None else spoil.number(_text(value)))
        return cells

    def line(self, day: int, now_ms: int) -> str:
        """All columns of a day, with nothing spoilt: `a,b,,d`."""
        if now_ms >= max(self.complete_ms(day), _end(day) + _FLOWS_SETTLE_MS):
            return self._settled_line(day)
        return ",".join(cell or "" for cell in self.row(self.columns, day, now_ms, CLEAN))

    def _line_once_settled(self, day: int) -> str:
        settled_ms = _end(day) + 2 * _FLOWS_SETTLE_MS
        return ",".join(cell or "" for cell in self.row(self.columns, day, settled_ms, CLEAN))

    def _settling(self, metric: str, figure: Figure, now_ms: int) -> Figure:
        """Flows are revised once."""
        if not metric.startswith("Flow"):
            return figure

        def as_of_now(day: int) -> float | None:
            value = figure(day)
            if value is None or now_ms >= _end(day) + _FLOWS_SETTLE_MS:
                return value
            return round(value * (1 + _UNSETTLED * self._labels.at(day)), 8)

        return as_of_now

    def _columns(self) -> dict[str, Column]:
        chain = self._chain

        def price(day: int) -> float:
            return self._mood.price_at(_end(day))

        def supply(day: int) -> float:
            return chain.supply_at(_end(day)) / COIN

        def mvrv(day: int) -> float | None:
            valuation = self._mood.valuation_at(_end(day))
            return None if valuation is None else valuation.mvrv

        def issued(day: int) -> float:
            return chain.issued_at(_end(day)) / COIN

        def flow(side: str) -> Figure:
            def coins(day: int) -> float | None:
                flows = chain.flows(day)
                return None if flows is None else int(getattr(flows, side)) / COIN

            return coins

        def in_usd(coins: Figure) -> Figure:
            def usd(day: int) -> float | None:
                amount = coins(day)
                return None if amount is None else amount * price(day)

            return usd

        def roi(days: int) -> Figure:
            return lambda day: 100 * (price(day) / price(day - days) - 1)

        inflow, outflow, held = flow("inflow"), flow("outflow"), flow("held")
        figures: dict[str, tuple[int, Figure]] = {
            "AdrActCnt": (GENESIS, chain.addresses),
            "AdrBalCnt": (GENESIS, lambda day: 60 * chain.addresses(day)),
            "AssetCompletionTime": (GENESIS, lambda day: self.complete_ms(day) // 1000),
            "AssetEODCompletionTime": (GENESIS, lambda day: self.complete_ms(day) // 1000),
            "BlkCnt": (GENESIS, lambda day: chain.blocks_at(_end(day))),
            "CapMVRVCur": (FIRST_PRICE, mvrv),
            "CapMrktCurUSD": (FIRST_PRICE, lambda day: price(day) * supply(day)),
            "CapMrktEstUSD": (FIRST_PRICE, lambda day: price(day) * supply(day)),
            "FeeTotNtv": (GENESIS, lambda day: chain.fees(day) / COIN),
            "FlowInExNtv": (FIRST_FLOWS, inflow),
            "FlowInExUSD": (FIRST_FLOWS, in_usd(inflow)),
            "FlowOutExNtv": (FIRST_FLOWS, outflow),
            "FlowOutExUSD": (FIRST_FLOWS, in_usd(outflow)),
            "HashRate": (GENESIS, lambda day: chain.hash_rate_at(_end(day)) / 1e12),
            "IssTotNtv": (GENESIS, issued),
            "IssTotUSD": (FIRST_PRICE, in_usd(issued)),
            "PriceBTC": (FIRST_PRICE, lambda _: 1),
            "PriceUSD": (FIRST_PRICE, price),
            "ROI1yr": (FIRST_PRICE + 365, roi(365)),
            "ROI30d": (FIRST_PRICE + 30, roi(30)),
            "ReferenceRate": (FIRST_PRICE, price),
            "ReferenceRateETH": (FIRST_PRICE, lambda day: price(day) / 2_500),
            "ReferenceRateEUR": (FIRST_PRICE, lambda day: price(day) / 1.1),
            "ReferenceRateUSD": (FIRST_PRICE, price),
            "SplyCur": (GENESIS, supply),
            "SplyExNtv": (FIRST_FLOWS, held),
            "SplyExUSD": (FIRST_FLOWS, in_usd(held)),
            "SplyExpFut10yr": (GENESIS, lambda day: chain.supply_at(_end(day + 3_653)) / COIN),
            "TxCnt": (GENESIS, chain.transactions),
            "TxTfrCnt": (GENESIS, lambda day: 2 * chain.transactions(day)),
            "volume_reported_spot_usd_1d": (FIRST_PRICE, lambda day: 200_000 * price(day)),
        }
        return {name: Column(first, figure) for name, (first, figure) in figures.items()}


@lru_cache(4)
def table_of(seed: int) -> Table:
    """The table of a seed; whoever asks for the same one shares what was computed."""
    return Table(seed, chain_of(seed), mood_of(seed))


def _text(value: float) -> str:
    """Never an exponent: 5.2e-06 -> 0.0000052."""
    written = repr(value)
    return f"{Decimal(written):f}" if "e" in written else written.removesuffix(".0")
