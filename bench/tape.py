"""Bytes of two sockets to coalesced `PositionChanged`, as the positions collector does it."""

from collections.abc import Callable, Sequence

from bench import floors, made
from bench.figures import Aim, Benchmark, Round, Stopwatch, main
from market_scraper.collectors.outbox import Outbox
from market_scraper.connectors.hyperliquid.addresses import AddressTable
from market_scraper.connectors.hyperliquid.reader import FrameReader
from market_scraper.connectors.hyperliquid.session import Session
from market_scraper.connectors.hyperliquid.table import MarketTable
from market_scraper.connectors.hyperliquid.twins import Twins
from market_scraper.domain.book import Answer
from market_scraper.domain.market import Market
from market_scraper.domain.positions import AccountSnapshot, SnapshotPosition
from market_scraper.domain.rules import PositionRules
from market_scraper.domain.values import Address, Symbol
from market_scraper.domain.watch import CoinWatch
from market_scraper.ports.sources import PrintsHeard

BTC = Symbol("BTC")
MARKET = Market(symbol=BTC, sz_decimals=5, max_leverage=40)
START_MS = 1_790_000_000_000
SOCKETS = ("tape-0", "tape-1")
TRADERS = 5_000
TAKEN_AT_ONCE = 64  # frames between two looks of the publisher into the outbox


class Listener:
    """Two sockets' readers, one coin's watch and the outbox: everything between a socket and the bus."""

    def __init__(self, on_verdict: Callable[[CoinWatch, Answer, str], None] = lambda _w, _a, _v: None) -> None:
        table = MarketTable((BTC,))
        table.learn((MARKET,))
        addresses = AddressTable()
        twins = Twins()
        self.readers = {name: FrameReader(Session(), table, addresses, twins) for name in SOCKETS}
        self.watch = CoinWatch(MARKET, PositionRules(), on_verdict=on_verdict)
        self.outbox = Outbox()

    def know(self, traders: Sequence[Address], time_ms: int) -> None:
        """Give everyone a base, as account answers do; most of whom the tape shows are known."""
        for number, trader in enumerate(traders):
            held = SnapshotPosition(
                symbol=BTC,
                lots=(-1) ** number * (number % 50) * 10_000,
                entry_px=96_500.0,
                leverage=5,
                liquidation_px=None,
            )
            snapshot = AccountSnapshot(trader=trader, dex="", time_ms=time_ms, account_value=1e6, positions=(held,))
            self.watch.hear_account(snapshot, time_ms)

    def hear(self, frames: Sequence[bytes], *, first_is_replay: bool = False) -> None:
        """Feed every frame on each socket, the second one after the first."""
        hear_prints, outbox = self.watch.hear_prints, self.outbox
        readers = list(self.readers.items())
        for number, frame in enumerate(frames):
            now_s = number / 1_000
            replay = first_is_replay and number == 0
            for name, reader in readers:
                heard = reader.read(bytes(memoryview(frame)), now_s)  # each socket has bytes of its own
                assert isinstance(heard, PrintsHeard)
                known_at_ms = heard.prints[-1].time_ms + 50
                facts = hear_prints(name, heard.prints, replay=replay, now_s=now_s, known_at_ms=known_at_ms)
                if facts:
                    outbox.extend(facts)
            if number % TAKEN_AT_ONCE == 0:
                outbox.take_now()
        outbox.take_now()


def measure(size: float, rounds: int) -> Sequence[Round]:
    """Distinct prints a second of processor time, beside the bare decode of both sockets' bytes."""
    prints = max(1_000, round(100_000 * size))
    traders = made.addresses(TRADERS)
    opening = made.trade_frames(200, traders, seed=8, start_ms=START_MS - 1_000_000)
    frames = made.trade_frames(prints, traders, start_ms=START_MS)
    taken = []
    for _ in range(rounds):
        listener = Listener()
        listener.hear(opening, first_is_replay=True)
        listener.know(traders, START_MS - 500_000)
        for name in SOCKETS:
            listener.watch.hear_time(name, START_MS - 10_000, now_s=0.0, known_at_ms=START_MS)
        counts = listener.watch.tape.counts
        before = counts.prints
        floor_s = floors.decode_trades(frames) + floors.decode_trades(frames)
        with Stopwatch() as watch:
            listener.hear(frames)
        assert (counts.prints - before, counts.gaps) == (prints, 0), counts
        assert listener.watch.ledger.counts.joined == TRADERS
        taken.append(Round(prints / watch.cpu_s, prints / floor_s))
    return taken


BENCHMARK = Benchmark(
    name="tape_to_facts",
    unit="distinct prints/s",
    says="bytes of two sockets, each with every print, to coalesced `PositionChanged`",
    floor_is="typed msgspec decode of the same bytes",
    measure=measure,
    aim=Aim(of="value", at_least=100_000),
)

if __name__ == "__main__":
    main(BENCHMARK)
