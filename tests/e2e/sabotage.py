"""`python -m tests.e2e.sabotage RULE ARGUMENTS...`: the real program with one rule of the ledger taken out.

A proof that cannot fail proves nothing: each rule is taken out once, and the run must then find wrong claims.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from market_scraper.domain import ledger, tape
from market_scraper.domain.market import Print


def no_join_window() -> None:
    """Join at the answer's own stamp."""
    honest = ledger.CoinLedger.__init__

    def init(self: Any, market: Any, *, join_window_ms: int = 0, epoch_ms: int = 0) -> None:
        del join_window_ms
        honest(self, market, join_window_ms=0, epoch_ms=epoch_ms)

    ledger.CoinLedger.__init__ = init  # type: ignore[method-assign]


def no_deduplication() -> None:
    """Count every print that any socket brings."""
    honest = tape.CoinTape._count

    def count(self: Any, prints: Sequence[Print]) -> Any:
        self._seen.clear()
        return honest(self, [p for p in prints if p.time_ms > self.epoch_ms])

    tape.CoinTape._count = count  # type: ignore[method-assign, assignment]


RULES: dict[str, Callable[[], None]] = {
    "no_join_window": no_join_window,
    "no_deduplication": no_deduplication,
}


def main() -> None:
    """Take the rule out, then be the program."""
    RULES[sys.argv[1]]()
    del sys.argv[1]
    from market_scraper.cli import main as program

    program()


if __name__ == "__main__":
    main()
