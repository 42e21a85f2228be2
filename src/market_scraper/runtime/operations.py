"""Orders carried out in this process: connectors started and stopped, traders chosen by hand."""

from collections.abc import Mapping

from market_scraper.domain.errors import UnknownThing
from market_scraper.domain.events import TraderChosen
from market_scraper.domain.traders import Choice
from market_scraper.domain.values import Address
from market_scraper.ports.bus import Bus
from market_scraper.ports.clock import Clock
from market_scraper.ports.stores import CHOICE_PREFIX, SettingRow, Store
from market_scraper.runtime.health import Reporter
from market_scraper.runtime.supervisor import Supervisor

STOPPED_PREFIX = "connector:"
"""Settings `connector:<name>` = `stopped` or `running`: the user's word, which survives a restart."""


class LocalOperations:
    """Implements `ports.operations.Operations` on the supervisor of this process's collectors."""

    def __init__(
        self,
        *,
        supervisor: Supervisor | None,
        reporters: Mapping[str, Reporter],
        store: Store,
        bus: Bus,
        clock: Clock,
    ) -> None:
        """`reporters` by connector name; `supervisor` None where no collectors run."""
        self._supervisor = supervisor
        self._reporters = reporters
        self._store = store
        self._bus = bus
        self._clock = clock

    async def start_connector(self, name: str) -> None:
        supervisor = self._supervised(name)
        await self._store.write([SettingRow(key=f"{STOPPED_PREFIX}{name}", value="running")])
        supervisor.start(name)
        self._reporters[name].runs(True)

    async def stop_connector(self, name: str) -> None:
        supervisor = self._supervised(name)
        await self._store.write([SettingRow(key=f"{STOPPED_PREFIX}{name}", value="stopped")])
        await supervisor.stop(name)
        self._reporters[name].runs(False)

    async def choose_trader(self, trader: Address, choice: Choice) -> None:
        await self._store.write([SettingRow(key=f"{CHOICE_PREFIX}{trader}", value=choice.value)])
        await self._bus.publish([TraderChosen(known_at_ms=self._clock.now_ms(), trader=trader, choice=choice)])

    async def start_chosen(self) -> None:
        """At the program's start: start every connector that was not stopped by hand."""
        if self._supervisor is None:
            return
        words = await self._store.settings.with_prefix(STOPPED_PREFIX)
        for name, reporter in self._reporters.items():
            if words.get(f"{STOPPED_PREFIX}{name}") == "stopped":
                reporter.runs(False)
            else:
                self._supervisor.start(name)

    def _supervised(self, name: str) -> Supervisor:
        if self._supervisor is None or name not in self._reporters:
            raise UnknownThing(f"no connector called {name} runs here")
        return self._supervisor
