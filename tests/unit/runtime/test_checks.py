from collections.abc import Sequence

from structlog.testing import capture_logs

from market_scraper.domain.events import ComponentReported
from market_scraper.runtime.checks import HealthCheck
from market_scraper.views.health import LiveHealth
from tests.fakes import FakeClock

START_MS = 1_700_000_000_000


class Members:
    """Components that report as told, and the view that judges them."""

    def __init__(self) -> None:
        self.clock = FakeClock(START_MS)
        self.view = LiveHealth(self.clock)

    def say(self, name: str, kind: str, *, success_at_ms: int | None, running: bool = True) -> None:
        self.view.apply(
            ComponentReported(
                known_at_ms=self.clock.now_ms(),
                name=name,
                kind=kind,
                running=running,
                last_success_ms=success_at_ms,
                allowed_age_s=60.0,
                errors=0,
                reason=None,
                failing_since_ms=None,
            )
        )


async def nothing_ended() -> Sequence[str]:
    return []


async def test_each_turn_is_one_line_with_since_when_and_why_however_often_one_looks() -> None:
    members = Members()
    check = HealthCheck(members.view)
    look_at_connectors = check.connectors(nothing_ended)
    members.say("candles", "connector", success_at_ms=START_MS)
    members.say("store", "store", success_at_ms=START_MS)
    with capture_logs() as logs:
        await check.check_all()
        assert logs == []
        await members.clock.advance(61)
        members.say("candles", "connector", success_at_ms=START_MS)
        members.say("store", "store", success_at_ms=START_MS)
        await look_at_connectors()
        await check.check_all()
        await look_at_connectors()
        await check.check_all()
    since = "2023-11-14T22:13:20.000Z"
    assert [(line["event"], line["component"], line["since"]) for line in logs] == [
        ("component_unhealthy", "candles", since),
        ("component_unhealthy", "store", since),
    ]
    assert logs[0]["reason"] == "no new data, expected within 60 s"
    with capture_logs() as logs:
        members.say("candles", "connector", success_at_ms=members.clock.now_ms())
        await look_at_connectors()
        await check.check_all()
    assert [(line["event"], line["component"]) for line in logs] == [("component_well_again", "candles")]


async def test_a_process_that_fell_silent_is_noticed_and_one_stopped_on_purpose_is_not() -> None:
    members = Members()
    check = HealthCheck(members.view)
    members.say("persister", "processor", success_at_ms=START_MS)
    members.say("fear_greed", "connector", success_at_ms=None, running=False)
    await members.clock.advance(31)
    members.say("fear_greed", "connector", success_at_ms=None, running=False)
    with capture_logs() as logs:
        await check.check_all()
    assert [(line["component"], line["reason"]) for line in logs] == [
        ("persister", "its process says nothing any more")
    ]
