"""Count how often the position rule is right on the recorded captures.

    python bench/inference_precision.py ../shared/data/hl_whale_snapshots

A capture is a list of the day's top traders with the positions that each held seconds to minutes later.
"""

import gzip
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from market_scraper.domain.inference import INDICATORS, Measured, infer
from market_scraper.domain.rules import InferenceRules
from market_scraper.domain.traders import LeaderboardRow, Performance
from market_scraper.domain.values import parse_address


class _Trader(msgspec.Struct, rename="camel"):
    address: str
    account_value: float
    pnl: float
    roi: float
    volume: float
    positions: list[msgspec.Raw]


class _Lists(msgspec.Struct):
    daily: list[_Trader]


class _Capture(msgspec.Struct, rename="camel"):
    whale_tracker: _Lists


def recorded(folder: Path) -> Iterator[tuple[LeaderboardRow, bool]]:
    """Give every recorded day row, and whether the trader held a position."""
    for path in sorted(folder.glob("*.json.gz")):
        capture = msgspec.json.decode(gzip.decompress(path.read_bytes()), type=_Capture)
        for trader in capture.whale_tracker.daily:
            yield (
                LeaderboardRow(
                    trader=parse_address(trader.address),
                    account_value=trader.account_value,
                    day=Performance(trader.pnl, trader.roi, trader.volume),
                ),
                bool(trader.positions),
            )


def count(folder: Path, rules: InferenceRules) -> dict[tuple[str, ...], Measured]:
    """Count holders and empty accounts by the set of indicators that fired."""
    counted: Counter[tuple[tuple[str, ...], bool]] = Counter()
    for row, holds in recorded(folder):
        counted[infer(row, rules).indicators, holds] += 1
    return {fired: Measured(counted[fired, True], counted[fired, False]) for fired in {fired for fired, _ in counted}}


def main() -> None:
    """Print the table of `domain/inference.py` and the confusion matrix."""
    measured = count(Path(sys.argv[1]), InferenceRules())
    for fired, m in sorted(measured.items()):
        name = "+".join(fired) or "none"
        print(f"{name:<{sum(map(len, INDICATORS)) + 2}} n {m.n:>6}  holders {m.holders:>6}  {m.holders / m.n:.3f}")
    yes = [m for fired, m in measured.items() if fired]
    no = [m for fired, m in measured.items() if not fired]
    print(
        f"TP {sum(m.holders for m in yes)} FP {sum(m.empty for m in yes)} "
        f"FN {sum(m.holders for m in no)} TN {sum(m.empty for m in no)}"
    )


if __name__ == "__main__":
    main()
