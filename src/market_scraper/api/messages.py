"""Bus events as WebSocket messages: encoded once, at the first client that wants them."""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from market_scraper.api.answers import ENCODER
from market_scraper.domain.events import Event, PositionChanged, SignalGenerated, TradersRated
from market_scraper.domain.positions import Cause
from market_scraper.domain.traders import RatedTrader
from market_scraper.domain.values import Address, Symbol, coins
from market_scraper.ports.views import Views
from market_scraper.schemas import frames, positions, signals, traders
from market_scraper.schemas.times import moment


class Channel(StrEnum):
    """What a client may listen to."""

    TRADERS = "traders"
    SIGNALS = "signals"


KINDS: tuple[type[Event], ...] = (PositionChanged, TradersRated, SignalGenerated)
"""The events that become messages."""


class PositionUpdate(positions.Position, frozen=True, kw_only=True):
    """Data of a `position` message: the position as the fact left it, whose it is, and why it was published."""

    address: str
    size_before: float | None
    price: float | None  # USD, of the last print
    cause: Cause


class Message:
    """One event for one channel; `text()` costs an encoding only the first time."""

    __slots__ = ("_make", "_text", "channel", "rated", "seq", "symbol", "tracked", "trader")

    def __init__(
        self,
        seq: int,
        channel: Channel,
        make: Callable[[], str],
        *,
        symbol: Symbol | None = None,
        trader: Address | None = None,
        tracked: bool = True,
        rated: TradersRated | None = None,
    ) -> None:
        self.seq = seq
        self.channel = channel
        self.symbol = symbol  # None: concerns all of them
        self.trader = trader  # None: concerns several
        self.tracked = tracked  # pushed to those who did not ask for an address
        self.rated = rated  # a slice of ratings, from which one trader can be picked
        self._make: Callable[[], str] | None = make
        self._text: str | None = None

    def text(self) -> str:
        """The frame as it is sent."""
        if self._text is None:
            assert self._make is not None
            self._text = self._make()
            self._make = None  # the event may go now
        return self._text


def message_of(seq: int, event: Event, views: Views) -> Message | None:
    """The message that an event makes; None = clients are not told of it."""
    match event:
        case PositionChanged():
            return _position(seq, event, views)
        case TradersRated():
            tracked = [rated for rated in event.traders if rated.tracked]
            return Message(
                seq, Channel.TRADERS, lambda: _scores(seq, event, tracked), tracked=bool(tracked), rated=event
            )
        case SignalGenerated():
            signal = event.signal
            return Message(
                seq,
                Channel.SIGNALS,
                lambda: _frame(seq, Channel.SIGNALS, "signal", event.known_at_ms, signals.signal(signal)),
                symbol=signal.symbol,
            )
        case _:
            return None


def only_of(message: Message, trader: Address) -> Message | None:
    """The message as one who asked for `trader` gets it; None = it says nothing of them."""
    if message.rated is None:
        return message if message.trader == trader else None
    event = message.rated
    ratings = [rated for rated in event.traders if rated.row.trader == trader]
    if not ratings:
        return None
    return Message(message.seq, message.channel, lambda: _scores(message.seq, event, ratings), trader=trader)


def _position(seq: int, event: PositionChanged, views: Views) -> Message:
    after = event.after
    context = views.markets.context(after.symbol)
    mark = None if context is None else context[0].mark  # as it was now, whenever the text is made

    def make() -> str:
        shown = positions.position(after.symbol, after, None, mark)
        update = PositionUpdate(
            address=after.trader,
            size_before=coins(event.lots_before, after.sz_decimals) if event.lots_before is not None else None,
            price=event.px,
            cause=event.cause,
            **{name: getattr(shown, name) for name in shown.__struct_fields__},
        )
        return _frame(seq, Channel.TRADERS, "position", after.t_ms, update)

    return Message(
        seq,
        Channel.TRADERS,
        make,
        symbol=after.symbol,
        trader=after.trader,
        tracked=views.traders.is_tracked(after.trader),
    )


def _scores(seq: int, event: TradersRated, ratings: list[RatedTrader]) -> str:
    data = traders.ScoreUpdates(
        traders=[traders.score_update(rated) for rated in ratings], captured_at=moment(event.captured_at_ms)
    )
    return _frame(seq, Channel.TRADERS, "score", event.known_at_ms, data)


def _frame(seq: int, channel: Channel, kind: str, t_ms: int, data: msgspec.Struct) -> str:
    return ENCODER.encode(
        frames.Message(
            seq=seq, channel=channel, type=kind, timestamp=moment(t_ms), data=msgspec.Raw(ENCODER.encode(data))
        )
    ).decode()
