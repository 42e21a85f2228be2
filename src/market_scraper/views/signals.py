"""Each symbol's current signal."""

from market_scraper.domain.signals import Signal
from market_scraper.domain.values import Symbol


class LiveSignals:
    """Implements `ports.views.SignalsView`."""

    def __init__(self) -> None:
        self._current: dict[Symbol, Signal] = {}

    def put(self, signal: Signal) -> None:
        """Take a signal, stored or new, unless a later one is there."""
        known = self._current.get(signal.symbol)
        if known is None or known.t_ms <= signal.t_ms:
            self._current[signal.symbol] = signal

    def current(self, symbol: Symbol) -> Signal | None:
        return self._current.get(symbol)
