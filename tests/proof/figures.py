"""What a run's record adds up to."""

import math
from dataclasses import dataclass
from itertools import pairwise

from tests.proof.course import Forecast, Gap, Sample
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
    error: float  # standard error of `changed`, were the doubts right and each trader's change an event of its own
    error_together: float  # the same, as far as people truly change in the same moments: never smaller

    @property
    def off(self) -> float:
        """How many standard errors the truth lies beside what was told."""
        return (self.changed - self.told) / self.error if self.error else 0.0

    @property
    def off_together(self) -> float:
        """The same, of those that know that people change together."""
        return (self.changed - self.told) / self.error_together if self.error_together else 0.0


def deciles(gaps: list[Gap], changed: list[set[str]]) -> list[Decile]:
    """Sort by doubt and cut into tenths. Equal doubts stay in the order of their traders' names, which is random.

    `changed`: whose size truly changed, in each stretch of the run that is as long as a gap.
    """
    ranked = sorted(((each, at) for at, gap in enumerate(gaps) for each in gap.doubts), key=lambda pair: pair[0].doubt)
    cut = [ranked[len(ranked) * i // 10 : len(ranked) * (i + 1) // 10] for i in range(10)]
    return [_decile(some, changed) for some in cut if some]


def _decile(some: list[tuple[Forecast, int]], changed: list[set[str]]) -> Decile:
    alone = together = 0.0
    for gap in {at for _, at in some}:
        doubts = {each.trader: each.doubt for each, at in some if at == gap}
        by_chance = sum(doubt * (1 - doubt) for doubt in doubts.values())
        alone += by_chance
        together += max(by_chance, _unrest(set(doubts), changed))
    return Decile(
        len(some),
        sum(each.doubt for each, _ in some) / len(some),
        sum(each.changed for each, _ in some) / len(some),
        math.sqrt(alone) / len(some),
        math.sqrt(together) / len(some),
    )


def _unrest(people: set[str], changed: list[set[str]]) -> float:
    """The variance of how many of these change in a stretch, by steps from one to the next: drift hardly counts."""
    counts = [len(people & some) for some in changed]
    steps = [(after - before) ** 2 for before, after in pairwise(counts)]
    return sum(steps) / len(steps) / 2 if steps else 0.0


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


def seconds_of_sweep(
    share: float, gap: Gap, weight_per_minute: int, *, answers_suffice: bool = False, from_told: bool = False
) -> float:
    """When a sweep by known |size| would have that share of it exact again, counted from the gap's end.

    It asks one after the other at the budget's pace, begins when an answer's window lies behind the gap, and its
    last answer is judged when the watermark has passed that one's window. Who trades in an answer's window (as
    likely as its rate says) has several bases left, and waits for the next round, which settles him; with
    `answers_suffice` nobody waits, which no collector can reach. Nor can one begin before it hears the tape again,
    which on a quiet coin, whose replay reaches far back, is some seconds after the gap's end: `from_told` minds that.
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
    begins_s = 2 * WINDOW_MS / 1000
    if from_told:
        begins_s = max(begins_s, (gap.told_ms - gap.until_ms) / 1000)
    pace_s = 60.0 * QUESTION_WEIGHT / weight_per_minute
    return begins_s + asked * pace_s + WINDOW_MS / 1000 + WATERMARK_BEHIND_S
