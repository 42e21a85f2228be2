"""A burst of twice what an inbox may hold: the publisher waits, and everything arrives."""

import asyncio
from collections.abc import Sequence

from bench import bus, floors, made
from bench.figures import Aim, Benchmark, Round, main


def measure(size: float, rounds: int) -> Sequence[Round]:
    """Milliseconds of processor time until all of the burst is acknowledged; `through` checks that all of it is."""
    events = max(bus.BOUND + 1, round(bus.BURST * size))
    facts = bus.Facts(made.addresses(1_000))
    taken = []
    for _ in range(rounds):
        floor_s = floors.move_through_queues(facts.make, events, groups=len(bus.GROUPS))
        taken.append(Round(1e3 * asyncio.run(bus.through(events, at_once=True)), 1e3 * floor_s))
    return taken


BENCHMARK = Benchmark(
    name="bus_burst",
    unit="ms",
    says="20,000 events published at once to the same three groups, until the last is acknowledged; none may be lost",
    floor_is="the same events made and moved through three bare deques",
    measure=measure,
    aim=Aim(of="value", at_most=1_000.0),
)

if __name__ == "__main__":
    main(BENCHMARK)
