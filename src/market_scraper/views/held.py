"""What the bus held when a view began, until the store is read."""

from collections.abc import Iterable, Sequence

from market_scraper.domain.events import Event, PositionChanged
from market_scraper.domain.values import Address, Symbol
from market_scraper.ports.bus import Envelope


class Held:
    """Of a position's facts the newest alone is kept: while the store is away the bus may hold 200,000 of a coin."""

    def __init__(self) -> None:
        self.seqs: set[int] = set()
        self._positions: dict[tuple[Symbol, Address], PositionChanged] = {}
        self._others: list[Event] = []

    def add(self, envelopes: Sequence[Envelope]) -> None:
        """Take the next ones, in the bus's order."""
        for envelope in envelopes:
            self.seqs.add(envelope.seq)
            match envelope.event:
                case PositionChanged(after=after) as event:
                    known = self._positions.get((after.symbol, after.trader))
                    if known is None or known.after.version < after.version:
                        self._positions[after.symbol, after.trader] = event
                case event:
                    self._others.append(event)

    def events(self) -> Iterable[Event]:
        """Facts before all else: no mark claims a moment whose facts are not there yet."""
        yield from self._positions.values()
        yield from self._others
