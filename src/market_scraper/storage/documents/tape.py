"""How far each coin's tape is whole."""

from market_scraper.domain.positions import TapeGap, TapeMark
from market_scraper.ports.stores import TapeMarkRow
from market_scraper.storage.documents.names import COIN, EPOCH, WATERMARK, Document, Stored
from market_scraper.storage.shapes import Collection, Field, Kind

TAPE_MARKS = Collection(
    name="tape_marks",
    fields=(
        Field(COIN, Kind.TEXT, "coin as the venue spells it"),
        Field(WATERMARK, Kind.TIME, "newest block time up to which the tape is whole and stored"),
        Field(EPOCH, Kind.TIME, "where the present whole stretch began"),
        Field(
            "gaps", Kind.NESTED, "the last 256 gaps, oldest first: [since, until] in ms, if counted [.., pace, spread]"
        ),
        Field("shape", Kind.REAL, "prior of how often a trader changes: Gamma shape"),
        Field("watch_s", Kind.REAL, "the same prior: seconds watched"),
        Field("halted", Kind.TIME, "the market is halted since", optional=True),
        Field("pace", Kind.REAL, "unheard changes / those that average rates expect"),
        Field("spread", Kind.REAL, "relative variance of a rate of now about its own average"),
    ),
    key=(COIN,),
    newest_by=(WATERMARK, EPOCH),
)


def mark_document(row: TapeMarkRow) -> Document:
    """Write a tape mark."""
    mark = row.mark
    return {
        COIN: mark.symbol,
        WATERMARK: mark.watermark_ms,
        EPOCH: mark.epoch_ms,
        "gaps": [_gap(gap) for gap in mark.gaps],
        "shape": mark.rate_shape,
        "watch_s": mark.rate_watch_s,
        "halted": mark.halted_since_ms,
        "pace": mark.pace,
        "spread": mark.spread,
    }


def mark_from(stored: Stored) -> TapeMark:
    """Read a tape mark."""
    return TapeMark(
        symbol=stored[COIN],
        watermark_ms=stored[WATERMARK],
        epoch_ms=stored[EPOCH],
        gaps=tuple(TapeGap(*gap) for gap in stored["gaps"]),
        rate_shape=stored["shape"],
        rate_watch_s=stored["watch_s"],
        halted_since_ms=stored["halted"],
        pace=stored["pace"],
        spread=stored["spread"],
    )


def _gap(gap: TapeGap) -> list[float | None]:
    """Most gaps of old have no count of their own."""
    whole: list[float | None] = [gap.since_ms, gap.until_ms]
    return whole if gap.pace is None and gap.spread is None else [*whole, gap.pace, gap.spread]
