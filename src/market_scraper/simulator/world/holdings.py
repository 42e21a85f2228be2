"""Who holds what, now and at any past moment: exact whole numbers, kept in compact rows."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator

# A row of a holding's history: time_ms, lots, cost, cash, funding, volume (all but the first two in millionths of a
# USD). One flat array, because a run of a venue day writes millions of them.
ROW = 6
_FLAT = (0, 0, 0, 0, 0, 0)


class Holding:
    """One trader's position in one coin.

    `cost_micro` is the signed cost of what is open (entry price x lots), by the venue's rule: adding moves it, reducing
    leaves the entry price, crossing zero starts anew. `cash_micro` is the money that the coin brought since the start.
    """

    __slots__ = (
        "cash_micro",
        "closed_lots",
        "coin",
        "cost_micro",
        "funding_micro",
        "lots",
        "rows",
        "trader",
        "version",
    )

    def __init__(self, trader: int, coin: int) -> None:
        self.trader = trader
        self.coin = coin
        self.lots = 0
        self.cost_micro = 0
        self.cash_micro = 0
        self.funding_micro = 0  # paid > 0
        self.closed_lots = 0  # how large the last closed position was
        self.version = 0  # +1 a change
        self.rows = array("q")

    def trade(self, lots: int, px: int, fee_micro: int, volume_micro: int, at_ms: int) -> int:
        """Take on `lots` (signed) at `px`; gives the profit that this closed, in millionths of a USD."""
        before = self.lots
        after = before + lots
        notional = lots * px
        closed = 0
        if before == 0 or (before > 0) == (lots > 0):
            self.cost_micro += notional
        elif abs(lots) <= abs(before):
            removed = self.cost_micro * abs(lots) // abs(before)
            closed = -notional - removed
            self.cost_micro -= removed
            if after == 0:
                self.closed_lots = abs(before)
        else:
            closed = before * px - self.cost_micro
            self.cost_micro = after * px
            self.closed_lots = abs(before)
        self.lots = after
        self.cash_micro -= notional + fee_micro
        self._write(at_ms, volume_micro)
        return closed

    def pay_funding(self, paid_micro: int, at_ms: int) -> None:
        """Pay (or receive, when negative) one hour's funding."""
        self.cash_micro -= paid_micro
        self.funding_micro += paid_micro
        self._write(at_ms, 0)

    def make_whole(self, amount_micro: int, at_ms: int) -> None:
        """What the insurance adds when a liquidation left less than nothing."""
        self.cash_micro += amount_micro
        self._write(at_ms, 0)

    def begin(self, lots: int, cost_micro: int, funding_micro: int, at_ms: int) -> None:
        """A position from before the start; its cash is part of the account's opening balance."""
        self.lots, self.cost_micro, self.funding_micro = lots, cost_micro, funding_micro
        self._write(at_ms, 0)

    def row_number(self, at_ms: int) -> int:
        """Place of the row in force at `at_ms`, -1 before the first."""
        rows = self.rows
        count = len(rows) // ROW
        if count and rows[(count - 1) * ROW] <= at_ms:
            return count - 1
        return bisect_right(range(count), at_ms, key=lambda at: rows[at * ROW]) - 1

    def row(self, number: int) -> tuple[int, int, int, int, int, int]:
        """time_ms, lots, cost, cash, funding, volume; zeros for -1."""
        if number < 0:
            return _FLAT
        at = number * ROW
        time_ms, lots, cost, cash, funding, volume = self.rows[at : at + ROW]
        return time_ms, lots, cost, cash, funding, volume

    def lots_at(self, at_ms: int) -> int:
        """Signed lots after everything with time <= `at_ms`."""
        number = self.row_number(at_ms)
        return self.rows[number * ROW + 1] if number >= 0 else 0

    def funding_marks(self, number: int) -> tuple[int, int]:
        """Funding paid up to the opening, and up to the last change, of the position in row `number`."""
        rows = self.rows
        lots = rows[number * ROW + 1]
        change = number
        while change > 0 and rows[(change - 1) * ROW + 1] == lots:
            change -= 1
        opened = change
        while opened > 0 and rows[(opened - 1) * ROW + 1] * lots > 0:
            opened -= 1
        first_funding = 0 if opened == 0 else rows[(opened - 1) * ROW + 4]
        return first_funding, (0 if change == 0 else rows[(change - 1) * ROW + 4])

    def _write(self, at_ms: int, volume_micro: int) -> None:
        self.version += 1
        rows = self.rows
        if rows:
            volume_micro += rows[-1]
            if rows[-ROW] == at_ms:
                del rows[-ROW:]
        rows.extend((at_ms, self.lots, self.cost_micro, self.cash_micro, self.funding_micro, volume_micro))


class Holdings:
    """All holdings, by coin and by trader, and each coin's open interest through time."""

    def __init__(self, traders: int, coins: int) -> None:
        self.by_coin: list[dict[int, Holding]] = [{} for _ in range(coins)]
        self.by_trader: list[list[Holding]] = [[] for _ in range(traders)]
        self.open_interest = [0] * coins  # lots, each contract once
        self._oi_times = [array("q") for _ in range(coins)]
        self._oi_lots = [array("q") for _ in range(coins)]

    def get(self, trader: int, coin: int) -> Holding:
        """The holding, made when it is not there yet."""
        holding = self.by_coin[coin].get(trader)
        if holding is None:
            holding = Holding(trader, coin)
            self.by_coin[coin][trader] = holding
            self.by_trader[trader].append(holding)
        return holding

    def lots(self, trader: int, coin: int) -> int:
        """Signed lots now."""
        holding = self.by_coin[coin].get(trader)
        return 0 if holding is None else holding.lots

    def note_open_interest(self, coin: int, at_ms: int) -> None:
        """Keep the open interest as of `at_ms`."""
        times, lots = self._oi_times[coin], self._oi_lots[coin]
        if times and times[-1] == at_ms:
            lots[-1] = self.open_interest[coin]
        else:
            times.append(at_ms)
            lots.append(self.open_interest[coin])

    def open_interest_at(self, coin: int, at_ms: int) -> int:
        """Lots open at `at_ms`, each contract once."""
        number = bisect_right(self._oi_times[coin], at_ms) - 1
        return self._oi_lots[coin][number] if number >= 0 else 0

    def open_holdings(self, coin: int) -> Iterator[Holding]:
        """Holdings of a coin that are not flat, in the order they were made."""
        return (holding for holding in self.by_coin[coin].values() if holding.lots)
