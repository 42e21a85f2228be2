from typing import Any

import pytest

from market_scraper.domain.events import ComponentReported
from market_scraper.views.health import SILENT_AFTER_S, LiveHealth
from tests.fakes import FakeClock

NOW_MS = 1_000_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now_ms=NOW_MS)


def report(name: str = "candles", **fields: Any) -> ComponentReported:
    values: dict[str, Any] = {
        "known_at_ms": NOW_MS,
        "kind": "connector",
        "running": True,
        "last_success_ms": NOW_MS,
        "allowed_age_s": 10.0,
        "errors": 0,
        "reason": None,
        "failing_since_ms": None,
    }
    return ComponentReported(name=name, **{**values, **fields})


def status(view: LiveHealth, name: str = "candles") -> str:
    health = view.get(name)
    assert health is not None
    return health.status


def test_a_component_is_healthy_because_data_came_within_its_allowed_age(clock: FakeClock) -> None:
    view = LiveHealth(clock)
    view.apply(report())
    clock.jump_ms(10_000)
    assert status(view) == "healthy"
    health = view.get("candles")
    assert health is not None
    assert health.age_s == 10.0
    clock.jump_ms(1)
    assert status(view) == "unhealthy"


def test_what_fails_within_its_allowed_age_is_degraded(clock: FakeClock) -> None:
    view = LiveHealth(clock)
    view.apply(report(reason="away", failing_since_ms=NOW_MS))
    assert status(view) == "degraded"


def test_what_has_not_spoken_yet_is_degraded_and_then_unhealthy(clock: FakeClock) -> None:
    view = LiveHealth(clock)
    view.apply(report(last_success_ms=None))
    assert status(view) == "degraded"
    clock.jump_ms(11_000)
    view.apply(report(last_success_ms=None, known_at_ms=clock.now_ms()))
    assert status(view) == "unhealthy"


def test_what_is_unhealthy_by_its_silence_says_since_when(clock: FakeClock) -> None:
    view = LiveHealth(clock)
    view.apply(report("waits", last_success_ms=None))
    view.apply(report("stands"))
    view.apply(report("fails", reason="away", failing_since_ms=NOW_MS + 1))
    clock.jump_ms(11_000)
    reports = {component.name: component.report for component in view.components()}
    assert (reports["waits"].reason, reports["waits"].failing_since_ms) == ("no data yet, expected within 10 s", NOW_MS)
    assert (reports["stands"].reason, reports["stands"].failing_since_ms) == (
        "no new data, expected within 10 s",
        NOW_MS,
    )
    assert (reports["fails"].reason, reports["fails"].failing_since_ms) == ("away", NOW_MS + 1)
    clock.jump_ms(int(SILENT_AFTER_S * 1000))
    gone = view.get("stands")
    assert gone is not None
    assert gone.report.reason == "its process says nothing any more"


def test_what_was_started_again_gets_its_time_anew(clock: FakeClock) -> None:
    view = LiveHealth(clock)
    view.apply(report(last_success_ms=None, running=False))
    assert status(view) == "stopped"
    clock.jump_ms(20_000)
    view.apply(report(last_success_ms=None, known_at_ms=clock.now_ms()))
    assert status(view) == "degraded"


def test_a_component_without_due_data_is_healthy_unless_it_fails(clock: FakeClock) -> None:
    view = LiveHealth(clock)
    view.apply(report(allowed_age_s=None, last_success_ms=None))
    assert status(view) == "healthy"


def test_a_silent_process_is_unhealthy_whatever_it_said_last(clock: FakeClock) -> None:
    view = LiveHealth(clock)
    view.apply(report(allowed_age_s=None))
    view.apply(report("stopped", running=False))
    clock.jump_ms(int(SILENT_AFTER_S * 1000) + 1)
    assert status(view) == status(view, "stopped") == "unhealthy"


def test_an_older_report_never_replaces_a_newer_one(clock: FakeClock) -> None:
    view = LiveHealth(clock)
    view.apply(report())
    view.apply(report(known_at_ms=NOW_MS - 1, reason="old news"))
    assert status(view) == "healthy"


def test_overall_is_healthy_degraded_or_unhealthy(clock: FakeClock) -> None:
    view = LiveHealth(clock, required=("store", "tape"))
    assert view.overall() == "unhealthy"
    view.apply(report("store", kind="store"))
    assert view.overall() == "degraded"  # the tape is missing
    view.apply(report("tape", kind="tape"))
    view.apply(report("cbbi", running=False))
    assert view.overall() == "healthy"
    view.apply(report("cbbi", last_success_ms=0))
    assert view.overall() == "degraded"
    for name in ("store", "tape"):
        view.apply(report(name, last_success_ms=0))
    view.apply(report("cbbi"))
    assert view.overall() == "unhealthy"


def test_readiness_asks_for_the_required_components_alone(clock: FakeClock) -> None:
    view = LiveHealth(clock, required=("store", "tape"))
    view.apply(report("store"))
    view.apply(report("cbbi", last_success_ms=0))
    assert view.checks() == {"store": True, "tape": False}
    view.apply(report("tape", reason="one socket of three is away", failing_since_ms=NOW_MS))
    assert view.checks() == {"store": True, "tape": True}
    view.apply(report("tape", running=False))
    assert view.checks() == {"store": True, "tape": False}


def test_nothing_is_ready_before_its_first_data(clock: FakeClock) -> None:
    view = LiveHealth(clock, required=("tape",))
    view.apply(report("tape", last_success_ms=None))
    assert status(view, "tape") == "degraded"
    assert view.checks() == {"tape": False}
    view.apply(report("tape"))
    assert view.checks() == {"tape": True}


def test_a_report_that_is_seen_twice_changes_nothing(clock: FakeClock) -> None:
    view = LiveHealth(clock)
    view.apply(report(last_success_ms=None))
    before = view.components()
    view.apply(report(last_success_ms=None))
    assert view.components() == before
