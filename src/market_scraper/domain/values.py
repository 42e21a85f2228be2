"""Values parsed once at the door, into types that mean "valid"."""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NewType

from market_scraper.domain.errors import InvalidAddress, InvalidInput, InvalidSymbol

Address = NewType("Address", str)
"""A 20-byte account as lower-case 0x-hex; made by `parse_address` alone. A plain `str`, for it is a hot key."""

Symbol = NewType("Symbol", str)
"""A coin as the venue spells it, case kept: `BTC`, `kPEPE`, `xyz:TSLA`. Made by `parse_symbol` alone."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_SYMBOL = re.compile(r"(?:[a-z0-9]{1,12}:)?[A-Za-z0-9]{1,24}", re.ASCII)


def parse_address(raw: str) -> Address:
    """Give the address in lower case, or raise InvalidAddress."""
    if not _ADDRESS.fullmatch(raw):
        raise InvalidAddress(f"expected 0x and 40 hex digits, was {raw[:80]!r}")
    return Address(raw.lower())


def parse_symbol(raw: str) -> Symbol:
    """Give a perp's name as it stands, or raise InvalidSymbol (spot `@107` and outcome `#1` coins are none)."""
    if not _SYMBOL.fullmatch(raw):
        raise InvalidSymbol(f"expected a coin name such as BTC or xyz:TSLA, was {raw[:80]!r}")
    return Symbol(raw)


class Interval(StrEnum):
    """The six candle intervals that we keep."""

    M1 = "1m"
    M5 = "5m"
    M15 = "15m"
    H1 = "1h"
    H4 = "4h"
    D1 = "1d"

    @property
    def ms(self) -> int:
        """Length in milliseconds."""
        return _INTERVAL_MS[self]


_INTERVAL_MS = {
    Interval.M1: 60_000,
    Interval.M5: 300_000,
    Interval.M15: 900_000,
    Interval.H1: 3_600_000,
    Interval.H4: 14_400_000,
    Interval.D1: 86_400_000,
}


class Recommendation(StrEnum):
    """What a signal advises."""

    BUY = "BUY"
    SELL = "SELL"
    NEUTRAL = "NEUTRAL"


def from_ms(ms: int) -> datetime:
    """Milliseconds since the epoch as an aware UTC datetime, exact to the millisecond."""
    return EPOCH + timedelta(milliseconds=ms)


def to_ms(moment: datetime) -> int:
    """An aware datetime as whole milliseconds since the epoch (rounded down); naive ones are refused."""
    if moment.tzinfo is None:
        raise InvalidInput("expected a time with a zone")
    return (moment - EPOCH) // timedelta(milliseconds=1)


def iso(ms: int) -> str:
    """Milliseconds since the epoch as ISO-8601 UTC with `Z`, to the millisecond."""
    return from_ms(ms).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def coins(lots: int, sz_decimals: int) -> float:
    """A signed size in coins from whole lots of 10**-sz_decimals; the nearest float to the exact decimal."""
    return float(lots / 10**sz_decimals)
