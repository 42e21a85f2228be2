"""One signal of 500 voters, computed anew and with its contributions."""

import random
from collections.abc import Sequence

from bench.figures import Benchmark, Round, Stopwatch, main
from market_scraper.domain.aggregate import Voter, aggregate, explained
from market_scraper.domain.positions import PositionState
from market_scraper.domain.rules import SignalRules
from market_scraper.domain.values import Address, Symbol

VOTERS = 500


def measure(size: float, rounds: int) -> Sequence[Round]:
    """Milliseconds of processor time; the floor adds the voters' numbers up."""
    rng = random.Random(7)
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
            for _ in range(VOTERS)
        ),
        key=lambda voter: voter.trader,
    )
    times = max(5, round(500 * size))
    taken = []
    for _ in range(rounds):
        with Stopwatch() as floor:
            for _ in range(times):
                sum((voter.size or 0.0) * voter.equity for voter in voters)
        with Stopwatch() as watch:
            for _ in range(times):
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
                explained(signal, voters)
        taken.append(Round(1e3 * watch.cpu_s / times, 1e3 * floor.cpu_s / times))
    return taken


BENCHMARK = Benchmark(
    name="signal",
    unit="ms",
    says="one signal of 500 voters, computed anew, with its contributions",
    floor_is="one product and one sum for each voter",
    measure=measure,
)

if __name__ == "__main__":
    main(BENCHMARK)
