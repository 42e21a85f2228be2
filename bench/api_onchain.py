"""`/api/v1/onchain/btc/summary`, beside the same bytes prebuilt in the same framework."""

import asyncio
from collections.abc import Sequence

from bench import asking
from bench.figures import Aim, Benchmark, Round, main

TARGETS = ("/api/v1/onchain/btc/summary",)


def measure(size: float, rounds: int) -> Sequence[Round]:
    """Answers a processor second of the server, over real sockets."""
    traders = max(20, round(500 * size))
    return asyncio.run(asking.compare(TARGETS, traders=traders, seconds=max(0.2, 2.0 * size), rounds=rounds))


BENCHMARK = Benchmark(
    name="api_onchain_summary",
    unit="answers/s",
    says=(
        "`GET /api/v1/onchain/btc/summary`, every metric with its marks, at most 250 ms old: "
        "answers a processor second of the server"
    ),
    floor_is="a bare FastAPI route that gives the same bytes, prebuilt, in the same process",
    measure=measure,
    aim=Aim(of="ratio", at_least=0.5),
)

if __name__ == "__main__":
    main(BENCHMARK)
