# ruff: noqa: N815 - the wire's names stand as they are
"""The venue's wire, typed: the shapes we read and nothing else of them.

Unknown keys are ignored (they appear without notice), known ones must have their type. Numbers travel as decimal
strings; the decoders turn them into floats in C (`strict=False`), where "NaN" and "inf" come through: `parse` refuses
those. Shapes are those of the venue's documents and recordings of 2026-10.
"""

import re
from typing import Annotated, Any, TypeVar

import msgspec

from market_scraper.domain.errors import InvalidInput, UndecodableFrame

Millis = Annotated[int, msgspec.Meta(ge=0, lt=253_402_300_800_000)]
"""Milliseconds since the epoch that a datetime can hold (before the year 10000)."""

TradeId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""Documented as 50 bits, recorded up to 1.1e15; what a store's 64-bit column can hold."""

SzDecimals = Annotated[int, msgspec.Meta(ge=0, le=8)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class WireTrade(msgspec.Struct, gc=False):
    """One match. `users` = [buyer, seller]; `side` and `hash` say nothing that we need."""

    coin: str
    px: float
    sz: float
    time: Millis
    tid: TradeId
    users: tuple[str, str]


class WireBbo(msgspec.Struct, gc=False):
    """A best-price frame; we read only when and of which coin."""

    coin: str
    time: Millis


class WireMids(msgspec.Struct):
    """Mid prices by coin, spot (`@107`) among them; `dex` is absent for the main one."""

    mids: dict[str, float | None]
    dex: str | None = None


class WireCandle(msgspec.Struct, gc=False):
    """One bar: `t` open time, `T` last millisecond, `v` coins, `n` trades."""

    t: Millis
    s: str
    i: str
    o: float
    h: float
    l: float  # noqa: E741
    c: float
    v: float
    n: Count | None = None


class WireAssetContext(msgspec.Struct, gc=False):
    """A perp's state. `midPx` is null on illiquid and halted markets; spot contexts have no open interest."""

    openInterest: float
    funding: float = 0.0
    markPx: float | None = None
    midPx: float | None = None
    dayNtlVlm: float | None = None


class WireCoinContext(msgspec.Struct, gc=False):
    """The payload of `activeAssetCtx`."""

    coin: str
    ctx: WireAssetContext


class WireLeverage(msgspec.Struct, gc=False):
    """`type` is cross or isolated; isolated has an extra `rawUsd`."""

    value: int


class WirePosition(msgspec.Struct, gc=False):
    """One open position; `szi` in signed coins. Each field less is 1.5 % of an account's way to its verdict."""

    coin: str
    szi: float
    positionValue: float | None = None  # USD, without a sign
    leverage: WireLeverage | None = None
    entryPx: float | None = None
    liquidationPx: float | None = None


class WireAssetPosition(msgspec.Struct, gc=False):
    """`type` is always oneWay."""

    position: WirePosition


class WireMarginSummary(msgspec.Struct, gc=False):
    """All margin together, USD."""

    accountValue: float


class WireAccount(msgspec.Struct, gc=False):
    """A `clearinghouseState`: one dex, flat coins absent."""

    marginSummary: WireMarginSummary
    assetPositions: list[WireAssetPosition]
    time: Millis


class WireAccountPush(msgspec.Struct, gc=False):
    """The payload of the channel `clearinghouseState`."""

    user: str
    clearinghouseState: WireAccount
    dex: str | None = None


class WireListing(msgspec.Struct, gc=False):
    """One entry of `universe`; its place is the asset id, delisted ones keep theirs."""

    name: str
    szDecimals: SzDecimals
    maxLeverage: int = 1
    isDelisted: bool = False


class WireMeta(msgspec.Struct):
    """The answer to `meta`."""

    universe: list[WireListing]


class WirePerpDex(msgspec.Struct, gc=False):
    """One builder-deployed dex; the main one is `null` in the list."""

    name: str


class WirePerformance(msgspec.Struct, gc=False):
    """One window of a leaderboard row: USD, fraction, USD."""

    pnl: float | None = None
    roi: float | None = None
    vlm: float | None = None


class WireLeaderboardRow(msgspec.Struct, gc=False):
    """One ranked trader; windows are pairs and are found by name."""

    ethAddress: str
    accountValue: float
    windowPerformances: list[tuple[str, WirePerformance]] = []
    displayName: str | None = None


class WireLeaderboard(msgspec.Struct):
    """The whole pull, its rows still undecoded."""

    leaderboardRows: list[msgspec.Raw]


class WireSubscriptionAnswer(msgspec.Struct):
    """The echo of a subscribe or unsubscribe, with the venue's defaults added."""

    method: str
    subscription: dict[str, Any]


class _Frame(msgspec.Struct, tag_field="channel"):
    pass


class TradesFrame(_Frame, tag="trades", gc=False):
    """Whole blocks of one coin; right after a subscribe, its last 30 prints."""

    data: list[WireTrade]


class BboFrame(_Frame, tag="bbo", gc=False):
    """Best prices changed."""

    data: WireBbo


class MidsFrame(_Frame, tag="allMids"):
    """About every 2 s."""

    data: WireMids


class CandleFrame(_Frame, tag="candle", gc=False):
    """A forming bar, sent again while it forms; never flagged closed.

    The wire has one bar; the venue's pages say a list of them (facts 4.3), so that is read too.
    """

    data: WireCandle | list[WireCandle]


class ContextFrame(_Frame, tag="activeAssetCtx", gc=False):
    """A perp's state, about once a block."""

    data: WireCoinContext


class AccountFrame(_Frame, tag="clearinghouseState", gc=False):
    """A followed user's account, about every 5 s, and at once after subscribing."""

    data: WireAccountPush


class AnswerFrame(_Frame, tag="subscriptionResponse"):
    """A subscribe or unsubscribe was done."""

    data: WireSubscriptionAnswer


class ErrorFrame(_Frame, tag="error", gc=False):
    """A refusal; the text says which, and quota refusals do not say of what."""

    data: str


class PongFrame(_Frame, tag="pong", gc=False):
    """The answer to our ping. It has no data."""


class OtherFrame(msgspec.Struct, gc=False):
    """A frame of a channel that we do not read, or the greeting that is no JSON."""

    channel: str


Frame = (
    TradesFrame
    | BboFrame
    | MidsFrame
    | CandleFrame
    | ContextFrame
    | AccountFrame
    | AnswerFrame
    | ErrorFrame
    | PongFrame
)

GREETING = b"Websocket connection established."

_frames: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame, strict=False)
_channels = msgspec.json.Decoder(OtherFrame)

