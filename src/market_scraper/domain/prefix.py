"""What a coin's stream says up to one place in it: everyone's newest position, and how far the tape was whole there.

Whoever takes up a coin in the middle puts it together from two sources: rows and marks that are stored, and events
that are published but perhaps not stored yet. Read the events first, then the stored mark, then the stored rows; what
is stored twice does no harm, and nothing is missed.
"""

from collections.abc import Iterable

from market_scraper.domain.events import PositionChanged, TapeAdvanced, TapeGapped
from market_scraper.domain.positions import Position, TapeMark
from market_scraper.domain.values import Address

TapeEvent = PositionChanged | TapeAdvanced | TapeGapped


class Prefix:
    """One coin's. Everything may be told twice and, of stored rows and events, in either order.

    `positions` holds all facts up to `mark`, and perhaps newer ones: a position counts all prints of its trader up to
    its own `t_ms`. Without a mark nothing tells how far the positions are whole.
    """

    def __init__(self) -> None:
        self.positions: dict[Address, Position] = {}
        self.mark: TapeMark | None = None

    def put(self, position: Position) -> None:
        """Take a position; an older version never replaces a newer one."""
        known = self.positions.get(position.trader)
        if known is None or known.version < position.version:
            self.positions[position.trader] = position

    def put_all(self, positions: Iterable[Position]) -> None:
        """Take many."""
        for position in positions:
            self.put(position)

    def move(self, mark: TapeMark | None) -> None:
        """Take a mark unless the tape stands further already; None = none is stored."""
        if mark is not None and (self.mark is None or mark.place >= self.mark.place):
            self.mark = mark

    def apply(self, event: TapeEvent) -> None:
        """Take the coin's next event, in the order of publishing."""
        if isinstance(event, PositionChanged):
            self.put(event.after)
        else:
            self.move(event.mark)
