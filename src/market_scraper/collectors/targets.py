"""What an account answer of somebody is worth to us now: size, votes, activity and rank in one figure."""

from collections.abc import Iterable, Mapping

from market_scraper.domain.book import Book
from market_scraper.domain.claims import claim
from market_scraper.domain.events import TradersRated
from market_scraper.domain.planner import Target
from market_scraper.domain.traders import RatedTrader
from market_scraper.domain.values import Address, Symbol
from market_scraper.domain.watch import CoinWatch

UNKNOWN_SIZE = 1e-4
"""Worth of somebody of whom nothing is known but a print or a row: above nothing, below any real holder."""


VOTES_PART = 0.25
"""A share of all votes is worth that much of an equal share of all open contracts.

After a gap 90 % of size must be sure again as soon as a sweep by size alone would have it. With votes at their full
share a hundred small voters stood in between, and it took 20 s and more where 15 are due. Those with the
weightiest votes are heard of over user slots besides.
"""

ACTIVITY_PART = 0.02
"""Likewise a share of all changes. Who trades all the time is doubted most and holds little, often nothing: without
this, one of the 20 busiest still waited five minutes after a gap. At 0.1 the busy came before who holds, and 90 % of
size took 17 to 24 s where 12 to 16 are enough (full-size runs at 88 prints a second)."""


class Worth:
    """Weighs targets. A size counts by its share of all open contracts, a vote and a habit by parts of theirs."""

    def __init__(self) -> None:
        self._votes: dict[Address, float] = {}
        self._ranked: dict[Address, float] = {}  # share of all account value
        self._parts: dict[int, list[RatedTrader]] = {}
        self._open_lots: dict[Symbol, float] = {}

    @property
    def voters(self) -> list[Address]:
        """Tracked traders, the weightiest first."""
        return sorted(self._votes, key=lambda trader: (-self._votes[trader], trader))

    def hear_ratings(self, rated: TradersRated) -> bool:
        """Take a slice of a pull; True when it was the last one and the weights are new."""
        if rated.part == 0:
            self._parts.clear()
        self._parts[rated.part] = list(rated.traders)
        if len(self._parts) < rated.parts:
            return False
        traders = [trader for part in self._parts.values() for trader in part]
        self._parts.clear()
        scores = {t.row.trader: max(t.score, 1.0) for t in traders if t.tracked}
        total = sum(scores.values()) or 1.0
        self._votes = {trader: score / total for trader, score in scores.items()}
        value = sum(max(t.row.account_value, 0.0) for t in traders) or 1.0
        self._ranked = {t.row.trader: max(t.row.account_value, 0.0) / value for t in traders}
        return True

    def hear_open_interest(self, symbol: Symbol, lots: float) -> bool:
        """Take a coin's open interest, each contract once, in lots; True when it is the first that counts."""
        is_first = lots > 0 and symbol not in self._open_lots
        if lots > 0:
            self._open_lots[symbol] = lots
        return is_first

    def open_lots(self, symbol: Symbol) -> float | None:
        """The coin's open interest, each contract once, in lots; None while it was never told."""
        return self._open_lots.get(symbol)

    @property
    def ranked(self) -> Iterable[Address]:
        """Everyone on the newest leaderboard."""
        return self._ranked

    def of(self, target: Target, watches: Mapping[Symbol, CoinWatch]) -> float:
        """The target's worth, before doubt."""
        worth = VOTES_PART * self._votes.get(target.trader, 0.0)
        sized = False
        for watch in watches.values():
            book = watch.ledger.get(target.trader) if watch.market.dex == target.dex else None
            if book is None:
                continue
            worth += ACTIVITY_PART * watch.share_of_changes(book)
            lots = book.lots if book.lots is not None else book.net
            open_lots = self._open_lots.get(watch.symbol)
            if open_lots is None:
                continue  # a size is no share of anything yet
            worth += abs(lots) / (2 * open_lots)
            sized = sized or book.lots is not None
        return worth if sized else worth + UNKNOWN_SIZE + 0.5 * self._ranked.get(target.trader, 0.0)

    def gain(self, target: Target, watches: Mapping[Symbol, CoinWatch], venue_now_ms: int) -> float:
        """What asking now would buy: worth x doubt, where even the surest unsure one counts half.

        Half, because an answer also turns a sure guess into an exact claim, and coverage counts those only.
        """
        doubt = max(
            (
                _doubt(book, watch, venue_now_ms)
                for watch in watches.values()
                if watch.market.dex == target.dex and (book := watch.ledger.get(target.trader)) is not None
            ),
            default=1.0,
        )
        return self.of(target, watches) * (0.5 + 0.5 * doubt)


def _doubt(book: Book, watch: CoinWatch, venue_now_ms: int) -> float:
    mark = watch.mark()
    if mark is None or book.lots is None:
        return 1.0
    return claim(watch.ledger.position(book), mark, venue_now_ms).doubt or 0.0
