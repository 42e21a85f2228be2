"""One leaderboard pull, from the answer's bytes to who is tracked."""

from collections.abc import Sequence

from bench import floors, made
from bench.figures import Aim, Benchmark, Round, Stopwatch, main
from market_scraper.connectors.hyperliquid import leaderboard
from market_scraper.domain.rules import FilterRules, InferenceRules, ScoringRules
from market_scraper.domain.scoring import Rater


def refresh(body: bytes) -> int:
    """Decode into domain rows, tag, score and select, slice by slice as the program does; gives who is tracked."""
    rater = Rater(ScoringRules(), FilterRules(), InferenceRules())
    tally = leaderboard.Tally()
    for rows in leaderboard.slices(body, tally):
        rater.feed(rows)
    return sum(one.tracked for part in rater.choose({}) for one in part)


def measure(size: float, rounds: int) -> Sequence[Round]:
    """Milliseconds of processor time, beside those of the bare decode."""
    body = made.leaderboard(max(100, round(made.LEADERBOARD_ROWS * size)))
    taken = []
    for _ in range(rounds):
        floor_s = floors.decode_leaderboard(body)
        with Stopwatch() as watch:
            refresh(body)
        taken.append(Round(1e3 * watch.cpu_s, 1e3 * floor_s))
    return taken


BENCHMARK = Benchmark(
    name="leaderboard_refresh",
    unit="ms",
    says="47,345 leaderboard rows (39 MB) decoded into domain rows, tagged, scored and selected",
    floor_is="one typed msgspec decode of the same bytes, garbage collector on",
    measure=measure,
    aim=Aim(of="ratio", at_most=3.0),
)

if __name__ == "__main__":
    main(BENCHMARK)
