"""All benchmarks, in the order of docs/PERFORMANCE.md."""

from bench import (
    accounts,
    api_signal,
    api_traders,
    bus,
    bus_burst,
    leaderboard,
    live,
    loop_block,
    signal_processor,
    signals,
    tape,
)
from bench.figures import Benchmark

BENCHMARKS: dict[str, Benchmark] = {
    each.name: each
    for each in (
        leaderboard.BENCHMARK,
        loop_block.BENCHMARK,
        tape.BENCHMARK,
        accounts.BENCHMARK,
        bus.BENCHMARK,
        bus_burst.BENCHMARK,
        signals.BENCHMARK,
        signal_processor.BENCHMARK,
        api_signal.BENCHMARK,
        api_traders.BENCHMARK,
        live.BENCHMARK,
        live.MEMORY,
    )
}
