"""Events through the memory bus to three groups, each acknowledged, with a handler that fails now and then."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from itertools import repeat

from bench import floors, made
from bench.figures import Aim, Benchmark, Round, Stopwatch, main
from market_scraper.domain.events import PositionChanged
from market_scraper.domain.positions import Cause, Position, PositionState
from market_scraper.domain.values import Address, Symbol
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.bus import Envelope, Inbox
from market_scraper.processors.consume import consume
from market_scraper.runtime.clock import ScaledClock

GROUPS = ("persister", "signals", "scoring")
BOUND = 10_000  # events that may wait in one group
A_FAILURE_IN = 1_000  # handler calls
A_BATCH = 100  # events in one `publish`
BURST = 20_000
START_MS = 1_790_000_000_000


class Facts:
    """Makes events one after the other, as the ledger would."""

    def __init__(self, traders: Sequence[Address]) -> None:
        self._traders = traders

    def make(self, number: int) -> PositionChanged:
        """One fact."""
        t_ms = START_MS + number
        after = Position(
            trader=self._traders[number % len(self._traders)],
            symbol=Symbol("BTC"),
            sz_decimals=5,
            lots=number,
            net_lots=number,
            state=PositionState.EXACT,
            doubt=None,
            because=None,
            since_ms=None,
            epoch_ms=0,
            changes=number,
            watched_from_ms=0,
            entry_px=97_000.0,
            leverage=None,
            liquidation_px=None,
            confirmed_ms=None,
            account_value=None,
            t_ms=t_ms,
            tid=number,
            version=number,
        )
        return PositionChanged(known_at_ms=t_ms, after=after, lots_before=number - 1, cause=Cause.PRINT, px=97_000.0)


class Group:
    """A handler that fails once in `A_FAILURE_IN` calls, and remembers what it has done."""

    def __init__(self, wanted: int, seed: int) -> None:
        self.done: set[int] = set()
        self.finished = asyncio.Event()
        self._wanted = wanted
        self._random = random.Random(seed).random

    async def handle(self, envelope: Envelope) -> None:
        """Take one event, or fail."""
        if self._random() < 1 / A_FAILURE_IN:
            raise OSError("as now and then")
        self.done.add(envelope.seq)
        if len(self.done) == self._wanted:
            self.finished.set()


def _at_once() -> Iterator[float]:
    return repeat(0.0)


async def through(events: int, *, at_once: bool) -> float:
    """Processor seconds from the first event made to the last acknowledged; all must have arrived, once each group."""
    clock, facts = ScaledClock(), Facts(made.addresses(1_000))
    bus = MemoryBus(reserve_in_memory())
    groups = [Group(events, seed) for seed in range(len(GROUPS))]

    async def run(name: str, group: Group, opened: asyncio.Event) -> None:
        async with bus.subscribe(name, PositionChanged, size=BOUND) as inbox:
            opened.set()
            await _consume(inbox, group, clock)

    async with bus:
        opened = [asyncio.Event() for _ in groups]
        tasks = [
            asyncio.create_task(run(name, group, event))
            for name, group, event in zip(GROUPS, groups, opened, strict=True)
        ]
        for event in opened:
            await event.wait()
        with Stopwatch() as watch:
            if at_once:
                await bus.publish([facts.make(number) for number in range(events)])
            else:
                for first in range(0, events, A_BATCH):
                    await bus.publish([facts.make(n) for n in range(first, min(events, first + A_BATCH))])
            for group in groups:
                await group.finished.wait()
            await bus.drained()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert all(len(group.done) == events for group in groups)
    assert bus.stats()["acknowledged"] == events * len(GROUPS)
    return watch.cpu_s


async def _consume(inbox: Inbox, group: Group, clock: ScaledClock) -> None:
    await consume(inbox, group.handle, clock=clock, delays=_at_once)


def measure(size: float, rounds: int) -> Sequence[Round]:
    """Events a second of processor time, creation included."""
    events = max(1_000, round(100_000 * size))
    facts = Facts(made.addresses(1_000))
    taken = []
    for _ in range(rounds):
        floor_s = floors.move_through_queues(facts.make, events, groups=len(GROUPS))
        took_s = asyncio.run(through(events, at_once=False))
        taken.append(Round(events / took_s, events / floor_s))
    return taken


BENCHMARK = Benchmark(
    name="bus_throughput",
    unit="events/s",
    says="memory bus, 3 groups bounded at 10,000, events made, published by 100, handled one by one and acknowledged; "
    "one handler call in 1,000 fails and is repeated",
    floor_is="the same events made and moved through three bare deques",
    measure=measure,
    aim=Aim(of="value", at_least=150_000),
)

if __name__ == "__main__":
    main(BENCHMARK)
