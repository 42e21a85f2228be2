"""Whom to ask next: the account requests that buy the most truth for the REST budget.

Wanted targets (no base, several candidates, drift, after a gap) are asked by what their answer is worth; everybody
else is audited, the longest unasked first, and every `SWEEP_EVERY`-th question goes to that sweep whatever is
wanted, so that nobody starves. A target is asked once at a time. No I/O; `now_s` are monotonic seconds.
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from market_scraper.domain.values import Address

SWEEP_EVERY = 10
"""After a gap everything is wanted, and worth decides how soon 90 % of all size is sure again: the sweep takes 10 %."""

ANSWER_DUE_S = 30.0
"""A question without a verdict after that long counts as unanswered: the watermark may stand still meanwhile."""


class Target(msgspec.Struct, frozen=True, gc=False):
    """One account request: a trader on one dex (an answer covers one dex only, facts 2.3)."""

    trader: Address
    dex: str = ""


@dataclass(slots=True)
class PlannerCounts:
    """Where the questions went."""

    wanted: int = 0
    audits: int = 0
    unanswered: int = 0


class Planner:
    """Keeps every followed target in exactly one of three places: wanted, asked, or in the sweep."""

    def __init__(self) -> None:
        self.counts = PlannerCounts()
        self._sweep: OrderedDict[Target, None] = OrderedDict()  # longest unasked first
        self._gains: dict[Target, tuple[float, float, float]] = {}  # wanted: (gain, not before, wanted since)
        self._heap: list[tuple[float, int, Target]] = []
        self._asked: OrderedDict[Target, tuple[float, float]] = OrderedDict()  # (asked at, gain)
        self._again: dict[Target, tuple[float, float, float]] = {}  # wanted anew while the question is out
        self._order = 0
        self._turn = 0

    def __len__(self) -> int:
        return len(self._sweep) + len(self._gains) + len(self._asked)

    def __contains__(self, target: Target) -> bool:
        return target in self._sweep or target in self._gains or target in self._asked

    @property
    def wanted(self) -> int:
        """Targets whose answer is wanted now."""
        return len(self._gains)

    @property
    def asked(self) -> int:
        """Questions whose verdict is out."""
        return len(self._asked)

    def oldest_wanted_s(self, now_s: float) -> float:
        """How long the longest-waiting wanted target has waited; 0 when none is."""
        return max((now_s - since for _, _, since in self._gains.values()), default=0.0)

    def follow(self, target: Target) -> None:
        """Audit this target from now on; no effect when it is followed already."""
        if target not in self:
            self._sweep[target] = None
            self._sweep.move_to_end(target, last=False)

    def want(self, target: Target, gain: float, *, now_s: float, not_before_s: float = 0.0) -> None:
        """Ask this target as soon as its gain (any unit, more is sooner) lets it; a newer want replaces the older."""
        if target in self._asked:
            self._again[target] = (gain, not_before_s, now_s)
            return
        self._sweep.pop(target, None)
        since = self._gains.get(target, (0.0, 0.0, now_s))[2]
        self._gains[target] = (gain, not_before_s, since)
        self._push(target, gain)

    def is_waiting(self, target: Target) -> bool:
        """Whether it is wanted now, or its question is out."""
        return target in self._gains or target in self._asked

    def waiting(self) -> list[Target]:
        """All wanted targets, to weigh them anew."""
        return list(self._gains)

    def reweigh(self, gains: Iterable[tuple[Target, float]]) -> None:
        """Change what the answers of wanted targets are worth; nobody is wanted by this who was not, nor sooner."""
        for target, gain in gains:
            wanted = self._gains.get(target)
            if wanted is not None:
                self._gains[target] = (gain, *wanted[1:])
        self._build_heap()

    def want_all(self, gains: Iterable[tuple[Target, float]], *, now_s: float) -> None:
        """Want many at once, as after a gap."""
        for target, gain in gains:
            if target in self._asked:
                self._again[target] = (gain, 0.0, now_s)
                continue
            self._sweep.pop(target, None)
            self._gains[target] = (gain, 0.0, self._gains.get(target, (0.0, 0.0, now_s))[2])
        self._build_heap()

    def settle(self, target: Target) -> None:
        """The target's answer has made it sure: back to the end of the sweep."""
        self._asked.pop(target, None)
        again = self._again.pop(target, None)
        if again is not None:
            gain, not_before_s, since_s = again
            self.want(target, gain, now_s=since_s, not_before_s=not_before_s)
            return
        self._gains.pop(target, None)
        self._sweep[target] = None
        self._sweep.move_to_end(target)

    def unsettled(self, target: Target, gain: float, *, now_s: float, not_before_s: float = 0.0) -> None:
        """The answer was no help (refused, several, drift, failed): it is wanted again."""
        self._asked.pop(target, None)
        self._again.pop(target, None)
        self.want(target, gain, now_s=now_s, not_before_s=not_before_s)

    def next(self, now_s: float) -> Target | None:
        """The next target to ask, now counted as asked; None when nobody may be asked yet."""
        self._give_up(now_s)
        self._turn += 1
        if self._turn % SWEEP_EVERY == 0:
            found = self._next_in_sweep() or self._next_wanted(now_s)
        else:
            found = self._next_wanted(now_s) or self._next_in_sweep()
        if found is None:
            return None
        target, gain = found
        self._asked[target] = (now_s, gain)
        return target

    def _next_wanted(self, now_s: float) -> tuple[Target, float] | None:
        waiting: list[tuple[float, int, Target]] = []
        found = None
        while self._heap and found is None:
            entry = heapq.heappop(self._heap)
            gain, not_before_s, _ = self._gains.get(entry[2], (None, 0.0, 0.0))
            if gain is None or -entry[0] != gain:
                continue  # settled, or wanted anew with another gain
            if not_before_s > now_s:
                waiting.append(entry)
                continue
            found = entry[2]
        for entry in waiting:
            heapq.heappush(self._heap, entry)
        if found is None:
            return None
        self.counts.wanted += 1
        return found, self._gains.pop(found)[0]

    def _next_in_sweep(self) -> tuple[Target, float] | None:
        if not self._sweep:
            return None
        target, _ = self._sweep.popitem(last=False)
        self.counts.audits += 1
        return target, 0.0

    def _give_up(self, now_s: float) -> None:
        """Want again who gave no answer, for what the question was worth: silence must not push a voter to the end."""
        while self._asked:
            target, (asked_s, gain) = next(iter(self._asked.items()))
            if now_s - asked_s < ANSWER_DUE_S:
                return
            self.counts.unanswered += 1
            del self._asked[target]
            again = self._again.pop(target, None)
            self.want(target, gain if again is None else again[0], now_s=now_s)

    def _push(self, target: Target, gain: float) -> None:
        self._order += 1
        heapq.heappush(self._heap, (-gain, self._order, target))

    def _build_heap(self) -> None:
        self._heap = [(-gain, i, target) for i, (target, (gain, _, _)) in enumerate(self._gains.items())]
        self._order = len(self._heap)
        heapq.heapify(self._heap)
