"""Events on their way to the server: first come first served within a key, each published once."""

import asyncio
import uuid
from collections.abc import Sequence

import msgspec
import structlog

from market_scraper.domain.errors import BusUnreachable, Fenced
from market_scraper.domain.events import Event, key_of
from market_scraper.event_bus.codec import encode_event
from market_scraper.event_bus.group import Counters, one_turn
from market_scraper.event_bus.numbers import BLOCK, Reserve
from market_scraper.event_bus.redis.link import EXTEND, OPEN, PUBLISH, TRIM, Delays, Link
from market_scraper.event_bus.redis.wakes import Wakes

log = structlog.get_logger(__name__)

AT_ONCE = 1_000
"""Events in one call of the server; 300 kB of position facts, some milliseconds there."""

LEAST_AT_ONCE = 32
"""While readers make room bit by bit, a call asks for about as much as was taken last, and at least so many."""

ENCODED_PER_TURN = 250
LOOK_AGAIN_S = 1.0
"""A full group may also have ended without a word: its members' time runs out."""

REMEMBERED_S = 86_400.0
"""Real seconds for which the server's memory of our last batch is asked for; it keeps it for a week."""

Fence = tuple[str, int]
"""A lease's name and our token."""

Row = tuple[str, str, msgspec.Raw]
"""An event's kind, key and bytes."""

_pack = msgspec.msgpack.Encoder().encode


def _raw(event: bytes) -> msgspec.Raw:
    """As a MessagePack string, for Redis's reader knows no other bytes."""
    return msgspec.Raw(b"\xdb" + len(event).to_bytes(4, "big") + event)


