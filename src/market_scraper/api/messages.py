"""Bus events as WebSocket messages: encoded once, at the first client that wants them."""

from collections.abc import Sequence
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


# Python 3.11 takes 0.1 us to find a member of an enumeration.
_TRADERS, _SIGNALS = Channel.TRADERS, Channel.SIGNALS


class PositionUpdate(positions.Position, frozen=True, kw_only=True):
    """Data of a `position` message: the position as the fact left it, whose it is, and why it was published."""

    address: str
    size_before: float | None
    price: float | None  # USD, of the last print
    cause: Cause


class Message(msgspec.Struct, gc=False, eq=False):
    """One event for one channel; `text()` costs an encoding only the first time.

    Most are never encoded: a client asks for tracked traders, or for one. Twenty thousand are kept, so they are spared
    the garbage collector: a look at each was 10 ms of every full collection.
    """

    seq: int
    channel: Channel
    event: Event
    symbol: Symbol | None = None  # None: concerns all of them
    trader: Address | None = None  # None: concerns several
    tracked: bool = True  # pushed to those who did not ask for an address
    mark: float | None = None  # USD, as it was when the event came, whenever the text is made
    ratings: Sequence[RatedTrader] = ()  # those of the slice that are told
    _text: str | None = None

    @property
    def ratings_held(self) -> int:
        """How many traders' ratings it keeps in memory: any of them may be asked for."""
        return len(self.event.traders) if isinstance(self.event, TradersRated) else 0

    def text(self) -> str:
        """The frame as it is sent."""
        if self._text is None:
            self._text = self._encode()
        return self._text

    def only_of(self, trader: Address) -> "Message | None":
        """The message as one who asked for `trader` gets it; None = it says nothing of them."""
        event = self.event
        if not isinstance(event, TradersRated):
            return self if self.trader == trader else None
        ratings = [rated for rated in event.traders if rated.row.trader == trader]
        return Message(self.seq, self.channel, event, trader=trader, ratings=ratings) if ratings else None

    def _encode(self) -> str:
        match self.event:
            case PositionChanged() as event:
                return self._frame("position", event.after.t_ms, _update(event, self.mark))
            case TradersRated() as event:
                told = [traders.score_update(rated) for rated in self.ratings]
                data = traders.ScoreUpdates(traders=told, captured_at=moment(event.captured_at_ms))
                return self._frame("score", event.known_at_ms, data)
            case SignalGenerated() as event:
                return self._frame("signal", event.signal.t_ms, signals.signal(event.signal))
            case event:
                raise TypeError(f"{type(event).__name__} is told to nobody")

    def _frame(self, kind: str, t_ms: int, data: msgspec.Struct) -> str:
        raw = msgspec.Raw(ENCODER.encode(data))
        frame = frames.Message(seq=self.seq, channel=self.channel, type=kind, timestamp=moment(t_ms), data=raw)
        return ENCODER.encode(frame).decode()


def message_of(seq: int, event: Event, views: Views) -> Message | None:
    """The message that an event makes; None = clients are not told of it."""
    match event:
        case PositionChanged():
            after = event.after
            context = views.markets.context(after.symbol)
            return Message(
                seq,
                _TRADERS,
                event,
                symbol=after.symbol,
                trader=after.trader,
                tracked=views.traders.is_tracked(after.trader),
                mark=None if context is None else context[0].mark,
            )
        case TradersRated():
            tracked = [rated for rated in event.traders if rated.tracked]
            return Message(seq, _TRADERS, event, tracked=bool(tracked), ratings=tracked)
        case SignalGenerated(signal=signal):
            # Nobody is sent the contributions: of thousands of kept messages they would be most of the memory.
            shown = msgspec.structs.replace(event, signal=msgspec.structs.replace(signal, contributions=()))
            return Message(seq, _SIGNALS, shown, symbol=signal.symbol)
        case _:
            return None


def _update(event: PositionChanged, mark: float | None) -> PositionUpdate:
    after = event.after
    shown = positions.position(after.symbol, after, None, mark)
    return PositionUpdate(
        address=after.trader,
        size_before=None if event.lots_before is None else coins(event.lots_before, after.sz_decimals),
        price=event.px,
        cause=event.cause,
        **{name: getattr(shown, name) for name in shown.__struct_fields__},
    )
