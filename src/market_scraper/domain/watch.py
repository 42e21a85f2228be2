"""One coin under watch: its tape and its ledger, told what is heard, giving the facts to publish in order."""

from collections.abc import Callable, Iterable, Sequence

from market_scraper.domain.book import Answer
from market_scraper.domain.events import PositionChanged, TapeGapped
from market_scraper.domain.ledger import RATE_SHAPE, CoinLedger
from market_scraper.domain.market import Market, Print
from market_scraper.domain.positions import AccountSnapshot, Position, TapeGap, TapeMark
from market_scraper.domain.rules import PositionRules
from market_scraper.domain.tape import NOTHING, Advance, CoinTape
from market_scraper.domain.values import Symbol

Fact = PositionChanged | TapeGapped


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
        self._on_verdict = on_verdict
        self._halted_since_ms = None if mark is None else mark.halted_since_ms
        self._prior = (RATE_SHAPE, 480.0) if mark is None else (mark.rate_shape, mark.rate_watch_s)
        if mark is not None:
            self.ledger.restore(positions, mark.gaps, mark.epoch_ms)
            self.ledger.known_at(mark.watermark_ms)

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
        )

    def hear_prints(
        self, socket: str, prints: Sequence[Print], *, replay: bool, now_s: float, known_at_ms: int
    ) -> list[Fact]:
        """A trades frame of this coin."""
        if not replay:
            return self._take(self.tape.hear(socket, prints, now_s), known_at_ms)
        begun = self.tape.watermark_ms is not None
        advance = self.tape.hear_replay(socket, prints, now_s)
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
        since, until = self._halted_since_ms, self.tape.watermark_ms
        self._halted_since_ms = None
        if since is None or until is None:
            return []
        return self._take(Advance(gap=self.tape.cut(min(since, until))), known_at_ms)

    def learn_rates(self) -> None:
        """Measure anew how often people trade here (costs a pass over everyone; once a minute is plenty)."""
        if self.tape.watermark_ms is not None:
            self.ledger.forget_old_changes(self.tape.watermark_ms)
            self._prior = self.ledger.rate_prior(self.tape.watermark_ms)

    def _take(self, advance: Advance, known_at_ms: int) -> list[Fact]:
        if advance is NOTHING:  # most frames: another socket had brought the same before
            return self._judge(known_at_ms) if self.ledger.waiting else []
        facts: list[Fact] = []
        if advance.gap is not None:
            facts.append(self._gapped(advance.gap, known_at_ms))
        self.on_prints(advance.fresh)
        if advance.late:
            self.on_prints(advance.late)
        facts += self.ledger.count(advance, known_at_ms)
        if self.ledger.waiting:
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
    return TapeMark(
        symbol=mark.symbol,
        watermark_ms=gap.until_ms,
        epoch_ms=mark.epoch_ms,
        gaps=mark.gaps,
        rate_shape=mark.rate_shape,
        rate_watch_s=mark.rate_watch_s,
        halted_since_ms=mark.halted_since_ms,
    )
