"""What the log shows, and what it never shows."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from market_scraper import logs
from market_scraper.config.sections import Logging


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_events_and_a_library_s_are_lines_of_one_shape() -> None:
    stream = io.StringIO()
    logs.configure(Logging(format="json"), stream)
    structlog.get_logger("ours").warning("source_down", source="venue")
    logging.getLogger("uvicorn.error").warning("Odd on %s", "port", extra={"color_message": "twin"})

    ours, theirs = lines(stream)
    assert (ours["event"], ours["source"], ours["level"], ours["logger"]) == ("source_down", "venue", "warning", "ours")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("Odd on port", "warning", "uvicorn.error")
    assert "color_message" not in theirs
    assert str(ours["timestamp"]).endswith("Z")


def test_no_credential_is_written_in_fields_messages_or_tracebacks() -> None:
    stream = io.StringIO()
    logs.configure(Logging(format="json"), stream)
    log = structlog.get_logger()
    log.info(
        "a",
        url="mongodb://user:hunter2@host",
        api_key="hunter2",
        nested={"token": "hunter2", "n": ["redis://:hunter2@h"]},
    )
    log.info("at mongodb://user:hunter2@host", error=ValueError("https://hunter2@host"))
    try:
        raise OSError("cannot reach redis://:hunter2@host")
    except OSError:
        log.exception("failed")
    logging.getLogger("theirs").error("GET https://h/?apikey=hunter2")

    assert len(lines(stream)) == 4
    assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize("name", ["httpx2", "websockets.client", "uvicorn.error", "uvicorn.access"])
def test_libraries_that_tell_each_request_are_quiet_below_warning(name: str) -> None:
    stream = io.StringIO()
    logs.configure(Logging(format="json"), stream)
    logging.getLogger(name).info("GET /")
    logging.getLogger(name).warning("odd")
    assert [line["event"] for line in lines(stream)] == ["odd"]


def test_the_level_is_the_user_s_and_a_pipe_gets_no_colour() -> None:
    stream = io.StringIO()
    logs.configure(Logging(level="WARNING"), stream)
    structlog.get_logger().info("unseen")
    structlog.get_logger().warning("seen", n=1)
    assert "unseen" not in stream.getvalue()
    assert "seen" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_traceback_shows_no_local_variables_of_which_some_are_people() -> None:
    for shape in ("console", "json"):
        stream = io.StringIO()
        logs.configure(Logging(format=shape), stream)
        try:
            _parse_a_row()
        except ValueError:
            structlog.get_logger().exception("failed")
            logging.getLogger("theirs").exception("failed there")
        assert stream.getvalue().count("ValueError: no such window") == 2
        assert "Satoshi" not in stream.getvalue()


def _parse_a_row() -> None:
    display_name = "".join(["Sato", "shi"])  # its value stands in no line of source that a traceback quotes
    if display_name:
        raise ValueError("no such window")
