"""The paper venue's world: markets, traders and what they do, without any wire or clock.

Time is an argument: `World.advance(to_ms)` gives the blocks up to a moment, and every question about a past
moment is answered exactly, as of after all blocks with time <= that moment.

How a block comes about: `path` says where prices are, `liquidations` who cannot stand them, `flow` (with `habits`) who
trades with whom, `exchange` settles each match into `holdings`, `candles` and `prints`. What lies between blocks is
planned by `disturbances`; `accounts`, `standing`, `vaults` and `screen` only answer.
"""

from market_scraper.simulator.world.options import WorldOptions
from market_scraper.simulator.world.world import World

__all__ = ["World", "WorldOptions"]
