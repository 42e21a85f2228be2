"""Lists of traders made once for all who ask within a moment, in whatever words.

Lists that differ in order and filters show the same lines. A line costs far more to make and to encode than to leave
out or to put elsewhere, so a board of encoded lines is kept for as long as an answer may be old.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum

from market_scraper.api.prepared import MAX_AGE_S
from market_scraper.api.snapshots import Line
from market_scraper.domain.values import Symbol
from market_scraper.schemas import traders


class Sort(StrEnum):
    """Order of the list: highest first, `address` alphabetically; those without a value come last."""

    SCORE = "score"
    ACCOUNT_VALUE = "account_value"
    POSITION = "position"  # |size| in the asked symbol
    PNL = "pnl"  # unrealized, in the asked symbol
    ADDRESS = "address"


def _position_size(of: traders.TraderSummary) -> float | None:
    return None if of.position is None or of.position.size is None else abs(of.position.size)


_VALUES: dict[Sort, Callable[[traders.TraderSummary], float | None]] = {
    Sort.SCORE: lambda of: of.score,
    Sort.ACCOUNT_VALUE: lambda of: of.account_value,
    Sort.POSITION: _position_size,
    Sort.PNL: lambda of: None if of.position is None else of.position.unrealized_pnl,
    Sort.ADDRESS: lambda _of: 0.0,
}


class Board:
    """Lines made at one moment (monotonic seconds of the program's clock), in any order that is asked for."""

    def __init__(self, lines: Sequence[Line], *, captured_ms: int | None, made_at_s: float, stays_true: bool) -> None:
        self.captured_ms = captured_ms
        self.made_at_s = made_at_s
        self.stays_true = stays_true  # every exact claim holds for as long as an answer may be given again
        self._lines = lines
        self._sorted: dict[Sort, list[Line]] = {}

    def lines(self, sort: Sort) -> Sequence[Line]:
        """All lines, sorted."""
        known = self._sorted.get(sort)
        if known is None:
            value = _VALUES[sort]

            def key(line: Line) -> tuple[bool, float, str]:
                ranked = value(line.summary)
                return ranked is None, 0.0 if ranked is None else -ranked, line.summary.address

            known = self._sorted[sort] = sorted(self._lines, key=key)
        return known


class Boards:
    """The newest board of each symbol, while it may be shown."""

    def __init__(self) -> None:
        self._kept: dict[Symbol, tuple[int, Board]] = {}

    def get(self, symbol: Symbol, ratings_version: int, now_s: float) -> Board | None:
        """One of these ratings, not older than MAX_AGE_S."""
        version, board = self._kept.get(symbol, (None, None))
        if board is None or version != ratings_version or not 0.0 <= now_s - board.made_at_s <= MAX_AGE_S:
            return None
        return board

    def keep(self, symbol: Symbol, ratings_version: int, board: Board) -> None:
        """Show it to others too."""
        self._kept[symbol] = (ratings_version, board)
