"""The newest on-chain readings of every source, and what they are worth against each other at the moment of asking."""

from collections.abc import Callable, Mapping, Sequence

from market_scraper.domain.crosscheck import RECENT_DAYS, Silence, judge
from market_scraper.domain.derived import Key, find_metric
from market_scraper.domain.errors import UnknownThing
from market_scraper.domain.onchain import DAY_MS, Judged, Reading, Source
from market_scraper.ports.clock import Clock
from market_scraper.ports.views import ComponentHealth

MOMENTS_MS = 8 * 3_600_000
"""So long before a source's newest moment all its moments are held, and of days before that the last one alone.

A source that is asked every ten minutes is compared with one that is asked every three hours.
"""

JUDGED_FOR_S = 1.0
"""Venue seconds for which a verdict may be given again; it ages only by what turns stale meanwhile."""


class LiveOnChain:
    """Implements `ports.views.OnChainView`."""

    def __init__(self, clock: Clock, health: Callable[[str], ComponentHealth | None]) -> None:
        """`health` tells how a source's connector is doing, by the source's name."""
        self._clock = clock
        self._health = health
        self._opened_ms = clock.now_ms()
        self._held: dict[Key, dict[int, Reading]] = {}  # by t, oldest first
        self._newest_ms: dict[Key, int] = {}
        self._version = 0
        self._judged: tuple[int, float, Mapping[str, Judged]] | None = None  # version, when, verdicts

    def put(self, readings: Sequence[Reading]) -> None:
        """Take readings, stored or new; of one t the highest revision stays, and old days go."""
        touched = set()
        for reading in reversed(readings):  # the newest first, so that a whole history costs a glance at each day
            key = (reading.source, reading.metric)
            newest_ms = self._newest_ms.get(key, reading.t_ms)
            if reading.t_ms <= newest_ms - RECENT_DAYS * DAY_MS:
                continue
            held = self._held.setdefault(key, {})
            known = held.get(reading.t_ms)
            if known is not None and known.revision >= reading.revision:
                continue
            held[reading.t_ms] = reading
            self._newest_ms[key] = max(newest_ms, reading.t_ms)
            touched.add(key)
        for key in touched:
            self._held[key] = _thinned(self._held[key], self._newest_ms[key])
        self._version += bool(touched)

    def metric(self, name: str) -> Judged:
        """By its name, in any case."""
        metric = find_metric(name)
        if metric is None:
            raise UnknownThing(f"no on-chain metric is named {name[:40]!r}")
        return self.all()[metric.name]

    def all(self) -> Mapping[str, Judged]:
        """Every served metric, computed ones included, judged now or a moment ago."""
        now_s = self._clock.monotonic()
        if self._judged is not None:
            version, judged_s, judged = self._judged
            if version == self._version and now_s - judged_s <= JUDGED_FOR_S:
                return judged
        held = {key: list(by_t.values()) for key, by_t in self._held.items()}
        judged = judge(held, self._clock.now_ms(), self._silence())
        self._judged = self._version, now_s, judged
        return judged

    def readings(self) -> Sequence[Reading]:
        """All that is held, whether it is stored already or not."""
        return [reading for by_t in self._held.values() for reading in by_t.values()]

    @property
    def version(self) -> int:
        return self._version

    def _silence(self) -> Silence:
        """What was never given is missing since we began to ask, here or in the process that asks."""
        since_ms = self._opened_ms
        reasons = {}
        for source in Source:
            health = self._health(source)
            if health is None:
                reasons[source] = "its connector does not run"
            elif not health.report.running:
                reasons[source] = "its connector is stopped"
            elif health.report.reason is not None:
                reasons[source] = health.report.reason.removeprefix(f"{source}: ")
                since_ms = min(since_ms, health.report.failing_since_ms or since_ms)
        return Silence(since_ms=since_ms, reasons=reasons)


def _thinned(held: Mapping[int, Reading], newest_ms: int) -> dict[int, Reading]:
    """The newest moments, and the last one of each day before them; oldest first."""
    times = sorted(t_ms for t_ms in held if t_ms > newest_ms - RECENT_DAYS * DAY_MS)
    last_of_day = {t_ms // DAY_MS: t_ms for t_ms in times}
    return {t_ms: held[t_ms] for t_ms in times if t_ms > newest_ms - MOMENTS_MS or t_ms == last_of_day[t_ms // DAY_MS]}
