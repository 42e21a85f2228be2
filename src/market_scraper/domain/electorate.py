"""One symbol's voters: told what happens in the coin's order, answers with the signal when there is one to tell.

A signal is computed once per block in which a voter changed: when the next block begins, or when the caller says
that no more of the block is waiting (`settle`). No I/O and no clock: what a fact brings with it is its time, so the
same facts give the same signals. Only silence needs a clock (`silence`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from market_scraper.domain.aggregate import Voter, aggregate, explained, is_due, should_emit, voter
from market_scraper.domain.claims import EXACT_MAX_AGE_MS, claim
from market_scraper.domain.classes import Classifier, ClassName
from market_scraper.domain.events import MarketContextChanged, PositionChanged, TapeAdvanced, TapeGapped
from market_scraper.domain.positions import Position, PositionState, TapeMark
from market_scraper.domain.rules import SignalRules
from market_scraper.domain.signals import Signal, SignalState
from market_scraper.domain.values import Address, Symbol, coins


class Rating(msgspec.Struct, frozen=True, gc=False):
    """What the leaderboard says of a voter; both None for one who was tracked by hand and is not ranked."""

    score: float | None
    account_value: float | None  # USD
    name: ClassName | None = None  # as the leaderboard's row says; what is seen of the position may say more


class ExactSizes:
    """Sum of |lots| over exact positions, kept by the whole stretch of tape (epoch) that each leans on.

    A gap makes all older stretches count for nothing at once, so neither a fact nor a gap costs more than the
    number of stretches. Whole lots: nothing is ever lost to rounding.
    """

    def __init__(self) -> None:
        self._of: dict[Address, tuple[int, int]] = {}
        self._sums: dict[int, int] = {}

    def put(self, position: Position) -> None:
        """Take a trader's newest position."""
        epoch, lots = self._of.pop(position.trader, (0, 0))
        if lots:
            self._sums[epoch] -= lots
            if not self._sums[epoch]:
                del self._sums[epoch]
        if position.state is PositionState.EXACT and position.lots:
            lots, epoch = abs(position.lots), position.epoch_ms
            self._of[position.trader] = (epoch, lots)
            self._sums[epoch] = self._sums.get(epoch, 0) + lots

    def lots(self, since_epoch_ms: int) -> int:
        """Give the sum over positions whose stretch began then or later."""
        return sum(lots for epoch, lots in self._sums.items() if epoch >= since_epoch_ms)


class _Block(msgspec.Struct, frozen=True):
    """A block in which a voter changed, not yet computed."""

    t_ms: int
    known_at_ms: int


