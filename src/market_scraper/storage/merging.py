"""Rows that wait: a newer word of one key takes the place of an older one."""

from collections.abc import Iterable
from itertools import count

from market_scraper.domain.merging import merged
from market_scraper.ports.stores import PositionRow, PositionStateRow, Row, TapeMarkRow


class MergedRows:
    """Rows in the order of their last putting. Of position states and tape marks only the newest of a key is held.

    With `history` a fact of `trader_positions` also takes the place of the one before it of the same trader and coin,
    between its opens, closes, flips and changes of state: for when there is no room left.
    """

    def __init__(self, rows: Iterable[Row] = (), *, history: bool = False) -> None:
        self.history = history
        self.merged = 0  # rows that went into a newer one
        self._rows: dict[object, Row] = {}
        self._numbers = count()
        self._last_fact: dict[object, int] = {}  # the newest fact of each position, by its number
        for row in rows:
            self.add(row)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: Row) -> None:
        """Hold a row behind all others."""
        if isinstance(row, PositionRow) and self.history:
            self._add_fact(row)
            return
        key = _merge_key(row)
        if key is None:
            self._rows[next(self._numbers)] = row
            return
        kept = self._rows.pop(key, None)
        if kept is not None:
            self.merged += 1
            row = _newer(kept, row)
        self._rows[key] = row

    def in_order(self) -> list[Row]:
        """All rows, tape marks last: should a bad row split the transaction, no mark is stored before its facts."""
        return sorted(self._rows.values(), key=lambda row: isinstance(row, TapeMarkRow))

    def _add_fact(self, row: PositionRow) -> None:
        position = row.changed.after
        number = self._last_fact.get((position.trader, position.symbol))
        if number is not None:
            older = self._rows[number]
            assert isinstance(older, PositionRow)
            both = merged(older.changed, row.changed)
            if both is not None:
                del self._rows[number]
                self.merged += 1
                row = PositionRow(changed=both)
        number = self._last_fact[position.trader, position.symbol] = next(self._numbers)
        self._rows[number] = row


def _merge_key(row: Row) -> object | None:
    """Rows with equal keys replace each other while they wait; None = every row counts."""
    if isinstance(row, PositionStateRow):
        return row.position.trader, row.position.symbol
    if isinstance(row, TapeMarkRow):
        return row.mark.symbol
    return None


def _newer(kept: Row, row: Row) -> Row:
    """The one that the store would keep."""
    if isinstance(kept, PositionStateRow) and isinstance(row, PositionStateRow):
        return kept if kept.position.version > row.position.version else row
    if isinstance(kept, TapeMarkRow) and isinstance(row, TapeMarkRow):
        ours, theirs = kept.mark, row.mark
        return kept if (ours.watermark_ms, ours.epoch_ms) > (theirs.watermark_ms, theirs.epoch_ms) else row
    return row
