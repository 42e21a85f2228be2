"""Whom to ask next: the account requests that buy the most truth for the REST budget.

Wanted targets (no base, several candidates, drift, after a gap) are asked by what their answer is worth; everybody
else is audited, the longest unasked first. Every `SWEEP_EVERY`-th question goes to whoever has waited longest, wanted
or not, so that nobody starves. No I/O; `now_s` are monotonic seconds.
"""

import heapq
import math
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from market_scraper.domain.values import Address

SWEEP_EVERY = 10
"""After a gap everything is wanted, and worth decides how soon 90 % of all size is sure again: turns take 10 %."""

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
    again: int = 0  # of these: asked more than once, for the answer had been no help
    audits: int = 0
    unanswered: int = 0


class _Want(msgspec.Struct, frozen=True, gc=False):
    """Why and when a target may be asked."""

    gain: float
    not_before_s: float
    since_s: float
    again: bool = False


class Planner:
    """Keeps every followed target in exactly one of three places: wanted, asked, or in the sweep."""

    def __init__(self) -> None:
        self.counts = PlannerCounts()
        self._sweep: OrderedDict[Target, float] = OrderedDict()  # settled at, the longest unasked first
        self._wanted: dict[Target, _Want] = {}  # in the order in which they came to be wanted
        # Heaps of (-gain, order, target): those that may be asked, for the first time and again.
        self._ready: tuple[list[tuple[float, int, Target]], list[tuple[float, int, Target]]] = ([], [])
        self._later: list[tuple[float, int, Target]] = []  # heap of (not before, order, target): those that may not yet
        self._asked: OrderedDict[Target, tuple[float, float]] = OrderedDict()  # (asked at, gain)
        self._again: dict[Target, _Want] = {}  # wanted anew while the question is out
        self._order = 0
        self._turn = 0

    def __len__(self) -> int:
        return len(self._sweep) + len(self._wanted) + len(self._asked)

    def __contains__(self, target: Target) -> bool:
        return target in self._sweep or target in self._wanted or target in self._asked

    @property
    def wanted(self) -> int:
        """Targets whose answer is wanted now."""
        return len(self._wanted)

    @property
    def asked(self) -> int:
        """Questions whose verdict is out."""
        return len(self._asked)

    def oldest_wanted_s(self, now_s: float) -> float:
        """How long the longest-waiting wanted target has waited; 0 when none is."""
        return max((now_s - want.since_s for want in self._wanted.values()), default=0.0)

    def follow(self, target: Target) -> None:
        """Audit this target from now on; no effect when it is followed already."""
        if target not in self:
            self._sweep[target] = -math.inf
            self._sweep.move_to_end(target, last=False)

    def want(self, target: Target, gain: float, *, now_s: float, not_before_s: float = 0.0) -> None:
        """Ask this target as soon as its gain (any unit, more is sooner) lets it; a newer want replaces the older."""
        self._want(target, gain, now_s, not_before_s, again=False)

    def _want(self, target: Target, gain: float, now_s: float, not_before_s: float, *, again: bool) -> None:
        if target in self._asked:
            self._again[target] = _Want(gain, not_before_s, now_s, again)
            return
        self._sweep.pop(target, None)
        known = self._wanted.get(target)
        self._wanted[target] = _Want(gain, not_before_s, now_s if known is None else known.since_s, again)
        self._order += 1
        if not_before_s > now_s:
            heapq.heappush(self._later, (not_before_s, self._order, target))
        else:
            heapq.heappush(self._ready[again], (-gain, self._order, target))

    def is_waiting(self, target: Target) -> bool:
        """Whether it is wanted now, or its question is out."""
        return target in self._wanted or target in self._asked

    def is_wanted(self, target: Target) -> bool:
        """Whether it is wanted now: a question is still to be asked."""
        return target in self._wanted

    def waiting(self) -> list[Target]:
        """All wanted targets, to weigh them anew."""
        return list(self._wanted)

    def reweigh(self, gains: Iterable[tuple[Target, float]]) -> None:
        """Change what the answers of wanted targets are worth; nobody is wanted by this who was not, nor sooner."""
        for target, gain in gains:
            want = self._wanted.get(target)
            if want is not None:
                self._wanted[target] = _Want(gain, want.not_before_s, want.since_s, want.again)
        self._build_heaps()

    def weigh(self, target: Target, gain: float, *, now_s: float) -> None:
        """The same for one; no effect on who is not wanted."""
        want = self._wanted.get(target)
        if want is not None and want.gain != gain:
            self._want(target, gain, now_s, want.not_before_s, again=want.again)

    def want_all(self, gains: Iterable[tuple[Target, float]], *, now_s: float) -> None:
        """Want many at once, as after a gap."""
        for target, gain in gains:
            if target in self._asked:
                self._again[target] = _Want(gain, 0.0, now_s)
                continue
            self._sweep.pop(target, None)
            known = self._wanted.get(target)
            self._wanted[target] = _Want(gain, 0.0, now_s if known is None else known.since_s)
        self._build_heaps()

    def settle(self, target: Target, *, now_s: float) -> None:
        """The target's answer has made it sure: back to the end of the sweep."""
        self._asked.pop(target, None)
        again = self._again.pop(target, None)
        if again is not None:
            self._want(target, again.gain, again.since_s, again.not_before_s, again=again.again)
            return
        self._wanted.pop(target, None)
        self._sweep[target] = now_s
        self._sweep.move_to_end(target)

    def unsettled(self, target: Target, gain: float, *, now_s: float, not_before_s: float = 0.0) -> None:
        """The answer was no help (refused, several, drift, failed), or will not be enough: it is wanted again."""
        self._asked.pop(target, None)
        self._again.pop(target, None)
        self._want(target, gain, now_s, not_before_s, again=True)

    def next(self, now_s: float, *, first: bool = True, audit: bool = True) -> Target | None:
        """The next target to ask, now counted as asked; None when nobody may be asked yet.

        Without `first` only those whose last answer was no help; without `audit` only those whose answer is wanted.
        """
        self._give_up(now_s)
        found: tuple[Target, float] | None = None
        if first:
            self._turn += 1
            if self._turn % SWEEP_EVERY == 0:
                found = self._next_in_turn(now_s, audit=audit)
        if found is None:
            found = self._next_wanted(now_s, first=first)
        if found is None and audit:
            found = self._next_in_sweep()
        if found is None:
            return None
        target, gain = found
        self._asked[target] = (now_s, gain)
        return target

    def _next_wanted(self, now_s: float, *, first: bool) -> tuple[Target, float] | None:
        while self._later and self._later[0][0] <= now_s:
            _, order, target = heapq.heappop(self._later)
            want = self._wanted.get(target)
            if want is not None and want.not_before_s <= now_s:
                heapq.heappush(self._ready[want.again], (-want.gain, order, target))
        heaps = [heap for again in ((False, True) if first else (True,)) if (heap := self._pruned(again, now_s))]
        if not heaps:
            return None
        return self._take_wanted(heapq.heappop(min(heaps, key=lambda heap: heap[0]))[2])

    def _pruned(self, again: bool, now_s: float) -> list[tuple[float, int, Target]]:
        """One heap, its first entry such that it still stands: not settled, nor wanted anew in another way."""
        heap = self._ready[again]
        while heap:
            gain, order, target = heap[0]
            want = self._wanted.get(target)
            if want is None or want.gain != -gain or want.again is not again:
                heapq.heappop(heap)
            elif want.not_before_s > now_s:  # this reading of the clock may be older than the one it was wanted by
                heapq.heappop(heap)
                heapq.heappush(self._later, (want.not_before_s, order, target))
            else:
                break
        return heap

    def _take_wanted(self, target: Target) -> tuple[Target, float]:
        want = self._wanted.pop(target)
        self.counts.wanted += 1
        self.counts.again += want.again
        return target, want.gain

    def _next_in_turn(self, now_s: float, *, audit: bool) -> tuple[Target, float] | None:
        """Who has waited longest: the first of those wanted, or the first of the sweep where that was asked before."""
        wanted = next(((t, want) for t, want in self._wanted.items() if want.not_before_s <= now_s), None)
        settled_s = next(iter(self._sweep.values()), math.inf) if audit else math.inf
        if wanted is not None and wanted[1].since_s <= settled_s:
            return self._take_wanted(wanted[0])
        return self._next_in_sweep() if audit else None

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
            self.want(target, gain if again is None else again.gain, now_s=now_s)

    def _build_heaps(self) -> None:
        self._ready, self._later = ([], []), []
        for order, (target, want) in enumerate(self._wanted.items()):
            if want.not_before_s > 0.0:
                self._later.append((want.not_before_s, order, target))
            else:
                self._ready[want.again].append((-want.gain, order, target))
        self._order = len(self._wanted)
        for heap in (*self._ready, self._later):
            heapq.heapify(heap)
