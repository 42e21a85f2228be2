"""`/api/v1/traders?limit=500` in fifty ways while positions change, beside the same bytes prebuilt."""

import asyncio
from collections.abc import Sequence
from itertools import product

from bench import asking
from bench.figures import Aim, Benchmark, Round, main

SORTS = ("score", "account_value", "position", "pnl", "address")
FILTERS = ("", "&has_position=true", "&has_position=false", "&tag=large", "&tag=consistent")
SCORES = ("", "&min_score=60")
TARGETS = tuple(
    f"/api/v1/traders?limit=500&sort={sort}{wanted}{score}" for sort, wanted, score in product(SORTS, FILTERS, SCORES)
)
"""Fifty sets of parameters."""


def measure(size: float, rounds: int) -> Sequence[Round]:
    """Answers a processor second of the server, over real sockets; 100 positions change a second meanwhile."""
    traders = max(20, round(500 * size))
    return asyncio.run(asking.compare(TARGETS, traders=traders, seconds=max(0.3, 3.0 * size), rounds=rounds))


BENCHMARK = Benchmark(
    name="api_traders",
    unit="answers/s",
    says="`GET /api/v1/traders?limit=500` in 50 sets of parameters, 100 position changes a second, answers at most "
    "250 ms old: answers a processor second of the server",
    floor_is="a bare FastAPI route that gives the same bytes, prebuilt, in the same process",
    measure=measure,
    aim=Aim(of="ratio", at_least=0.5),
)

if __name__ == "__main__":
    main(BENCHMARK)
