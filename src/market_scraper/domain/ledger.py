"""Everyone's position in one coin: size now = base + net of all prints since we began to listen.

Prints move the net at once. Account answers reveal the base, by *joining*: the node that answers may lag and its
stamp may be skewed, so the answer's true cut through the tape lies somewhere in stamp ± window, and each block in
that window gives one candidate base. Successive candidate sets are intersected. One left: exact. Several: ask again.
None: something changed off the tape or a print was lost, which is drift: unsure until a second answer agrees.
An answer never overwrites a size. The true base is in every set, so one element left is the truth.

Sizes are whole lots, signed by the place in `users` (first bought, second sold). No I/O, no clock.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from market_scraper.domain.book import NANO, Answer, Book, book_of, cast_doubt, cost_after, position_of, prune
from market_scraper.domain.events import PositionChanged
from market_scraper.domain.market import PRICE_AND_SIZE_DECIMALS, Market, Print
from market_scraper.domain.positions import AccountSnapshot, Cause, Position, PositionState, TapeGap
from market_scraper.domain.tape import Advance
from market_scraper.domain.values import Address

RING_MS = 30_000
"""How far back a trader's own prints are kept for joining: an answer older than that is refused."""

PRUNE_ABOVE = 64

RATE_SHAPE = 0.2
"""Far below 1: most traders change rarely and a few very often. Chosen by log score and calibration (decision 8)."""

RATE_MEMORY_MS = 7_200_000
"""Two hours: habits change, but who makes markets is told by an hour's count of changes at least (decision 8)."""

_UNKNOWN = PositionState.UNKNOWN

_CAUSES = {
    "exact": Cause.BASE,
    "several": Cause.CANDIDATES,
    "drift": Cause.DRIFT,
    "odd_size": Cause.ODD_SIZE,
}
"""Why a fact that a verdict makes is published."""


@dataclass(slots=True)
class LedgerCounts:
    """What happened so far, for health and metrics."""

    judged: int = 0
    joined: int = 0  # became exact
    confirmed: int = 0  # were exact and agreed
    several: int = 0
    drift: int = 0
    odd: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    offsets_ms: Counter[int] = field(default_factory=Counter)  # where in the window cuts fall, in 250 ms steps
    placed: int = 0  # cuts in it: those that are known to a tenth of the window
    at_edge: int = 0  # of these, in the window's outer tenth


