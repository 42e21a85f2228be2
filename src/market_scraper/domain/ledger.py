"""Everyone's position in one coin: size now = base + net of all prints since we began to listen.

Prints move the net at once. Account answers reveal the base, by *joining*: the node that answers may lag and its
stamp may be skewed, so the answer's true cut through the tape lies somewhere in stamp ± window, and each block in
that window gives one candidate base. Successive candidate sets are intersected. One left: exact. Several: ask again.
None: something changed off the tape or a print was lost, which is drift: unsure until a second answer agrees.
An answer never overwrites a size. The true base is in every set, so one element left is the truth.

Sizes are whole lots, signed by the place in `users` (first bought, second sold). No I/O, no clock.
"""

import heapq
from collections.abc import Collection, Iterable, Sequence
from math import floor

from market_scraper.domain.book import NANO, Answer, Book, book_of, cast_doubt, cost_after, in_lots, position_of, prune
from market_scraper.domain.events import PositionChanged
from market_scraper.domain.joining import Joiner, LedgerCounts
from market_scraper.domain.market import PRICE_AND_SIZE_DECIMALS, Market, Print
from market_scraper.domain.positions import AccountSnapshot, Cause, Position, PositionState, TapeGap
from market_scraper.domain.tape import Advance
from market_scraper.domain.values import Address

RING_MS = 30_000
"""How far back a trader's own prints are kept for joining: an answer older than that is refused."""

PRUNE_ABOVE = 16
"""Who has fewer recent blocks is left alone; who has more keeps RING_MS to twice as much. With 64 it was 3 % slower."""

RATE_SHAPE = 0.2
"""Far below 1: most traders change rarely and a few very often. Chosen by log score and calibration (decision 8)."""

RATE_MEMORY_MS = 7_200_000
"""Two hours: habits change, but who makes markets is told by an hour's count of changes at least (decision 8)."""

# Python 3.11 takes 0.1 us to find a member of an enumeration, a tenth of what a fact costs; a global takes none of it.
_EXACT, _UNKNOWN = PositionState.EXACT, PositionState.UNKNOWN
_PRINT, _LATE, _DRIFT = Cause.PRINT, Cause.LATE, Cause.DRIFT

_CAUSES = {
    "exact": Cause.BASE,
    "several": Cause.CANDIDATES,
    "drift": Cause.DRIFT,
    "odd_size": Cause.ODD_SIZE,
}
"""Why a fact that a verdict makes is published."""


_Turnover = tuple[int, int, float, int, float]
"""What one trader did in one block: net lots, gross lots, their mean price, the last print's tid and its price.

A tuple, for most traders have one print in a block: an object with fields took 3 % of the way from bytes to facts.
"""


