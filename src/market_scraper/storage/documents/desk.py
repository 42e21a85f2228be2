"""What the program keeps for itself: choices, and what could not be handled."""

from market_scraper.ports.stores import DeadLetterRow, SettingRow
from market_scraper.storage.documents.names import DIGEST, KEY, KNOWN_AT, KNOWN_AT_FIELD, SOURCE, VALUE, Document
from market_scraper.storage.packing import text_digest
from market_scraper.storage.shapes import Collection, Field, Kind

SETTINGS = Collection(
    name="settings",
    fields=(Field(KEY, Kind.TEXT, "name of the choice"), Field(VALUE, Kind.TEXT, "what was chosen")),
    key=(KEY,),
)
DEAD_LETTERS = Collection(
    name="dead_letters",
    fields=(
        Field(SOURCE, Kind.TEXT, "who could not handle it"),
        KNOWN_AT_FIELD,
        Field(DIGEST, Kind.TEXT, "digest of the body"),
        Field("reason", Kind.TEXT, "what was wrong"),
        Field("body", Kind.BYTES, "what it was"),
    ),
    key=(SOURCE, KNOWN_AT, DIGEST),
    indexes=((KNOWN_AT,),),
    expires_by=KNOWN_AT,
)


def dead_letter_document(row: DeadLetterRow) -> Document:
    """Write what could not be handled."""
    return {
        SOURCE: row.source,
        KNOWN_AT: row.known_at_ms,
        DIGEST: text_digest(row.body),
        "reason": row.reason,
        "body": row.body,
    }


def setting_document(row: SettingRow) -> Document:
    """Write a choice."""
    return {KEY: row.key, VALUE: row.value}
