import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from market_scraper.domain.events import ComponentReported, Event
from market_scraper.runtime.health import Reports
from tests.fakes import FakeClock, settle


class Told:
    """Keeps what was published."""

    def __init__(self) -> None:
        self.reports: list[ComponentReported] = []

    async def publish(self, events: Sequence[Event]) -> None:
        for event in events:
            assert isinstance(event, ComponentReported)
            self.reports.append(event)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now_ms=1_000_000)


async def test_a_change_is_told_at_once_and_sameness_every_ten_seconds(told: Told, clock: FakeClock) -> None:
    reports = Reports(clock, told.publish)
    candles = reports.reporter("candles", "connector", allowed_age_s=90)
    task = asyncio.create_task(reports.run())
    await settle()
    assert [report.last_success_ms for report in told.reports] == [None]
    candles.ok({"bars": 3})
    await settle()
    assert told.reports[-1].last_success_ms == 1_000_000
    assert told.reports[-1].detail == {"bars": 3}
    for _ in range(5):
        await clock.advance(1)
        candles.ok()
    assert len(told.reports) == 2
    await clock.advance(6)
    assert len(told.reports) == 3
    assert told.reports[-1].last_success_ms == 1_005_000
    candles.failed("venue: away")
    await settle()
    assert told.reports[-1].reason == "venue: away"
    assert told.reports[-1].failing_since_ms == 1_011_000
    assert told.reports[-1].detail == {"bars": 3}
    task.cancel()


async def test_only_the_turns_are_logged_and_every_error_is_counted(told: Told, clock: FakeClock) -> None:
    source = Reports(clock, told.publish).reporter("cbbi", "connector")
    with capture_logs() as lines:
        source.ok()
        source.failed("away")
        source.failed("away")
        source.failed("still away")
        source.ok()
        source.ok()
    assert [line["event"] for line in lines] == ["component_down", "component_back"]
    assert source.report().errors == 3


async def test_what_the_source_has_logged_is_not_logged_again(told: Told, clock: FakeClock) -> None:
    candles = Reports(clock, told.publish).reporter("candles", "connector")
    with capture_logs() as lines:
        candles.failed("venue: away", told=True)
        candles.ok()
        candles.failed("venue: away", told=True)
        candles.failed("unreadable")
        candles.ok()
    assert [line["event"] for line in lines] == ["component_down", "component_back"]
    assert lines[0]["reason"] == "unreadable"
    assert candles.report().errors == 3


async def test_a_stop_on_purpose_is_told_and_ends_what_failed(told: Told, clock: FakeClock) -> None:
    source = Reports(clock, told.publish).reporter("cbbi", "connector")
    source.failed("away")
    source.runs(False)
    assert source.report().running is False
    assert source.report().reason is None
    source.runs(True)
    assert source.report().running is True


async def test_a_component_has_one_voice(told: Told, clock: FakeClock) -> None:
    reports = Reports(clock, told.publish)
    assert reports.reporter("a", "bus") is reports.reporter("a", "bus")


async def test_what_every_process_has_is_shown_here_and_told_to_nobody(told: Told, clock: FakeClock) -> None:
    shown: list[Event] = []
    reports = Reports(clock, told.publish, shown.append)
    reports.reporter("store", "store", local=True)
    reports.reporter("candles", "connector")
    task = asyncio.create_task(reports.run())
    await settle()
    assert [report.name for report in told.reports] == ["candles"]
    assert [event.name for event in shown if isinstance(event, ComponentReported)] == ["store", "candles"]
    task.cancel()


async def test_nothing_more_is_told_of_what_another_process_tells_of(told: Told, clock: FakeClock) -> None:
    reports = Reports(clock, told.publish)
    reports.reporter("store", "store")
    candles = reports.reporter("candles", "connector")
    reports.forget(["candles"])
    candles.failed("venue: away")
    task = asyncio.create_task(reports.run())
    await clock.advance(20)
    assert {report.name for report in told.reports} == {"store"}
    task.cancel()
