"""One socket's frames, from bytes to what collectors hear. Pure: the socket's owner says when each came."""

from market_scraper.connectors.hyperliquid import messages, parse
from market_scraper.connectors.hyperliquid.addresses import AddressTable
from market_scraper.connectors.hyperliquid.session import Session
from market_scraper.connectors.hyperliquid.table import MarketTable
from market_scraper.connectors.hyperliquid.twins import Twins
from market_scraper.domain.errors import InvalidInput, UndecodableFrame
from market_scraper.domain.market import Market
from market_scraper.domain.values import Symbol
from market_scraper.ports.sources import (
    AccountHeard,
    CandleHeard,
    ContextHeard,
    FrameLost,
    Heard,
    PrintsHeard,
    PulseHeard,
    TradesSubscribed,
)

PULSE = PulseHeard({})
"""What a frame without other news still says: the socket lives."""

MAX_NOTES = 50
"""Different complaints kept for one connection; a venue that says nonsense must not fill the log."""


class FrameReader:
    """Reads frames and keeps the session told. No frame makes it raise.

    `parked` counts frames that could not be read. `notes` holds what an operator should read of them and of the
    venue's refusals, each once a connection.
    """

    def __init__(
        self, session: Session, table: MarketTable, addresses: AddressTable, twins: Twins | None = None
    ) -> None:
        self.session = session
        self.parked = 0
        self.notes: list[str] = []
        self._noted: set[str] = set()
        self._table = table
        self._addresses = addresses
        self._twins = Twins() if twins is None else twins
        self._has_joined = False  # the twins: those that hear trades do

    def opened(self) -> None:
        """A new connection: complaints may be said again."""
        self._noted.clear()

    def read(self, data: bytes, now_s: float) -> Heard:
        """Say what a frame means; what means nothing to us is a pulse."""
        self.session.heard(now_s)
        try:
            twin = self._twins.take(data)
            if twin is not None and (heard := self._again(*twin)) is not None:
                return heard
            frame = messages.decode_frame(data)
            if type(frame) is messages.TradesFrame:
                # The replay of a coin that has not traded is empty and names no coin: nothing is lost, and no news.
                return self._trades(frame, data) if frame.data else PULSE
            if type(frame) is messages.AccountFrame:
                return self._account(frame, now_s)
            return self._other(frame, now_s)
        except UndecodableFrame as error:
            self._park(error)
            return FrameLost(self._followed(error.coin), str(error))
        except InvalidInput as error:
            self._park(error)
            return PULSE

    def _trades(self, frame: messages.TradesFrame, data: bytes) -> Heard:
        replay = bool(frame.data) and self.session.awaits_replay(frame.data[0].coin)
        heard = parse.prints_heard(frame.data, self._table.get, self._addresses, replay=replay)
        if replay:
            self.session.replayed(heard.symbol)
        self._join_twins()
        market = self._table.get(heard.symbol)
        if market is not None:
            self._twins.keep(data, market, heard)
        return heard

    def _again(self, market: Market, heard: PrintsHeard) -> Heard | None:
        """What another socket has read already; None when the listing has changed since, so that lots may have."""
        symbol = market.symbol
        if self._table.get(symbol) is not market:
            return None
        if not self._has_joined:
            self._join_twins()
        replay = self.session.awaits_replay(symbol)
        if replay:
            self.session.replayed(symbol)
        return heard if heard.replay is replay else PrintsHeard(symbol, heard.prints, replay)

    def _join_twins(self) -> None:
        if not self._has_joined:
            self._has_joined = True
            self._twins.join()

    def _account(self, frame: messages.AccountFrame, now_s: float) -> Heard:
        push = frame.data
        trader = self._addresses.get(push.user)
        self.session.heard_of("clearinghouseState", trader, now_s)
        return AccountHeard(parse.account(trader, push.dex or "", push.clearinghouseState, self._table.get))

    def _other(self, frame: messages.Frame | messages.OtherFrame, now_s: float) -> Heard:
        match frame:
            case messages.BboFrame():
                return parse.time_heard(frame.data)
            case messages.MidsFrame():
                self.session.heard_of("allMids", frame.data.dex or "", now_s)
                return PulseHeard(parse.mids(frame.data, self._table.symbols))
            case messages.CandleFrame():
                bar = parse.newest_bar(frame.data)
                return PULSE if bar is None else CandleHeard(*parse.candle_key(bar), parse.candle(bar))
            case messages.ContextFrame():
                return ContextHeard(parse.context(frame.data.coin, frame.data.ctx))
            case messages.AnswerFrame():
                return self._answer(frame.data, now_s)
            case messages.ErrorFrame():
                self.session.refused(frame.data, now_s)
                self._note(f"the venue refused: {frame.data[:200]}")
                return PULSE
            case _:
                return PULSE

    def _answer(self, answer: messages.WireSubscriptionAnswer, now_s: float) -> Heard:
        ours = self.session.confirmed(answer.method, answer.subscription, now_s)
        if ours is None or ours.get("type") != "trades":
            return PULSE
        symbol = self._followed(str(ours.get("coin")))
        if symbol is None:
            return PULSE
        if answer.method == "unsubscribe":
            return FrameLost(symbol, "unsubscribed, to be subscribed anew")
        return TradesSubscribed(symbol)

    def _followed(self, coin: str | None) -> Symbol | None:
        """The symbol if it is ours; a foreign name in a frame that cannot be read may be a broken one of ours."""
        return next((symbol for symbol in self._table.symbols if symbol == coin), None)

    def _park(self, error: InvalidInput) -> None:
        self.parked += 1
        self._note(str(error)[:200])

    def _note(self, text: str) -> None:
        if text not in self._noted and len(self._noted) < MAX_NOTES:
            self._noted.add(text)
            self.notes.append(text)
