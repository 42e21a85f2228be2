"""The two lines that a log reader gets of an outage."""

from collections.abc import Iterator

import pytest
import structlog.testing
from structlog.typing import EventDict

from market_scraper.connectors.hyperliquid.outage import Outage


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def said(lines: list[EventDict]) -> list[str]:
    return [line["event"] for line in lines]


def test_a_turn_is_said_once_with_its_reason(lines: list[EventDict]) -> None:
    outage = Outage("venue")
    outage.answered()
    outage.failed("HTTP 500")
    outage.failed("HTTP 502")
    assert outage.reason == "HTTP 502"
    outage.answered()
    outage.answered()
    assert [(line["event"], line["source"]) for line in lines] == [("source_down", "venue"), ("source_back", "venue")]
    assert (lines[0]["reason"], lines[1]["was"]) == ("HTTP 500", "HTTP 502")


def test_answers_that_were_under_way_when_the_outage_began_are_no_return(lines: list[EventDict]) -> None:
    outage = Outage("venue")
    first, second, third = outage.asked(), outage.asked(), outage.asked()
    outage.failed("ConnectError", second)
    outage.answered(first)
    outage.answered(third)  # sent before anybody knew
    assert outage.reason == "ConnectError"
    outage.answered(outage.asked())
    assert said(lines) == ["source_down", "source_back"]


def test_a_failure_of_before_the_return_is_no_new_outage(lines: list[EventDict]) -> None:
    outage = Outage("venue")
    outage.failed("ConnectError", outage.asked())
    slow, quick = outage.asked(), outage.asked()
    outage.answered(quick)
    outage.failed("TimeoutError", slow)
    assert outage.reason is None
    assert said(lines) == ["source_down", "source_back"]
    outage.failed("TimeoutError", outage.asked())
    assert said(lines)[2:] == ["source_down"]


def test_it_comes_back_though_failures_of_old_requests_go_on_for_a_while(lines: list[EventDict]) -> None:
    outage = Outage("venue")
    old = [outage.asked() for _ in range(5)]
    for request in old:
        outage.failed("TimeoutError", request)
        outage.answered(outage.asked())
    assert said(lines) == ["source_down", "source_back"]
