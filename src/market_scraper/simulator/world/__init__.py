"""The paper venue's world: markets, traders and what they do, without any wire or clock.

Time is an argument: `World.advance(to_ms)` gives the blocks up to a moment, and every question about a past
moment is answered exactly, as of after all blocks with time <= that moment.
"""

from market_scraper.simulator.world.options import WorldOptions
from market_scraper.simulator.world.world import World

__all__ = ["World", "WorldOptions"]
