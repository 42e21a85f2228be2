"""One tree of errors, one shape of answer: `{"detail", "code"}` with a stable code, whatever went wrong."""

import math
from collections.abc import Mapping

import msgspec
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from market_scraper.domain.errors import (
    BusUnreachable,
    CursorExpired,
    InvalidAddress,
    InvalidInput,
    MarketScraperError,
    NoHistory,
    NotReady,
    SourceError,
    StoreError,
    UnknownThing,
)
from market_scraper.schemas.problems import Problem

RETRY_AFTER_S = 5.0
"""Told with a 503 whose cause does not know better."""


class InvalidSignalId(InvalidInput):
    """Not 24 hex digits."""


class BadCursor(InvalidInput):
    """A cursor that we did not give, or that belongs to another list."""


class UnknownSymbol(UnknownThing):
    """A coin that is not collected."""


class UnknownTrader(UnknownThing):
    """A trader who is neither ranked nor seen on the tape."""


class UnknownSignal(UnknownThing):
    """No signal has this id."""


class UnknownConnector(UnknownThing):
    """No connector has this name."""


class UnknownMetric(UnknownThing):
    """No on-chain metric has this name."""


class UnknownComponent(UnknownThing):
    """No component of the CBBI has this name."""


class Refused(MarketScraperError):
    """A client may not do this; `headers` go with the answer."""

    status = 403
    code = "write_forbidden"
    headers: Mapping[str, str] = {}


class Unauthorized(Refused):
    """The key is missing or wrong."""

    status = 401
    code = "unauthorized"
    headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


class NoOperations(NotReady):
    """This process has nobody who could carry out an order."""


_ANSWERS: dict[type[MarketScraperError], tuple[int, str]] = {
    InvalidAddress: (400, "bad_address"),
    InvalidSignalId: (400, "bad_signal_id"),
    BadCursor: (422, "bad_cursor"),
    CursorExpired: (422, "cursor_expired"),
    InvalidInput: (422, "bad_parameter"),
    UnknownSymbol: (404, "unknown_symbol"),
    UnknownTrader: (404, "unknown_trader"),
    UnknownSignal: (404, "unknown_signal"),
    UnknownConnector: (404, "unknown_connector"),
    UnknownMetric: (404, "unknown_metric"),
    UnknownComponent: (404, "unknown_component"),
    UnknownThing: (404, "unknown"),
    NoHistory: (404, "no_history"),
    NoOperations: (503, "no_operations"),
    NotReady: (503, "not_ready"),
    StoreError: (503, "store_unavailable"),
    BusUnreachable: (503, "bus_unavailable"),
    SourceError: (503, "source_unavailable"),
}
_FRAMEWORK = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}

log = structlog.get_logger(__name__)


def problem(status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """One error answer."""
    return Response(
        msgspec.json.encode(Problem(detail=detail, code=code)),
        status_code=status,
        headers=dict(headers or {}),
        media_type="application/json",
    )


def problem_of(error: MarketScraperError) -> Response:
    """The answer to an error of ours; the narrowest class in the table decides."""
    if isinstance(error, Refused):
        return problem(error.status, error.code, str(error), error.headers)
    for kind in type(error).__mro__:
        if kind in _ANSWERS:
            status, code = _ANSWERS[kind]
            return problem(status, code, str(error), _retry_after(error) if status == 503 else None)
    log.error("unmapped_error", kind=type(error).__name__)
    return problem(500, "internal_error", "something is wrong on our side")


def install(app: FastAPI) -> None:
    """Answer every error of this application in the one shape."""
    app.add_exception_handler(MarketScraperError, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _unexpected)


async def _ours(_request: Request, error: Exception) -> Response:
    assert isinstance(error, MarketScraperError)
    return problem_of(error)


async def _validation(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # The value itself is not repeated: it may be long, and it is the client's own.
    said = "; ".join(f"{'.'.join(str(part) for part in e['loc'][1:])}: {e['msg']}" for e in error.errors())
    return problem(422, "bad_parameter", said or "a parameter is wrong")


async def _framework(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _FRAMEWORK.get(error.status_code, "error")
    return problem(error.status_code, code, str(error.detail), error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
    return problem(500, "internal_error", "something is wrong on our side")


def _retry_after(error: MarketScraperError) -> dict[str, str]:
    seconds = getattr(error, "retry_after_s", None)
    return {"Retry-After": str(max(1, math.ceil(RETRY_AFTER_S if seconds is None else seconds)))}
