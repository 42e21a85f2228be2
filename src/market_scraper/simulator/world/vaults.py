"""The vault: a parent of many followers whose children trade."""

import random

from market_scraper.simulator.world.facts import Kind, VaultDetails, VaultFollower
from market_scraper.simulator.world.people import Trader
from market_scraper.simulator.world.standing import Standing

_DAY_MS = 86_400_000


class Vaults:
    """Answers `vaultDetails` for the parent and its children."""

    def __init__(self, seed: int, start_ms: int, traders: list[Trader], standing: Standing) -> None:
        rng = random.Random(f"vaults:{seed}")
        self._start_ms = start_ms
        self._standing = standing
        self._parent = next(trader for trader in traders if trader.kind is Kind.VAULT)
        self._children = [trader for trader in traders if trader.kind is Kind.VAULT_CHILD]
        # Nothing more is known of a leader than its address: any trader will do.
        self._leader = traders[-1]
        people = [trader for trader in traders if trader.kind in (Kind.NOISE, Kind.SPOT_HOLDER, Kind.DORMANT)][:100]
        weights = [rng.lognormvariate(0.0, 1.5) for _ in people]
        total = sum(weights) / 0.95  # the leader keeps a twentieth
        self._shares = [(trader, weight / total) for trader, weight in zip(people, weights, strict=True)]
        self._days = [rng.randint(1, 600) for _ in people]

    def details(self, trader: Trader, at_ms: int) -> VaultDetails | None:
        """None for who is no vault."""
        if trader.kind is Kind.VAULT:
            family = [self._parent, *self._children]
            equity = sum(self._standing.value_usd(one.index, at_ms) for one in family)
            begin = sum(one.value_usd for one in family)
            children = tuple(one.user for one in self._children)
            return self._made(trader, "Liquidity Provider", equity, begin, children, None, at_ms)
        if trader.kind is Kind.VAULT_CHILD:
            name = f"Liquidity Provider {'ABCDEFGH'[self._children.index(trader)]}"
            equity = self._standing.value_usd(trader.index, at_ms)
            return self._made(trader, name, equity, trader.value_usd, (), self._parent.user, at_ms)
        return None

    def _made(
        self,
        trader: Trader,
        name: str,
        equity: float,
        begin: float,
        children: tuple[str, ...],
        parent: str | None,
        at_ms: int,
    ) -> VaultDetails:
        followers = tuple(
            VaultFollower(
                user=one.user,
                equity=equity * share,
                pnl=(equity - begin) * share,
                all_time_pnl=(equity - begin) * share + begin * share * 0.1 * days / 365,
                days_following=days + (at_ms - self._start_ms) // _DAY_MS,
                entry_ms=self._start_ms - days * _DAY_MS,
            )
            for (one, share), days in zip(self._shares, self._days, strict=True)
            if parent is None
        )
        return VaultDetails(
            name=name,
            user=trader.user,
            leader=self._leader.user,
            description="Provides liquidity in every market.",
            apr=0.1,
            leader_fraction=0.05,
            leader_commission=0.0,
            followers=followers,
            children=children,
            parent=parent,
            max_distributable=max(0.0, equity * 0.9),
            max_withdrawable=0.0,
        )
