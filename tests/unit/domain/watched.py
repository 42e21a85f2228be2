"""A watch of one coin in which a hundred people trade evenly, for tests of what is learned of them."""

from market_scraper.domain.market import Market, Print
from market_scraper.domain.positions import TapeMark
from market_scraper.domain.rules import PositionRules
from market_scraper.domain.watch import CoinWatch
from tests.facts import BTC, address, mark, position

COIN = Market(symbol=BTC, sz_decimals=5, max_leverage=40)
PEOPLE = 100
SOCKET = "s"


class Watched:
    """Everybody exact, each of 50 pairs trading once every four seconds, heard on one socket."""

    def __init__(self, of: TapeMark) -> None:
        rows = [position(i, t_ms=of.watermark_ms, changes=250, epoch_ms=of.epoch_ms) for i in range(PEOPLE)]
        self.watch = CoinWatch(COIN, PositionRules(), mark=of, positions=rows)
        self.now_ms = of.watermark_ms
        self.subscribe()

    def subscribe(self) -> None:
        """Join the tape where it stands now."""
        replay = [self._print(0), Print(self.now_ms + 1, 2, 1, 60_000.0, address(0), address(1))]
        self._hear(replay, replay=True)

    def trade(self, seconds: int) -> None:
        for _ in range(seconds // 4):
            self.now_ms += 4_000
            self._hear([self._print(pair) for pair in range(0, PEOPLE, 2)])

    def be_away(self, seconds: int) -> None:
        self.watch.end(SOCKET, "closed", now_s=self.now_ms / 1000, known_at_ms=self.now_ms)
        self.now_ms += seconds * 1000

    def learned(self) -> tuple[float, float]:
        self.watch.learn_rates()
        told = self.watch.mark()
        assert told is not None
        return told.pace, told.spread

    def _print(self, pair: int) -> Print:
        return Print(self.now_ms, 10 + pair, 1, 60_000.0, address(pair), address(pair + 1))

    def _hear(self, prints: list[Print], *, replay: bool = False) -> None:
        self.watch.hear_prints(SOCKET, prints, replay=replay, now_s=self.now_ms / 1000, known_at_ms=self.now_ms)


def stored(pace: float = 1.0, spread: float = 0.0) -> TapeMark:
    """A thousand seconds were heard before."""
    return mark(1_000_000, rate_watch_s=1.0, pace=pace, spread=spread)
