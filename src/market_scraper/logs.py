"""One log for the program and its libraries: events with fields, to standard error, without credentials.

Rooms write `log = structlog.get_logger(__name__)` and `log.info("source_back", source=name)`. Standard output is left
to what commands print.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from market_scraper.config.masking import MASK, mask
from market_scraper.config.sections import Logging

QUIET = ("asyncio", "httpcore2", "httpx2", "hpack", "urllib3", "uvicorn", "websockets")
"""Libraries that tell each request or connection; heard from WARNING on, or at DEBUG with everything else."""

_SECRET_FIELDS = frozenset({"api_key", "authorization", "password", "secret", "token", "cookie"})
_OWNED_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access")


def configure(settings: Logging, stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging; may be called again, the last call counts.

    Uvicorn must be run with `log_config=None`, or it puts its own handlers back.
    """
    stream = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
        _without_colour_twin,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                hide_credentials,
                *_renderers(settings, stream),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level)
    for name in _OWNED_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)  # another uvicorn in this process may have set its own
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET if settings.level == "DEBUG" else logging.WARNING)


def _renderers(settings: Logging, stream: TextIO) -> list[Processor]:
    if settings.format == "json":
        return [structlog.processors.JSONRenderer(default=str)]
    # Plain tracebacks: the other kinds show local variables, and with them names and addresses of people.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), sort_keys=False, exception_formatter=plain)]


def _without_colour_twin(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Uvicorn sends its message a second time, with colours."""
    event.pop("color_message", None)
    return event


def hide_credentials(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask credentials in every field, tracebacks included, before anything is written."""
    for key, value in event.items():
        event[key] = MASK if key.lower() in _SECRET_FIELDS and value else _masked(value)
    return event


def _masked(value: object) -> object:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, MutableMapping):
        return {key: MASK if str(key).lower() in _SECRET_FIELDS else _masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return mask(str(value))  # an exception or a URL object
