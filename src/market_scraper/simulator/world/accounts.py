"""What an account is worth: balances, margins and positions, now and at any past moment."""

from array import array

from market_scraper.simulator.world.facts import AccountState, PositionState
from market_scraper.simulator.world.holdings import Holding, Holdings
from market_scraper.simulator.world.margin import isolated_raw_micro, liquidation_units
from market_scraper.simulator.world.markets import Market
from market_scraper.simulator.world.path import PricePath
from market_scraper.simulator.world.people import Trader

# Longs whose liquidation lies under this share of the mark are told null, as the recorded account was.
_NEVER = 0.05


class Accounts:
    """Equity = opening balance + each coin's cash since the start + signed size x mark, dex by dex."""

    def __init__(
        self,
        traders: list[Trader],
        markets: tuple[Market, ...],
        paths: list[PricePath],
        holdings: Holdings,
        dexes: tuple[str, ...],
        opening_micro: "list[array[int]]",
    ) -> None:
        self._traders = traders
        self._markets = markets
        self._paths = paths
        self._holdings = holdings
        self.dexes = dexes
        self._dex_of_coin = [dexes.index(market.dex) for market in markets]
        self._opening_micro = opening_micro  # per dex, per trader: `totalRawUsd` at the start

    def of_dex(self, trader: int, dex_no: int) -> list[Holding]:
        """A trader's holdings on one dex, flat ones too."""
        return [held for held in self._holdings.by_trader[trader] if self._dex_of_coin[held.coin] == dex_no]

    def dex_of(self, coin: int) -> int:
        """Number of the dex on which a coin trades."""
        return self._dex_of_coin[coin]

    def leverage(self, trader: int, coin: int) -> int:
        """Leverage in force: the trader's choice, at most the market's."""
        return min(self._traders[trader].leverage, self._markets[coin].max_leverage)

    def equity_now_micro(self, trader: int, dex_no: int, at_ms: int) -> int:
        """Account value on a dex by the sizes of now and the marks of `at_ms`."""
        worth = self._opening_micro[dex_no][trader]
        for held in self._holdings.by_trader[trader]:
            if self._dex_of_coin[held.coin] == dex_no:
                worth += held.cash_micro
                if held.lots:
                    worth += held.lots * self._paths[held.coin].mark_at(at_ms)
        return worth

    def worth_at(self, trader: int, at_ms: int) -> tuple[int, int]:
        """Equity over all dexes, and volume traded since the start, as of `at_ms` (millionths of a USD)."""
        worth = sum(opening[trader] for opening in self._opening_micro)
        traded = 0
        for held in self._holdings.by_trader[trader]:
            _, lots, _, cash, _, volume = held.row(held.row_number(at_ms))
            worth += cash + (lots * self._paths[held.coin].mark_at(at_ms) if lots else 0)
            traded += volume
        return worth, traded

    def liquidation_units_now(self, held: Holding, at_ms: int) -> float:
        """Price (units) that liquidates an open holding as things stand."""
        trader, coin = held.trader, held.coin
        mark = self._paths[coin].mark_at(at_ms)
        rate = self._markets[coin].maintenance_rate
        if not self._traders[trader].cross:
            raw = isolated_raw_micro(held.cost_micro, self.leverage(trader, coin))
            available = held.lots * mark + raw - round(abs(held.lots) * mark * rate)
            return liquidation_units(mark, held.lots, available, rate)
        dex_no = self._dex_of_coin[coin]
        available = self.equity_now_micro(trader, dex_no, at_ms)
        for other in self._holdings.by_trader[trader]:
            if other.lots and self._dex_of_coin[other.coin] == dex_no:
                value = abs(other.lots) * self._paths[other.coin].mark_at(at_ms)
                available -= round(value * self._markets[other.coin].maintenance_rate)
        return liquidation_units(mark, held.lots, available, rate)

    def state(self, trader: int, dex_no: int, at_ms: int) -> AccountState:
        """Everything that `clearinghouseState` tells, as of after all blocks with time <= `at_ms`."""
        person = self._traders[trader]
        raw = self._opening_micro[dex_no][trader]
        open_rows: list[tuple[Holding, int, int, int, int, int]] = []  # holding, row, lots, cost, funding, mark
        for held in sorted(self.of_dex(trader, dex_no), key=lambda one: one.coin):
            number = held.row_number(at_ms)
            _, lots, cost, cash, funding, _ = held.row(number)
            raw += cash
            if lots:
                open_rows.append((held, number, lots, cost, funding, self._paths[held.coin].mark_at(at_ms)))
        value = raw + sum(lots * mark for _, _, lots, _, _, mark in open_rows)
        notional = sum(abs(lots) * mark for _, _, lots, _, _, mark in open_rows)
        maintenance = sum(
            round(abs(lots) * mark * self._markets[held.coin].maintenance_rate)
            for held, _, lots, _, _, mark in open_rows
        )
        isolated_raw = 0
        isolated_value = 0
        if not person.cross:
            for held, _, lots, cost, _, mark in open_rows:
                isolated_raw += isolated_raw_micro(cost, self.leverage(trader, held.coin))
                isolated_value += lots * mark
        cross_value = value - isolated_raw - isolated_value
        positions = tuple(
            self._position(held, number, lots, cost, funding, mark, cross_value - maintenance)
            for held, number, lots, cost, funding, mark in open_rows
        )
        margin_used = sum(position.margin_used_micro for position in positions)
        cross_margin = margin_used if person.cross else 0
        cross_notional = notional if person.cross else 0
        return AccountState(
            user=person.user,
            dex=self.dexes[dex_no],
            at_ms=at_ms,
            account_value_micro=value,
            total_notional_micro=notional,
            total_raw_micro=raw,
            total_margin_used_micro=margin_used,
            cross_account_value_micro=cross_value,
            cross_notional_micro=cross_notional,
            cross_raw_micro=raw - isolated_raw,
            cross_margin_used_micro=cross_margin,
            cross_maintenance_micro=maintenance if person.cross else 0,
            # What may leave: not the initial margin, nor less than a tenth of the notional.
            withdrawable_micro=max(0, cross_value - max(cross_margin, cross_notional // 10)),
            positions=positions,
        )

    def _position(
        self, held: Holding, number: int, lots: int, cost: int, funding: int, mark: int, cross_available: int
    ) -> PositionState:
        market = self._markets[held.coin]
        person = self._traders[held.trader]
        leverage = self.leverage(held.trader, held.coin)
        value = abs(lots) * mark
        if person.cross:
            raw, used, available = None, value // leverage, cross_available
        else:
            raw = isolated_raw_micro(cost, leverage)
            used = lots * mark + raw
            available = used - round(value * market.maintenance_rate)
        units = liquidation_units(mark, lots, available, market.maintenance_rate)
        opened, changed = held.funding_marks(number)
        unrealized = lots * mark - cost
        return PositionState(
            coin=market.coin,
            lots=lots,
            entry_px=round(cost / lots),
            mark_px=mark,
            cross=person.cross,
            leverage=leverage,
            isolated_raw_micro=raw,
            value_micro=value,
            unrealized_pnl_micro=unrealized,
            return_on_equity=unrealized * leverage / abs(cost) if cost else 0.0,
            liquidation_px=None if units < mark * _NEVER else units / 10**market.px_decimals,
            margin_used_micro=used,
            max_leverage=market.max_leverage,
            funding_all_time_micro=funding,
            funding_since_open_micro=funding - opened,
            funding_since_change_micro=funding - changed,
        )
