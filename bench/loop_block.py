"""How long a leaderboard refresh keeps the event loop from everything else, with the tape at 200 prints a second."""

import asyncio
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench import made
from bench.figures import Aim, Benchmark, Round, main
from bench.tape import BTC, SOCKETS, TRADERS, Listener
from market_scraper.collectors.leaderboard import LeaderboardCollector
from market_scraper.connectors.hyperliquid import HttpTimeouts, HyperliquidHttp, MarketTable
from market_scraper.domain.events import TradersRated
from market_scraper.domain.traders import LeaderboardRow, RatedTrader
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.reporting import Detail
from market_scraper.ports.sources import PrintsHeard
from market_scraper.ports.stores import Retention
from market_scraper.processors.persister import PERSISTED, Persister
from market_scraper.processors.scoring import TraderScoringProcessor
from market_scraper.processors.signals import SignalGenerationProcessor
from market_scraper.runtime.backoff import backoff
from market_scraper.runtime.clock import ScaledClock, real_timeout
from market_scraper.storage.buffer import Buffer
from market_scraper.storage.open import open_store
from market_scraper.views.all import LiveViews

PRINTS_A_SECOND = 200
BEAT_S = 0.001
SCHEDSTAT = Path("/proc/thread-self/schedstat")


class _Quiet:
    """A reporter that nobody reads."""

    def ok(self, detail: Detail | None = None) -> None:
        """All is well."""

    def failed(self, reason: str, *, told: bool = False, detail: Detail | None = None) -> None:
        """The benchmark would measure nothing."""
        raise AssertionError(f"{reason} (told: {told}, {detail})")


@contextmanager
def venue_of(body: bytes) -> Iterator[str]:
    """Serve the leaderboard on loopback; sending it holds no lock of the interpreter."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/Mainnet/leaderboard"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Beat:
    """Wakes every millisecond; what it is late is what kept the loop.

    Time in which this thread was ready to run and other programs had the processors is not the loop's, and is left
    out where the kernel tells it; time in which another thread held the interpreter is in.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        before, waited_before = loop.time(), _waited_s()
        while True:
            await asyncio.sleep(BEAT_S)
            now, waited = loop.time(), _waited_s()
            self.longest_s = max(self.longest_s, now - before - BEAT_S - (waited - waited_before))
            before, waited_before = now, waited


def _waited_s() -> float:
    """How long this thread has been kept from a processor while it was ready to run."""
    try:
        return int(SCHEDSTAT.read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


async def _tape(bus: MemoryBus, frames: Sequence[bytes], prints: int) -> None:
    """Both sockets' frames at the pace of the aim, through the ledger to the bus."""
    listener, frame_s = Listener(), prints / len(frames) / PRINTS_A_SECOND
    for number, frame in enumerate(frames):
        for name in SOCKETS:
            heard = listener.readers[name].read(frame, time.monotonic())
            assert isinstance(heard, PrintsHeard)
            await bus.publish(
                listener.watch.hear_prints(
                    name,
                    heard.prints,
                    replay=number == 0,
                    now_s=time.monotonic(),
                    known_at_ms=heard.prints[-1].time_ms + 50,
                )
            )
        await asyncio.sleep(frame_s)


def _rate_nobody(_rows: Sequence[LeaderboardRow], _choices: object) -> list[RatedTrader]:
    return []  # the store is empty


async def longest_block_s(url: str, frames: Sequence[bytes], prints: int, folder: Path) -> float:
    """One refresh in a program with store, views, scoring, signals and persister: the loop's longest block."""
    clock, beat = ScaledClock(), Beat()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            open_store("sqlite", path=folder / "bench.db", retention=Retention(), clock=clock, busy_s=5.0)
        )
        bus = await stack.enter_async_context(MemoryBus(reserve_in_memory()))
        http = await stack.enter_async_context(
            HyperliquidHttp(
                "http://127.0.0.1:9",
                url,
                clock=clock,
                deadline=real_timeout,
                timeouts=HttpTimeouts(request_s=10.0, leaderboard_s=60.0),
                table=MarketTable((BTC,)),
            )
        )
        views = LiveViews(clock, rate=_rate_nobody)
        followed = await stack.enter_async_context(views.following(bus, store, (BTC,)))
        buffer = await stack.enter_async_context(Buffer(store, clock, flush_interval_s=1.0))
        rows = await stack.enter_async_context(bus.subscribe("persister", *PERSISTED))
        rated = await stack.enter_async_context(bus.follow(TradersRated))
        scoring = TraderScoringProcessor(bus, store, clock, delays=backoff)
        signals = SignalGenerationProcessor(bus, store, clock, (BTC,), delays=backoff)
        leaderboard = LeaderboardCollector(http=http, bus=bus, clock=clock, reporter=_Quiet())
        works = [
            views.run(followed),
            Persister(rows, buffer, clock=clock, delays=backoff).run(),
            scoring.run(),
            signals.run(),
            _tape(bus, frames, prints),
        ]
        tasks = [asyncio.create_task(work) for work in works]
        await scoring.opened.wait()
        await signals.opened.wait()
        await asyncio.sleep(0.3)
        tasks += [asyncio.create_task(beat.run()), asyncio.create_task(leaderboard.run())]
        last = None
        while last is None or last.part < last.parts - 1:
            for envelope in await rated.take():
                assert isinstance(envelope.event, TradersRated)
                last = envelope.event
        await asyncio.sleep(1.5)  # what follows from it: votes, rows
        for task in tasks:
            task.cancel()
        for done in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(done, Exception):
                raise done
    return beat.longest_s


def measure(size: float, rounds: int) -> Sequence[Round]:
    """Milliseconds of real time, each round a program and a refresh of its own."""
    prints = round(PRINTS_A_SECOND * 60 * min(1.0, 4 * size))
    body = made.leaderboard(max(1_000, round(made.LEADERBOARD_ROWS * size)))
    frames = made.trade_frames(prints, made.addresses(TRADERS))
    taken = []
    with venue_of(body) as url:
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                taken.append(Round(1e3 * asyncio.run(longest_block_s(url, frames, prints, Path(folder)))))
    return taken


BENCHMARK = Benchmark(
    name="loop_block",
    unit="ms",
    says="longest event-loop block during a whole refresh (download, rows, ratings, votes, store) with the tape at "
    "200 prints/s; the worst round, in real time less what other programs had the processors for",
    floor_is=None,
    measure=measure,
    aim=Aim(of="value", at_most=50.0),
    takes="worst",
)

if __name__ == "__main__":
    main(BENCHMARK)
