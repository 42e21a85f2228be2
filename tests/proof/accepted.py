"""What the bus accepted, held against what MongoDB keeps of it: nothing missing, nothing twice, nothing made up."""

from collections.abc import Iterable
from typing import Any

from pymongo.database import Database

from market_scraper.domain.events import (
    CandlesClosed,
    Event,
    PositionChanged,
    ReadingsTaken,
    SignalGenerated,
    TapeAdvanced,
    TapeGapped,
    TraderSignalGenerated,
)
from market_scraper.domain.positions import Cause, Position, PositionState
from market_scraper.ports.bus import Envelope
from market_scraper.ports.stores import (
    CandleRow,
    PositionRow,
    PositionStateRow,
    ReadingRow,
    Row,
    SignalRow,
    TapeMarkRow,
    TraderSignalRow,
)
from market_scraper.storage import documents
from market_scraper.storage.documents import Document
from market_scraper.storage.mongo.wire import OPTIONS, from_bson
from market_scraper.storage.shapes import Collection

EVERYTHING_IS_KEPT = {"TAGS__CLASSES__MAKER_TURNOVER": "1e12", "TAGS__CLASSES__MAKER_CHANGES_PER_MINUTE": "1e12"}
"""Nobody is a market maker, of whom the history holds only some facts."""

Key = tuple[Any, ...]


class Accepted:
    """By collection and key what must be there: of several rows of one key the newest."""

    def __init__(self, envelopes: Iterable[Envelope], *, history_from_seq: int) -> None:
        """History is expected from that number on: before it, not everyone was tracked."""
        self.rows: dict[str, dict[Key, Document]] = {}
        self.shapes: dict[str, Collection] = {}
        for envelope in envelopes:
            for row in _rows_of(envelope.event):
                if not isinstance(row, PositionRow) or envelope.seq >= history_from_seq:
                    self._add(row)

    def _add(self, row: Row) -> None:
        name, shape = documents.collection_of(row)
        document = documents.to_document(row)
        self.shapes[name] = shape
        kept = self.rows.setdefault(name, {})
        key = _key(shape, document)
        before = kept.get(key)
        if before is None or _version(shape, before) <= _version(shape, document):
            kept[key] = document

    def __len__(self) -> int:
        return sum(map(len, self.rows.values()))

    def missing(self, database: Database[dict[str, Any]]) -> list[str]:
        """What is not there, or there as something else."""
        found: list[str] = []
        for name, rows in self.rows.items():
            stored = stored_in(database, name, self.shapes[name])
            for key, document in rows.items():
                there = stored.get(key)
                if there is None:
                    found.append(f"{name} {key} is not there")
                elif different := {field for field in document if not _same(field, document, there)}:
                    found.append(f"{name} {key} differs in {sorted(different)}: {document} is {there}")
        return found

    def made_up(self, database: Database[dict[str, Any]]) -> list[str]:
        """Facts of the expected history's time that nobody accepted; what a gap adds is the persister's own."""
        shape, rows = documents.TRADER_POSITIONS, self.rows.get(documents.TRADER_POSITIONS.name, {})
        first = min((document[documents.VERSION] for document in rows.values()), default=0)
        return [
            f"{shape.name} {key}"
            for key, there in stored_in(database, shape.name, shape).items()
            if key not in rows and there["cause"] != Cause.GAP.value and there[documents.VERSION] >= first
        ]


def stored_in(database: Database[dict[str, Any]], name: str, shape: Collection) -> dict[Key, Document]:
    """A whole collection by natural key; one key twice is an error."""
    found: dict[Key, Document] = {}
    for bson in database.get_collection(name, codec_options=OPTIONS).find():
        document = from_bson(shape, bson)
        key = _key(shape, document)
        assert key not in found, f"{name} {key} stands twice"
        found[key] = document
    return found


def twice(database: Database[dict[str, Any]]) -> list[str]:
    """One print as two facts, and two signals of one moment; that a key stands twice `stored_in` would have said."""
    seen: set[Key] = set()
    found: list[str] = []
    for shape, identity in (
        (documents.TRADER_POSITIONS, (documents.TRADER, documents.COIN, documents.TID)),
        (documents.SIGNALS, (documents.SYMBOL, documents.TIME)),
    ):
        for document in stored_in(database, shape.name, shape).values():
            if document.get(documents.TID) == 0:
                continue
            key = (shape.name, *(document[name] for name in identity))
            if key in seen:
                found.append(f"{key} stands under two keys")
            seen.add(key)
    return found


def unconnected(envelopes: Iterable[Envelope]) -> list[str]:
    """Changes by prints, from a size that the fact before them had not left: a net change that nobody can add up."""
    newest: dict[Key, Position] = {}
    found: list[str] = []
    for envelope in envelopes:
        event = envelope.event
        if not isinstance(event, PositionChanged):
            continue
        after = event.after
        before = newest.get((after.symbol, after.trader))
        if (
            event.cause is Cause.PRINT
            and before is not None
            and before.state is after.state is PositionState.EXACT
            and before.epoch_ms == after.epoch_ms
            and event.lots_before != before.lots
        ):
            found.append(f"{envelope.seq}: {after.trader} from {event.lots_before}, had {before.lots}")
        newest[after.symbol, after.trader] = after
    return found


def _rows_of(event: Event) -> list[Row]:
    match event:
        case PositionChanged():
            return [
                PositionRow(changed=event),
                PositionStateRow(position=event.after, known_at_ms=event.known_at_ms),
            ]
        case TapeAdvanced(mark=mark) | TapeGapped(mark=mark):
            return [TapeMarkRow(mark=mark)]
        case CandlesClosed():
            return [CandleRow(symbol=event.symbol, interval=event.interval, candle=each) for each in event.candles]
        case SignalGenerated(signal=signal):
            return [SignalRow(signal=signal)]
        case TraderSignalGenerated(signal=act):
            return [TraderSignalRow(signal=act)]
        case ReadingsTaken(readings=readings):
            return [ReadingRow(reading=reading) for reading in readings]
        case _:
            return []


def _key(shape: Collection, document: Document) -> Key:
    return tuple(document[name] for name in shape.key)


def _version(shape: Collection, document: Document) -> Key:
    return tuple(document[name] for name in shape.newest_by)


def _same(field: str, expected: Document, stored: Document) -> bool:
    """When it was known the persister may have moved, for it never falls."""
    return field == documents.KNOWN_AT or expected[field] == stored[field]
