"""How doubt is told here, learned from the last seconds: taken as if nobody had heard them, and held against what was.

Everyone's rate is an average over up to two hours. A gap differs from it: everyone's pace rises and falls together,
habits drift, and each person trades in bouts. Instead of a theory of that, two numbers are learned by rehearsing gaps:
`pace`, how many times an unheard second counts, and `spread`, how far a rate of now lies beside its own average.
They are learned twice: as a forecast, and for a gap whose prints were counted afterwards (`domain.missed`), which
leaves less open. A rehearsal costs some ms and nothing on the way of a print. No I/O, no clock.
"""

import math
from bisect import bisect
from collections.abc import Collection
from itertools import islice
from typing import NamedTuple

from market_scraper.domain.book import Book
from market_scraper.domain.claims import chance
from market_scraper.domain.positions import PositionState

REHEARSED_MS = 20_000
"""The usual length of a full gap, and well within the ring of prints that the ledger keeps."""

HALF_LIFE, COUNTED_HALF_LIFE = 12, 6
"""Rehearsals after which one counts half: four minutes for the forecast; two to eight do about as well. With a gap's
prints counted a rehearsal says more, and two minutes do a little better than four or eight (decision 8)."""

TOGETHER = 4.0
"""People trade in the same moments: a rehearsal says as little as if it had held this many times fewer of them."""

PEOPLE = 8_000
"""So many books are looked at in one rehearsal, others in the next: more would take the event loop for tens of ms."""

FIRST_SPREAD = 0.1

COUNTED_AFTER = 6
"""Rehearsals before a count can be held against an average one: two minutes."""

COUNTS_HALVED_AFTER = 360
"""Two hours of them: as long as changes are remembered."""

MORE_PRINTS, LARGER_PRINTS = 0.85, -0.1
"""Twice as many prints are not quite twice as many people, least of all when they are small: one order that sweeps a
thin book meets a hundred small resting ones, the same makers again and again (decision 8)."""

_PACE_GIVES = 0.2  # how far log(pace) is expected beside 0, before anything is heard
_SPREAD_GIVES = 1.0  # likewise log(spread) beside its first value
_LEAST_SPREAD, _MOST_SPREAD = 0.003, 30.0
_EDGES = (0.03, 0.05, 0.1, 0.2, 0.35, 0.6, 0.9, 1.3, 1.9, 2.7, 4.0, 6.0, 9.0)
"""Changes expected in the time rehearsed. Who is expected to change less often tells next to nothing. Nor do those
beyond: makers return to the very size they had now and then, which is no pause."""


class Told(NamedTuple):
    """How a gap differs from averages."""

    pace: float
    spread: float


