"""What a stored collection looks like, whatever keeps it: fields with kinds, a key, what makes a row newer."""

import re
from enum import StrEnum
from functools import lru_cache

import msgspec

from market_scraper.domain.errors import InvalidSymbol
from market_scraper.domain.values import Interval, Symbol, parse_symbol


class Kind(StrEnum):
    """What a field holds. Each backend says how it keeps that."""

    TIME = "time"  # milliseconds in a document here; a datetime in MongoDB, an integer in SQLite
    INT = "int"
    REAL = "real"
    TEXT = "text"
    FLAG = "flag"
    NESTED = "nested"  # lists and objects of numbers and text; JSON text in SQLite
    BYTES = "bytes"  # zstd over JSON


class Field(msgspec.Struct, frozen=True):
    """One field by its short stored name."""

    name: str
    kind: Kind
    meaning: str
    optional: bool = False


class Collection(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A collection: a table in SQLite, a collection in MongoDB.

    A row replaces the one with its `key` unless `newest_by`, compared field by field, would fall.
    `in_place`: there are few rows, and each is replaced again and again.
    `expires_by` is the time field that retention looks at.
    """

    name: str
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    newest_by: tuple[str, ...] = ()
    in_place: bool = False
    indexes: tuple[tuple[str, ...], ...] = ()
    expires_by: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Short names in stored order."""
        return tuple(field.name for field in self.fields)


_CANDLES = re.compile(r"(?:(?P<dex>[a-z0-9]*)__)?(?P<coin>[a-z0-9_]+?)_candles_(?P<interval>[0-9]+[mhd])", re.ASCII)
_RESERVED = "sqlite_"  # SQLite keeps names that begin so for itself


@lru_cache(maxsize=4096)
def candles_name(symbol: Symbol, interval: Interval) -> str:
    """Name the collection of one series: BTC, 1h gives `btc_candles_1h`.

    Names must differ where case does not count (SQLite) and be plain words, so a lower-case letter of the coin is
    marked by `_` (kPEPE: `_kpepe_candles_1h`) and a dex stands before `__` (xyz:TSLA: `xyz__tsla_candles_1h`).
    Raises InvalidSymbol for what is none: a table's name must not come from a stranger.
    """
    parse_symbol(symbol)
    dex, colon, coin = symbol.rpartition(":")
    marked = "".join(f"_{letter}" if letter.islower() else letter.lower() for letter in coin)
    prefix = f"{dex}__" if colon or f"{marked}_".startswith(_RESERVED) else ""
    return f"{prefix}{marked}_candles_{interval}"


def series_of(name: str) -> tuple[Symbol, Interval] | None:
    """Read a collection's name back; None when it is not a collection of candles."""
    found = _CANDLES.fullmatch(name)
    if found is None or found["interval"] not in set(Interval):
        return None
    coin = re.sub(r"(_?)([a-z])", lambda m: m[2] if m[1] else m[2].upper(), found["coin"])
    try:
        symbol = parse_symbol(f"{found['dex']}:{coin}" if found["dex"] else coin)
    except InvalidSymbol:
        return None
    return symbol, Interval(found["interval"])
