"""Recorded accounts through time (`hl_whale_snapshots`), or made ones that change as often where there are none."""

import gzip
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from bench import made
from market_scraper.domain.values import to_ms

COINS = ("BTC", *(f"COIN{i}" for i in range(1, 60)))
A_CAPTURE_MS = 4 * 3_600_000
KEPT = 0.8
"""Recorded: the share of positions that the next capture, hours later, shows with the same size."""


class Capture(msgspec.Struct, frozen=True):
    """All accounts asked about at one time, each as its message: address, account value, positions and more."""

    t_ms: int
    accounts: Sequence[dict[str, Any]]


def captures(share: float = 1.0) -> Iterator[Capture]:
    """The first ones, two at least, oldest first; each account once a capture."""
    folder = made.RECORDINGS / "hl_whale_snapshots"
    paths = sorted(folder.glob("*.json.gz")) if folder.is_dir() else []
    if not paths:
        yield from made_up(max(2, round(60 * share)))
        return
    for path in paths[: max(2, round(len(paths) * share))]:
        lists = msgspec.json.decode(gzip.decompress(path.read_bytes()))["whaleTracker"]
        accounts = {account["address"]: account for account in lists["daily"] + lists["weekly"]}
        captured = datetime.strptime(path.name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        yield Capture(to_ms(captured), list(accounts.values()))


def size_of(position: dict[str, Any]) -> float:
    """Coins, long > 0."""
    return float(position["size"] if position["direction"] == "Long" else -position["size"])


def made_up(count: int) -> Iterator[Capture]:
    """For where nothing is recorded."""
    rng = random.Random(7)
    held = made.held_counts()
    accounts = [_account(address, rng.choice(held), rng) for address in made.addresses(500)]
    for number in range(count):
        yield Capture(1_770_000_000_000 + number * A_CAPTURE_MS, accounts)
        accounts = [_later(account, rng) for account in accounts]


def _account(address: str, positions: int, rng: random.Random) -> dict[str, Any]:
    return {
        "address": address,
        "displayName": None,
        "accountValue": rng.lognormvariate(13, 2),
        "pnl": rng.gauss(0, 1e5),
        "roi": rng.gauss(0, 0.3),
        "volume": rng.lognormvariate(13, 2),
        "positions": [_position(coin, rng) for coin in rng.sample(COINS, min(positions, len(COINS)))],
    }


def _later(account: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    positions = [held if rng.random() < KEPT else _position(held["coin"], rng) for held in account["positions"]]
    return account | {"accountValue": rng.lognormvariate(13, 2), "positions": positions}


def _position(coin: str, rng: random.Random) -> dict[str, Any]:
    return {
        "coin": coin,
        "direction": rng.choice(("Long", "Short")),
        "size": rng.randrange(1, 10_000_000) / 1_000,
        "entryPx": f"{rng.uniform(1, 100_000):.1f}",
        "leverage": float(rng.randrange(1, 41)),
        "positionValue": round(rng.lognormvariate(11, 2), 6),
        "unrealizedPnl": round(rng.gauss(0, 1e4), 6),
        "liquidationPx": f"{rng.uniform(1, 200_000):.10f}",
    }
