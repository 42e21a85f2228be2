"""Count how often a trader's class is right: in the paper venue, whose kinds are known, and on the recorded captures.

    python -m bench.classes [MINUTES] [../shared/data/hl_whale_snapshots]

The paper venue's answers go through the venue's own shapes and our own decoders, its prints through the ledger.
A capture has windows of a day and a week, so the rules that ask for a month are asked about the week, scaled to one.
"""

import gzip
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import TypeVar

import msgspec

from market_scraper.connectors.hyperliquid import parse
from market_scraper.connectors.hyperliquid.messages import WireAccount, WireLeaderboardRow
from market_scraper.domain import market as domain
from market_scraper.domain.classes import Classifier, ClassName
from market_scraper.domain.ledger import CoinLedger
from market_scraper.domain.market import Market
from market_scraper.domain.rules import ClassRules
from market_scraper.domain.tape import Advance
from market_scraper.domain.traders import LeaderboardRow, Performance
from market_scraper.domain.values import Address, Symbol, parse_address
from market_scraper.simulator import shapes
from market_scraper.simulator.world import World, WorldOptions
from market_scraper.simulator.world.facts import Kind

T = TypeVar("T")

START_MS = 1_763_800_000_123  # 2025-11-22T08:26:40Z
COIN = "BTC"
MINUTE_MS = 60_000
WEEKS_A_MONTH = 30 / 7

DIRECTIONAL = frozenset({Kind.INFORMED, Kind.NOISE, Kind.TREND})
"""The kinds that trade on a view (or on none, which looks the same). All others should have no vote."""

Confusion = Mapping[Kind, Counter[ClassName | None]]


def paper(
    minutes: int, rules: ClassRules, *, seed: int = 7, traders: int = 300, prints_per_s: float = 6.0
) -> Confusion:
    """Class every ranked trader of a paper venue after so many minutes of its tape, by what it truly is."""
    world = World(
        WorldOptions(
            seed=seed,
            traders=traders,
            start_ms=START_MS,
            prints_per_s=prints_per_s,
            off_tape_per_hour=0.0,
            history_days=2,
        )
    )
    ledger = _followed(world, minutes)
    classifier = Classifier(rules)
    counted: defaultdict[Kind, Counter[ClassName | None]] = defaultdict(Counter)
    for fact in world.leaderboard(world.now_ms):
        row = parse.leaderboard_row(_wire(shapes.leader_row(fact), WireLeaderboardRow))
        book = ledger.get(row.trader)
        classed = classifier.classed(row.trader, row, [] if book is None else [ledger.position(book)])
        kind = world.kind_of(row.trader)
        assert kind is not None
        counted[kind][None if classed is None else classed.name] += 1
    return counted


def _wire(said: object, shape: type[T]) -> T:
    return msgspec.json.decode(msgspec.json.encode(said), type=shape, strict=False)


def _followed(world: World, minutes: int) -> CoinLedger:
    """The coin's ledger after `minutes` of prints and one answer of every ranked account."""
    listed = world.market(COIN)
    assert listed is not None
    market = Market(symbol=Symbol(COIN), sz_decimals=listed.sz_decimals, max_leverage=listed.max_leverage)
    ledger = CoinLedger(market, epoch_ms=START_MS)
    ledger.begin(START_MS)
    for minute in range(minutes):
        for block in world.advance(START_MS + (minute + 1) * MINUTE_MS):
            if prints := next((some for coin, some in block.prints if coin == COIN), ()):
                heard = tuple(
                    domain.Print(p.time_ms, p.tid, p.lots, listed.usd(p.px), Address(p.buyer), Address(p.seller))
                    for p in prints
                )
                ledger.count(Advance(fresh=heard), block.time_ms)
    now_ms = world.now_ms
    markets = {one.coin: one for one in world.markets_of("")}
    for fact in world.leaderboard(now_ms):
        state = shapes.account(markets, world.account_at(fact.user, "", now_ms), now_ms)
        trader = parse_address(fact.user)
        ledger.hear(parse.account(trader, "", _wire(state, WireAccount), {COIN: market}.get))
    ledger.judge(now_ms + 2 * MINUTE_MS, now_ms)
    return ledger


