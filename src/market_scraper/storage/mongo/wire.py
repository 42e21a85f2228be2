"""Documents as MongoDB keeps them: times are BSON dates, what is null is left out.

The driver gives dates as 64-bit milliseconds (`DatetimeMS`), which is what documents hold; a `datetime` would refuse
moments outside the years 1..9999, and a query may well ask for one. Whole numbers that need 64 bits come as `int`, not
as the driver's own subclass of it, which no other encoder takes.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from bson.codec_options import CodecOptions, DatetimeConversion, TypeDecoder, TypeRegistry
from bson.datetime_ms import DatetimeMS
from bson.int64 import Int64

from market_scraper.storage.documents import Document
from market_scraper.storage.shapes import Collection, Kind

Bson = dict[str, Any]


class _Whole(TypeDecoder):
    """64-bit numbers as plain ones, wherever in a document they stand."""

    bson_type = Int64

    def transform_bson(self, value: Int64) -> int:
        return int(value)


OPTIONS: CodecOptions[Bson] = CodecOptions(
    document_class=dict,
    datetime_conversion=DatetimeConversion.DATETIME_MS,
    type_registry=TypeRegistry([_Whole()]),
)


def to_bson(shape: Collection, document: Document) -> Bson:
    """Write a document."""
    times = _times(shape)
    return {
        name: DatetimeMS(value) if name in times else value for name, value in document.items() if value is not None
    }


def from_bson(shape: Collection, stored: Mapping[str, Any]) -> Document:
    """Read a document; a field that is not there is null."""
    times = _times(shape)
    found = {name: stored.get(name) for name in shape.names}
    for name in times:
        value = found[name]
        if value is not None:
            found[name] = int(value)
    return found


def date(t_ms: int) -> DatetimeMS:
    """A moment (milliseconds) to compare a stored time with."""
    return DatetimeMS(t_ms)


@cache
def _times(shape: Collection) -> frozenset[str]:
    return frozenset(field.name for field in shape.fields if field.kind is Kind.TIME)
