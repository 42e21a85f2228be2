"""All benchmarks, in the order of docs/PERFORMANCE.md."""

from bench import (
    accounts,
    api_onchain,
    api_signal,
    api_traders,
    bus,
    bus_burst,
    leaderboard,
    live,
    loop_block,
    position_bytes,
    redis_bus,
    signal_processor,
    signals,
    sqlite_rows,
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
        redis_bus.BENCHMARK,
        sqlite_rows.WRITTEN,
        sqlite_rows.READ,
        position_bytes.SQLITE,
        position_bytes.MONGO,
        signals.BENCHMARK,
        signal_processor.BENCHMARK,
        api_signal.BENCHMARK,
        api_traders.BENCHMARK,
        api_onchain.BENCHMARK,
        live.BENCHMARK,
        live.MEMORY,
    )
}