class CoinLedger:
    """The positions of all traders in one coin."""

    def __init__(self, market: Market, *, join_window_ms: int = 2_000, epoch_ms: int = 0) -> None:
        self.market = market
        self.counts = LedgerCounts()
        self._window_ms = join_window_ms
        self._epoch_ms = epoch_ms
        self._gaps: list[TapeGap] = []
        self._books: dict[Address, Book] = {}
        self._due: list[tuple[int, int, Answer]] = []  # (due_ms, order of arrival, answer)
        self._order = 0
        self._version = 0
        self._known_ms = 0
        # Price ticks in a dollar: a tick times a lot is a nano-dollar, so that taking out pro rata rounds to nothing.
        self._ticks = NANO * 10.0 ** (PRICE_AND_SIZE_DECIMALS - market.sz_decimals)

    # -- reading -------------------------------------------------------------------------------------------------

    def books(self) -> Iterable[Book]:
        """Everyone ever seen."""
        return self._books.values()

    def get(self, trader: Address) -> Book | None:
        """One trader, or None when never seen."""
        return self._books.get(trader)

    @property
    def waiting(self) -> int:
        """Answers that wait for the watermark."""
        return len(self._due)

    def is_exact(self, trader: Address) -> bool:
        """Whether the trader's size is exact up to the watermark."""
        book = self._books.get(trader)
        return book is not None and book.state is PositionState.EXACT and book.epoch_ms == self._epoch_ms

    def known_at(self, now_ms: int) -> int:
        """When something of this coin that is told now counts as known: never falling, though our clock goes back."""
        self._known_ms = max(self._known_ms, now_ms)
        return self._known_ms

    def forget_old_changes(self, watermark_ms: int) -> None:
        """Who was watched for `RATE_MEMORY_MS` keeps half of the changes and of the time: the rate, less surely."""
        for book in self._books.values():
            watched_ms = watermark_ms - book.watched_from_ms
            if watched_ms > RATE_MEMORY_MS:
                book.watched_from_ms = watermark_ms - watched_ms // 2
                book.changes = (book.changes + 1) // 2

    def rate_prior(self, watermark_ms: int) -> tuple[float, float]:
        """(shape, watched seconds) of the Gamma prior of change rates: everyone's mean; the shape is RATE_SHAPE."""
        changes = sum(book.changes for book in self._books.values())
        watched_s = sum(max(0, watermark_ms - book.watched_from_ms) for book in self._books.values()) / 1000
        return RATE_SHAPE, min(1e9, RATE_SHAPE * (watched_s + 1.0) / (changes + 0.1))

    # -- starting ------------------------------------------------------------------------------------------------

    def restore(self, positions: Iterable[Position], gaps: Sequence[TapeGap], epoch_ms: int) -> None:
        """Take up stored rows. No print at or before a row's own block is applied to it again."""
        self._epoch_ms = epoch_ms
        self._gaps = list(gaps)
        for position in positions:
            self._version = max(self._version, position.version)
            self._known_ms = max(self._known_ms, position.t_ms, position.version // 1000)
            self._books[position.trader] = book_of(position, self._ticks, is_whole=position.epoch_ms == epoch_ms)

    # -- prints --------------------------------------------------------------------------------------------------

    def begin(self, epoch_ms: int) -> None:
        """The tape begins: what is judged from now on leans on blocks after `epoch_ms`."""
        self._epoch_ms = epoch_ms

    def count(self, advance: Advance, known_at_ms: int) -> list[PositionChanged]:
        """Apply one step of the tape; one fact per trader and block, in order."""
        if advance.gap is not None:
            self.gapped(advance.gap)
        facts: list[PositionChanged] = []
        if advance.fresh:
            self._count_blocks(advance.fresh, Cause.PRINT, known_at_ms, facts)
        if advance.late:
            self._count_blocks(advance.late, Cause.LATE, known_at_ms, facts)
        return facts

    def gapped(self, gap: TapeGap) -> None:
        """Nothing is exact any more; each book learns it when it is next touched."""
        self._gaps.append(gap)
        self._epoch_ms = gap.until_ms

    def _count_blocks(
        self, prints: Sequence[Print], cause: Cause, known_at_ms: int, facts: list[PositionChanged]
    ) -> None:
        # [net lots, gross lots, gross lots x price, tid, price] by trader; a list, for it is changed in place.
        block: dict[Address, list[float]] = {}
        block_ms = prints[0].time_ms
        for p in prints:
            if p.time_ms != block_ms:
                self._close_block(block_ms, block, cause, known_at_ms, facts)
                block = {}
                block_ms = p.time_ms
            lots, px, tid = p.lots, p.px, p.tid
            paid = lots * px
            if (sums := block.get(p.buyer)) is None:
                block[p.buyer] = [lots, lots, paid, tid, px]
            else:
                sums[0] += lots
                sums[1] += lots
                sums[2] += paid
                sums[3] = tid
                sums[4] = px
            if (sums := block.get(p.seller)) is None:
                block[p.seller] = [-lots, lots, paid, tid, px]
            else:
                sums[0] -= lots
                sums[1] += lots
                sums[2] += paid
                sums[3] = tid
                sums[4] = px
        self._close_block(block_ms, block, cause, known_at_ms, facts)

    def _close_block(
        self,
        t_ms: int,
        block: dict[Address, list[float]],
        cause: Cause,
        known_at_ms: int,
        facts: list[PositionChanged],
    ) -> None:
        """Apply one block: one fact per trader in it.

        This runs for both sides of every print, so what `_fact` does is written out here, and what
        does not change within a block is looked up once.
        """
        books, epoch_ms, is_late = self._books, self._epoch_ms, cause is Cause.LATE
        ticks, position, append = self._ticks, self.position, facts.append
        version = self._version
        known_ms = max(self._known_ms, known_at_ms)
        for trader, (net, gross, paid, tid, px) in block.items():
            book = books.get(trader)
            if book is None:
                book = books[trader] = Book(trader, epoch_ms=epoch_ms, watched_from_ms=epoch_ms)
            if t_ms <= book.counted_to_ms:
                continue
            lots = int(net)
            mean_px = paid / gross
            base, cost = book.base, book.cost
            book.net = own_net = book.net + lots
            if base is None:
                before = after = cost = None
            else:
                after = base + own_net
                before = after - lots
                if lots and not is_late:
                    cost = cost_after(cost, before, after, round(mean_px * ticks))
                elif is_late:
                    cost = None
                if after == 0:
                    cost = 0
            book.cost = cost
            if is_late:
                self._insert_late(book, t_ms, lots, mean_px)
            else:
                recent = book.recent
                recent.append((t_ms, lots, mean_px))
                if len(recent) > PRUNE_ABOVE:
                    prune(book, t_ms - RING_MS)
            book.seen_net += lots
            if lots:
                book.leverage = book.liquidation_px = None
            book.changes += 1
            if book.epoch_ms != epoch_ms:
                self._learn_of_gaps(book)
            newest_ms = book.t_ms
            if t_ms > newest_ms:
                book.t_ms = newest_ms = t_ms
            book.tid = int(tid)
            if newest_ms > known_ms:
                known_ms = newest_ms
            version += 1
            if known_ms * 1000 > version:
                version = known_ms * 1000
            book.version = version
            append(PositionChanged(known_at_ms=known_ms, after=position(book), lots_before=before, cause=cause, px=px))
            self._version, self._known_ms = version, known_ms

    def _insert_late(self, book: Book, t_ms: int, lots: int, px: float) -> None:
        """A print that claims had passed: put it in its place; answers judged since may have counted it already."""
        at = len(book.recent)
        while at and book.recent[at - 1][0] > t_ms:
            at -= 1
        book.recent.insert(at, (t_ms, lots, px))
        if t_ms <= book.forgot_ms or book.answered_ms >= t_ms - self._window_ms:
            book.fits = None
            if book.state is not PositionState.UNKNOWN:
                cast_doubt(book, Cause.LATE, 1.0, t_ms)

    def _learn_of_gaps(self, book: Book) -> None:
        if book.epoch_ms == self._epoch_ms:
            return
        book.fits = None
        if book.state is PositionState.UNKNOWN:
            book.epoch_ms = self._epoch_ms
        elif book.state is PositionState.EXACT:
            since = next((gap.since_ms for gap in self._gaps if gap.until_ms > book.epoch_ms), book.epoch_ms)
            cast_doubt(book, Cause.GAP, 0.0, since)

    # -- account answers -----------------------------------------------------------------------------------------

    def hear(self, snapshot: AccountSnapshot) -> None:
        """Keep an account answer until the watermark has passed its whole window. Other dexes' are left alone."""
        if snapshot.dex != self.market.dex:
            return
        symbol, said = self.market.symbol, None
        for position in snapshot.positions:
            if position.symbol == symbol:
                said = position
                break
        answer = Answer(
            trader=snapshot.trader,
            time_ms=snapshot.time_ms,
            lots=0 if said is None else said.lots,
            entry_px=None if said is None else said.entry_px,
            leverage=None if said is None else said.leverage,
            liquidation_px=None if said is None else said.liquidation_px,
            account_value=snapshot.account_value,
            net_share=snapshot.net_share,
        )
        self._order += 1
        heapq.heappush(self._due, (answer.time_ms + self._window_ms, self._order, answer))

    def judge(self, watermark_ms: int, known_at_ms: int) -> list[tuple[Answer, str, PositionChanged | None]]:
        """Judge every answer whose window the watermark has passed: (answer, verdict, fact).

        Verdicts: exact, several, drift, odd_size; refused_old (no newer than the last one, or its window begins before
        a drift was noticed), refused_unheard (it begins before the tape does) and refused_forgotten (before the ring of
        recent prints), which change nothing: ask again.
        """
        judged: list[tuple[Answer, str, PositionChanged | None]] = []
        while self._due and self._due[0][0] <= watermark_ms:
            answer = heapq.heappop(self._due)[2]
            verdict, fact = self._judge(answer, watermark_ms, known_at_ms)
            judged.append((answer, verdict, fact))
        return judged

    def _judge(self, answer: Answer, watermark_ms: int, known_at_ms: int) -> tuple[str, PositionChanged | None]:
        book = self._books.get(answer.trader)
        if book is None:
            book = Book(answer.trader, epoch_ms=self._epoch_ms, watched_from_ms=self._epoch_ms)
        from_ms = answer.time_ms - self._window_ms
        refused = None
        if from_ms < self._epoch_ms:
            refused = "refused_unheard"
        elif answer.time_ms <= book.answered_ms or from_ms < self._drift_noticed_ms(book):
            refused = "refused_old"
        elif from_ms < book.forgot_ms:
            refused = "refused_forgotten"
        if refused is not None:
            self.counts.refused[refused] += 1
            return refused, None

        self._books[answer.trader] = book
        self.counts.judged += 1
        before = book.lots
        self._learn_of_gaps(book)
        book.answered_ms = answer.time_ms
        book.account_value = answer.account_value
        book.net_share = answer.net_share
        verdict = self._join(book, answer, watermark_ms)
        book.t_ms = max(book.t_ms, watermark_ms)
        book.tid = 0
        return verdict, self._fact(book, before, _CAUSES[verdict], None, known_at_ms)

    @staticmethod
    def _drift_noticed_ms(book: Book) -> int:
        """Answers of two nodes may come from both sides of a change off the tape, and the older state be said twice."""
        return book.since_ms if book.because is Cause.DRIFT and book.since_ms is not None else -1

    def _join(self, book: Book, answer: Answer, watermark_ms: int) -> str:
        if answer.lots is None:
            self.counts.odd += 1
            book.fits = None
            cast_doubt(book, Cause.ODD_SIZE, 1.0, watermark_ms)
            return "odd_size"
        cuts = self._cuts(book, answer)
        if len(cuts) == 1:  # most traders are quiet in the window
            base = answer.lots - cuts[0][1]
            if book.fits is None or base in book.fits:
                if book.fits is None or len(book.fits) > 1:
                    book.fits = frozenset((base,))
                self._agree(book, answer, base, [cuts[0][0]])
                return "exact"
        allowed = frozenset([answer.lots - net for _, net in cuts])
        drifted = book.fits is not None and not (book.fits & allowed)
        fits = allowed if book.fits is None or drifted else book.fits & allowed
        book.fits = fits
        book.epoch_ms = self._epoch_ms
        if drifted:
            self.counts.drift += 1
            book.base = self._shown(fits, answer, cuts)
            book.cost = None
            cast_doubt(book, Cause.DRIFT, 1.0, watermark_ms)
            return "drift"
        if len(fits) > 1:
            self.counts.several += 1
            if book.base not in fits:
                book.base = self._shown(fits, answer, cuts)
                book.cost = None
            cast_doubt(book, Cause.CANDIDATES, 1 - 1 / len(fits), watermark_ms)
            return "several"
        (base,) = fits
        matching = [cut_ms for cut_ms, net in cuts if answer.lots - net == base]
        if len(matching) == 1 and len(allowed) > 1:
            self._note_place(matching[0], cuts, answer)
        self._agree(book, answer, base, matching)
        return "exact"

    def _agree(self, book: Book, answer: Answer, base: int, matching: list[int]) -> None:
        """One base is left: the size is exact up to the watermark."""
        if book.state is PositionState.EXACT:
            self.counts.confirmed += 1
        else:
            self.counts.joined += 1
        book.base = base
        book.epoch_ms = self._epoch_ms
        book.state = PositionState.EXACT
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
        self.counts.offsets_ms[offset_ms // 250 * 250] += 1
        self.counts.placed += 1
        self.counts.at_edge += abs(offset_ms) * 10 >= self._window_ms * 9

    def _cuts(self, book: Book, answer: Answer) -> list[tuple[int, int]]:
        """(cut, net there) for the window's beginning and for each of the trader's blocks in it."""
        from_ms, to_ms = answer.time_ms - self._window_ms, answer.time_ms + self._window_ms
        net = book.net
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
        quiet = not after
        book.leverage = answer.leverage if quiet else None
        book.liquidation_px = answer.liquidation_px if quiet else None

    # -- facts ---------------------------------------------------------------------------------------------------

    def position(self, book: Book) -> Position:
        """The book as a value."""
        return position_of(book, self.market, self._ticks)

    def _fact(
        self, book: Book, before: int | None, cause: Cause, px: float | None, known_at_ms: int
    ) -> PositionChanged:
        known_ms = self.known_at(max(known_at_ms, book.t_ms))
        version = self._version + 1
        if known_ms * 1000 > version:
            version = known_ms * 1000
        self._version = book.version = version
        return PositionChanged(known_at_ms=known_ms, after=self.position(book), lots_before=before, cause=cause, px=px)
