"""On-chain readings: every revision of every day, for ever."""

from market_scraper.domain.onchain import Reading, Source
from market_scraper.ports.stores import ReadingRow
from market_scraper.storage.documents.names import (
    KNOWN_AT,
    KNOWN_AT_FIELD,
    METRIC,
    REVISION,
    SOURCE,
    TIME,
    Document,
    Stored,
)
from market_scraper.storage.shapes import Collection, Field, Kind

ONCHAIN_READINGS = Collection(
    name="onchain_readings",
    fields=(
        Field(SOURCE, Kind.TEXT, "who measured it"),
        Field(METRIC, Kind.TEXT, "what was measured, as `hash_rate` or `cbbi.PiCycle`"),
        Field(TIME, Kind.TIME, "what it speaks of: 00:00 UTC of the day, or the moment"),
        Field(REVISION, Kind.INT, "0 = what was said first of this `t`, rising with every other word on it"),
        Field("v", Kind.REAL, "value: EH/s, BTC, a count, a ratio, points 0..100 or a share 0..1, by its metric"),
        KNOWN_AT_FIELD,
        Field("pub", Kind.TIME, "the source's own stamp of when it became known", optional=True),
        Field("prov", Kind.FLAG, "its source still moves it"),
        Field("rest", Kind.FLAG, "its source has changed it after it was no longer moving"),
        Field("gone", Kind.FLAG, "its source has taken the value back; `v` is what it was"),
        Field("label", Kind.TEXT, "the source's own word for the value", optional=True),
    ),
    key=(SOURCE, METRIC, TIME, REVISION),
    newest_by=(KNOWN_AT,),
)


def reading_document(row: ReadingRow) -> Document:
    """Write a reading."""
    reading = row.reading
    return {
        SOURCE: reading.source.value,
        METRIC: reading.metric,
        TIME: reading.t_ms,
        REVISION: reading.revision,
        "v": reading.value,
        KNOWN_AT: reading.known_at_ms,
        "pub": reading.published_ms,
        "prov": reading.provisional,
        "rest": reading.restated,
        "gone": reading.withdrawn,
        "label": reading.label,
    }


def reading_from(stored: Stored) -> Reading:
    """Read a reading."""
    return Reading(
        source=Source(stored[SOURCE]),
        metric=stored[METRIC],
        t_ms=stored[TIME],
        revision=stored[REVISION],
        value=stored["v"],
        known_at_ms=stored[KNOWN_AT],
        label=stored["label"],
        published_ms=stored["pub"],
        provisional=bool(stored["prov"]),
        restated=bool(stored["rest"]),
        withdrawn=bool(stored["gone"]),
    )