class Electorate:
    """Keeps one symbol's voters and its last signal."""

    def __init__(
        self,
        symbol: Symbol,
        rules: SignalRules,
        *,
        started_ms: int,
        exact_max_age_ms: int = EXACT_MAX_AGE_MS,
        classifier: Classifier | None = None,
    ) -> None:
        self.symbol = symbol
        self.last: Signal | None = None
        self.computed = 0
        self._rules = rules
        self._classifier = Classifier() if classifier is None else classifier
        self._max_age_ms = exact_max_age_ms
        self._started_ms = started_ms
        self._ratings: Mapping[Address, Rating] = {}
        self._order: list[Address] = []
        self._positions: dict[Address, Position] = {}
        self._exact = ExactSizes()
        self._sz_decimals = 0
        self._mark: TapeMark | None = None
        self._offset_ms = 0
        self._is_tape_heard = False  # since the start: a stored mark says nothing of now
        self._price: float | None = None
        self._open_interest: float | None = None
        self._votes: dict[Address, Voter | None] = {}
        self._classed: dict[Address, ClassName] = {}  # who would vote but for a class
        self._votes_lean_on: object = None
        self._block: _Block | None = None
        self._changed_ms: int | None = None  # when a change without a print became known, while not yet computed

    def restore(self, positions: Iterable[Position]) -> None:
        """Take stored positions; may be called for slice after slice."""
        for position in positions:
            self._keep(position)

    def resume(self, mark: TapeMark | None, last: Signal | None) -> None:
        """Take the stored mark and the last signal told: the next one continues from it."""
        self._mark, self.last = mark, last
        self._price = None if last is None else last.price

    def rate(self, ratings: Mapping[Address, Rating], known_at_ms: int) -> None:
        """Take who votes from now on; the mapping is not copied."""
        self._ratings, self._order = ratings, sorted(ratings)
        self._votes_lean_on = None
        self._changed_ms = known_at_ms

    def changed(self, event: PositionChanged) -> Signal | None:
        """Take a position fact; if it begins another block, give the signal of the one before."""
        after = event.after
        told = None
        if self._block is not None and self._block.t_ms != after.t_ms:
            told = self.settle()
        if event.px is not None and self._open_interest is None:
            self._price = event.px  # until the venue tells a mark
        if self._keep(after) and after.trader in self._ratings:
            self._votes.pop(after.trader, None)
            self._block = _Block(after.t_ms, event.known_at_ms)
        return told

    def advanced(self, event: TapeAdvanced) -> list[Signal]:
        """Take the mark; give the pending block's signal, and the one that the mark itself makes due.

        One that stands behind what was restored is delivered again: it says nothing.
        """
        if self._stands_behind(event.mark):
            return []
        told = [self.settle()]
        self._mark, self._offset_ms = event.mark, event.venue_offset_ms
        self._is_tape_heard = True
        last, known_at_ms = self.last, event.known_at_ms
        is_stale = self._is_stale(known_at_ms)
        if last is None or is_due(last, event.mark.watermark_ms, self._rules) or self._is_other_state(last, is_stale):
            told.append(self._compute(event.mark.watermark_ms, known_at_ms, is_stale))
        return [signal for signal in told if signal is not None]

    def gapped(self, event: TapeGapped) -> list[Signal]:
        """Take a gap: from here on nobody is exact until an account answer says so."""
        if self._stands_behind(event.mark):
            return []
        told = [self.settle()]
        self._mark, self._is_tape_heard = event.mark, True
        self._changed_ms = event.known_at_ms
        told.append(self.settle())
        return [signal for signal in told if signal is not None]

    def priced(self, event: MarketContextChanged) -> None:
        """Take mark price and open interest; they count from the next computation on."""
        context = event.context
        self._open_interest = context.open_interest
        self._price = context.mark or context.mid or self._price

    def settle(self) -> Signal | None:
        """Give the signal of what is pending, when there is one to tell: no more of its block is waiting."""
        block, changed_ms = self._block, self._changed_ms
        if not self._is_tape_heard:
            return None
        if block is not None:
            known_at_ms = block.known_at_ms if changed_ms is None else max(block.known_at_ms, changed_ms)
            return self._compute(block.t_ms, known_at_ms, self._is_stale(known_at_ms))
        if changed_ms is not None:  # no block says when: the venue's clock as we know it
            return self._compute(changed_ms + self._offset_ms, changed_ms, self._is_stale(changed_ms))
        return None

    def silence(self, now_ms: int) -> Signal | None:
        """Tell that the tape stands still at `now_ms` (our clock), if the last signal called itself live."""
        last = self.last
        if last is None or last.state is not SignalState.LIVE or not self._is_stale(now_ms):
            return None
        if not self._is_tape_heard and now_ms - self._started_ms <= self._max_age_ms:
            return None  # we have only just begun to listen
        return self._compute(now_ms + self._offset_ms, now_ms, is_stale=True)

    @property
    def coverage(self) -> float:
        """Sum of |size| over exact traders / (2 x open interest), 0..1; the tape is taken as moving."""
        mark, interest = self._mark, self._open_interest
        if mark is None or mark.halted_since_ms is not None or not interest or interest < 0.0:
            return 0.0
        return min(1.0, coins(self._exact.lots(mark.epoch_ms), self._sz_decimals) / (2.0 * interest))

    def position(self, trader: Address) -> Position | None:
        """Give the newest position that was taken."""
        return self._positions.get(trader)

    def _keep(self, position: Position) -> bool:
        known = self._positions.get(position.trader)
        if known is not None and position.version <= known.version:
            return False
        self._positions[position.trader] = position
        self._exact.put(position)
        self._sz_decimals = position.sz_decimals
        return True

    def _stands_behind(self, mark: TapeMark) -> bool:
        return self._mark is not None and mark.place < self._mark.place

    def _is_stale(self, now_ms: int) -> bool:
        return self._mark is None or now_ms + self._offset_ms - self._mark.watermark_ms > self._max_age_ms

    def _is_other_state(self, last: Signal, is_stale: bool) -> bool:
        """Whether coverage or a tape that stands still or moves again would change the state."""
        if is_stale:
            return last.state is SignalState.LIVE
        if last.traders_long + last.traders_short + last.traders_flat < self._rules.min_voters:
            return False
        is_covered = self.coverage >= self._rules.min_coverage
        return last.state is not (SignalState.LIVE if is_covered else SignalState.WARMING_UP)

    def _compute(self, t_ms: int, known_at_ms: int, is_stale: bool) -> Signal | None:
        mark, price = self._mark, self._price
        if mark is None or price is None or (self._open_interest is None and not is_stale):
            return None  # what is pending stays so: before the first open interest coverage is not known
        self._block = self._changed_ms = None
        voters = self._voters(mark, known_at_ms + self._offset_ms if is_stale else None)
        self.computed += 1
        signal = aggregate(
            voters,
            symbol=self.symbol,
            t_ms=t_ms,
            known_at_ms=known_at_ms,
            price=price,
            coverage=0.0 if is_stale else self.coverage,
            tape_is_stale=is_stale,
            previous=self.last,
            rules=self._rules,
        )
        if not should_emit(self.last, signal, mark.watermark_ms, self._rules):
            return None
        self.last = explained(signal, voters, self._left_out())
        return self.last

    def _voters(self, mark: TapeMark, stale_at_ms: int | None) -> list[Voter]:
        """Give the voters by address. A vote is made anew only when something that it leans on has changed."""
        votes = self._votes
        lean_on = msgspec.structs.replace(mark, watermark_ms=0), stale_at_ms
        if lean_on != self._votes_lean_on:
            votes.clear()
            self._classed.clear()
            self._votes_lean_on = lean_on
        for trader in self._order:
            if trader not in votes:
                votes[trader] = self._vote(trader, mark, stale_at_ms)
        return [vote for trader in self._order if (vote := votes[trader]) is not None]

    def _left_out(self) -> dict[str, int]:
        """Count who would have voted but for a class, by class."""
        return dict(sorted(Counter(name.value for name in self._classed.values()).items()))

    def _vote(self, trader: Address, mark: TapeMark, stale_at_ms: int | None) -> Voter | None:
        """Make a trader's vote; None = nothing to vote with, or a class without a vote."""
        self._classed.pop(trader, None)
        position = self._positions.get(trader)
        if position is None:
            return None
        now_ms = mark.watermark_ms if stale_at_ms is None else stale_at_ms
        rating = self._ratings[trader]
        said = claim(position, mark, now_ms, exact_max_age_ms=self._max_age_ms)
        vote = voter(position, said, score=rating.score, equity=rating.account_value)
        name = rating.name or self._classifier.seen(position, rating.account_value)
        if vote is None or name is None:
            return vote
        factor = self._classifier.vote(name)
        if factor:
            return msgspec.structs.replace(vote, weight=vote.weight * factor)
        self._classed[trader] = name
        return None
