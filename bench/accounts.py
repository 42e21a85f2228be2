"""Account states, from a frame's bytes to the ledger's decision."""

from collections.abc import Sequence

from bench import floors, made
from bench.figures import Aim, Benchmark, Round, Stopwatch, main
from bench.tape import SOCKETS, START_MS, TRADERS, Listener
from market_scraper.domain.book import Answer
from market_scraper.domain.watch import CoinWatch
from market_scraper.ports.sources import AccountHeard


def measure(size: float, rounds: int) -> Sequence[Round]:
    """Messages a second of processor time, each judged; the tape runs on ahead of them."""
    messages = max(500, round(30_000 * size))
    traders = made.addresses(TRADERS)
    frames = made.account_frames(messages, traders, start_ms=START_MS)
    prints = made.trade_frames(5_000, traders, start_ms=START_MS - 600_000)
    taken = []
    for _ in range(rounds):
        floor_s = floors.decode_accounts(frames)
        judged = [0]

        def hear(_watch: CoinWatch, _answer: Answer, _verdict: str, judged: list[int] = judged) -> None:
            judged[0] += 1

        listener = Listener(on_verdict=hear)
        listener.hear(prints, first_is_replay=True)
        listener.watch.hear_time(SOCKETS[0], START_MS + 60_000_000, now_s=1.0, known_at_ms=START_MS)
        reader, outbox = listener.readers[SOCKETS[0]], listener.outbox
        with Stopwatch() as watch:
            for number, frame in enumerate(frames):
                heard = reader.read(frame, number / 1_000)
                assert isinstance(heard, AccountHeard)
                outbox.extend(listener.watch.hear_account(heard.snapshot, START_MS))
                if number % 100 == 0:
                    outbox.take_now()
        assert judged[0] == messages, judged
        taken.append(Round(messages / watch.cpu_s, messages / floor_s))
    return taken


BENCHMARK = Benchmark(
    name="account_to_decision",
    unit="messages/s",
    says="account-state frames, with as many positions as recorded accounts held (mean 7.5), to the ledger's verdict",
    floor_is="typed msgspec decode of the same bytes",
    measure=measure,
    aim=Aim(of="value", at_least=60_000),
)

if __name__ == "__main__":
    main(BENCHMARK)
