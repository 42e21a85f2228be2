"""How accounts stand: leaderboard rows and portfolios, with a past before the world's start."""

import math
import random
from array import array

from market_scraper.simulator.world.accounts import Accounts
from market_scraper.simulator.world.bars import DAY_MS
from market_scraper.simulator.world.facts import Kind, LeaderRow, PortfolioWindow, WindowFigures
from market_scraper.simulator.world.path import PricePath
from market_scraper.simulator.world.people import Trader

_WINDOWS_MS = (DAY_MS, 7 * DAY_MS, 30 * DAY_MS, 3000 * DAY_MS)
_NAMES = ("day", "week", "month", "allTime")
_POINTS = (42, 60, 91, 100)  # granularity seen (facts 2.3)
# pnl and account value (USD) of giants as they were recorded in 2026-09: windows that contradict each other.
_PHANTOMS: tuple[tuple[float, tuple[float, float, float, float], tuple[float, float, float, float]], ...] = (
    (917_841_122.7465319633, (0.0, 159_888_191.6, 0.0, -500.0), (0.0, 0.2109292762, 0.0, -0.05)),
    (15_938_949_839.5766, (131_570_190.98, 955_712_764.23, 152_536_137.63, -500.0), (0.0083, 0.064, 0.0097, -0.0313)),
    (2_104_000_512.25, (0.0, 0.0, 81_000_000.0, 12.5), (0.0, 0.0, 0.04, 514_807.28)),
    (224_997_159.3992, (2.088107, 14.274802, 0.0, 445_038_914.21), (9.3e-9, 6.34e-8, 0.0, 26_412.0401)),
)


