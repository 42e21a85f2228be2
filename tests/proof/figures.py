"""What a run's record adds up to."""

import math
from dataclasses import dataclass
from itertools import pairwise

from tests.proof.course import Gap, Sample
from tests.proof.observer import WINDOW_MS
from tests.proof.plan import SETTLED_S

QUESTION_WEIGHT = 2
WATERMARK_BEHIND_S = 1.0
"""What a verdict waits for beside the window: the least late of three sockets, 0 to 2 s each."""


@dataclass(frozen=True)
class Decile:
    """A tenth of all doubts, by rank."""

    count: int
    told: float  # mean doubt
    changed: float  # share of those whose size had changed
    error: float  # standard error of `changed`, were the doubts right

    @property
    def off(self) -> float:
        """How many standard errors the truth lies beside what was told."""
        return (self.changed - self.told) / self.error if self.error else 0.0


def deciles(doubts: list[tuple[float, bool]]) -> list[Decile]:
    """Sort by doubt and cut into tenths. Equal doubts stay in the order of their traders' names, which is random."""
    ranked = sorted(doubts, key=lambda each: each[0])
    cut = [ranked[len(ranked) * i // 10 : len(ranked) * (i + 1) // 10] for i in range(10)]
    return [
        Decile(
            len(some),
            sum(doubt for doubt, _ in some) / len(some),
            sum(changed for _, changed in some) / len(some),
            math.sqrt(sum(doubt * (1 - doubt) for doubt, _ in some)) / len(some),
        )
        for some in cut
        if some
    ]


def settled(samples: list[Sample], gaps: list[Gap], started_ms: int) -> list[Sample]:
    """Samples from five minutes after the start, and after each gap's end, on."""
    unsettled = [(0.0, SETTLED_S)]
    unsettled += [((gap.since_ms - started_ms) / 1000, (gap.until_ms - started_ms) / 1000 + SETTLED_S) for gap in gaps]
    return [s for s in samples if not any(since <= s.at_s < until for since, until in unsettled)]


def time_average(samples: list[Sample]) -> tuple[float, float]:
    """Shares exact by count and by |size|; each sample stands for the time until the next, at most ten seconds."""
    total = by_count = by_size = 0.0
    for sample, following in pairwise(samples):
        for_s = min(10.0, following.at_s - sample.at_s)
        total += for_s
        by_count += for_s * sample.exact[0]
        by_size += for_s * sample.exact[1]
    return (by_count / total, by_size / total) if total else (0.0, 0.0)


def seconds_to(share: float, samples: list[Sample], gap: Gap, started_ms: int) -> float:
    """How long after a gap's end that share of |size| was exact again; infinite when it never was."""
    end_s = (gap.until_ms - started_ms) / 1000
    return next((s.at_s - end_s for s in samples if s.at_s >= end_s and s.exact[1] >= share), math.inf)


def nearly_sure_within(seconds: float, samples: list[Sample], gap: Gap, started_ms: int) -> float:
    """The best share of |size| that was exact, or doubted by 0.05 at most, at a look in that time after a gap."""
    end_s = (gap.until_ms - started_ms) / 1000
    return max((s.nearly_sure[1] for s in samples if end_s <= s.at_s <= end_s + seconds), default=0.0)


def seconds_of_sweep(share: float, gap: Gap, weight_per_minute: int, *, answers_suffice: bool = False) -> float:
    """When a sweep by known |size| would have that share of it exact again.

    It asks one after the other at the budget's pace, begins when an answer's window lies behind the gap, and its
    last answer is judged when the watermark has passed that one's window. Who trades in an answer's window (as
    likely as its rate says) has several bases left, and waits for the next round, which settles him; with
    `answers_suffice` nobody waits, which no collector can reach.
    """
    ranked = sorted(gap.holders, key=lambda holder: -holder.known)
    goal = share * sum(holder.true for holder in ranked)
    left = [holder.true for holder in ranked]
    sure, asked = 0.0, 0
    for settles in (answers_suffice, True):
        for at, holder in enumerate(ranked):
            if sure >= goal:
                break
            quiet = 1.0 if settles else math.exp(-holder.prints_per_s * 2 * WINDOW_MS / 1000)
            sure, left[at] = sure + left[at] * quiet, left[at] * (1 - quiet)
            asked += 1
    pace_s = 60.0 * QUESTION_WEIGHT / weight_per_minute
    return 2 * WINDOW_MS / 1000 + asked * pace_s + WINDOW_MS / 1000 + WATERMARK_BEHIND_S
