"""What the benchmarks are fed with: the venue's own words, as bytes, in the sizes and shapes that were recorded."""

import gzip
import json
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from market_scraper.domain.values import Address

RECORDINGS = Path(__file__).resolve().parent.parent.parent / "shared" / "data"

LEADERBOARD_ROWS = 47_345
"""The pull of 2026-10: 39 MB."""

HELD_SHARES = {0: 30, 1: 9, 2: 7, 3: 6, 4: 6, 5: 5, 6: 5, 8: 8, 12: 10, 20: 8, 40: 4, 80: 1}
"""Accounts by number of open positions, in percent: for where the recordings are not at hand."""

MEAN_HELD = 7.5
"""Positions of an account that is asked about: most empty accounts are never asked again."""


def addresses(count: int, *, seed: int = 7) -> list[Address]:
    """Made-up accounts."""
    rng = random.Random(seed)
    return [Address(f"0x{rng.getrandbits(160):040x}") for _ in range(count)]


def leaderboard(rows: int, *, seed: int = 7) -> bytes:
    """A leaderboard as the venue sends it, numbers as text with its own number of digits, compact.

    Half of the accounts hold below 1,000 USD and half of the results are negative, as in the real list.
    """
    rng = random.Random(seed)

    def window(name: str) -> list[object]:
        if rng.random() < 0.25:
            return [name, {"pnl": "0.0", "roi": "0.0", "vlm": "0.0"}]
        pnl, roi, vlm = rng.gauss(0, 20_000), rng.gauss(0, 0.5), rng.lognormvariate(12, 3)
        return [name, {"pnl": f"{pnl:.10f}", "roi": f"{roi:.10f}", "vlm": f"{vlm:.10f}"}]

    made = [
        {
            "ethAddress": trader,
            "accountValue": f"{rng.lognormvariate(7, 3.2):.10f}",
            "windowPerformances": [window(name) for name in ("day", "week", "month", "allTime")],
            "prize": 0,
            "displayName": None if rng.random() < 0.9 else f"trader {trader[2:10]}",
        }
        for trader in addresses(rows, seed=seed)
    ]
    # Laid out as the recorded rows are: 47,345 of them come to 39 MB so.
    return json.dumps({"leaderboardRows": made}, indent=2).encode()


def trade_frames(
    prints: int,
    traders: Sequence[Address],
    *,
    coin: str = "BTC",
    seed: int = 7,
    start_ms: int = 1_790_000_000_000,
) -> list[bytes]:
    """Live trades frames of whole blocks, 5 prints on the mean; the busiest trader is in some 15 % of them.

    An order that takes is matched with several that make, so one block names 1.4 to 1.5 traders a print, as recorded.
    """
    rng = random.Random(seed)
    weights = [1.0 / (rank + 3) ** 0.9 for rank in range(len(traders))]
    weights[0] = 0.08 * sum(weights)
    people = iter(rng.choices(traders, weights, k=3 * prints + 2))
    frames: list[bytes] = []
    made, t_ms = 0, start_ms
    while made < prints:
        t_ms += rng.randrange(70, 500)
        block: list[dict[str, object]] = []
        while not block or (rng.random() < 0.6 and made < prints):
            taker, buys = next(people), rng.random() < 0.5
            for _ in range(min(prints - made, 1 + int(rng.expovariate(0.8)))):
                maker = next(people)
                if maker == taker:
                    maker = traders[-1] if taker != traders[-1] else traders[0]
                block.append(_print(coin, t_ms, [taker, maker] if buys else [maker, taker], rng))
                made += 1
        frames.append(json.dumps({"channel": "trades", "data": block}, separators=(",", ":")).encode())
    return frames


def _print(coin: str, t_ms: int, users: list[Address], rng: random.Random) -> dict[str, object]:
    return {
        "coin": coin,
        "side": rng.choice("AB"),
        "px": f"{rng.randrange(96_000, 98_000)}.0",
        "sz": f"{rng.randrange(1, 200_000) / 100_000:.5f}",
        "time": t_ms,
        "hash": f"0x{rng.getrandbits(256):064x}",
        "tid": rng.getrandbits(50),
        "users": users,
    }


@cache
def held_counts() -> Sequence[int]:
    """How many positions recorded accounts held (`hl_whale_snapshots`), with empty ones left out down to the mean."""
    folder = RECORDINGS / "hl_whale_snapshots"
    counts: list[int] = []
    for path in sorted(folder.glob("*.json.gz"))[::8] if folder.is_dir() else ():
        capture = json.loads(gzip.decompress(path.read_bytes()))
        counts += [len(trader["positions"]) for trader in capture["whaleTracker"]["daily"]]
    counts.sort(reverse=True)
    counts = counts or [held for held, share in HELD_SHARES.items() for _ in range(share)]
    held = [count for count in counts if count]
    return held + [0] * max(0, round(sum(held) / MEAN_HELD) - len(held))


def account_frames(
    count: int, traders: Sequence[Address], *, seed: int = 7, start_ms: int = 1_790_000_000_000
) -> list[bytes]:
    """Frames of the channel `clearinghouseState`, with as many positions as recorded accounts held."""
    rng = random.Random(seed)
    held = held_counts()
    coins = [f"COIN{i}" for i in range(1, 200)]
    ours = [f"{rng.randrange(-200_000_000, 200_000_000) / 100_000:.5f}" for _ in traders]  # nobody trades meanwhile
    sizes = rng.choices(held, k=len(traders))
    frames = []
    for number in range(count):
        who = number % len(traders)
        size = sizes[who]
        positions = [_held(coin, rng) for coin in rng.sample(coins, max(0, size - 1))]
        if size:
            positions.append({**_held("BTC", rng), "szi": ours[who]})
        account = {
            "marginSummary": {name: f"{rng.lognormvariate(13, 2):.10f}" for name in _SUMMARY},
            "crossMarginSummary": {name: f"{rng.lognormvariate(13, 2):.10f}" for name in _SUMMARY},
            "crossMaintenanceMarginUsed": f"{rng.lognormvariate(10, 2):.10f}",
            "withdrawable": f"{rng.lognormvariate(10, 2):.6f}",
            "assetPositions": [{"type": "oneWay", "position": position} for position in positions],
            "time": start_ms + 10 * number,
        }
        data = {"dex": "", "user": traders[who], "clearinghouseState": account}
        frames.append(json.dumps({"channel": "clearinghouseState", "data": data}, separators=(",", ":")).encode())
    return frames


_SUMMARY = ("accountValue", "totalNtlPos", "totalRawUsd", "totalMarginUsed")


def _held(coin: str, rng: random.Random) -> dict[str, Any]:
    return {
        "coin": coin,
        "szi": f"{rng.randrange(-200_000_000, 200_000_000) / 100_000:.5f}",
        "leverage": {"type": "cross", "value": rng.randrange(1, 41)},
        "entryPx": f"{rng.uniform(1, 100_000):.1f}",
        "positionValue": f"{rng.lognormvariate(13, 2):.10f}",
        "unrealizedPnl": f"{rng.gauss(0, 1e5):.10f}",
        "returnOnEquity": f"{rng.gauss(0, 0.3):.10f}",
        "liquidationPx": None if rng.random() < 0.4 else f"{rng.uniform(1, 200_000):.10f}",
        "marginUsed": f"{rng.lognormvariate(11, 2):.10f}",
        "maxLeverage": 40,
        "cumFunding": {name: f"{rng.gauss(0, 1e4):.6f}" for name in ("allTime", "sinceOpen", "sinceChange")},
    }