class Rehearsal:
    """One coin's rehearsals so far, and the pace and spread that would have told them best."""

    def __init__(self, *, pace: float = 1.0, spread: float = FIRST_SPREAD) -> None:
        self._forecast = _Fit(pace, spread, HALF_LIFE)
        self._counted = _Fit(1.0, FIRST_SPREAD, COUNTED_HALF_LIFE)
        self._prints, self._lots, self._seconds = 0.0, 0.0, 0.0  # in all stretches rehearsed, the old ones halved
        self._halved_at = COUNTS_HALVED_AFTER
        self._times = 0

    @property
    def pace(self) -> float:
        """Of a gap of which nothing is known but its length."""
        return self._forecast.pace

    @property
    def spread(self) -> float:
        """Likewise."""
        return self._forecast.spread

    def counted(self, prints: int, lots: int, seconds: float) -> Told | None:
        """Pace and spread of a gap in which so many prints, of so many lots together, were made; None before
        `COUNTED_AFTER` rehearsals.
        """
        if self._times < COUNTED_AFTER or self._prints <= 0 or seconds <= 0:
            return None
        return Told(self._counted.pace * self._liveliness(prints, lots, seconds), self._counted.spread)

    def _liveliness(self, prints: int, lots: int, seconds: float) -> float:
        """How many times an average second's changes its prints stand for."""
        made = max(float(prints), 0.1)  # none counted is as good as none made, but for a bar that lagged
        size = max(float(lots), 1.0) / made * self._prints / max(self._lots, 1.0)
        more: float = (made / seconds * self._seconds / self._prints) ** MORE_PRINTS
        return more * size**LARGER_PRINTS if prints else more

    def hear(
        self,
        books: Collection[Book],
        since_ms: int,
        until_ms: int,
        shape: float,
        watch_s: float,
        made: tuple[int, int] | None = None,
    ) -> None:
        """Forecast (since, until] from what was known at `since_ms`, see who changed, and learn from it.

        All prints of that time must be in the books' rings. `shape` and `watch_s` are the prior of rates; `made`: how
        many prints it had, and lots in them.
        """
        unheard_s = (until_ms - since_ms) / 1000
        lively = 0.0  # before there is an average, a count says nothing
        if made is not None:
            if self._prints > 0:
                lively = self._liveliness(*made, unheard_s)
            self._prints, self._lots = self._prints + made[0], self._lots + made[1]
            self._seconds += unheard_s
        self._forecast.fade()
        self._counted.fade()
        stride = -(-len(books) // PEOPLE) or 1
        self._times += 1
        if self._times >= self._halved_at:
            self._halved_at = self._times + COUNTS_HALVED_AFTER // 2
            self._prints, self._lots, self._seconds = self._prints / 2, self._lots / 2, self._seconds / 2
        for book in islice(books, self._times % stride, None, stride):
            if not book.changes or book.state is PositionState.UNKNOWN:
                continue
            recent = book.recent
            known = len(recent)
            moved = 0
            while known and recent[known - 1][0] > since_ms:
                known -= 1
                moved += recent[known][1]
            changes = book.changes - (len(recent) - known)
            if changes <= 0:  # nothing was known of him but the prior
                continue
            sure = shape + changes
            expected = sure * unheard_s / (watch_s + max(0, since_ms - book.watched_from_ms) / 1000)
            self._forecast.note(expected, 1 / sure, moved != 0)
            if lively:
                self._counted.note(expected * lively, 1 / sure, moved != 0)
        self._forecast.fit()
        if lively:
            self._counted.fit()


class _Fit:
    """Forecasts and what came of them, and the two numbers that tell them best."""

    def __init__(self, pace: float, spread: float, half_life: int) -> None:
        self.pace = pace
        self.spread = spread
        # By changes expected: [people, changes expected, 1 / shape, people whose size changed], each summed and fading.
        self._bins = [[0.0, 0.0, 0.0, 0.0] for _ in _EDGES[1:]]
        self._fades = 0.5 ** (1 / half_life)

    def fade(self) -> None:
        """A new rehearsal begins: what is known counts less."""
        for bin_ in self._bins:
            for i in range(4):
                bin_[i] *= self._fades

    def note(self, expected: float, unsure: float, changed: bool) -> None:
        """Take one person: changes expected, 1 / shape, and what came."""
        at = bisect(_EDGES, expected) - 1
        if 0 <= at < len(self._bins):
            bin_ = self._bins[at]
            bin_[0] += 1
            bin_[1] += expected
            bin_[2] += unsure
            bin_[3] += changed

    def fit(self) -> None:
        """Climb from the last values to the likeliest ones, by ever smaller steps."""
        heard = [(n, expected / n, n / unsure, changed) for n, expected, unsure, changed in self._bins if n > 0.01]
        x, y = math.log(self.pace), math.log(min(max(self.spread, _LEAST_SPREAD), _MOST_SPREAD))
        best, step = _likely(heard, x, y), 0.3
        while step > 0.01:
            for dx, dy in ((step, 0.0), (-step, 0.0), (0.0, step), (0.0, -step)):
                if (score := _likely(heard, x + dx, y + dy)) > best:
                    best, x, y = score, x + dx, y + dy
                    break
            else:
                step /= 2
        self.pace, self.spread = math.exp(x), math.exp(y)


def _likely(heard: list[tuple[float, float, float, float]], log_pace: float, log_spread: float) -> float:
    """Give the log likelihood of what was heard, less what speaks against such values from the outset."""
    pace, spread = math.exp(log_pace), math.exp(log_spread)
    if not _LEAST_SPREAD / 2 < spread < _MOST_SPREAD * 2:
        return -math.inf
    score = 0.0
    for people, expected, sure, changed in heard:
        told = min(max(chance(pace * expected, sure, spread), 1e-9), 1 - 1e-9)
        score += changed * math.log(told) + (people - changed) * math.log1p(-told)
    odd = (log_pace / _PACE_GIVES) ** 2 + ((log_spread - math.log(FIRST_SPREAD)) / _SPREAD_GIVES) ** 2
    return score / TOGETHER - odd / 2
