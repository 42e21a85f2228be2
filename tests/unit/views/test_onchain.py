"""The newest readings, judged when they are asked for."""

import pytest

from market_scraper.domain.crosscheck import RECENT_DAYS as DAYS
from market_scraper.domain.errors import UnknownThing
from market_scraper.domain.events import ComponentReported, ReadingsTaken
from market_scraper.domain.onchain import DAY_MS, Reading, ReadingState
from market_scraper.ports.stores import ReadingRow
from market_scraper.ports.views import OnChainView
from market_scraper.storage.memory import MemoryRepository
from market_scraper.views.all import LiveViews
from market_scraper.views.onchain import LiveOnChain
from tests.fakes import FakeClock
from tests.onchain_facts import BITVIEW, CM, INFO, NOW_MS, TODAY_MS, everything, reading, series


def new_view(clock: FakeClock | None = None) -> LiveOnChain:
    return LiveOnChain(clock or FakeClock(NOW_MS), lambda _: None)


def report(
    name: str, *, running: bool = True, reason: str | None = None, since_ms: int | None = None
) -> ComponentReported:
    return ComponentReported(
        known_at_ms=NOW_MS,
        name=name,
        kind="connector",
        running=running,
        last_success_ms=None,
        allowed_age_s=None,
        errors=0,
        reason=reason,
        failing_since_ms=since_ms,
    )


async def test_the_view_is_filled_from_the_store_and_kept_by_the_bus() -> None:
    store = MemoryRepository()
    await store.write([ReadingRow(reading=each) for each in series(BITVIEW, "sopr", 1.01, 1.02, newest_days_ago=1)])
    views = LiveViews(FakeClock(NOW_MS), rate=lambda *_: [])
    await views.load(store, [])
    stored = views.onchain.metric("sopr").reading
    views.apply(ReadingsTaken(known_at_ms=NOW_MS, readings=(reading(BITVIEW, "sopr", 1.03),)))
    taken = views.onchain.metric("SOPR").reading
    assert stored is not None
    assert taken is not None
    assert (stored.value, taken.value) == (1.02, 1.03)


def test_the_newest_revision_stays_whatever_comes_last() -> None:
    view: OnChainView = new_view()
    assert isinstance(view, LiveOnChain)
    view.put([reading(BITVIEW, "sopr", 1.5, revision=2)])
    version = view.version
    view.put([reading(BITVIEW, "sopr", 1.4, revision=1), reading(BITVIEW, "sopr", 1.5, revision=2)])
    assert view.version == version
    assert [each.value for each in view.readings()] == [1.5]


def test_of_a_whole_history_the_newest_days_are_held() -> None:
    view = new_view()
    history = series(BITVIEW, "sopr", *[1 + n / 10_000 for n in range(6_000)])
    for start in range(0, len(history), 1_000):
        view.put(history[start : start + 1_000])
    assert list(view.readings()) == history[-DAYS:]
    view.put([reading(BITVIEW, "sopr", 9.0, days_ago=DAYS)])
    assert list(view.readings()) == history[-DAYS:]


def test_of_moments_the_newest_hours_are_held_and_one_of_each_day_before() -> None:
    view = new_view()
    moments = [
        reading(INFO, "block_height", 970_000 - n, t_ms=NOW_MS - n * 600_000) for n in reversed(range(6 * 24 * 12))
    ]
    for each in moments:
        view.put([each])
    times = [each.t_ms for each in view.readings()]
    recent = [t_ms for t_ms in times if t_ms > NOW_MS - 8 * 3_600_000]
    assert len(recent) == 48
    assert times == sorted(times)
    assert len({t_ms // DAY_MS for t_ms in times}) <= DAYS + 1
    assert len(times) <= 48 + DAYS


async def test_what_was_good_turns_stale_without_any_event() -> None:
    clock = FakeClock(NOW_MS)
    view = new_view(clock)
    view.put([reading(BITVIEW, "sopr", 1.0)])
    assert view.metric("sopr").state is ReadingState.FINAL
    version = view.version
    await clock.advance(2 * 86_400)
    assert view.metric("sopr").state is ReadingState.STALE
    assert view.version == version


def test_a_new_reading_is_seen_at_once() -> None:
    view = new_view()
    view.put([reading(BITVIEW, "sopr", 1.0)])
    view.metric("sopr")
    view.put([reading(CM, "mvrv", 1.5), reading(BITVIEW, "mvrv", 3.0)])
    assert view.metric("mvrv").state is ReadingState.DISPUTED


async def test_with_all_sources_down_everything_is_missing_since_the_start_and_says_why() -> None:
    clock = FakeClock(NOW_MS)
    views = LiveViews(clock, rate=lambda *_: [])
    views.apply(report("bitview", reason="bitview: HTTP 500", since_ms=NOW_MS + 5_000))
    views.apply(report("coin_metrics", running=False))
    await clock.advance(60)
    views.apply(report("bitview", reason="bitview: HTTP 500", since_ms=NOW_MS + 5_000))
    one = views.onchain.metric("mvrv")
    assert (one.state, one.since_ms) == (ReadingState.MISSING, NOW_MS)
    assert one.reason is not None
    assert one.reason.endswith("bitview: HTTP 500; coin_metrics: its connector is stopped")
    views.apply(ReadingsTaken(known_at_ms=NOW_MS, readings=(reading(BITVIEW, "mvrv", 1.5),)))
    assert views.onchain.metric("mvrv").state is ReadingState.FINAL


def test_a_process_that_only_answers_says_since_when_the_asking_one_fails() -> None:
    views = LiveViews(FakeClock(NOW_MS), rate=lambda *_: [])
    views.apply(report("bitview", reason="HTTP 500", since_ms=NOW_MS - 3_600_000))
    assert views.onchain.metric("sopr").since_ms == NOW_MS - 3_600_000


def test_every_metric_is_there_and_no_other() -> None:
    view = new_view()
    view.put(everything())
    assert {one.state for one in view.all().values()} == {ReadingState.FINAL}
    with pytest.raises(UnknownThing):
        view.metric("price")


def test_the_first_days_may_come_in_any_order() -> None:
    view = new_view()
    days: list[Reading] = series(BITVIEW, "sopr", 1.1, 1.2, 1.3)
    for each in (days[2], days[0], days[1]):
        view.put([each])
    assert list(view.readings()) == days
    assert days[2].t_ms == TODAY_MS