class CoinLedger:
    """The positions of all traders in one coin."""

    def __init__(self, market: Market, *, join_window_ms: int = 2_000, epoch_ms: int = 0) -> None:
        self.market = market
        self.counts = LedgerCounts()
        self._window_ms = join_window_ms
        self._epoch_ms = epoch_ms
        self._gaps: list[TapeGap] = []
        self._books: dict[Address, Book] = {}
        self.due: list[tuple[int, int, Answer]] = []  # (due_ms, order of arrival, answer), the first one first
        self._order = 0
        self._version = 0
        self._known_ms = 0
        self._counted_to_ms = -1  # no book is restored with a later block
        # Price ticks in a dollar: a tick times a lot is a nano-dollar, so that taking out pro rata rounds to nothing.
        self._ticks = NANO * 10.0 ** (PRICE_AND_SIZE_DECIMALS - market.sz_decimals)
        self._joiner = Joiner(self.counts, window_ms=join_window_ms, ticks=self._ticks)

    # -- reading -------------------------------------------------------------------------------------------------

    def books(self) -> Collection[Book]:
        """Everyone ever seen."""
        return self._books.values()

    def get(self, trader: Address) -> Book | None:
        """One trader, or None when never seen."""
        return self._books.get(trader)

    @property
    def waiting(self) -> int:
        """Answers that wait for the watermark."""
        return len(self.due)

    def is_exact(self, trader: Address) -> bool:
        """Whether the trader's size is exact up to the watermark."""
        book = self._books.get(trader)
        return book is not None and book.state is _EXACT and book.epoch_ms == self._epoch_ms

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
            self._counted_to_ms = max(self._counted_to_ms, position.t_ms)
            ours = in_lots(position, self.market.sz_decimals)
            self._books[position.trader] = book_of(ours, self._ticks, is_whole=position.epoch_ms == epoch_ms)

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
            self._count_blocks(advance.fresh, _PRINT, known_at_ms, facts)
        if advance.late:
            self._count_blocks(advance.late, _LATE, known_at_ms, facts)
        return facts

    def gapped(self, gap: TapeGap) -> None:
        """Nothing is exact any more; each book learns it when it is next touched."""
        self._gaps.append(gap)
        self._epoch_ms = gap.until_ms

    def _count_blocks(
        self, prints: Sequence[Print], cause: Cause, known_at_ms: int, facts: list[PositionChanged]
    ) -> None:
        block: dict[Address, _Turnover] = {}
        first = block.setdefault
        block_ms = prints[0].time_ms
        for p in prints:
            if p.time_ms != block_ms:
                self._close_block(block_ms, block, cause, known_at_ms, facts)
                block.clear()
                block_ms = p.time_ms
            lots, px, tid = p.lots, p.px, p.tid
            bought = (lots, lots, px, tid, px)
            if (earlier := first(p.buyer, bought)) is not bought:
                block[p.buyer] = _together(earlier, bought)
            sold = (-lots, lots, px, tid, px)
            if (earlier := first(p.seller, sold)) is not sold:
                block[p.seller] = _together(earlier, sold)
        self._close_block(block_ms, block, cause, known_at_ms, facts)

    def _close_block(
        self,
        t_ms: int,
        block: dict[Address, _Turnover],
        cause: Cause,
        known_at_ms: int,
        facts: list[PositionChanged],
    ) -> None:
        """Apply one block: one fact per trader in it.

        This runs for both sides of every print, so what `_fact` and `position_of` do is written out here, and what
        does not change within a block is looked up once.
        """
        books, epoch_ms, is_late = self._books, self._epoch_ms, cause is _LATE
        symbol, sz_decimals = self.market.symbol, self.market.sz_decimals
        ticks = self._ticks
        is_counted = t_ms <= self._counted_to_ms  # perhaps
        known_ms = max(self._known_ms, known_at_ms, t_ms)
        version = max(self._version, known_ms * 1000 - 1)
        for trader, (lots, _, mean_px, tid, px) in block.items():
            book = books.get(trader)
            if book is None:
                book = books[trader] = Book(trader, epoch_ms=epoch_ms, watched_from_ms=epoch_ms)
            if is_counted and t_ms <= book.counted_to_ms:
                continue
            base = book.base
            book.net = own_net = book.net + lots
            cost = book.cost
            if base is None:
                before = after = book.cost = cost = None
            else:
                after = base + own_net
                before = after - lots
                if after == 0:
                    book.cost = cost = 0
                elif is_late:
                    book.cost = cost = None
                elif lots:
                    book.cost = cost = cost_after(cost, before, after, floor(mean_px * ticks + 0.5))
            if is_late:
                self._insert_late(book, t_ms, lots, mean_px)
            else:
                recent = book.recent
                recent.append((t_ms, lots, mean_px))
                if len(recent) > PRUNE_ABOVE and recent[0][0] < t_ms - 2 * RING_MS:
                    prune(book, t_ms - RING_MS)
            if lots:
                book.leverage = book.liquidation_px = None
            book.changes = changes = book.changes + 1
            if book.epoch_ms != epoch_ms:
                self._learn_of_gaps(book)
            if t_ms > book.t_ms:
                book.t_ms = at_ms = t_ms
            else:
                at_ms = book.t_ms
                if at_ms > known_ms:
                    known_ms = at_ms
                    version = max(version, known_ms * 1000 - 1)
            book.tid = tid
            version += 1
            book.version = version
            state, net_before = book.state, book.net_before
            entry_px = None
            if after and cost is not None and state is not _UNKNOWN:
                entry_px = cost / abs(after) / ticks
            position = Position(
                trader,
                symbol,
                sz_decimals,
                after,
                net_before + own_net if net_before else own_net,
                state,
                book.doubt,
                book.because,
                book.since_ms,
                book.epoch_ms,
                changes,
                book.watched_from_ms,
                entry_px,
                book.leverage,
                book.liquidation_px,
                book.confirmed_ms,
                book.account_value,
                at_ms,
                tid,
                version,
                book.net_share,
            )
            facts.append(PositionChanged(known_ms, position, before, cause, px))
        self._version, self._known_ms = version, known_ms

    def _insert_late(self, book: Book, t_ms: int, lots: int, px: float) -> None:
        """A print that claims had passed: put it in its place; answers judged since may have counted it already."""
        at = len(book.recent)
        while at and book.recent[at - 1][0] > t_ms:
            at -= 1
        book.recent.insert(at, (t_ms, lots, px))
        if t_ms <= book.forgot_ms or book.answered_ms >= t_ms - self._window_ms:
            book.fits = None
            if book.state is not _UNKNOWN:
                cast_doubt(book, _LATE, 1.0, t_ms)

    def _learn_of_gaps(self, book: Book) -> None:
        book.fits = None
        if book.state is _UNKNOWN:
            book.epoch_ms = self._epoch_ms
        elif book.state is _EXACT:
            since = next((gap.since_ms for gap in self._gaps if gap.until_ms > book.epoch_ms), book.epoch_ms)
            book.base_before = book.base
            cast_doubt(book, Cause.GAP, 0.0, since)

    # -- account answers -----------------------------------------------------------------------------------------

    def hear(self, snapshot: AccountSnapshot) -> None:
        """Keep an account answer until the watermark has passed its whole window. Other dexes' are left alone."""
        if snapshot.dex != self.market.dex:
            return
        symbol, time_ms = self.market.symbol, snapshot.time_ms
        trader, value, net_share = snapshot.trader, snapshot.account_value, snapshot.net_share
        for said in snapshot.positions:
            if said.symbol == symbol:
                answer = Answer(
                    trader, time_ms, said.lots, said.entry_px, said.leverage, said.liquidation_px, value, net_share
                )
                break
        else:
            answer = Answer(trader, time_ms, 0, None, None, None, value, net_share)
        self._order += 1
        heapq.heappush(self.due, (time_ms + self._window_ms, self._order, answer))

    def judge(self, watermark_ms: int, known_at_ms: int) -> list[tuple[Answer, str, PositionChanged | None]]:
        """Judge every answer whose window the watermark has passed: (answer, verdict, fact).

        Verdicts: exact, several, drift, odd_size; refused_old (no newer than the last one, or its window begins before
        a drift was noticed), refused_unheard (it begins before the tape does) and refused_forgotten (before the ring of
        recent prints), which change nothing: ask again.
        """
        judged: list[tuple[Answer, str, PositionChanged | None]] = []
        while self.due and self.due[0][0] <= watermark_ms:
            answer = heapq.heappop(self.due)[2]
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
        elif answer.time_ms <= book.answered_ms or (book.because is _DRIFT and from_ms < self._drift_noticed_ms(book)):
            refused = "refused_old"
        elif from_ms < book.forgot_ms:
            refused = "refused_forgotten"
        if refused is not None:
            self.counts.refused[refused] += 1
            return refused, None

        self._books[answer.trader] = book
        self.counts.judged += 1
        before = None if book.base is None else book.base + book.net
        if book.epoch_ms != self._epoch_ms:
            self._learn_of_gaps(book)
        book.answered_ms = answer.time_ms
        book.account_value = answer.account_value
        book.net_share = answer.net_share
        verdict = self._joiner.join(book, answer, epoch_ms=self._epoch_ms, watermark_ms=watermark_ms)
        if watermark_ms > book.t_ms:
            book.t_ms = watermark_ms
        book.tid = 0
        return verdict, self._fact(book, before, _CAUSES[verdict], None, known_at_ms)

    @staticmethod
    def _drift_noticed_ms(book: Book) -> int:
        """Answers of two nodes may come from both sides of a change off the tape, and the older state be said twice."""
        return -1 if book.since_ms is None else book.since_ms

    # -- facts ---------------------------------------------------------------------------------------------------

    def position(self, book: Book) -> Position:
        """The book as a value."""
        return position_of(book, self.market, self._ticks)

    def _fact(
        self, book: Book, before: int | None, cause: Cause, px: float | None, known_at_ms: int
    ) -> PositionChanged:
        known_ms = self._known_ms  # by comparisons: `max` of two costs 0.1 us
        if known_at_ms > known_ms:
            known_ms = known_at_ms
        if book.t_ms > known_ms:
            known_ms = book.t_ms
        version = self._version + 1
        if known_ms * 1000 > version:
            version = known_ms * 1000
        self._known_ms = known_ms
        self._version = book.version = version
        return PositionChanged(known_ms, position_of(book, self.market, self._ticks), before, cause, px)


def _together(earlier: _Turnover, later: _Turnover) -> _Turnover:
    """Two turnovers of one trader in one block as one."""
    net, gross, mean_px, _, _ = earlier
    lots, more, px, tid, _ = later
    return net + lots, gross + more, (gross * mean_px + more * px) / (gross + more), tid, px
