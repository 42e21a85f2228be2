"""One on-chain source: asked by its own clock, what is new in its answer published, its health told."""

from collections.abc import Callable, Iterator, Sequence

import msgspec
import structlog

from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.events import ReadingsTaken
from market_scraper.domain.onchain import DAY_MS, Answer, Note, Observation, Reading, Source
from market_scraper.domain.revisions import Revisions
from market_scraper.ports.bus import Bus
from market_scraper.ports.clock import Clock
from market_scraper.ports.reporting import Detail, Reporter
from market_scraper.ports.sources import OnChainSource
from market_scraper.ports.stores import ReadingReader

log = structlog.get_logger(__name__)

OBSERVATIONS_A_SLICE = 1_000
"""Compared and published in one go; some 2 ms of the event loop."""

SOONEST_S = 60.0
"""No source is asked more often than that, whatever it says of itself."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """When a source is asked, in venue seconds."""

    every_s: float  # while something may be new at any time, or is overdue
    most_s: float  # the longest pause that the source's own word is believed for
    daily_at_s: float | None = None  # seconds after 00:00 UTC at which yesterday's value is there; None = no such time


SCHEDULES: dict[Source, Schedule] = {
    # Last-24-hour figures that change with blocks; the host asks for politeness and caches (facts, section 4).
    Source.BLOCKCHAIN_INFO: Schedule(every_s=600.0, most_s=3_600.0),
    # Tells with its newest value when the next one is due.
    Source.FEAR_GREED: Schedule(every_s=900.0, most_s=6 * 3_600.0),
    # A day is complete at about 03:22 UTC of the next (facts, section 3); late ones come within hours.
    Source.COIN_METRICS: Schedule(every_s=1_800.0, most_s=86_400.0, daily_at_s=3.5 * 3_600),
    Source.EXCHANGE_FLOW: Schedule(every_s=1_800.0, most_s=86_400.0, daily_at_s=3.5 * 3_600),
    # One day is written at about 01:00, 03:00 and 08:30 UTC; a question between costs a 304.
    Source.CBBI: Schedule(every_s=3_600.0, most_s=3_600.0),
    # Its last two days move with every block; each look keeps a revision of all that moved.
    Source.BITVIEW: Schedule(every_s=3 * 3_600.0, most_s=3 * 3_600.0),
}


def pause_s(schedule: Schedule, answer: Answer, newest: dict[str, int], now_ms: int) -> float:
    """How long to leave the source alone after `answer`, with `newest` t of each metric in hand."""
    if answer.next_in_s is not None:
        return min(max(answer.next_in_s, SOONEST_S), schedule.most_s)
    today_ms = now_ms - now_ms % DAY_MS
    if schedule.daily_at_s is not None and newest and min(newest.values()) >= today_ms - DAY_MS:
        return (today_ms + DAY_MS - now_ms) / 1000 + schedule.daily_at_s
    return schedule.every_s


def growing(first_s: float, most_s: float) -> Iterator[float]:
    """Twice as long each time, for ever; never more than `most_s`."""
    wait_s = first_s
    while True:
        yield min(wait_s, most_s)
        wait_s = min(2 * wait_s, most_s)


class OnChainCollector:
    """Keeps one source's readings up to date. `run` may be cancelled and run again."""

    def __init__(
        self,
        source: OnChainSource,
        *,
        bus: Bus,
        store: ReadingReader,
        clock: Clock,
        reporter: Reporter,
        schedule: Schedule,
        delays: Callable[[], Iterator[float]],
        history_days: int = 0,
    ) -> None:
        """`delays` gives the growing pauses of one spell of trouble, in venue seconds.

        Of what is not stored yet the last `history_days` are taken; 0 = all that the source has.
        """
        self._source = source
        self._bus = bus
        self._store = store
        self._clock = clock
        self._reporter = reporter
        self._schedule = schedule
        self._delays = delays
        self._history_ms = history_days * DAY_MS
        self._revisions: Revisions | None = None  # None: to be read from the store
        self._taken = 0
        self._told: tuple[Note, ...] = ()
        self._notes: str | None = None  # of the last good answer

    async def run(self) -> None:
        """Ask, publish what is new, and wait until something new is due; until cancelled.

        An answer that cannot be read is most often one that was cut: it is asked for again in a minute, then ever more
        rarely, at last as often as the source is asked anyway.
        """
        revisions = self._revisions = self._revisions or await self._remembered()
        delays, unreadable = self._delays(), self._unreadable()
        while True:
            now_ms = self._clock.now_ms()
            from_ms = now_ms - now_ms % DAY_MS - self._history_ms if self._history_ms else 0
            try:
                answer = await self._source.read(self._had(revisions, from_ms), now_ms)
            except SourceError as error:
                wait_s = max(next(delays), error.retry_after_s or 0.0)
                self._reporter.failed(str(error), detail=self._figures(revisions, wait_s))
            except InvalidInput as error:
                wait_s = min(max(next(delays), next(unreadable)), self._schedule.every_s)
                self._reporter.failed(f"{self._source.name}: {error}", detail=self._figures(revisions, wait_s))
            else:
                delays, unreadable = self._delays(), self._unreadable()
                said = [each for each in answer.observations if each.t_ms >= from_ms]
                await self._publish(revisions, said, answer.withdrawn)
                wait_s = pause_s(self._schedule, answer, revisions.newest, self._clock.now_ms())
                self._tell(revisions, answer, wait_s)
            await self._clock.sleep(wait_s)

    def _unreadable(self) -> Iterator[float]:
        return growing(SOONEST_S, self._schedule.every_s)

    def _had(self, revisions: Revisions, from_ms: int) -> dict[str, int]:
        """What the source need not give again; a metric of which we have nothing begins at `from_ms`."""
        newest = revisions.newest
        return {**dict.fromkeys(self._source.metrics, from_ms), **newest} if from_ms else newest

    async def _remembered(self) -> Revisions:
        revisions = Revisions(self._source.name)
        async for readings in self._store.values(self._source.name, since_ms=0):
            revisions.remember(readings)
        return revisions

    async def _publish(
        self, revisions: Revisions, said: Sequence[Observation], withdrawn: Sequence[tuple[str, int]]
    ) -> None:
        """Publish in slices; who is interrupted has not published all it took, and looks into the store next time."""
        self._revisions = None
        for start in range(0, len(said), OBSERVATIONS_A_SLICE):
            now_ms = self._clock.now_ms()
            await self._hand_over(revisions.take(said[start : start + OBSERVATIONS_A_SLICE], now_ms), now_ms)
            await self._clock.sleep(0)
        now_ms = self._clock.now_ms()
        await self._hand_over(revisions.take_back(withdrawn, now_ms), now_ms)
        self._revisions = revisions

    async def _hand_over(self, readings: Sequence[Reading], now_ms: int) -> None:
        if readings:
            self._taken += len(readings)
            await self._bus.publish([ReadingsTaken(known_at_ms=now_ms, readings=tuple(readings))])

    def _tell(self, revisions: Revisions, answer: Answer, wait_s: float) -> None:
        """Say that it is well; what its operator should know beside that is logged when it changes."""
        self._notes = "; ".join(note.text for note in answer.notes) or None
        self._reporter.ok(self._figures(revisions, wait_s))
        if not answer.unchanged and answer.notes != self._told:
            self._told = answer.notes
            for note in answer.notes:
                log.warning("source_note", source=self._source.name.value, kind=note.kind, note=note.text)

    def _figures(self, revisions: Revisions, wait_s: float) -> Detail:
        """What is shown of it, well or not; `next_in_s` from now it is asked again."""
        return {
            "values": revisions.values,
            "new_readings": self._taken,
            "restated": revisions.restated,
            "newest_ms": max(revisions.newest.values(), default=None),
            "next_in_s": round(wait_s),
            "notes": self._notes,
        }
