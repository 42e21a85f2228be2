"""What the world tells: plain frozen facts, without the wire's spelling.

Units everywhere: `px` whole units of 10^-px_decimals USD, `lots` whole lots of 10^-sz_decimals coins (see
`markets`), `*_micro` whole millionths of a USD, `*_ms` milliseconds since the epoch (UTC).
"""

from enum import StrEnum

import msgspec

ZERO_HASH = "0x" + "0" * 64


class Kind(StrEnum):
    """What sort of trader an account is."""

    INFORMED = "informed"  # foresees the drift, with noise
    NOISE = "noise"
    TREND = "trend"  # follows the last forty minutes' move
    MARKET_MAKER = "market_maker"
    VAULT = "vault"  # a vault of many followers; its children do the trading
    VAULT_CHILD = "vault_child"
    SPOT_HOLDER = "spot_holder"  # no perps at all, but a pnl
    DORMANT = "dormant"  # trades no more; may still hold a position
    MASTER = "master"  # its money lies in its sub-accounts
    PHANTOM = "phantom"  # a giant whose windows contradict each other


class Print(msgspec.Struct, frozen=True, gc=False):
    """One match. `taker_buys` is the aggressor's side; who bought and who sold stand apart from it."""

    coin: str
    time_ms: int
    px: int
    lots: int  # > 0
    buyer: str
    seller: str
    taker_buys: bool
    tid: int  # random, 50 bits, unique together with time_ms and coin
    hash: str  # one per taker action, `ZERO_HASH` for a slice of a TWAP


class Bbo(msgspec.Struct, frozen=True, gc=False):
    """Best prices of a coin after a block; `n` counts the orders there."""

    coin: str
    time_ms: int
    bid_px: int
    bid_lots: int
    bid_n: int
    ask_px: int
    ask_lots: int
    ask_n: int


class Block(msgspec.Struct, frozen=True):
    """Everything that one block brought."""

    time_ms: int  # strictly rising over blocks
    height: int  # +1 a block
    prints: tuple[tuple[str, tuple[Print, ...]], ...]  # per coin, each in execution order; coins without prints absent
    bbos: tuple[Bbo, ...]  # only coins whose best prices or sizes changed

    @property
    def ctx_coins(self) -> tuple[str, ...]:
        """Coins whose context (`World.context`) may have changed with this block."""
        return tuple(dict.fromkeys([coin for coin, _ in self.prints] + [bbo.coin for bbo in self.bbos]))


class Liquidation(msgspec.Struct, frozen=True):
    """What both fills of a liquidation say."""

    liquidated_user: str
    mark_px: int
    method: str  # "market"


class Fill(msgspec.Struct, frozen=True):
    """One side of a print, as its account sees it."""

    coin: str
    px: int
    lots: int  # > 0
    buys: bool  # this account bought
    time_ms: int
    start_lots: int  # signed position before this fill
    dir: str  # "Open Long", "Close Short", "Long > Short", "Liquidated Cross Long", ...
    closed_pnl_micro: int  # without the fee
    hash: str
    oid: int
    crossed: bool  # this account was the taker
    fee_micro: int  # negative = rebate; USDC
    tid: int
    twap_id: int | None  # on the owner's side of a slice only
    liquidation: Liquidation | None = None


class PositionState(msgspec.Struct, frozen=True):
    """One open position at one moment."""

    coin: str
    lots: int  # signed, never 0
    entry_px: int
    mark_px: int
    cross: bool
    leverage: int
    isolated_raw_micro: int | None  # `leverage.rawUsd`; None for cross
    value_micro: int  # |lots| x mark
    unrealized_pnl_micro: int
    return_on_equity: float
    liquidation_px: float | None  # USD; None = it can not be liquidated
    margin_used_micro: int
    max_leverage: int
    funding_all_time_micro: int  # > 0: paid, as in `cumFunding`
    funding_since_open_micro: int
    funding_since_change_micro: int


class AccountState(msgspec.Struct, frozen=True):
    """One account on one dex after all blocks with time <= `at_ms`."""

    user: str
    dex: str
    at_ms: int
    account_value_micro: int
    total_notional_micro: int
    total_raw_micro: int  # account value less the signed value of the positions; may be negative
    total_margin_used_micro: int
    cross_account_value_micro: int
    cross_notional_micro: int
    cross_raw_micro: int
    cross_margin_used_micro: int
    cross_maintenance_micro: int
    withdrawable_micro: int
    positions: tuple[PositionState, ...]  # in the order of the universe; flat coins are absent


class Context(msgspec.Struct, frozen=True):
    """A coin's context. `mid_px` (USD), `premium` and `impact_pxs` are None when nothing trades."""

    coin: str
    funding: float  # hourly rate
    open_interest_lots: int
    prev_day_px: int
    day_notional_micro: int
    day_base_lots: int
    premium: float | None
    oracle_px: int
    mark_px: int
    mid_px: float | None
    impact_pxs: tuple[int, int] | None


class Candle(msgspec.Struct, frozen=True):
    """One bar; the newest one of an answer is still forming."""

    coin: str
    interval: str
    open_ms: int
    close_ms: int  # the last millisecond of the bar
    o: int
    h: int
    l: int  # noqa: E741 - the field's own name
    c: int
    v_lots: int
    n: int


class WindowFigures(msgspec.Struct, frozen=True):
    """One window of the leaderboard, in USD; roi is a fraction."""

    pnl: float
    roi: float
    vlm: float


class LeaderRow(msgspec.Struct, frozen=True):
    """One row of the leaderboard. A master's row contains its sub-accounts, which have none."""

    user: str
    account_value: float  # USD
    day: WindowFigures
    week: WindowFigures
    month: WindowFigures
    all_time: WindowFigures
    display_name: str | None


class PortfolioWindow(msgspec.Struct, frozen=True):
    """One window of `portfolio`, points oldest first, USD."""

    name: str  # day week month allTime perpDay perpWeek perpMonth perpAllTime
    account_values: tuple[tuple[int, float], ...]
    pnls: tuple[tuple[int, float], ...]
    vlm: float


class SubAccount(msgspec.Struct, frozen=True):
    """One sub-account of a master."""

    name: str
    user: str
    master: str


class VaultFollower(msgspec.Struct, frozen=True):
    """One follower of a vault, USD."""

    user: str
    equity: float
    pnl: float
    all_time_pnl: float
    days_following: int
    entry_ms: int


class VaultDetails(msgspec.Struct, frozen=True):
    """What `vaultDetails` tells of a vault."""

    name: str
    user: str
    leader: str
    description: str
    apr: float
    leader_fraction: float
    leader_commission: float
    followers: tuple[VaultFollower, ...]
    children: tuple[str, ...]  # of a parent
    parent: str | None  # of a child
    max_distributable: float
    max_withdrawable: float


class OffTape(msgspec.Struct, frozen=True):
    """One change of a position without a print."""

    at_ms: int
    user: str
    coin: str
    before_lots: int
    after_lots: int
    cause: str  # "settlement", "delist" or "halt"


class Person(msgspec.Struct, frozen=True):
    """What the venue hides: who an account really is."""

    user: str
    kind: Kind
    skill: float  # a new position is on the drift's side with chance 0.5 + skill / 2
    master: str | None  # of a sub-account
