"""How many positions of one coin are exact, unsure or unknown, as the ledger itself sees it."""

from collections.abc import Iterable
from dataclasses import dataclass

from market_scraper.domain.book import Book
from market_scraper.domain.positions import PositionState, TapeMark


@dataclass(slots=True)
class Census:
    """A count of books; `count` may be called with one slice after another. The age of the watermark is left aside."""

    exact: int = 0
    unsure: int = 0
    unknown: int = 0
    exact_lots: int = 0  # sum of |size| of the exact ones
    oldest_unsure_ms: int | None = None  # block time since which the longest unsure one is so

    def count(self, books: Iterable[Book], mark: TapeMark) -> None:
        """Count these as they stand at `mark`."""
        missed_since: dict[int, int] = {}  # by the stretch of tape that a book leans on: most share a few
        for book in books:
            if book.state is PositionState.UNKNOWN:
                self.unknown += 1
                continue
            if book.state is PositionState.EXACT and book.epoch_ms == mark.epoch_ms and mark.halted_since_ms is None:
                self.exact += 1
                self.exact_lots += abs(book.lots or 0)
                continue
            self.unsure += 1
            since_ms = book.since_ms
            if book.state is PositionState.EXACT:  # of before a gap or the halt, and not touched since
                if book.epoch_ms not in missed_since:
                    missed_since[book.epoch_ms] = _missed_since(book.epoch_ms, mark)
                since_ms = missed_since[book.epoch_ms]
            if since_ms is not None and (self.oldest_unsure_ms is None or since_ms < self.oldest_unsure_ms):
                self.oldest_unsure_ms = since_ms


def _missed_since(epoch_ms: int, mark: TapeMark) -> int:
    """Since when a book of that stretch of tape is not exact: the first gap after it, or the halt."""
    gap_ms = next((gap.since_ms for gap in mark.gaps if gap.until_ms > epoch_ms), None)
    if gap_ms is not None:
        return gap_ms
    return epoch_ms if mark.halted_since_ms is None else mark.halted_since_ms
