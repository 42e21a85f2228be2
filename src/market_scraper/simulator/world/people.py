"""Who is there: every account with its kind, its hidden skill, its money and its habits."""

import random
from dataclasses import dataclass
from hashlib import blake2b

from market_scraper.simulator.world.facts import Kind
from market_scraper.simulator.world.markets import Market

_TINY_SHARE = 0.45  # 22.6 k of 46.9 k rows were under 1,000 USD (facts 1.1)
_LEAST_CAP_USD = 25.0
_GREATEST_CAP_USD = 3e7
_NAMES = (
    "momentum.capital",
    "憨巴小龙",
    "2 frères 2 fauves",
    "@perp_sailor",
    "kim@example.com",
    "Slow Turtle",
    "0xdelta",
)
MAKER_KINDS = frozenset({Kind.MARKET_MAKER, Kind.VAULT_CHILD})
TAKER_KINDS = frozenset({Kind.INFORMED, Kind.NOISE, Kind.TREND, Kind.MARKET_MAKER})


@dataclass(slots=True, kw_only=True)
class Trader:
    """One account. `broke` is the only thing that changes: who was liquidated to nothing opens no more."""

    index: int
    user: str
    kind: Kind
    skill: float
    value_usd: float  # equity at the start, all dexes and spot together
    activity: float  # how often it acts, relative to others
    cap_usd: float  # notional that it holds at most in one coin
    cross: bool
    leverage: int  # as chosen; each market's maximum applies
    gambles: bool  # opens as large as it can
    coins: tuple[int, ...]  # indices of the markets that it trades or holds
    master: int | None = None
    name: str | None = None
    broke: bool = False

    @property
    def liquidatable(self) -> bool:
        """The house's own liquidity is never liquidated, so that a market always has another side."""
        return self.kind not in MAKER_KINDS


def population(seed: int, count: int, markets: tuple[Market, ...]) -> list[Trader]:
    """`count` traders; the first is the busiest market maker. The same seed gives the same people."""
    rng = random.Random(f"people:{seed}")
    traders: list[Trader] = []
    live = [at for at, market in enumerate(markets) if not market.delisted]
    weights = [markets[at].popularity for at in live]
    ranks = list(range(count))
    rng.shuffle(ranks)
    for kind in _kinds(rng, count):
        index = len(traders)
        value = _value(rng, kind)
        # Gamblers use nearly all that their leverage allows in one coin, wait, and are liquidated for it.
        gambles = kind is Kind.NOISE and rng.random() < 0.2
        leverage = 3 if kind in MAKER_KINDS else rng.choice((40,) if gambles else (1, 2, 3, 5, 5, 10, 10, 20, 40))
        coins = _coins(rng, kind, live, weights)[: 1 if gambles else None]
        most = min((leverage, *(markets[coin].max_leverage for coin in coins)))
        activity = _activity(kind, ranks[index], value) * (0.2 if gambles else 1.0)
        # Who acts all the time acts in small pieces: else fees alone would ruin it within a day.
        cap = value * _use(rng, kind, most, gambles) / max(1, len(coins)) / (1 + 120 * activity)
        if cap < _LEAST_CAP_USD:
            coins = ()  # cannot pay for the venue's least order
        traders.append(
            Trader(
                index=index,
                user=_address(seed, index),
                kind=kind,
                skill=rng.uniform(0.3, 0.9) if kind is Kind.INFORMED else 0.0,
                value_usd=value,
                activity=activity,
                cap_usd=min(cap, _GREATEST_CAP_USD),
                cross=kind in MAKER_KINDS or gambles or rng.random() < 0.7,
                leverage=leverage,
                gambles=gambles,
                coins=coins,
                name=rng.choice(_NAMES) if rng.random() < 0.05 else None,
            )
        )
    _give_masters(rng, traders)
    return traders


def _kinds(rng: random.Random, count: int) -> list[Kind]:
    makers = min(20, max(2, count // 250))
    children = 3 if count >= 60 else 1
    rest = count - makers - children - 1
    kinds = [Kind.MARKET_MAKER] * makers + [Kind.VAULT] + [Kind.VAULT_CHILD] * children
    some: list[Kind] = [Kind.PHANTOM] * min(4, max(1, rest // 100))
    for kind, share in (
        (Kind.MASTER, 0.008),
        (Kind.SPOT_HOLDER, 0.06),
        (Kind.DORMANT, 0.25),
        (Kind.INFORMED, 0.12),
        (Kind.TREND, 0.14),
    ):
        some += [kind] * max(1, round(share * rest))
    some += [Kind.NOISE] * (rest - len(some))
    rng.shuffle(some)
    return kinds + some[:rest]


def _value(rng: random.Random, kind: Kind) -> float:
    if kind is Kind.VAULT:
        return rng.uniform(3e6, 9e6)  # what the parent holds itself; the rest lies with the children
    if kind in MAKER_KINDS:
        return rng.uniform(2e7, 9e7)
    if kind is Kind.MASTER:
        return rng.uniform(0, 40_000)
    if kind is Kind.PHANTOM:
        return rng.uniform(5e8, 1.6e10)
    if rng.random() < _TINY_SHARE:
        return float(1000 ** rng.random())
    return float(min(1_000 + rng.lognormvariate(10.0, 1.9), 1.5e8))


def _activity(kind: Kind, rank: int, value: float) -> float:
    """Zipf over a random rank: few act all the time, most hardly ever. Small money acts less."""
    if kind is Kind.MARKET_MAKER:
        return 0.01
    if kind not in TAKER_KINDS:
        return 0.0
    return (0.3 if value < 1000 else 1.0) / float(rank + 20)


def _use(rng: random.Random, kind: Kind, leverage: int, gambles: bool) -> float:
    """Notional that it holds at most, in multiples of its money."""
    if kind in MAKER_KINDS:
        return 1.0
    return leverage * (rng.uniform(0.75, 0.95) if gambles else min(rng.uniform(0.08, 0.35), 5.0 / leverage))


def _coins(rng: random.Random, kind: Kind, live: list[int], weights: list[float]) -> tuple[int, ...]:
    if kind in MAKER_KINDS:
        return tuple(live)
    if kind not in TAKER_KINDS and kind is not Kind.DORMANT:
        return ()
    return tuple(sorted(set(rng.choices(live, weights, k=rng.choice((1, 2, 2, 3))))))


def _give_masters(rng: random.Random, traders: list[Trader]) -> None:
    """Turn some ordinary accounts into sub-accounts; one master has up to fifty, as was seen (facts 1.1)."""
    masters = [trader for trader in traders if trader.kind is Kind.MASTER]
    free = [trader for trader in traders if trader.kind in (Kind.INFORMED, Kind.NOISE, Kind.TREND)]
    rng.shuffle(free)
    for number, master in enumerate(masters):
        wanted = min(50, len(free) // 10) if number == 0 else rng.randint(1, 6)
        for _ in range(max(1, wanted)):
            if free:
                free.pop().master = master.index


def _address(seed: int, index: int) -> str:
    return "0x" + blake2b(f"trader:{seed}:{index}".encode(), digest_size=20).hexdigest()
