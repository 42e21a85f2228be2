"""One coin under watch: its tape and its ledger, told what is heard, giving the facts to publish in order."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from market_scraper.domain.book import Answer, Book
from market_scraper.domain.events import PositionChanged, TapeGapped
from market_scraper.domain.held import HeldTape
from market_scraper.domain.ledger import RATE_SHAPE, CoinLedger
from market_scraper.domain.market import Candle, Market, Print
from market_scraper.domain.missed import PrintCounts
from market_scraper.domain.positions import AccountSnapshot, Position, TapeGap, TapeMark
from market_scraper.domain.rehearsal import REHEARSED_MS, Rehearsal
from market_scraper.domain.rules import PositionRules
from market_scraper.domain.tape import NOTHING, Advance, CoinTape
from market_scraper.domain.values import Symbol

Fact = PositionChanged | TapeGapped

OVERLAP_MS = 5_000
"""By so much two rehearsals may overlap, for watermarks come in steps."""

MEASURED_EVERY_MS = 60_000
"""Everyone's mean rate changes slowly."""


class CoinWatch:
    """Feeds the ledger with what the tape lets through, and judges account answers when the watermark allows.

    `now_s` are monotonic seconds, `known_at_ms` our clock's milliseconds. `on_prints` hears every print that is
    counted, `on_verdict` every judgement (see `CoinLedger.judge`).
    """

    def __init__(
        self,
        market: Market,
        rules: PositionRules,
        *,
        mark: TapeMark | None = None,
        positions: Iterable[Position] = (),
        on_prints: Callable[[Sequence[Print]], None] = lambda _prints: None,
        on_verdict: Callable[["CoinWatch", Answer, str], None] = lambda _watch, _answer, _verdict: None,
    ) -> None:
        self.market = market
        self.window_ms = rules.join_window_ms
        self.on_prints = on_prints
        self.tape = CoinTape(market.symbol, mark=mark, join_window_ms=rules.join_window_ms)
        self.ledger = CoinLedger(market, join_window_ms=rules.join_window_ms)
        self.counts = PrintCounts(market.sz_decimals)
        self._on_verdict = on_verdict
        self._halted_since_ms = None if mark is None else mark.halted_since_ms
        self._prior = (RATE_SHAPE, 480.0) if mark is None else (mark.rate_shape, mark.rate_watch_s)
        self._measured_ms: int | None = None
        self._rehearsal = Rehearsal() if mark is None else Rehearsal(pace=mark.pace, spread=mark.spread)
        self._rehearsed_ms = 0
        self._heard_from_ms = 0 if mark is None else mark.watermark_ms  # no older print is in the ledger's rings
        if mark is not None:
            self.ledger.restore(positions, mark.gaps, mark.epoch_ms)
            self.ledger.known_at(mark.watermark_ms)

    def take_over(self, held: HeldTape, *, now_s: float, known_at_ms: int) -> list[Fact]:
        """Go on, right after the start, with a tape that was heard while somebody else published.

        Where it is whole since the mark nothing was missed; else there is a gap between the two.
        """
        mark = self.mark()
        self.tape = held.tape
        advance = held.take_up(mark, now_s)
        if mark is None:
            self.ledger.begin(self.tape.epoch_ms)
        return self._take(advance, known_at_ms)

    def hand_on(self) -> HeldTape:
        """Give the tape away, sockets and all. This watch stands still from now on, where the tape stands now."""
        tape, mark = self.tape, self.mark()
        self.tape = CoinTape(self.symbol, mark=mark, join_window_ms=self.window_ms)
        return HeldTape(self.symbol, join_window_ms=self.window_ms, tape=tape)

    @property
    def symbol(self) -> Symbol:
        """The coin."""
        return self.market.symbol

    @property
    def is_halted(self) -> bool:
        """Whether the market is known to be halted."""
        return self._halted_since_ms is not None

    def mark(self) -> TapeMark | None:
        """How far the tape is whole; None before the first replay."""
        watermark = self.tape.watermark_ms
        if watermark is None:
            return None
        return TapeMark(
            symbol=self.symbol,
            watermark_ms=watermark,
            epoch_ms=self.tape.epoch_ms,
            gaps=self.tape.gaps,
            rate_shape=self._prior[0],
            rate_watch_s=self._prior[1],
            halted_since_ms=self._halted_since_ms,
            pace=self._rehearsal.pace,
            spread=self._rehearsal.spread,
        )

    def hear_prints(
        self,
        socket: str,
        prints: Sequence[Print],
        *,
        replay: bool,
        now_s: float,
        known_at_ms: int,
        replay_to_ms: int = -1,
    ) -> list[Fact]:
        """A trades frame of this coin; of `replay_to_ms` see `CoinTape.hear_replay`."""
        if not replay:
            return self._take(self.tape.hear(socket, prints, now_s), known_at_ms)
        begun = self.tape.watermark_ms is not None
        advance = self.tape.hear_replay(socket, prints, now_s, replay_to_ms)
        if not begun and self.tape.watermark_ms is not None:
            self.ledger.begin(self.tape.epoch_ms)
        return self._take(advance, known_at_ms)

    def hear_time(self, socket: str, time_ms: int, *, now_s: float, known_at_ms: int) -> list[Fact]:
        """Another timed frame of this coin."""
        return self._take(self.tape.hear_time(socket, time_ms, now_s), known_at_ms)

    def hear_account(self, snapshot: AccountSnapshot, known_at_ms: int) -> list[Fact]:
        """An account answer; it waits until the watermark has passed its window."""
        self.ledger.hear(snapshot)
        return self._judge(known_at_ms)

    def end(self, socket: str, reason: str, *, now_s: float, known_at_ms: int) -> list[Fact]:
        """This socket may have lost prints of the coin."""
        return self._take(self.tape.end(socket, reason, now_s), known_at_ms)

    def halt(self, since_ms: int) -> None:
        """The market is delisted, halted or without open interest: nothing is exact until it is back."""
        if self._halted_since_ms is None:
            self._halted_since_ms = since_ms

    def resume(self, known_at_ms: int) -> list[Fact]:
        """The market is back: what happened meanwhile was off the tape, so the halt counts as a gap."""
        since, self._halted_since_ms = self._halted_since_ms, None
        return [] if since is None else self._cut(since, known_at_ms)

    def distrust(self, since_ms: int, known_at_ms: int) -> list[Fact]:
        """What was told since then may be lost: a new whole stretch begins. A halted market begins one when back."""
        return [] if self.is_halted else self._cut(since_ms, known_at_ms)

    def _cut(self, since_ms: int, known_at_ms: int) -> list[Fact]:
        until = self.tape.watermark_ms
        return [] if until is None else self._take(Advance(gap=self.tape.cut(min(since_ms, until))), known_at_ms)

    def share_of_changes(self, book: Book) -> float:
        """How much of all that changes here is this trader's, by everybody's average rates: 1 = nobody else trades."""
        watermark_ms, (shape, watch_s) = self.tape.watermark_ms or 0, self._prior
        watched_s = watch_s + max(0, watermark_ms - book.watched_from_ms) / 1000
        everyones = max(1, len(self.ledger.books())) * shape / watch_s
        return min(1.0, (shape + book.changes) / watched_s / everyones)

    def count_gap(self, gap: TapeGap, bars: Iterable[Candle], asked_ms: int) -> bool:
        """Learn from the venue's 1m bars, as of `asked_ms`, how lively a gap was; False when they do not tell.

        The tape must be whole up to that moment by now.
        """
        made = self.counts.missed(gap, (other for other in self.tape.gaps if other != gap), bars, asked_ms)
        if made is None:
            return False
        told = self._rehearsal.counted(made.prints, made.lots, (gap.until_ms - gap.since_ms) / 1000)
        return told is not None and self.tape.count_gap(gap, told.pace, told.spread)

    def learn_rates(self) -> None:
        """Learn anew how doubt is told here, from the last 20 s (a pass over everyone, so no more often than that)."""
        now_ms = self.tape.watermark_ms
        if now_ms is None or self.is_halted:
            return
        since_ms = now_ms - REHEARSED_MS
        is_whole = since_ms >= max(self.tape.epoch_ms, self._heard_from_ms)
        if is_whole and since_ms + OVERLAP_MS >= self._rehearsed_ms:
            made = self.counts.between(since_ms, now_ms)
            self._rehearsal.hear(self.ledger.books(), since_ms, now_ms, *self._prior, made)
            self._rehearsed_ms = now_ms
        if self._measured_ms is None or now_ms - self._measured_ms >= MEASURED_EVERY_MS:
            self._measured_ms = now_ms
            self.ledger.forget_old_changes(now_ms)
            self._prior = self.ledger.rate_prior(now_ms)

    def _take(self, advance: Advance, known_at_ms: int) -> list[Fact]:
        ledger = self.ledger
        if advance is NOTHING:  # most frames: another socket had brought the same before
            return self._judge(known_at_ms) if ledger.due else []
        facts: list[Fact] = []
        if advance.gap is not None:
            facts.append(self._gapped(advance.gap, known_at_ms))
        fresh, late = advance.fresh, advance.late
        if fresh:
            self.counts.count(fresh)
            self.on_prints(fresh)
        if late:
            self.counts.count(late)
            self.on_prints(late)
        facts += ledger.count(advance, known_at_ms)
        if ledger.due:
            facts += self._judge(known_at_ms)
        return facts

    def _gapped(self, gap: TapeGap, known_at_ms: int) -> TapeGapped:
        mark = self.mark()
        assert mark is not None, "a gap has a watermark"
        return TapeGapped(known_at_ms=self.ledger.known_at(max(known_at_ms, gap.until_ms)), mark=_at_gap(mark, gap))

    def _judge(self, known_at_ms: int) -> list[Fact]:
        watermark = self.tape.watermark_ms
        if watermark is None or not self.ledger.waiting:
            return []
        facts: list[Fact] = []
        for answer, verdict, fact in self.ledger.judge(watermark, known_at_ms):
            if fact is not None:
                facts.append(fact)
            self._on_verdict(self, answer, verdict)
        return facts


def _at_gap(mark: TapeMark, gap: TapeGap) -> TapeMark:
    """The mark as it stands right at the gap's end, before anything after it is counted."""
    return msgspec.structs.replace(mark, watermark_ms=gap.until_ms)
