"""One group's events in the memory bus: who owns which key, what is unread and what awaits its acknowledgement.

All of it is plain data of one event loop; nothing here waits except `GroupInbox.take`.
"""

import asyncio
import heapq
import types
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence

import msgspec

from market_scraper.ports.bus import Envelope

DeadLetter = Callable[[Envelope, str], Awaitable[None]]
"""Keep an event that was given up on, with the reason."""


@types.coroutine
def one_turn() -> Generator[None, None, None]:
    """Let the other tasks of the loop run once; no time passes."""
    yield


class Counters(msgspec.Struct):
    """What a bus has counted since it was opened."""

    published: int = 0
    delivered: int = 0
    acknowledged: int = 0
    retried: int = 0
    parked: int = 0


class GroupInbox:
    """One member's part of its group's events; implements `ports.bus.Inbox`."""

    def __init__(self, group: "Group") -> None:
        self._group = group
        self._unread: deque[Envelope] = deque()  # always by rising seq
        self._unacknowledged: dict[int, Envelope] = {}
        self._arrived = asyncio.Event()
        self._closed = False

    async def take(self, limit: int = 500) -> Sequence[Envelope]:
        """Wait for at least one event. Others get a turn first, so that a busy reader never starves the loop."""
        await one_turn()
        while not self._unread:
            if self._closed:
                raise RuntimeError("this inbox was left")
            self._arrived.clear()
            await self._arrived.wait()
            if not self._group.follows:
                await one_turn()  # followers have been woken first; whom they wake in turn comes before us too
        unread = self._unread
        if len(unread) <= limit:
            taken = list(unread)
            unread.clear()
        else:
            taken = [unread.popleft() for _ in range(limit)]
        self._group.taken(taken, self._unacknowledged)
        return taken

    def ack(self, envelopes: Sequence[Envelope]) -> None:
        unacknowledged = self._unacknowledged
        before = len(unacknowledged)
        for envelope in envelopes:
            unacknowledged.pop(envelope.seq, None)
        if known := before - len(unacknowledged):
            self._group.acknowledged(known)

    def retry(self, envelopes: Sequence[Envelope]) -> None:
        again = [
            msgspec.structs.replace(envelope, attempt=envelope.attempt + 1)
            for envelope in envelopes
            if self._group.follows or self._unacknowledged.pop(envelope.seq, None) is not None
        ]
        if again:
            self._group.counters.retried += len(again)
            self._group.put_back(len(again))
            self.put(again)
            self._group.hand_over()

    async def park(self, envelope: Envelope, reason: str) -> None:
        """Keep the dead letter first and acknowledge then; what keeping raises leaves the event unacknowledged."""
        if not self._group.follows and envelope.seq not in self._unacknowledged:
            return
        await self._group.dead_letter(envelope, reason)
        self._group.counters.parked += 1
        self.ack([envelope])

    def append(self, envelopes: list[Envelope]) -> None:
        """Add events that are newer than all before."""
        self._unread.extend(envelopes)  # a copy: the other groups share the list
        self._arrived.set()

    def put(self, envelopes: Iterable[Envelope]) -> None:
        """Add events wherever their numbers belong."""
        fitting = sorted(envelopes, key=_seq)
        if not self._unread or fitting[-1].seq < self._unread[0].seq:
            self._unread.extendleft(reversed(fitting))
        else:
            self._unread = deque(heapq.merge(self._unread, fitting, key=_seq))
        self._arrived.set()

    @property
    def unread(self) -> int:
        return len(self._unread)

    def holds(self, key: str) -> bool:
        """Whether an event of this key was taken and not acknowledged."""
        return any(envelope.key == key for envelope in self._unacknowledged.values())

    def keys_held(self) -> set[str]:
        return {e.key for e in self._unread} | {e.key for e in self._unacknowledged.values()}

    def held(self) -> Iterable[Envelope]:
        """What is unread or unacknowledged, in no order."""
        return (*self._unacknowledged.values(), *self._unread)

    def give_up(self, key: str) -> list[Envelope]:
        """Take this key's unread events out."""
        given = [envelope for envelope in self._unread if envelope.key == key]
        if given:
            self._unread = deque(envelope for envelope in self._unread if envelope.key != key)
        return given

    def close(self) -> list[Envelope]:
        """End it, waking who waits; give what was not acknowledged, by rising seq, to be delivered again."""
        self._closed = True
        self._arrived.set()
        taken = [msgspec.structs.replace(e, attempt=e.attempt + 1) for e in self._unacknowledged.values()]
        left = sorted([*taken, *self._unread], key=_seq)
        self._unacknowledged.clear()
        self._unread.clear()
        return left


