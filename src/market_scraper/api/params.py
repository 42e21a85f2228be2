"""Query parameters that several routes share, each parsed once at the door."""

import re
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Path, Query

from market_scraper.api.deps import ApiDeps, Deps
from market_scraper.api.errors import InvalidSignalId, UnknownSymbol
from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.values import Address, Symbol, parse_address, to_ms

HOUR_MS = 3_600_000
MAX_HOURS = 2_160

_LOST_PLUS = re.compile(r"(T.*) (\d\d:?\d\d)$")  # an unescaped `+01:00` arrives with a space
_SIGNAL_ID = re.compile(r"[0-9a-fA-F]{24}", re.ASCII)


def find_symbol(deps: ApiDeps, raw: str | None) -> Symbol:
    """The collected symbol of that name (any case, when only one fits); None = the first configured one."""
    if raw is None:
        return deps.symbols[0]
    if raw in deps.symbols:
        return Symbol(raw)
    alike = [symbol for symbol in deps.symbols if symbol.casefold() == raw.casefold()]
    if len(alike) != 1:
        raise UnknownSymbol(f"{raw[:40]!r} is not collected; {', '.join(deps.symbols)} is")
    return alike[0]


def parse_moment(raw: str, name: str) -> int:
    """ISO-8601 as milliseconds since the epoch; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", raw))
    except ValueError as error:
        raise InvalidInput(f"{name}: expected a time such as 2026-01-31T12:00:00Z, was {raw[:60]!r}") from error
    return to_ms(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


async def _symbol(
    deps: Deps,
    symbol: Annotated[str | None, Query(description="A collected coin; default: the first configured one")] = None,
) -> Symbol:
    return find_symbol(deps, symbol)


async def _path_symbol(deps: Deps, symbol: Annotated[str, Path(description="A collected coin")]) -> Symbol:
    return find_symbol(deps, symbol)


async def _as_of(
    deps: Deps,
    as_of: Annotated[
        str | None, Query(description="ISO-8601: answer only from what was true and known by then; UTC without a zone")
    ] = None,
) -> int | None:
    if as_of is None:
        return None
    moment_ms = parse_moment(as_of, "as_of")
    if moment_ms > deps.clock.now_ms():
        raise InvalidInput("as_of: lies in the future")
    return moment_ms


async def _address(
    address: Annotated[str, Path(description="0x and 40 hex digits", examples=["0x" + "0" * 40])],
) -> Address:
    return parse_address(address)


async def _signal_id(signal_id: Annotated[str, Path(description="24 hex digits")]) -> str:
    if not _SIGNAL_ID.fullmatch(signal_id):
        raise InvalidSignalId(f"expected 24 hex digits, was {signal_id[:80]!r}")
    return signal_id.lower()


AskedSymbol = Annotated[Symbol, Depends(_symbol)]
PathSymbol = Annotated[Symbol, Depends(_path_symbol)]
AsOf = Annotated[int | None, Depends(_as_of)]
PathAddress = Annotated[Address, Depends(_address)]
SignalId = Annotated[str, Depends(_signal_id)]
Hours = Annotated[int, Query(ge=1, le=MAX_HOURS, description="How far back")]
Limit = Annotated[int, Query(ge=1, le=500, description="Page size")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before, with the same parameters")]