class _Call:
    """One `publish`, perhaps taken in parts."""

    def __init__(self, rows: list[Row], fence: Fence) -> None:
        self.rows = rows
        self.keys = {row[1] for row in rows}
        self.fence = fence
        self.taken = 0
        self.is_blocked = False  # until room is made
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Publisher:
    """Run `run` as a task. One call of the server is under way at a time; those who come meanwhile share the next."""

    def __init__(
        self,
        link: Link,
        wakes: Wakes,
        reserve: Reserve,
        counters: Counters,
        delays: Delays,
        *,
        block: int,
        longest: int,
    ) -> None:
        self.oldest_seq = 0
        self._link = link
        self._wakes = wakes
        self._reserve = reserve
        self._counters = counters
        self._delays = delays
        self._block = block
        self._longest = longest
        self._name = uuid.uuid4().hex
        self._batch = 0
        self._taken_batch = 0  # the last one of which something was taken
        self._taken_s = float("-inf")  # monotonic
        self._calls: dict[_Call, None] = {}  # in the order of asking
        self._blocked_keys: set[str] = set()
        self._at_once = AT_ONCE
        self._rooms = wakes.rooms
        self._look = asyncio.Event()

    async def open(self) -> None:
        """Learn the numbers; reserve the first ones where there are none."""
        newest, oldest, mark = await self._link.ask(OPEN)
        self._learn(newest, oldest)
        if mark == 0:
            await self._reserve_more()
        self._wakes.add(self._wake)

    async def publish(self, events: Sequence[Event], fence: Fence = ("", 0)) -> None:
        """Return when the server has all of them. Cancelled, what it has not got by then is not published."""
        rows: list[Row] = []
        for place, event in enumerate(events, 1):
            rows.append((type(event).__name__, key_of(event), _raw(encode_event(event))))
            if not place % ENCODED_PER_TURN:
                await one_turn()
        if not rows:
            return
        call = _Call(rows, fence)
        self._calls[call] = None
        self._look.set()
        try:
            await call.done
        finally:
            self._calls.pop(call, None)

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            try:
                async with self._link.clock.timeout(LOOK_AGAIN_S if self._calls else None):
                    await self._look.wait()
            except TimeoutError:
                self._unblock()
            self._look.clear()
            while parts := self._next():
                try:
                    await self._send(parts)
                except Exception as error:  # numbers could not be reserved: as on every bus, the publishers hear it
                    for call, _ in parts:
                        if not call.done.done():
                            call.done.set_exception(error)
                        self._calls.pop(call, None)

    def look_again(self) -> None:
        """Room may have been made."""
        self._unblock()
        self._look.set()

    def _wake(self) -> None:
        if self._wakes.rooms != self._rooms:
            self._rooms = self._wakes.rooms
            self.look_again()

    def _unblock(self) -> None:
        self._blocked_keys.clear()
        for call in self._calls:
            call.is_blocked = False

    def _next(self) -> list[tuple[_Call, list[Row]]]:
        """What to send now: from the front of each call, nothing of a key that somebody waits with."""
        parts: list[tuple[_Call, list[Row]]] = []
        room, blocked = self._at_once, set(self._blocked_keys)
        for call in self._calls:
            if room == 0:
                break
            if call.is_blocked or (blocked and not blocked.isdisjoint(call.keys)):
                blocked |= call.keys
                continue
            part = call.rows[call.taken : call.taken + room]
            parts.append((call, part))
            room -= len(part)
        return parts

    async def _send(self, parts: list[tuple[_Call, list[Row]]]) -> None:
        self._batch += 1
        calls = _pack([[*call.fence, [field for row in part for field in row]] for call, part in parts])
        rooms = self._wakes.rooms
        is_recent = self._link.clock.monotonic() - self._taken_s < REMEMBERED_S
        last = self._taken_batch if is_recent else 0
        while True:
            answer = await self._link.insist(
                PUBLISH, self._name, self._batch, self._wakes.newest_seq, self._longest, calls, last
            )
            if answer[0] != -1:
                break
            await self._reserve_more()
        newest, why_not_all, has_forgotten, *taken = answer
        self._learn(newest)
        if has_forgotten:
            self._taken_batch = 0
            log.error(
                "redis_forgot_events", hint="set appendonly yes and appendfsync always: then a crash loses nothing"
            )
        if any(count > 0 for count in taken):
            self._taken_batch, self._taken_s = self._batch, self._link.clock.monotonic()
        self._counters.published += sum(max(0, count) for count in taken)
        for (call, part), count in zip(parts, taken, strict=True):
            if count == -1:
                self._finish(
                    call, Fenced(f"the lease {call.fence[0]} is somebody else's now: nothing more is published")
                )
                continue
            call.taken += count
            if call.taken == len(call.rows):
                self._finish(call)
            elif count < len(part):
                call.is_blocked = True
                self._blocked_keys.add(part[count][1])
        if not why_not_all:
            self._at_once = AT_ONCE
            return
        self._at_once = min(AT_ONCE, 2 * sum(max(0, count) for count in taken) + LEAST_AT_ONCE)
        if why_not_all == 2:
            try:
                await self._link.ask(TRIM, 0, 10_000)
            except BusUnreachable:
                pass  # the next call waits for it
        if self._wakes.rooms != rooms:
            self._unblock()  # room was made while the answer was under way

    def _finish(self, call: _Call, error: Exception | None = None) -> None:
        self._calls.pop(call, None)
        if call.done.done():
            return
        if error is None:
            call.done.set_result(None)
        else:
            call.done.set_exception(error)

    async def _reserve_more(self) -> None:
        """Reserve numbers above all that were given, in the store; waits for it."""
        size = self._block
        while True:
            first = await self._reserve(size)
            newest, oldest, mark = await self._link.insist(EXTEND, first, size)
            self._learn(newest, oldest)
            newest = max(newest, self._wakes.newest_seq)
            if mark >= newest + AT_ONCE:
                return
            size = max(self._block, newest - mark + BLOCK)  # a store that knows less than the server, or than we do

    def _learn(self, newest: int, oldest: int | None = None) -> None:
        self._wakes.newest_seq = max(self._wakes.newest_seq, newest)
        if oldest is not None:
            self.oldest_seq = oldest
