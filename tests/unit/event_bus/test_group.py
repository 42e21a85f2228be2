"""Members of a group come and go: every event has its effect, in order within its key, at one member at a time."""

import asyncio
from contextlib import AsyncExitStack

from hypothesis import example, given, settings
from hypothesis import strategies as st

from market_scraper.domain.events import MarketContextChanged
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.bus import Envelope, Inbox
from tests.contracts.bus import mark_changed

KEYS = ["A", "B", "C"]

Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["publish", "publish", "join", "leave", "take", "take", "ack", "ack", "retry"]),
        st.integers(0, 9),
    ),
    min_size=10,
    max_size=60,
)


class Members:
    """The members of one group, what each has taken, and the effects so far."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus = bus
        self.inboxes: list[tuple[Inbox, AsyncExitStack]] = []
        self.held: list[list[Envelope]] = []
        self.effects: dict[str, list[int]] = {key: [] for key in KEYS}
        self.published = 0

    async def join(self) -> None:
        stack = AsyncExitStack()
        inbox = await stack.enter_async_context(self.bus.subscribe("group", MarketContextChanged))
        self.inboxes.append((inbox, stack))
        self.held.append([])

    async def leave(self, place: int) -> None:
        _, stack = self.inboxes.pop(place)
        self.held.pop(place)
        await stack.aclose()

    async def take(self, place: int, limit: int) -> None:
        try:
            async with asyncio.timeout(0.001):
                self.held[place] += await self.inboxes[place][0].take(limit)
        except TimeoutError:
            return
        holders = [{envelope.key for envelope in held} for held in self.held]
        for key in KEYS:
            assert sum(key in keys for keys in holders) <= 1, f"{key} is under way at two members"

    def ack(self, place: int, count: int) -> None:
        """Have the effect of the first `count` held events and acknowledge them."""
        held = self.held[place]
        done, self.held[place] = held[:count], held[count:]
        for envelope in done:
            self.effects[envelope.key].append(envelope.event.known_at_ms)
        self.inboxes[place][0].ack(done)

    def retry(self, place: int) -> None:
        self.inboxes[place][0].retry(self.held[place])
        self.held[place] = []

    async def publish(self, count: int) -> None:
        numbers = range(self.published, self.published + count)
        await self.bus.publish([mark_changed(KEYS[number % 3], number) for number in numbers])
        self.published += count

    async def step(self, name: str, number: int) -> None:
        place = number % len(self.inboxes)
        match name:
            case "publish":
                await self.publish(number)
            case "join" if len(self.inboxes) < 4:
                await self.join()
            case "leave" if len(self.inboxes) > 1:
                await self.leave(place)
            case "take":
                await self.take(place, number + 1)
            case "ack":
                self.ack(place, number)
            case "retry":
                self.retry(place)

    async def finish(self) -> None:
        """Acknowledge what is held and take until nothing is left."""
        while self.bus.stats()["waiting_group"]:
            for place in range(len(self.inboxes)):
                self.ack(place, len(self.held[place]))
                if self.bus.stats()["waiting_group"]:
                    await self.take(place, 1_000)


async def _run(steps: list[Step]) -> None:
    async with asyncio.timeout(10), MemoryBus(reserve_in_memory()) as bus:
        members = Members(bus)
        await members.join()
        for name, number in steps:
            await members.step(name, number)
        await members.finish()
        expected: dict[str, list[int]] = {key: [] for key in KEYS}
        for number in range(members.published):
            expected[KEYS[number % 3]].append(number)
        assert members.effects == expected
        while members.inboxes:
            await members.leave(0)


@settings(deadline=None, max_examples=150)
@example([("publish", 9), ("take", 2), ("join", 0), ("take", 1), ("ack", 4), ("take", 1)])  # B is under way at the join
@given(STEPS)
def test_members_may_come_and_go_at_any_time(steps: list[Step]) -> None:
    asyncio.run(_run(steps))
