"""Rates every leaderboard pull, and again when the user's hand decides."""

import asyncio

import structlog

from market_scraper.domain.events import Event, LeaderboardCaptured, TraderChosen, TradersRated
from market_scraper.domain.rules import FilterRules, InferenceRules, ScoringRules
from market_scraper.domain.scoring import Rater
from market_scraper.domain.traders import Choice
from market_scraper.domain.values import Address, parse_address
from market_scraper.ports.bus import Bus
from market_scraper.ports.clock import Clock
from market_scraper.ports.stores import CHOICE_PREFIX, Store
from market_scraper.processors.compute import Outbox, compute, every_second
from market_scraper.processors.consume import Delays

log = structlog.get_logger()

ROWS_A_SLICE = 1_000
"""Rated in about 3 ms: how long the event loop is held at a time."""


SCORER = "scoring"
SCORED: tuple[type[Event], ...] = (LeaderboardCaptured, TraderChosen)
"""The group on the bus, and what it hears."""


class _Pull:
    """One leaderboard pull that is coming in."""

    def __init__(self, first: LeaderboardCaptured, rater: Rater) -> None:
        self.captured_at_ms = first.captured_at_ms
        self.parts = first.parts
        self.rater = rater
        self.fed = 0
        self.rows = 0

    @property
    def is_whole(self) -> bool:
        return self.fed == self.parts


class TraderScoringProcessor:
    """Turns `LeaderboardCaptured` slices into `TradersRated` slices: the same parts, once the pull is whole.

    A pull of which a part is missing is dropped and counted when the next one begins, and so is one without rows: the
    ratings before it stay. At the start the newest pull is rated and published, be it stored or still on its way to
    the store, so that others know; start them first and wait for `opened`.
    """

    def __init__(
        self,
        bus: Bus,
        store: Store,
        clock: Clock,
        scoring: ScoringRules | None = None,
        filters: FilterRules | None = None,
        inference: InferenceRules | None = None,
        *,
        delays: Delays = every_second,
    ) -> None:
        self.opened = asyncio.Event()  # set when events are heard from
        self.dropped_pulls = 0
        self._bus = bus
        self._store = store
        self._clock = clock
        self._scoring = ScoringRules() if scoring is None else scoring
        self._filters = FilterRules() if filters is None else filters
        self._inference = InferenceRules() if inference is None else inference
        self._outbox = Outbox(bus, clock, delays)
        self._choices: dict[Address, Choice] = {}
        self._pull: _Pull | None = None
        self._rated: _Pull | None = None
        self._known_at_ms = 0

    async def run(self) -> None:
        """Rate what is stored, then every pull and every choice, for ever."""
        async with self._bus.subscribe(SCORER, *SCORED) as inbox:
            self.opened.set()
            await self._restore()
            await self._outbox.flush()
            await compute(inbox, self.apply, lambda _more: None, self._outbox, limit=1)

    def apply(self, event: Event) -> None:
        """Take one event; ratings that come of it go to the outbox."""
        match event:
            case LeaderboardCaptured():
                self._captured(event)
            case TraderChosen():
                self._choices[event.trader] = event.choice
                self._publish(event.known_at_ms)
            case _:
                pass

    async def _restore(self) -> None:
        # First what the bus holds, then the store, so that nothing falls between: a collector may have published its
        # pull a moment before anybody scored, and the next one comes in an hour. A choice is stored before it is told.
        held = [e.event async for batch in self._bus.retained(LeaderboardCaptured) for e in batch]
        await self._restore_stored()
        for event in held:
            self.apply(event)

    async def _restore_stored(self) -> None:
        stored = await self._store.settings.with_prefix(CHOICE_PREFIX)
        self._choices = {parse_address(key.removeprefix(CHOICE_PREFIX)): Choice(value) for key, value in stored.items()}
        latest = await self._store.traders.latest_rows()
        if latest is None:
            return
        captured_at_ms, rows = latest
        slices = [rows[first : first + ROWS_A_SLICE] for first in range(0, len(rows), ROWS_A_SLICE)]
        for part, some in enumerate(slices):
            self._captured(
                LeaderboardCaptured(
                    known_at_ms=self._clock.now_ms(),
                    captured_at_ms=captured_at_ms,
                    part=part,
                    parts=len(slices),
                    rows=tuple(some),
                )
            )
            await self._clock.sleep(0)

    def _captured(self, event: LeaderboardCaptured) -> None:
        if self._rated is not None and event.captured_at_ms <= self._rated.captured_at_ms:
            return  # delivered again, or overtaken
        pull = self._pull
        if pull is None or event.captured_at_ms > pull.captured_at_ms:
            if pull is not None:
                self._drop(pull, "a part is missing")
            pull = self._pull = _Pull(event, Rater(self._scoring, self._filters, self._inference))
        if event.captured_at_ms != pull.captured_at_ms or event.part != pull.fed:
            return  # delivered again, or a part before it is missing: then this pull never gets whole
        pull.rater.feed(event.rows)
        pull.fed += 1
        pull.rows += len(event.rows)
        if not pull.is_whole:
            return
        self._pull = None
        if not pull.rows:
            self._drop(pull, "it has no rows")
            return
        self._rated = pull
        self._publish(event.known_at_ms)

    def _drop(self, pull: _Pull, reason: str) -> None:
        self.dropped_pulls += 1
        log.warning("pull_dropped", reason=reason, parts=pull.parts, fed=pull.fed, captured_at_ms=pull.captured_at_ms)

    def _publish(self, known_at_ms: int) -> None:
        rated = self._rated
        if rated is None:
            return
        self._known_at_ms = max(self._known_at_ms, known_at_ms, rated.captured_at_ms)
        self._outbox.add(
            [
                TradersRated(
                    known_at_ms=self._known_at_ms,
                    captured_at_ms=rated.captured_at_ms,
                    part=part,
                    parts=rated.parts,
                    traders=tuple(traders),
                )
                for part, traders in enumerate(rated.rater.choose(self._choices))
            ]
        )
