"""How long does one signal take, for 500 and for 5,000 voters?

python bench/signals.py
"""

import random
import time

from market_scraper.domain.aggregate import Voter, aggregate, explained
from market_scraper.domain.positions import PositionState
from market_scraper.domain.rules import SignalRules
from market_scraper.domain.values import Address, Symbol


def main() -> None:
    """Print milliseconds a signal, with and without its contributions."""
    rng = random.Random(7)
    for count in (500, 5_000):
        voters = sorted(
            (
                Voter(
                    Address(f"0x{rng.getrandbits(160):040x}"),
                    rng.choice((0.0, rng.gauss(0, 10))),
                    rng.lognormvariate(13, 2),
                    rng.uniform(0.5, 1.05),
                    PositionState.EXACT,
                    None,
                )
                for _ in range(count)
            ),
            key=lambda voter: voter.trader,
        )
        rounds = 100_000 // count
        started = time.perf_counter()
        for _ in range(rounds):
            signal = aggregate(
                voters,
                symbol=Symbol("BTC"),
                t_ms=1,
                known_at_ms=1,
                price=97_000.0,
                coverage=0.9,
                tape_is_stale=False,
                previous=None,
                rules=SignalRules(),
            )
        computed = time.perf_counter()
        for _ in range(rounds):
            explained(signal, voters)
        done = time.perf_counter()
        print(
            f"{count:>5} voters: {1e3 * (computed - started) / rounds:.2f} ms a signal, "
            f"{1e3 * (done - computed) / rounds:.2f} ms more to explain it"
        )


if __name__ == "__main__":
    main()