class Standing:
    """Each trader's windows at the start are drawn once; what it earns and trades since then is added."""

    def __init__(
        self, seed: int, start_ms: int, traders: list[Trader], accounts: Accounts, spot_path: PricePath
    ) -> None:
        self._start_ms = start_ms
        self._traders = traders
        self._accounts = accounts
        self._spot_path = spot_path  # what spot holders hold
        self._before = [array("d", bytes(8 * len(traders))) for _ in range(8)]  # pnl of 4 windows, volume of 4
        self._opening = array("q", bytes(8 * len(traders)))
        self._subs: dict[int, list[int]] = {}
        rng = random.Random(f"standing:{seed}")
        for trader in traders:
            self._opening[trader.index] = accounts.worth_at(trader.index, start_ms)[0]
            self._draw_past(trader, rng)
            if trader.master is not None:
                self._subs.setdefault(trader.master, []).append(trader.index)
        self._phantoms = {
            trader.index: _PHANTOMS[number % len(_PHANTOMS)]
            for number, trader in enumerate(one for one in traders if one.kind is Kind.PHANTOM)
        }

    def subs_of(self, trader: int) -> list[int]:
        """A master's sub-accounts."""
        return self._subs.get(trader, [])

    def rows(self, at_ms: int) -> list[LeaderRow]:
        """One row for each account that ranks: no sub-account, no vault."""
        hidden = (Kind.VAULT, Kind.VAULT_CHILD)
        return [self._row(one, at_ms) for one in self._traders if one.master is None and one.kind not in hidden]

    def value_usd(self, trader: int, at_ms: int) -> float:
        """What the account alone is worth, perps and spot together."""
        person = self._traders[trader]
        if person.kind is Kind.PHANTOM:
            return self._phantoms[trader][0]
        if person.kind is Kind.SPOT_HOLDER:
            return person.value_usd * self._spot_growth(at_ms)
        return self._accounts.worth_at(trader, at_ms)[0] / 1e6

    def portfolio(self, trader: int, at_ms: int) -> list[PortfolioWindow]:
        """Eight windows; the perp ones leave spot out."""
        spot = self._traders[trader].kind in (Kind.SPOT_HOLDER, Kind.PHANTOM)
        windows = [self._window(trader, number, at_ms, nothing=False) for number in range(4)]
        perps = [self._window(trader, number, at_ms, nothing=spot) for number in range(4)]
        renamed = [
            PortfolioWindow(f"perp{one.name[0].upper()}{one.name[1:]}", one.account_values, one.pnls, one.vlm)
            for one in perps
        ]
        return windows + renamed

    def _row(self, trader: Trader, at_ms: int) -> LeaderRow:
        members = [trader.index, *self._subs.get(trader.index, ())]
        value = sum(self.value_usd(member, at_ms) for member in members)
        if trader.kind is Kind.PHANTOM:
            _, pnls, rois = self._phantoms[trader.index]
            figures = [WindowFigures(pnl, roi, 0.0) for pnl, roi in zip(pnls, rois, strict=True)]
        else:
            figures = []
            for number in range(4):
                pnl = volume = 0.0
                for member in members:
                    more_pnl, more_volume = self._earned(member, number, at_ms)
                    pnl += more_pnl
                    volume += more_volume
                figures.append(WindowFigures(pnl, _roi(pnl, value), volume))
        return LeaderRow(trader.user, value, figures[0], figures[1], figures[2], figures[3], trader.name)

    def _earned(self, trader: int, number: int, at_ms: int) -> tuple[float, float]:
        """pnl and volume (USD) of one account in one window; the past before the start fades out evenly."""
        window = _WINDOWS_MS[number]
        left = max(0.0, 1 - (at_ms - self._start_ms) / window)
        pnl, volume = self._before[number][trader] * left, self._before[4 + number][trader] * left
        if self._traders[trader].kind is Kind.SPOT_HOLDER:
            begin = self._spot_growth(max(self._start_ms, at_ms - window))
            return pnl + self._traders[trader].value_usd * (self._spot_growth(at_ms) - begin), volume
        worth, traded = self._accounts.worth_at(trader, at_ms)
        if at_ms - window > self._start_ms:
            worth_then, traded_then = self._accounts.worth_at(trader, at_ms - window)
        else:
            worth_then, traded_then = self._opening[trader], 0
        return pnl + (worth - worth_then) / 1e6, volume + (traded - traded_then) / 1e6

    def _window(self, trader: int, number: int, at_ms: int, *, nothing: bool) -> PortfolioWindow:
        window, points = _WINDOWS_MS[number], _POINTS[number]
        times = [at_ms - window * (points - 1 - at) // (points - 1) for at in range(points)]
        if nothing or self._traders[trader].kind is Kind.PHANTOM:
            value = 0.0 if nothing else self.value_usd(trader, at_ms)
            still = tuple((time_ms, value) for time_ms in times)
            return PortfolioWindow(_NAMES[number], still, tuple((time_ms, 0.0) for time_ms in times), 0.0)
        before = self._before[number][trader]
        begin = self.value_usd(trader, self._start_ms)
        values = []
        for time_ms in times:
            if time_ms >= self._start_ms:
                value = self.value_usd(trader, time_ms)
            else:
                value = begin - before * (self._start_ms - time_ms) / window
            values.append((time_ms, value))
        pnls = tuple((time_ms, value - values[0][1]) for time_ms, value in values)
        return PortfolioWindow(_NAMES[number], tuple(values), pnls, self._earned(trader, number, at_ms)[1])

    def _spot_growth(self, at_ms: int) -> float:
        return self._spot_path.mark_at(at_ms) / self._spot_path.mark_at(self._start_ms)

    def _draw_past(self, trader: Trader, rng: random.Random) -> None:
        """Made-up windows: skill shows in the longer ones, the dormant have none but the longest."""
        at = trader.index
        spread = 0.004 * math.sqrt(trader.leverage)
        drift = 0.35 * spread * trader.skill
        pnl = volume = 0.0
        last_days = 0
        for number, days in enumerate((1, 7, 30, 300)):
            fresh = days - last_days
            quiet = (trader.kind is Kind.DORMANT and number < 3) or trader.kind is Kind.MASTER
            if not quiet:
                pnl += trader.value_usd * (rng.gauss(0.0, spread) * math.sqrt(fresh) + drift * fresh)
                volume += fresh * self._daily_volume(trader, rng)
            last_days = days
            self._before[number][at] = pnl
            self._before[4 + number][at] = 0.0 if trader.kind is Kind.SPOT_HOLDER else volume

    @staticmethod
    def _daily_volume(trader: Trader, rng: random.Random) -> float:
        if trader.kind is Kind.DORMANT:
            return trader.value_usd * 0.05
        return trader.cap_usd * len(trader.coins) * rng.uniform(0.0, 3.0) * min(1.0, 60 * trader.activity)


def _roi(pnl: float, value: float) -> float:
    """Against what was there before; an account from nothing counts its pnl as its own base, as the venue does."""
    base = value - pnl
    return pnl / base if base > 1.0 else (pnl / max(abs(pnl), 1.0) if pnl else 0.0)
