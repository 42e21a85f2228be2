"""`python -m tests.proof.unhurried SPEED ARGUMENTS...`: the real program, on a machine that runs a day in minutes.

The silence after which a socket is given up is venue time: at speed 60 the tape's 4 s are 67 real ms, which any busy
machine takes now and then. Here each such wait is one real second, as many venue seconds as the speed. Nothing else is
changed.
"""

import sys
from functools import partial
from typing import Any

from market_scraper.app import venue
from market_scraper.collectors import tape_sockets
from market_scraper.connectors.hyperliquid import Timing
from market_scraper.domain import tape


def _be_patient(silence_s: float) -> None:
    tape_sockets.SILENCE_S = silence_s  # type: ignore[attr-defined]
    venue.Timing = partial(Timing, quiet_s=silence_s, pong_s=silence_s)  # type: ignore[assignment, attr-defined]
    honest = tape.CoinTape.__init__

    def init(self: Any, symbol: Any, **others: Any) -> None:
        honest(self, symbol, **{**others, "silence_s": silence_s})

    tape.CoinTape.__init__ = init  # type: ignore[method-assign]


def main() -> None:
    """Be patient, then be the program."""
    _be_patient(max(tape.SILENCE_S, float(sys.argv.pop(1))))
    from market_scraper.cli import main as program

    program()


if __name__ == "__main__":
    main()
