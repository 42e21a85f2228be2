"""How an account answer reveals a base: the candidates that its window leaves, intersected with those left before.

The true base is in every set, so one element left is the truth; see `domain.ledger`. No I/O, no clock.
"""

from collections import Counter
from dataclasses import dataclass, field

from market_scraper.domain.book import Answer, Book, cast_doubt, cost_after
from market_scraper.domain.positions import Cause, PositionState

_EXACT = PositionState.EXACT  # Python 3.11 takes 0.1 us to find a member of an enumeration


@dataclass(slots=True)
class LedgerCounts:
    """What happened so far, for health and metrics."""

    judged: int = 0
    joined: int = 0  # became exact
    confirmed: int = 0  # were exact and agreed
    several: int = 0
    drift: int = 0
    odd: int = 0
    moved_unheard: int = 0  # had another base behind a gap than before it
    refused: Counter[str] = field(default_factory=Counter)
    offsets_ms: Counter[int] = field(default_factory=Counter)  # where in the window cuts fall, in 250 ms steps
    placed: int = 0  # cuts in it: those that are known to a tenth of the window
    at_edge: int = 0  # of these, in the window's outer tenth


class Joiner:
    """Joins answers of one coin. `ticks`: price ticks in a dollar, such that a tick times a lot is a nano-dollar."""

    def __init__(self, counts: LedgerCounts, *, window_ms: int, ticks: float) -> None:
        self._counts = counts
        self._window_ms = window_ms
        self._ticks = ticks

    def join(self, book: Book, answer: Answer, *, epoch_ms: int, watermark_ms: int) -> str:
        """Judge an answer by the book's prints around it: exact, several, drift or odd_size. The book learns it.

        The watermark has passed the answer's window, which lies in the whole stretch that began at `epoch_ms`.
        """
        if answer.lots is None:
            self._counts.odd += 1
            book.fits = None
            cast_doubt(book, Cause.ODD_SIZE, 1.0, watermark_ms)
            return "odd_size"
        cuts = self._cuts(book, answer)
        if len(cuts) == 1:  # most traders are quiet in the window
            base = answer.lots - cuts[0][1]
            if book.fits is None or base in book.fits:
                if book.fits is None or len(book.fits) > 1:
                    book.fits = frozenset((base,))
                self._agree(book, answer, base, [cuts[0][0]], epoch_ms)
                return "exact"
        allowed = frozenset([answer.lots - net for _, net in cuts])
        drifted = book.fits is not None and not (book.fits & allowed)
        fits = allowed if book.fits is None or drifted else book.fits & allowed
        book.fits = fits
        book.epoch_ms = epoch_ms
        if drifted:
            self._counts.drift += 1
            book.base_before = None  # told already
            book.base = self._shown(fits, answer, cuts)
            book.cost = None
            cast_doubt(book, Cause.DRIFT, 1.0, watermark_ms)
            return "drift"
        if len(fits) > 1:
            self._counts.several += 1
            if book.base not in fits:
                book.base = self._shown(fits, answer, cuts)
                book.cost = None
            cast_doubt(book, Cause.CANDIDATES, 1 - 1 / len(fits), watermark_ms)
            return "several"
        (base,) = fits
        matching = [cut_ms for cut_ms, net in cuts if answer.lots - net == base]
        if len(matching) == 1 and len(allowed) > 1:
            self._note_place(matching[0], cuts, answer)
        self._agree(book, answer, base, matching, epoch_ms)
        return "exact"

    def _agree(self, book: Book, answer: Answer, base: int, matching: list[int], epoch_ms: int) -> None:
        """One base is left: the size is exact up to the watermark."""
        if book.state is _EXACT:
            self._counts.confirmed += 1
        else:
            self._counts.joined += 1
        if book.base_before is not None:
            self._counts.moved_unheard += base != book.base_before
            book.base_before = None
        book.base = base
        book.epoch_ms = epoch_ms
        book.state = _EXACT
        book.because = book.doubt = book.since_ms = None
        book.confirmed_ms = answer.time_ms
        self._take_terms(book, answer, matching)

    def _note_place(self, cut_ms: int, cuts: list[tuple[int, int]], answer: Answer) -> None:
        """Count where the answer's cut fell: between the block that it holds and the next one, which it does not.

        Only where the two are close does it say anything of the window.
        """
        end_ms = next((t_ms for t_ms, _ in cuts if t_ms > cut_ms), answer.time_ms + self._window_ms)
        if (end_ms - cut_ms) * 5 > self._window_ms:
            return
        offset_ms = (cut_ms + end_ms) // 2 - answer.time_ms
        self._counts.offsets_ms[offset_ms // 250 * 250] += 1
        self._counts.placed += 1
        self._counts.at_edge += abs(offset_ms) * 10 >= self._window_ms * 9

    def _cuts(self, book: Book, answer: Answer) -> list[tuple[int, int]]:
        """(cut, net there) for the window's beginning and for each of the trader's blocks in it."""
        from_ms, to_ms = answer.time_ms - self._window_ms, answer.time_ms + self._window_ms
        net = book.net
        if not book.recent or book.recent[-1][0] <= from_ms:  # nearly everybody
            return [(from_ms, net)]
        cuts: list[tuple[int, int]] = []
        for t_ms, lots, _ in reversed(book.recent):  # from the newest: an answer is seldom old
            if t_ms <= from_ms:
                break
            if t_ms <= to_ms:
                cuts.append((t_ms, net))
            net -= lots
        cuts.append((from_ms, net))
        cuts.reverse()
        return cuts

    @staticmethod
    def _shown(fits: frozenset[int], answer: Answer, cuts: list[tuple[int, int]]) -> int:
        """Which of several bases to show: that of the answer's own stamp, or the nearest one that still fits."""
        assert answer.lots is not None
        own = min(
            (cut for cut in cuts if answer.lots - cut[1] in fits),
            key=lambda cut: (cut[0] > answer.time_ms, abs(cut[0] - answer.time_ms)),
        )
        return answer.lots - own[1]

    def _take_terms(self, book: Book, answer: Answer, matching: list[int]) -> None:
        """Entry price from the answer, carried on over the prints after its cut; leverage if nothing came since."""
        assert answer.lots is not None
        since = matching[0]
        recent = book.recent
        if not recent or recent[-1][0] <= since:  # quiet since the cut: then the answer's own words stand
            if answer.lots == 0:
                book.cost = 0
            elif answer.entry_px is not None:
                book.cost = round(answer.entry_px * self._ticks) * abs(answer.lots)
            book.leverage = answer.leverage
            book.liquidation_px = answer.liquidation_px
            return
        begin = len(recent)
        while begin and recent[begin - 1][0] > since:
            begin -= 1
        after = recent[begin:]
        if len(matching) > 1:
            if answer.lots:
                book.cost = None  # which of the cuts it was decides the entry price
        elif answer.lots == 0 or answer.entry_px is not None:
            lots = answer.lots
            cost: int | None = round((answer.entry_px or 0.0) * self._ticks) * abs(lots)
            for _, change, px in after:
                cost = cost_after(cost, lots, lots + change, round(px * self._ticks))
                lots += change
            book.cost = cost
        if book.lots == 0:
            book.cost = 0
        book.leverage = book.liquidation_px = None