class Group:
    """The inboxes that share one group's events: each key has one owner at a time, so that its order holds.

    With `follows` there is one member and nothing needs acknowledging.
    """

    def __init__(
        self,
        name: str,
        kinds: frozenset[type],
        size: int,
        *,
        counters: Counters,
        on_freed: Callable[[], None],
        dead_letter: DeadLetter,
        follows: bool = False,
    ) -> None:
        self.name = name
        self.kinds = kinds
        self.size = size
        self.counters = counters
        self.dead_letter = dead_letter
        self.follows = follows
        self.waiting = 0  # events that are unread or unacknowledged
        self.members: list[GroupInbox] = []
        self._on_freed = on_freed
        self._left: list[Envelope] = []  # of the last member that went, for the next one
        self._owner: dict[str, GroupInbox] = {}  # used while there are several members
        self._moving: dict[str, GroupInbox] = {}  # keys that wait for their owner's last acknowledgement

    @property
    def room(self) -> int:
        return self.size - self.waiting

    @property
    def unread(self) -> int:
        """Events that no member has taken."""
        return sum(member.unread for member in self.members)

    def held(self) -> list[Envelope]:
        """What is unread or unacknowledged, in no order."""
        return [*self._left, *(envelope for member in self.members for envelope in member.held())]

    def join(self) -> GroupInbox:
        """Add a member. It gets what the last member left, or its share of the others' keys."""
        inbox = GroupInbox(self)
        self.members.append(inbox)
        if len(self.members) == 1:
            if self._left:
                inbox.put(self._left)
                self._left = []
        else:
            self._share_out()
        return inbox

    def leave(self, inbox: GroupInbox) -> None:
        """Take a member out; the others, or else the next one, get what it has not acknowledged."""
        self.members.remove(inbox)
        left = inbox.close()
        self._moving = {k: to for k, to in self._moving.items() if inbox not in (to, self._owner[k])}
        self._owner = {key: owner for key, owner in self._owner.items() if owner is not inbox}
        if self.follows:
            self.freed(self.waiting)
        elif not self.members:
            self._left = left
            self._on_freed()
        else:
            for owner, share in self._shares(left).items():
                owner.put(share)

    def put(self, envelopes: list[Envelope]) -> None:
        """Hand new events to their owners. Without members they are not ours: a group hears while it is subscribed."""
        if not envelopes:
            return
        self.waiting += len(envelopes)
        if len(self.members) == 1:
            self.members[0].append(envelopes)
            return
        for owner, share in self._shares(envelopes).items():
            owner.append(share)

    def taken(self, envelopes: Sequence[Envelope], unacknowledged: dict[int, Envelope]) -> None:
        """Count what a member took and remember it until it is acknowledged."""
        self.counters.delivered += len(envelopes)
        if self.follows:
            self.freed(len(envelopes))
            return
        for envelope in envelopes:
            unacknowledged[envelope.seq] = envelope
        self._on_freed()  # no room yet, but who waits for the end of reading must hear of it

    def acknowledged(self, how_many: int) -> None:
        self.counters.acknowledged += how_many
        self.freed(how_many)
        if self._moving:
            self.hand_over()

    def freed(self, how_many: int) -> None:
        self.waiting -= how_many
        self._on_freed()

    def put_back(self, how_many: int) -> None:
        """A follower's events stop waiting when they are taken, so putting them back counts them again."""
        if self.follows:
            self.waiting += how_many

    def hand_over(self) -> None:
        """Move the keys that have waited for their owner to be done with them."""
        for key, to in list(self._moving.items()):
            owner = self._owner[key]
            if not owner.holds(key):
                del self._moving[key]
                self._owner[key] = to
                if given := owner.give_up(key):
                    to.put(given)

    def _shares(self, envelopes: Iterable[Envelope]) -> dict[GroupInbox, list[Envelope]]:
        shares: dict[GroupInbox, list[Envelope]] = {}
        for envelope in envelopes:
            shares.setdefault(self._owner_of(envelope.key), []).append(envelope)
        return shares

    def _owner_of(self, key: str) -> GroupInbox:
        owner = self._owner.get(key)
        if owner is None:
            owner = self.members[len(self._owner) % len(self.members)]
            self._owner[key] = owner
        return owner

    def _share_out(self) -> None:
        """Deal the keys anew among the members; a key moves once its owner has nothing of it under way."""
        for member in self.members:
            for key in member.keys_held():
                self._owner[key] = member
        self._moving = {}
        for place, key in enumerate(sorted(self._owner)):
            to = self.members[place % len(self.members)]
            if to is not self._owner[key]:
                self._moving[key] = to
        self.hand_over()


def _seq(envelope: Envelope) -> int:
    return envelope.seq
