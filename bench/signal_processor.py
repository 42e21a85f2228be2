"""The signal processor at 200 position changes a second, each a block of its own by one of 500 voters."""

import random
from collections.abc import Sequence

from bench.figures import Benchmark, Round, Stopwatch, main
from market_scraper.domain.events import Event, MarketContextChanged, PositionChanged, TapeAdvanced, TradersRated
from market_scraper.domain.market import MarketContext
from market_scraper.domain.positions import Cause, Position, PositionState, TapeMark
from market_scraper.domain.traders import Inference, LeaderboardRow, RatedTrader
from market_scraper.domain.values import Address, Symbol
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.processors import SignalGenerationProcessor
from market_scraper.runtime.clock import ScaledClock
from market_scraper.storage.memory import MemoryRepository

BTC = Symbol("BTC")
VOTERS, OTHERS, CHANGES_A_SECOND, SECONDS = 500, 4_500, 200, 10


def measure(size: float, rounds: int) -> Sequence[Round]:
    """Percent of a core, beside nothing: there is no floor below a signal (see `signals`)."""
    seconds = max(1, round(SECONDS * size))
    return [Round(100.0 * _apply(seconds) / seconds) for _ in range(rounds)]


def _apply(seconds: int) -> float:
    """Processor seconds for so many seconds of changes."""
    rng = random.Random(7)
    start_ms = 1_790_000_000_000
    traders = [Address(f"0x{rng.getrandbits(160):040x}") for _ in range(VOTERS + OTHERS)]

    def fact(number: int, t_ms: int, version: int) -> PositionChanged:
        lots = rng.randrange(-100_000, 100_000)
        after = Position(
            trader=traders[number], symbol=BTC, sz_decimals=5, lots=lots, net_lots=0, state=PositionState.EXACT,
            doubt=None, because=None, since_ms=None, epoch_ms=0, changes=1, watched_from_ms=0, entry_px=None,
            leverage=None, liquidation_px=None, confirmed_ms=None, account_value=1e5, t_ms=t_ms, tid=version,
            version=version,
        )  # fmt: skip
        return PositionChanged(known_at_ms=t_ms + 50, after=after, lots_before=1, cause=Cause.PRINT, px=97_000.0)

    def mark(t_ms: int) -> TapeAdvanced:
        tape = TapeMark(symbol=BTC, watermark_ms=t_ms, epoch_ms=0)
        return TapeAdvanced(known_at_ms=t_ms + 50, mark=tape, venue_offset_ms=0)

    rated = TradersRated(
        known_at_ms=start_ms, captured_at_ms=start_ms, part=0, parts=1,
        traders=tuple(
            RatedTrader(
                row=LeaderboardRow(trader=trader, account_value=rng.lognormvariate(13, 2)), score=rng.uniform(50, 105),
                parts={}, tags=(), inference=Inference(False, 0.0), tracked=True,
            )
            for trader in traders[:VOTERS]
        ),
    )  # fmt: skip
    context = MarketContext(
        symbol=BTC, mark=97_000.0, mid=97_000.0, open_interest=2_000.0, funding=None, day_volume_usd=None
    )
    known: list[Event] = [rated, MarketContextChanged(known_at_ms=start_ms, context=context), mark(start_ms)]
    known += [fact(number, start_ms, number + 1) for number in range(VOTERS + OTHERS)]
    voters: list[Event] = []
    for at in range(seconds * CHANGES_A_SECOND):
        t_ms = start_ms + 1 + at * 1_000 // CHANGES_A_SECOND
        voters.append(fact(rng.randrange(VOTERS), t_ms, 10_000 + at))
        if at % (CHANGES_A_SECOND // 4) == 0:
            voters.append(mark(t_ms))

    processor = SignalGenerationProcessor(MemoryBus(reserve_in_memory()), MemoryRepository(), ScaledClock(), [BTC])
    for event in known:
        processor.apply(event)
    processor.settle(False)
    with Stopwatch() as watch:
        for event in voters:
            processor.apply(event)
    return watch.cpu_s


BENCHMARK = Benchmark(
    name="signal_processor",
    unit="% of a core",
    says="the signal processor at 200 position changes/s, each a block of its own by one of 500 voters",
    floor_is=None,
    measure=measure,
)

if __name__ == "__main__":
    main(BENCHMARK)
