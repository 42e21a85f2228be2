"""Signals that were made but may not be stored yet: rows wait up to `buffer.flush_interval` to be stored together."""

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from market_scraper.domain.signals import Signal
from market_scraper.domain.values import Symbol

KEPT = 512


class RecentSignals:
    """The newest signals by id and by symbol."""

    def __init__(self, kept: int = KEPT) -> None:
        self._by_id: OrderedDict[str, Signal] = OrderedDict()
        self._by_symbol: dict[Symbol, deque[Signal]] = {}
        self._kept = kept

    def add(self, signal: Signal) -> None:
        """Remember a signal; the same one twice is one."""
        if signal.id in self._by_id:
            return
        self._by_id[signal.id] = signal
        while len(self._by_id) > self._kept:
            gone = self._by_id.popitem(last=False)[1]
            self._by_symbol[gone.symbol].remove(gone)
        self._by_symbol.setdefault(signal.symbol, deque()).append(signal)

    def get(self, signal_id: str) -> Signal | None:
        """The signal with this id."""
        return self._by_id.get(signal_id)

    def before(self, signal: Signal) -> Signal | None:
        """The newest one of the same symbol that is older."""
        return next(iter(self.newest_first(signal.symbol, lambda s: s.t_ms < signal.t_ms)), None)

    def newest_first(self, symbol: Symbol, wanted: Callable[[Signal], bool]) -> Sequence[Signal]:
        """Those of a symbol that are `wanted`."""
        return [signal for signal in reversed(self._by_symbol.get(symbol, ())) if wanted(signal)]
