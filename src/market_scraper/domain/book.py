"""One trader's book in one coin, what an account answer says of it, and the small arithmetic of both."""

from dataclasses import dataclass, field
from fractions import Fraction

import msgspec
from msgspec import structs

from market_scraper.domain.market import Market
from market_scraper.domain.positions import Cause, Position, PositionState
from market_scraper.domain.values import Address

NANO = 1_000
"""A venue price tick times a lot is a micro-dollar; we count a thousand times as fine."""

_UNKNOWN = PositionState.UNKNOWN


@dataclass(slots=True)  # a msgspec struct is made quicker, but each setting of a field takes twice as long
class Book:
    """What is known of one trader in this coin. `lots` = base + net, where a base is known."""

    trader: Address
    net: int = 0
    net_before: int = 0  # the net of earlier lives: with `net`, what `unknown` shows
    base: int | None = None
    base_before: int | None = None  # the sure one that a gap took, until an answer tells the one behind it
    fits: frozenset[int] | None = None  # bases that every answer of this epoch allows; None = no answer yet
    state: PositionState = PositionState.UNKNOWN
    because: Cause | None = None
    doubt: float | None = None
    since_ms: int | None = None
    epoch_ms: int = 0
    recent: list[tuple[int, int, float]] = field(default_factory=list)  # (block time, net lots, mean price)
    forgot_ms: int = -1  # prints at or before it are no longer in `recent`
    cost: int | None = None  # nano-dollars paid for the open size; None = unsure
    leverage: int | None = None
    liquidation_px: float | None = None
    account_value: float | None = None
    net_share: float | None = None
    confirmed_ms: int | None = None  # stamp of the last answer that agreed
    answered_ms: int = -1  # stamp of the last answer that was judged
    changes: int = 0
    watched_from_ms: int = 0
    t_ms: int = 0
    tid: int = 0
    counted_to_ms: int = -1  # after a restart: prints at or before it are in the stored size
    version: int = 0

    @property
    def lots(self) -> int | None:
        """The size, in lots; None where no base is known."""
        return None if self.base is None else self.base + self.net


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One account answer's word on this coin. `lots` None = a size off the lot grid; 0 = flat."""

    trader: Address
    time_ms: int
    lots: int | None
    entry_px: float | None
    leverage: int | None
    liquidation_px: float | None
    account_value: float
    net_share: float | None = None


def in_lots(position: Position, sz_decimals: int) -> Position:
    """The position in lots of 10**-sz_decimals coins, where the venue has another lot than when it was stored.

    A size that is no whole number of them is no base any more.
    """
    if position.sz_decimals == sz_decimals:
        return position
    ratio = Fraction(10) ** (sz_decimals - position.sz_decimals)
    net_lots = round(position.net_lots * ratio)
    position = structs.replace(position, sz_decimals=sz_decimals, net_lots=net_lots)
    if position.lots is None:
        return position
    lots = position.lots * ratio
    if lots.denominator == 1:
        return structs.replace(position, lots=lots.numerator)
    return structs.replace(position, lots=None, state=_UNKNOWN, doubt=None, because=None, since_ms=None, entry_px=None)


def book_of(position: Position, ticks: float, *, is_whole: bool) -> Book:
    """Take up a stored row; `is_whole` = no gap came since. No print at or before its block is applied to it again.

    `ticks` as for `position_of`.
    """
    lots = position.lots
    cost = None
    if lots is not None and position.entry_px is not None:
        cost = round(position.entry_px * ticks) * abs(lots)
    fits = None
    if lots is not None and position.state is PositionState.EXACT and is_whole:
        fits = frozenset((lots,))
    return Book(
        trader=position.trader,
        net_before=position.net_lots,
        base=lots,
        fits=fits,
        state=position.state,
        because=position.because,
        doubt=position.doubt,
        since_ms=position.since_ms,
        epoch_ms=position.epoch_ms,
        forgot_ms=position.t_ms,
        cost=cost,
        leverage=position.leverage,
        liquidation_px=position.liquidation_px,
        account_value=position.account_value,
        net_share=position.net_share,
        confirmed_ms=position.confirmed_ms,
        answered_ms=-1 if position.confirmed_ms is None else position.confirmed_ms,
        changes=position.changes,
        watched_from_ms=position.watched_from_ms,
        t_ms=position.t_ms,
        tid=position.tid,
        counted_to_ms=position.t_ms,
        version=position.version,
    )


def position_of(book: Book, market: Market, ticks: float) -> Position:
    """The book as a value. `ticks`: nano-dollars a lot in a dollar a coin."""
    base, net, cost, state = book.base, book.net, book.cost, book.state
    lots = None if base is None else base + net
    entry_px = None
    if lots and cost is not None and state is not _UNKNOWN:
        entry_px = cost / abs(lots) / ticks
    # By place, in the order of the fields: naming them would cost as much as all the rest of a fact.
    return Position(
        book.trader,
        market.symbol,
        market.sz_decimals,
        lots,
        book.net_before + net,
        state,
        book.doubt,
        book.because,
        book.since_ms,
        book.epoch_ms,
        book.changes,
        book.watched_from_ms,
        entry_px,
        book.leverage,
        book.liquidation_px,
        book.confirmed_ms,
        book.account_value,
        book.t_ms,
        book.tid,
        book.version,
        book.net_share,
    )


def cast_doubt(book: Book, because: Cause, doubt: float, since_ms: int) -> None:
    """Make the book unsure."""
    book.state = PositionState.UNSURE
    book.because = because
    book.doubt = doubt
    book.since_ms = since_ms


def cost_after(cost: int | None, before: int, after: int, price: int) -> int | None:
    """What the open size cost after a change, in nano-dollars: averaged in, taken out pro rata, new on a flip.

    `price` in nano-dollars a lot.
    """
    if before > 0 < after:
        held, left = before, after
    elif before < 0 > after:
        held, left = -before, -after
    else:
        return price * abs(after)
    if cost is None:
        return None
    if left > held:
        return cost + price * (left - held)
    return (cost * left + held // 2) // held


def prune(book: Book, before_ms: int) -> None:
    """Forget the trader's own prints before a moment: an answer that old is refused from now on."""
    keep = 0
    while keep < len(book.recent) and book.recent[keep][0] < before_ms:
        keep += 1
    if keep:
        book.forgot_ms = max(book.forgot_ms, book.recent[keep - 1][0])
        del book.recent[:keep]