def precision_and_recall(counted: Confusion) -> tuple[float, float]:
    """Of those classed the share that truly has no view; of those without a view the share that is classed."""
    classed = sum(n for names in counted.values() for name, n in names.items() if name is not None)
    without = sum(n for kind, names in counted.items() if kind not in DIRECTIONAL for n in names.values())
    right = sum(
        n for kind, names in counted.items() if kind not in DIRECTIONAL for name, n in names.items() if name is not None
    )
    return right / classed, right / without


class _Held(msgspec.Struct, rename="camel"):
    direction: str
    position_value: float


class _Trader(msgspec.Struct, rename="camel"):
    address: str
    account_value: float
    pnl: float
    roi: float
    volume: float
    positions: list[_Held]


class _Lists(msgspec.Struct):
    weekly: list[_Trader]


class _Capture(msgspec.Struct, rename="camel"):
    whale_tracker: _Lists


class Group(msgspec.Struct, frozen=True):
    """Recorded rows of one class, and what they held."""

    rows: int
    traders: int
    holders: int  # rows with a position
    net_share: float | None  # median over holders: |longs - shorts| / (longs + shorts)
    used: float | None  # median over holders: (longs + shorts) / account value


def recorded(folder: Path, rules: ClassRules) -> dict[str, Group]:
    """Class every recorded week row and tell what each class held; `hedged` is asked of the positions alone."""
    classifier = Classifier(rules)
    found: defaultdict[str, list[_Trader]] = defaultdict(list)
    for trader in _captured(folder):
        month = Performance(trader.pnl * WEEKS_A_MONTH, trader.roi, trader.volume * WEEKS_A_MONTH)
        row = LeaderboardRow(trader=parse_address(trader.address), account_value=trader.account_value, month=month)
        name = classifier.ranked(row)
        net_share, _ = _legs(trader)
        if name is None and net_share is not None and net_share <= rules.hedged_net_share:
            name = ClassName.HEDGED
        found["unclassed" if name is None else name.value].append(trader)
    return {name: _group(traders) for name, traders in sorted(found.items())}


def _captured(folder: Path) -> Iterator[_Trader]:
    for path in sorted(folder.glob("*.json.gz")):
        yield from msgspec.json.decode(gzip.decompress(path.read_bytes()), type=_Capture).whale_tracker.weekly


def _legs(trader: _Trader) -> tuple[float | None, float]:
    longs = sum(held.position_value for held in trader.positions if held.direction == "Long")
    gross = sum(held.position_value for held in trader.positions)
    return (abs(2 * longs - gross) / gross if gross else None), gross


def _group(traders: list[_Trader]) -> Group:
    held = [(share, gross, one.account_value) for one in traders for share, gross in [_legs(one)] if share is not None]
    used = [gross / value for _, gross, value in held if value > 0.0]
    return Group(
        rows=len(traders),
        traders=len({one.address for one in traders}),
        holders=len(held),
        net_share=median(share for share, _, _ in held) if held else None,
        used=median(used) if used else None,
    )


def main() -> None:
    """Print the tables of the guide and of decision 9."""
    minutes = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    total: defaultdict[Kind, Counter[ClassName | None]] = defaultdict(Counter)
    for seed in (1, 7, 42):
        for kind, names in paper(minutes, ClassRules(), seed=seed).items():
            total[kind] += names
    for kind, names in sorted(total.items()):
        told = ", ".join(f"{name or 'votes'} {n}" for name, n in sorted(names.items(), key=lambda it: -it[1]))
        print(f"{kind:<13} {told}")
    print("precision {:.3f}, recall {:.3f}".format(*precision_and_recall(total)))
    if len(sys.argv) > 2:
        for name, group in recorded(Path(sys.argv[2]), ClassRules()).items():
            print(f"{name:<13} {group}")


if __name__ == "__main__":
    main()
