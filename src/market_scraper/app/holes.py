"""Facts that the bus took and that will never be stored: noticed, told, and made up for."""

from collections.abc import Callable

import structlog

from market_scraper.domain.errors import StoreError
from market_scraper.ports.bus import Bus
from market_scraper.ports.clock import Clock
from market_scraper.ports.stores import SettingRow, Store
from market_scraper.processors.persister import PERSISTED, PERSISTER
from market_scraper.runtime import timeouts

log = structlog.get_logger(__name__)

SETTING = "bus.lost_before"
"""Up to which number the persister may have missed events, as the collector before us knew it."""

LOOK_S = 5.0


class HoleWatch:
    """Looks whether the persister's group has lost events: it was given up, or Redis came back without some.

    What runs has it right all the same. But rows stay behind as they were before the hole, and whoever reads them
    later would call old sizes exact; so `on_hole(since_ms)` has everybody based anew.
    """

    def __init__(self, bus: Bus, store: Store, clock: Clock, on_hole: Callable[[int], None], *, speed: float) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._on_hole = on_hole
        # The group was away for so long before it was given up; what it had not stored by then may be as old.
        self._reach_ms = round((timeouts.BUS_READER_GONE_S * speed + LOOK_S) * 1000)
        self._known: int | None = None

    async def look(self) -> None:
        """Have the group kept for, and compare."""
        await self._bus.keep_for(PERSISTER, *PERSISTED)
        lost = await self._bus.lost_before(PERSISTER)
        if self._known is None:
            stored = await self._store.settings.get(SETTING)
            self._known = None if stored is None else int(stored)
        if lost == self._known:
            return
        if self._known is not None:
            log.error("facts_not_stored", up_to_seq=lost, since_seq=self._known)
            self._on_hole(self._clock.now_ms() - self._reach_ms)
        await self._store.write([SettingRow(key=SETTING, value=str(lost))])
        self._known = lost

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        while True:
            await self._clock.sleep(LOOK_S)
            try:
                await self.look()
            except StoreError as error:
                log.warning("hole_watch_waits", reason=str(error))
