"""What may be chosen about the paper venue's world."""

from dataclasses import dataclass

from market_scraper.simulator.world.markets import DEFAULT_SYMBOLS


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldOptions:
    """One world. The same options give the same world, print by print."""

    seed: int
    traders: int  # accounts of every kind, sub-accounts included
    start_ms: int  # the first block comes after this moment
    symbols: tuple[str, ...] = DEFAULT_SYMBOLS  # perps that trade; the delisted coin is there in any case
    prints_per_s: float = 6.0  # of the busiest coin; the others have their usual share of it
    off_tape_per_hour: float = 0.0  # changes without a print, over all coins
    history_days: int = 400  # candles that lie before start_ms

    def __post_init__(self) -> None:
        if self.traders < 20:
            raise ValueError(f"a world needs at least 20 traders, was {self.traders}")
        if not 0 < self.prints_per_s <= 1000:
            raise ValueError(f"prints_per_s must lie in (0, 1000], was {self.prints_per_s}")
        if self.off_tape_per_hour < 0 or self.history_days < 2:
            raise ValueError("off_tape_per_hour must be >= 0 and history_days >= 2")