READ_CHANNELS = frozenset(
    (
        "trades",
        "bbo",
        "allMids",
        "candle",
        "activeAssetCtx",
        "clearinghouseState",
        "subscriptionResponse",
        "error",
        "pong",
    )
)

_STARTS = {channel: b'{"channel":"%s"' % channel.encode() for channel in READ_CHANNELS}

_COIN = re.compile(rb'"coin"\s*:\s*"([!-~]{1,64}?)"')

BROKEN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on bytes from a stranger (deep nesting and bad UTF-8 come as themselves)."""

T = TypeVar("T")


def decode_frame(data: bytes) -> Frame | OtherFrame:
    """Give one WebSocket text frame, typed.

    Raises UndecodableFrame when prints may be lost in it (naming the coin where it can be read) and plain
    InvalidInput when the frame is surely of a channel without prints.
    """
    try:
        return _frames.decode(data)
    except BROKEN as error:
        return _unread(data, error)


def decode_answer(data: bytes | bytearray, shape: type[T]) -> T:
    """Give a REST answer as `shape`, or raise InvalidInput."""
    try:
        return msgspec.json.decode(data, type=shape, strict=False)
    except BROKEN as error:
        raise InvalidInput(f"the answer is not the expected {getattr(shape, '__name__', shape)}: {error}") from error


def _unread(data: bytes, error: Exception) -> OtherFrame:
    """Tell a frame that is not for us from one that may have held prints."""
    if data == GREETING:
        return OtherFrame("greeting")
    try:
        channel: str | None = _channels.decode(data).channel
    except BROKEN:
        channel = next((known for known, start in _STARTS.items() if data.startswith(start)), None)
    if channel is not None and channel not in READ_CHANNELS and b'"users"' not in data:
        return OtherFrame(channel)
    if channel in READ_CHANNELS and channel != "trades":
        raise InvalidInput(f"unreadable {channel} frame: {error}") from error
    raise UndecodableFrame(f"unreadable frame: {error}", coin=_coin_of(data)) from error


def _coin_of(data: bytes) -> str | None:
    """The coin of a broken trades frame: one frame is one coin, so a single readable name speaks for all.

    In a frame that was cut short the bytes before the cut are still the venue's own.
    """
    named = ""
    for found in _COIN.finditer(data):
        coin = found[1].decode("ascii")
        if named not in ("", coin):
            return None
        named = coin
    return named or None
