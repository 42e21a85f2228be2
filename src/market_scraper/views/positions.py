"""Everyone's newest position, and what may be claimed of it at the moment of asking."""

from collections.abc import Iterable, Sequence

from market_scraper.domain.claims import EXACT_MAX_AGE_MS, Claim, claim
from market_scraper.domain.electorate import ExactSizes
from market_scraper.domain.events import MarketContextChanged, PositionChanged, TapeAdvanced, TapeGapped
from market_scraper.domain.positions import Position, PositionState, TapeMark
from market_scraper.domain.rules import InferenceRules
from market_scraper.domain.values import Address, Symbol, coins
from market_scraper.ports.clock import Clock
from market_scraper.ports.views import PositionNow, TradersView


class _Coin:
    """One coin's applied prefix: its facts, and the tape mark that came after them."""

    def __init__(self, symbol: Symbol) -> None:
        # Before the first mark a fact speaks for its own moment alone.
        self.mark = TapeMark(symbol=symbol, watermark_ms=0, epoch_ms=0)
        self.newest: dict[Address, Position] = {}
        self.exact = ExactSizes()
        self.ahead: set[Address] = set()  # with a fact newer than the watermark
        self.sz_decimals = 0
        self.open_interest: float | None = None  # coins
        self.interest_known_at_ms = 0
        self.changes = 0
        self.stale_asked_ms: int | None = None

    def put(self, position: Position) -> None:
        """Take a fact unless a newer one is there."""
        known = self.newest.get(position.trader)
        if known is not None and known.version >= position.version:
            return
        self.newest[position.trader] = position
        self.exact.put(position)
        self.sz_decimals = position.sz_decimals
        if position.t_ms > self.mark.watermark_ms:
            self.ahead.add(position.trader)
        else:
            self.ahead.discard(position.trader)
        self.changes += 1

    def move(self, mark: TapeMark) -> bool:
        """Take a mark unless the tape stands further already; gives whether it is no older than what is known."""
        if mark.place < self.mark.place:
            return False
        if mark == self.mark:
            return True
        self.mark = mark
        self.ahead = {trader for trader in self.ahead if self.newest[trader].t_ms > mark.watermark_ms}
        self.changes += 1
        return True

    def note_interest(self, coins_open: float | None, known_at_ms: int) -> None:
        """Take the open interest unless a newer one is there."""
        if known_at_ms < self.interest_known_at_ms:
            return
        self.interest_known_at_ms = known_at_ms
        if self.open_interest != coins_open:
            self.open_interest = coins_open
            self.changes += 1

    def exact_lots(self, venue_now_ms: int, max_age_ms: int) -> int:
        """Sum of |lots| over the positions that `claim` calls exact, without asking it for each.

        While the mark is young it is the sum over the stretches that the last gap left whole; when the mark is too
        old, only those are exact whose own fact is young enough.
        """
        mark = self.mark
        if mark.halted_since_ms is not None:
            return 0
        if venue_now_ms - mark.watermark_ms <= max_age_ms:
            return self.exact.lots(mark.epoch_ms)
        return sum(
            abs(position.lots or 0)
            for position in map(self.newest.__getitem__, self.ahead)
            if position.state is PositionState.EXACT
            and position.epoch_ms >= mark.epoch_ms
            and venue_now_ms - position.t_ms <= max_age_ms
        )


class LivePositions:
    """Implements `ports.views.PositionsView`."""

    def __init__(
        self,
        clock: Clock,
        traders: TradersView,
        *,
        inference: InferenceRules | None = None,
        exact_max_age_ms: int = EXACT_MAX_AGE_MS,
    ) -> None:
        self._clock = clock
        self._traders = traders
        self._inference = InferenceRules() if inference is None else inference
        self._max_age_ms = exact_max_age_ms
        self._coins: dict[Symbol, _Coin] = {}
        self._venue_offset_ms = 0

    def collect(self, symbols: Iterable[Symbol]) -> None:
        """Answer for these symbols, also before anything of them was heard."""
        for symbol in symbols:
            self._coin(symbol)

    def restore(self, mark: TapeMark | None, symbol: Symbol) -> None:
        """Take the stored mark. Read it before the stored positions, so that no claim reaches past them."""
        if mark is not None:
            self._coin(symbol).move(mark)

    def put(self, positions: Iterable[Position]) -> None:
        """Take facts as stored; an older one never replaces a newer one."""
        for position in positions:
            self._coin(position.symbol).put(position)

    def apply(self, event: PositionChanged | TapeAdvanced | TapeGapped | MarketContextChanged) -> None:
        """Take the next event of a coin, in the bus's order."""
        match event:
            case PositionChanged(after=after):
                self._coin(after.symbol).put(after)
            case TapeAdvanced(mark=mark):
                if self._coin(mark.symbol).move(mark):
                    self._venue_offset_ms = event.venue_offset_ms
            case TapeGapped(mark=mark):
                self._coin(mark.symbol).move(mark)
            case MarketContextChanged(context=context):
                self._coin(context.symbol).note_interest(context.open_interest, event.known_at_ms)

    def get(self, trader: Address, symbol: Symbol) -> PositionNow | None:
        coin = self._coins.get(symbol)
        if coin is None:
            return None
        position = coin.newest.get(trader)
        if position is None:
            return self._unseen(trader)
        return PositionNow(
            position, claim(position, coin.mark, self._venue_now_ms(), exact_max_age_ms=self._max_age_ms)
        )

    def known(self, symbol: Symbol) -> Sequence[Address]:
        """Everyone with a position fact in this coin; who is only inferred is not among them."""
        coin = self._coins.get(symbol)
        return [] if coin is None else list(coin.newest)

    def coverage(self, symbol: Symbol) -> float:
        coin = self._coins.get(symbol)
        if coin is None or not coin.open_interest or coin.open_interest < 0:
            return 0.0
        lots = coin.exact_lots(self._venue_now_ms(), self._max_age_ms)
        return min(1.0, coins(lots, coin.sz_decimals) / (2 * coin.open_interest))

    def version(self, symbol: Symbol) -> int:
        """Counts what was applied and, while the mark is too old, the moments of asking: doubt grows with each."""
        coin = self._coins.get(symbol)
        if coin is None:
            return self._traders.version
        now_ms = self._venue_now_ms()
        stale_ms = now_ms if now_ms - coin.mark.watermark_ms > self._max_age_ms else None
        if stale_ms != coin.stale_asked_ms:
            coin.stale_asked_ms = stale_ms
            coin.changes += 1
        return coin.changes + self._traders.version

    def _unseen(self, trader: Address) -> PositionNow | None:
        """What the leaderboard alone says of someone."""
        rated, captured_at_ms = self._traders.get(trader), self._traders.captured_at_ms
        if rated is None or captured_at_ms is None:
            return None
        inferred = rated.inference
        is_inferred = (
            self._inference.enabled
            and inferred.has_position
            and inferred.confidence >= self._inference.confidence_threshold
        )
        state = PositionState.INFERRED if is_inferred else PositionState.UNKNOWN
        return PositionNow(None, Claim(state, None, None, None, captured_at_ms))

    def _venue_now_ms(self) -> int:
        return self._clock.now_ms() + self._venue_offset_ms

    def _coin(self, symbol: Symbol) -> _Coin:
        coin = self._coins.get(symbol)
        if coin is None:
            coin = self._coins[symbol] = _Coin(symbol)
        return coin
