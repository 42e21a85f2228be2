"""What a source has said of each day so far, so that only what is new becomes a reading."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable

from market_scraper.domain.onchain import Observation, Reading, Source

_PROVISIONAL, _RESTATED, _WITHDRAWN = 1, 2, 4


class _Series:
    """One metric's newest word on each t, in parallel arrays sorted by t: 21 bytes a day."""

    __slots__ = ("flags", "revisions", "times", "values")

    def __init__(self) -> None:
        self.times = array("q")
        self.values = array("d")
        self.revisions = array("I")
        self.flags = array("B")

    def find(self, t_ms: int) -> int | None:
        at = bisect_left(self.times, t_ms)
        return at if at < len(self.times) and self.times[at] == t_ms else None

    def put(self, t_ms: int, value: float, revision: int, flags: int) -> None:
        at = bisect_left(self.times, t_ms)
        if at < len(self.times) and self.times[at] == t_ms:
            self.values[at], self.revisions[at], self.flags[at] = value, revision, flags
            return
        self.times.insert(at, t_ms)
        self.values.insert(at, value)
        self.revisions.insert(at, revision)
        self.flags.insert(at, flags)


class Revisions:
    """Numbers what one source says. No I/O, no clock.

    A row only when something changed: the same value of the same day again is nothing new, a value that stops being
    provisional is. `known_at` never falls, though our clock may be set back.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.restated = 0  # values that were final and have changed, since start
        self._series: dict[str, _Series] = {}
        self._known_ms = 0

    def remember(self, readings: Iterable[Reading]) -> None:
        """Take up what is stored, in any order."""
        for reading in readings:
            series = self._series.setdefault(reading.metric, _Series())
            at = series.find(reading.t_ms)
            if at is None or series.revisions[at] <= reading.revision:
                series.put(reading.t_ms, reading.value, reading.revision, _flags(reading))
            self._known_ms = max(self._known_ms, reading.known_at_ms)

    @property
    def newest(self) -> dict[str, int]:
        """The newest t of each metric that has any."""
        return {metric: series.times[-1] for metric, series in self._series.items()}

    @property
    def values(self) -> int:
        """How many days are known, over all metrics."""
        return sum(len(series.times) for series in self._series.values())

    def take(self, said: Iterable[Observation], now_ms: int) -> list[Reading]:
        """Give what is new in an answer, in its order.

        A first value counts as known when its source published it, where it tells us that: so a history that is
        fetched today can be asked what was known then. Revisions are known when we see them.
        """
        now_ms = self._known_ms = max(self._known_ms, now_ms)
        return [reading for each in said if (reading := self._take(each, now_ms)) is not None]

    def take_back(self, withdrawn: Iterable[tuple[str, int]], now_ms: int) -> list[Reading]:
        """Give the revisions by which a source unsays what it had said of some (metric, t)."""
        now_ms = self._known_ms = max(self._known_ms, now_ms)
        return [r for metric, t_ms in withdrawn if (r := self._unsaid(metric, t_ms, now_ms)) is not None]

    def _unsaid(self, metric: str, t_ms: int, now_ms: int) -> Reading | None:
        series = self._series.get(metric)
        at = None if series is None else series.find(t_ms)
        if series is None or at is None or series.flags[at] & _WITHDRAWN:
            return None
        was_final = not series.flags[at] & _PROVISIONAL
        self.restated += was_final
        reading = Reading(
            source=self.source,
            metric=metric,
            t_ms=t_ms,
            revision=series.revisions[at] + 1,
            value=series.values[at],
            known_at_ms=max(now_ms, t_ms),
            restated=was_final or bool(series.flags[at] & _RESTATED),
            withdrawn=True,
        )
        series.put(t_ms, reading.value, reading.revision, _flags(reading))
        return reading

    def _take(self, said: Observation, now_ms: int) -> Reading | None:
        series = self._series.setdefault(said.metric, _Series())
        at = series.find(said.t_ms)
        if at is None:
            known_at_ms = now_ms if said.published_ms is None else min(now_ms, said.published_ms)
            reading = self._reading(said, 0, max(known_at_ms, said.t_ms), restated=False)
        else:
            was_provisional = bool(series.flags[at] & _PROVISIONAL)
            changed = series.values[at] != said.value
            was_withdrawn = bool(series.flags[at] & _WITHDRAWN)
            if not changed and not was_withdrawn and was_provisional == said.provisional:
                return None
            is_restated = changed and not was_provisional and not was_withdrawn
            self.restated += is_restated
            restated = is_restated or bool(series.flags[at] & _RESTATED)
            reading = self._reading(said, series.revisions[at] + 1, max(now_ms, said.t_ms), restated=restated)
        series.put(said.t_ms, said.value, reading.revision, _flags(reading))
        return reading

    def _reading(self, said: Observation, revision: int, known_at_ms: int, *, restated: bool) -> Reading:
        return Reading(
            source=self.source,
            metric=said.metric,
            t_ms=said.t_ms,
            revision=revision,
            value=said.value,
            known_at_ms=known_at_ms,
            label=said.label,
            published_ms=said.published_ms,
            provisional=said.provisional,
            restated=restated,
        )


def _flags(reading: Reading) -> int:
    return reading.provisional * _PROVISIONAL + reading.restated * _RESTATED + reading.withdrawn * _WITHDRAWN
