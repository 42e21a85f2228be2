"""An on-chain source: asked when something new is due, what is new published once, trouble waited out."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from market_scraper.collectors.onchain import OBSERVATIONS_A_SLICE, SCHEDULES, OnChainCollector, pause_s
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.events import ReadingsTaken
from market_scraper.domain.onchain import DAY_MS, Answer, Note, Observation, Reading, Source
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.stores import ReadingRow
from market_scraper.storage import MemoryRepository
from tests.fakes import FakeClock, FakeOnChainSource, FakeReporter, settle

DAY = 1_700_000_000_000 // DAY_MS * DAY_MS
HOUR_MS = 3_600_000
EVERY_S = SCHEDULES[Source.CBBI].every_s


def said(value: float, t_ms: int = DAY, metric: str = "cbbi_confidence") -> Observation:
    return Observation(metric=metric, t_ms=t_ms, value=value)


def answer(*observations: Observation, notes: tuple[Note, ...] = ()) -> Answer:
    return Answer(observations=observations, notes=notes)


def longer_and_longer() -> Iterator[float]:
    wait_s = 10.0
    while True:
        yield wait_s
        wait_s *= 2


class Bench:
    """The collector of one source on a real bus and a real store in memory; what it publishes is stored at once."""

    def __init__(self, *answers: Answer | Exception, history_days: int = 0) -> None:
        self.history_days = history_days
        self.clock, self.reporter, self.store = FakeClock(), FakeReporter(), MemoryRepository()
        self.source = FakeOnChainSource(Source.CBBI, *answers)
        self.slices: list[tuple[Reading, ...]] = []

    @property
    def readings(self) -> list[Reading]:
        return [reading for some in self.slices for reading in some]

    async def confidences(self, known_by_ms: int | None = None) -> list[float]:
        """What the store has to say, newest day first."""
        history = self.store.readings.history
        found = await history(Source.CBBI, "cbbi_confidence", since_ms=0, limit=9, known_by_ms=known_by_ms)
        return [reading.value for reading in found]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with MemoryBus(reserve_in_memory()) as bus, bus.follow(ReadingsTaken) as inbox:
            collector = OnChainCollector(
                self.source,
                bus=bus,
                store=self.store.readings,
                clock=self.clock,
                reporter=self.reporter,
                schedule=SCHEDULES[Source.CBBI],
                delays=longer_and_longer,
                history_days=self.history_days,
            )

            async def listen() -> None:
                while True:
                    for envelope in await inbox.take():
                        assert isinstance(envelope.event, ReadingsTaken)
                        self.slices.append(envelope.event.readings)
                        await self.store.write([ReadingRow(reading=each) for each in envelope.event.readings])

            tasks = [asyncio.create_task(collector.run()), asyncio.create_task(listen())]
            await settle()
            yield
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_answer_is_published_once_however_often_it_comes() -> None:
    bench = Bench(answer(said(0.5)))
    async with bench.running():
        for _ in range(3):
            await bench.clock.advance(EVERY_S)
    assert [(r.value, r.revision) for r in bench.readings] == [(0.5, 0)]
    assert bench.source.asked == [{}, *[{"cbbi_confidence": DAY}] * 3]


async def test_a_whole_history_comes_in_slices_oldest_first() -> None:
    days = [said(i / 3_000, DAY - (3_000 - i) * DAY_MS) for i in range(3_000)]
    bench = Bench(answer(*days))
    async with bench.running():
        await bench.clock.advance(1.0)
    assert max(len(some) for some in bench.slices) == OBSERVATIONS_A_SLICE
    assert [r.t_ms for r in bench.readings] == [day.t_ms for day in days]


async def test_a_restated_past_is_published_as_revisions_and_the_old_values_stay_known() -> None:
    bench = Bench(answer(said(0.5, DAY - DAY_MS), said(0.6)), answer(said(0.51, DAY - DAY_MS), said(0.6)))
    async with bench.running():
        await bench.clock.advance(EVERY_S)
        before = await bench.confidences(known_by_ms=bench.clock.now_ms() - 1)
        after = await bench.confidences()
    assert (before, after) == ([0.6, 0.5], [0.6, 0.51])
    assert [(r.revision, r.restated) for r in bench.readings] == [(0, False), (0, False), (1, True)]
    assert bench.reporter.detail["restated"] == 1


async def test_a_value_that_its_source_takes_back_stays_known_as_what_was_said_then() -> None:
    gone = Answer(observations=(said(0.4, DAY - DAY_MS),), withdrawn=(("cbbi_confidence", DAY),))
    bench = Bench(answer(said(0.4, DAY - DAY_MS), said(0.5)), gone, gone, answer(said(0.5)))
    async with bench.running():
        await bench.clock.advance(3 * EVERY_S)
    assert [(r.t_ms == DAY, r.revision, r.withdrawn) for r in bench.readings] == [
        (False, 0, False),
        (True, 0, False),
        (True, 1, True),  # once, however often it is said
        (True, 2, False),
    ]


async def test_a_past_that_is_not_wanted_is_neither_asked_for_nor_kept_but_nothing_stored_is_asked_for_less() -> None:
    days = [said(i / 10, DAY - (9 - i) * DAY_MS) for i in range(10)]
    bench = Bench(answer(*days[:7]), answer(*days), history_days=3)
    bench.source.metrics = ("cbbi_confidence", "cbbi.Puell")
    async with bench.running():
        await bench.clock.advance(EVERY_S)
    assert [r.t_ms for r in bench.readings] == [day.t_ms for day in days[6:]]
    assert bench.source.asked[0] == dict.fromkeys(bench.source.metrics, DAY - 3 * DAY_MS)
    assert bench.source.asked[1]["cbbi_confidence"] == days[6].t_ms


async def test_after_a_restart_only_what_is_new_is_published() -> None:
    bench = Bench(answer(said(0.5)))
    async with bench.running():
        await settle()
    bench.source.answers = [answer(said(0.5), said(0.7, DAY + DAY_MS))]
    async with bench.running():
        await settle()
    assert [r.value for r in bench.readings] == [0.5, 0.7]
    assert bench.source.asked == [{}, {"cbbi_confidence": DAY}]


async def test_a_source_that_is_down_is_left_alone_for_longer_and_longer_and_comes_back_by_itself() -> None:
    down = SourceError("cbbi", "HTTP 503", retry_after_s=None)
    bench = Bench(down, down, down, answer(said(0.5)))
    async with bench.running():
        await bench.clock.advance(10.0 + 20.0 + 40.0)
    assert bench.clock.slept_s[:3] == [10.0, 20.0, 40.0]
    assert bench.reporter.turns == ["cbbi: HTTP 503", "ok"]
    assert [r.value for r in bench.readings] == [0.5]


async def test_a_source_that_says_when_to_come_again_is_believed() -> None:
    bench = Bench(SourceError("cbbi", "HTTP 429", retry_after_s=300.0), answer())
    async with bench.running():
        await bench.clock.advance(1.0)
    assert bench.clock.slept_s[0] == 300.0


async def test_an_answer_that_makes_no_sense_is_told_and_nothing_of_it_is_published() -> None:
    bench = Bench(InvalidInput("HTML instead of JSON"), answer(said(0.5)))
    async with bench.running():
        assert bench.reporter.turns == ["cbbi: HTML instead of JSON"]
        assert bench.readings == []
        await bench.clock.advance(60.0)
    assert [r.value for r in bench.readings] == [0.5]


async def test_an_answer_that_cannot_be_read_is_asked_for_again_in_a_minute_and_then_ever_more_rarely() -> None:
    half = InvalidInput("unreadable answer: Input data was truncated")
    bench = Bench(*[half] * 8, answer(said(0.5)), *[half] * 2, answer(said(0.5)))
    waits_s = [60.0, 120.0, 240.0, 480.0, 960.0, 1_920.0, EVERY_S, EVERY_S]
    async with bench.running():
        for wait_s in waits_s:
            assert bench.reporter.detail["next_in_s"] == wait_s
            await bench.clock.advance(wait_s)
        await bench.clock.advance(EVERY_S + 60.0 + 120.0)
    asked_again_s = [slept_s for slept_s in bench.clock.slept_s if slept_s > 0]
    assert asked_again_s == [*waits_s, EVERY_S, 60.0, 120.0, EVERY_S]
    assert bench.reporter.turns == [f"cbbi: {half}", "ok", f"cbbi: {half}", "ok"]


async def test_while_a_source_fails_its_figures_stay_and_say_when_it_is_asked_again() -> None:
    drift = Note(kind="schema_drift", text="cbbi.Puell is gone", metric="cbbi.Puell")
    bench = Bench(answer(said(0.5), notes=(drift,)), SourceError("cbbi", "HTTP 503", retry_after_s=90.0))
    async with bench.running():
        await bench.clock.advance(EVERY_S)
        detail = bench.reporter.detail
    assert bench.reporter.turns[-1] == "cbbi: HTTP 503"
    assert (detail["values"], detail["newest_ms"], detail["next_in_s"]) == (1, DAY, 90)
    assert detail["notes"] == drift.text


async def test_what_its_operator_should_know_is_logged_when_it_changes_and_shown_while_it_holds() -> None:
    drift = Note(kind="schema_drift", text="cbbi.Puell is gone, there is Puell2", metric="cbbi.Puell")
    bench = Bench(*[answer(said(0.5), notes=(drift,))] * 3, answer(said(0.5)))
    with capture_logs() as logs:
        async with bench.running():
            await bench.clock.advance(EVERY_S)
            assert bench.reporter.detail["notes"] == drift.text
            await bench.clock.advance(2 * EVERY_S)
    assert [log["note"] for log in logs if log["event"] == "source_note"] == [drift.text]
    assert bench.reporter.detail["notes"] is None


# -- when -------------------------------------------------------------------------------------------------------------


def test_the_sources_own_word_on_when_is_believed_within_reason() -> None:
    schedule = SCHEDULES[Source.FEAR_GREED]
    assert pause_s(schedule, Answer(next_in_s=5_000.0), {}, DAY) == 5_000.0
    assert pause_s(schedule, Answer(next_in_s=0.0), {}, DAY) == 60.0
    assert pause_s(schedule, Answer(next_in_s=1e9), {}, DAY) == schedule.most_s


@pytest.mark.parametrize("hour", [4, 12, 23])
def test_a_daily_source_that_has_given_yesterday_rests_until_the_next_day_is_due(hour: int) -> None:
    schedule = SCHEDULES[Source.COIN_METRICS]
    now_ms = DAY + hour * HOUR_MS
    rest_s = pause_s(schedule, Answer(), {"mvrv": DAY - DAY_MS, "supply": DAY - DAY_MS}, now_ms)
    assert now_ms + rest_s * 1_000 == DAY + DAY_MS + 3.5 * HOUR_MS


def test_a_daily_source_of_which_one_metric_is_overdue_is_asked_again_soon() -> None:
    schedule = SCHEDULES[Source.COIN_METRICS]
    assert pause_s(schedule, Answer(), {"mvrv": DAY - DAY_MS, "supply": DAY - 2 * DAY_MS}, DAY) == schedule.every_s
