"""How long does rating a whole leaderboard take, beside decoding it?

python bench/scoring.py [ROWS]
"""

import random
import sys
import time

import msgspec

from market_scraper.domain.rules import FilterRules, InferenceRules, ScoringRules
from market_scraper.domain.scoring import Rater
from market_scraper.domain.traders import LeaderboardRow, Performance
from market_scraper.domain.values import Address


class _Wire(msgspec.Struct):
    pnl: str
    roi: str
    vlm: str


class _WireRow(msgspec.Struct, rename="camel"):
    eth_address: str
    account_value: str
    window_performances: list[tuple[str, _Wire]]
    prize: float
    display_name: str | None


class _WireBoard(msgspec.Struct, rename="camel"):
    leaderboard_rows: list[_WireRow]


def made_up(count: int) -> list[LeaderboardRow]:
    """Rows with the spread of the real list: half of the accounts below 1,000 USD, half of the results negative."""
    rng = random.Random(7)

    def window() -> Performance:
        return Performance(rng.gauss(0, 20_000), rng.gauss(0, 0.5), rng.lognormvariate(12, 3))

    return [
        LeaderboardRow(
            trader=Address(f"0x{rng.getrandbits(160):040x}"),
            account_value=rng.lognormvariate(7, 3.2),
            day=window(),
            week=window(),
            month=window(),
            all_time=window(),
        )
        for _ in range(count)
    ]


def main() -> None:
    """Print milliseconds for decoding, rating, choosing, and the longest slice."""
    rows = made_up(int(sys.argv[1]) if len(sys.argv) > 1 else 47_345)
    wire = msgspec.json.encode(
        _WireBoard(
            [
                _WireRow(
                    row.trader,
                    f"{row.account_value:.10f}",
                    [
                        (name, _Wire(f"{one.pnl:.6f}", f"{one.roi:.10f}", f"{one.vlm:.2f}"))
                        for name, one in zip(
                            ("day", "week", "month", "allTime"),
                            (row.day, row.week, row.month, row.all_time),
                            strict=True,
                        )
                        if one is not None
                    ],
                    0,
                    None,
                )
                for row in rows
            ]
        )
    )
    started = time.perf_counter()
    msgspec.json.decode(wire, type=_WireBoard)
    decoded = time.perf_counter()
    rater = Rater(ScoringRules(), FilterRules(), InferenceRules())
    longest, begun = 0.0, time.perf_counter()
    for first in range(0, len(rows), 1_000):
        at = time.perf_counter()
        rater.feed(rows[first : first + 1_000])
        longest = max(longest, time.perf_counter() - at)
    fed = time.perf_counter()
    chosen = rater.choose({})
    done = time.perf_counter()
    print(f"decode {1e3 * (decoded - started):.0f} ms ({len(wire) / 1e6:.0f} MB, typed, numbers still text)")
    print(f"rate   {1e3 * (fed - begun):.0f} ms, longest slice of 1,000 rows {1e3 * longest:.1f} ms")
    print(f"choose {1e3 * (done - fed):.0f} ms, {sum(one.tracked for part in chosen for one in part)} tracked")


if __name__ == "__main__":
    main()
