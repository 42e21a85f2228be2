"""Positions: what an account answer says, what the ledger knows, and what may be claimed of it now."""

from enum import StrEnum

import msgspec

from market_scraper.domain.values import Address, Symbol, coins


class PositionState(StrEnum):
    """How well we know coin, side and size of a position."""

    EXACT = "exact"  # the truth after all blocks up to `as_of`
    UNSURE = "unsure"  # was known; may have changed, with a doubt that says how likely
    INFERRED = "inferred"  # the leaderboard alone says "has a position": no side, no size, no vote
    UNKNOWN = "unknown"  # seen on the tape, no base yet


class Cause(StrEnum):
    """Why a fact was published, or why a position is not exact."""

    PRINT = "print"  # a match on the tape
    LATE = "late"  # a match that came after claims had passed it: a correction
    BASE = "base"  # a snapshot made it exact
    DRIFT = "drift"  # a snapshot and the tape contradict each other
    CANDIDATES = "candidates"  # several bases still fit
    GAP = "gap"  # prints may be missing
    STALE = "stale"  # the watermark is too old to say "now"
    HALT = "halt"  # settled, halted, delisted, or open interest gone
    ODD_SIZE = "odd_size"  # the venue said a size that is no whole number of lots


class SnapshotPosition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One coin of an account answer, as the venue reported it."""

    symbol: Symbol
    lots: int | None  # signed: long > 0; None when the size is no whole number of lots
    entry_px: float | None  # USD
    leverage: int | None  # times
    liquidation_px: float | None  # USD; None = none


class AccountSnapshot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One `clearinghouseState`. It speaks for its own dex only; there, an absent coin is flat."""

    trader: Address
    dex: str
    time_ms: int  # the node's stamp; the true cut lies within the join window around it
    account_value: float  # USD
    positions: tuple[SnapshotPosition, ...]
    net_share: float | None = None  # |longs - shorts| / (longs + shorts), USD, over all coins of the dex; None = flat


class Position(msgspec.Struct, frozen=True, gc=False):
    """What the ledger knew of one trader's position in one coin after one fact. Name its fields when making one.

    Sizes are whole lots of 10**-sz_decimals coins, signed (long > 0). `state` is what it was at the fact;
    what may be claimed *now* depends on the tape too: see `domain.claims.claim`.
    """

    trader: Address
    symbol: Symbol
    sz_decimals: int
    lots: int | None  # None = no known base
    net_lots: int  # net of all prints seen since the trader was first seen (what `unknown` has to show)
    state: PositionState  # exact, unsure or unknown
    doubt: float | None  # at the fact, for unsure: 0..1; None for exact and unknown
    because: Cause | None  # why it is not exact; None for exact and unknown
    since_ms: int | None  # unsure since
    epoch_ms: int  # the whole stretch of tape that the state leans on began here
    changes: int  # blocks in which it changed since watched_from_ms: with the mark's prior, what doubt grows by
    watched_from_ms: int  # block time from which on the trader's prints are counted
    entry_px: float | None  # USD, None when flat or unsure
    leverage: int | None  # as of confirmed_ms; None once the size has changed since
    liquidation_px: float | None  # likewise
    confirmed_ms: int | None  # the stamp of the last account answer that agreed
    account_value: float | None  # USD, as of the last account answer
    t_ms: int  # block time (for a snapshot: the watermark) at which this became true
    tid: int  # the fact's last print; 0 for snapshots and gaps
    version: int  # rises with every fact of this coin, over restarts too
    net_share: float | None = None  # as of the last account answer: 1 = all on one side, 0 = legs cancel; None = flat

    @property
    def size(self) -> float | None:
        """Signed coins, or None where no base is known."""
        return None if self.lots is None else coins(self.lots, self.sz_decimals)


class TapeGap(msgspec.Struct, frozen=True, gc=False):
    """A stretch of one coin's tape that nobody heard: (since_ms, until_ms]. Blocks up to since_ms are whole.

    `pace` and `spread` are this gap's own, as the count of its prints tells (`domain.missed`); None = not counted, so
    that those of the mark hold.
    """

    since_ms: int
    until_ms: int
    pace: float | None = None
    spread: float | None = None


class TapeMark(msgspec.Struct, frozen=True, kw_only=True):
    """How far one coin's tape is whole, and where it was not.

    `rate_shape` and `rate_watch_s` are the Gamma prior of how often a trader of this coin changes: everyone's mean
    rate is rate_shape / rate_watch_s changes a second. `pace` and `spread` say how a gap differs from such averages
    (`domain.rehearsal`): each unheard second counts `pace` times, and rates of now vary by `spread` about it.
    """

    symbol: Symbol
    watermark_ms: int  # the newest block time up to which the tape is whole
    epoch_ms: int  # where the present whole stretch began (the end of the last gap)
    gaps: tuple[TapeGap, ...] = ()  # oldest first, the last 256
    rate_shape: float = 0.2
    rate_watch_s: float = 480.0
    halted_since_ms: int | None = None  # the market is delisted, halted or without open interest since
    pace: float = 1.0  # unheard changes / those that average rates expect
    spread: float = 0.0  # relative variance of a rate of now about its own average

    @property
    def place(self) -> tuple[int, int, bool]:
        """Where it stands among the marks of its coin: of two, the higher one was made later, or says the same.

        A halt stands in no block of its own, so it comes last of its place: what is back from a halt has a gap behind
        it or a later block.
        """
        return self.watermark_ms, self.epoch_ms, self.halted_since_ms is not None
