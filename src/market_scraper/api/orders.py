"""Orders to the running system, and waiting until the views show them done."""

from collections.abc import Callable

from market_scraper.api.deps import ApiDeps
from market_scraper.api.errors import NoOperations
from market_scraper.ports.operations import Operations

SHOWN_WITHIN_S = 2.0
LOOK_EVERY_S = 0.02


def performer(deps: ApiDeps) -> Operations:
    """Who carries out orders; raises NoOperations when this process knows nobody."""
    if deps.operations is None:
        raise NoOperations("this process takes no orders: no collector runs behind it", retry_after_s=30)
    return deps.operations


async def until_shown(deps: ApiDeps, is_shown: Callable[[], bool]) -> None:
    """Wait until an order that was carried out is in the views too, real seconds; give up quietly after a while.

    The views hear of it over the bus, a moment after the order is done; the answer should not contradict the order.
    """
    clock = deps.real_clock
    give_up_at = clock.monotonic() + SHOWN_WITHIN_S
    while not is_shown() and clock.monotonic() < give_up_at:
        await clock.sleep(LOOK_EVERY_S)
