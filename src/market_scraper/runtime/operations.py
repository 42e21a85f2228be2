"""Orders: connectors started and stopped, traders chosen by hand; carried out here, or by the process that collects."""

from collections.abc import Callable, Mapping

from market_scraper.domain.errors import UnknownThing
from market_scraper.domain.events import ConnectorChosen, TraderChosen
from market_scraper.domain.traders import Choice
from market_scraper.domain.values import Address
from market_scraper.ports.bus import Bus, Inbox
from market_scraper.ports.clock import Clock
from market_scraper.ports.stores import CHOICE_PREFIX, SettingRow, Store
from market_scraper.runtime.health import Reporter
from market_scraper.runtime.supervisor import Supervisor

STOPPED_PREFIX = "connector:"
"""Settings `connector:<name>` = `stopped` or `running`: the user's word, which survives a restart."""


class Operations:
    """Implements `ports.operations.Operations` for a process that may collect itself, or not, from moment to moment."""

    def __init__(
        self, here: Callable[[], "Connectors | None"], *, store: Store, bus: Bus, clock: Clock, is_shared: bool
    ) -> None:
        """`here` gives the connectors that run in this process now; `is_shared`: others are reached over the bus."""
        self._here = here
        self._store = store
        self._bus = bus
        self._clock = clock
        self._is_shared = is_shared

    async def start_connector(self, name: str) -> None:
        await self._choose(name, running=True)

    async def stop_connector(self, name: str) -> None:
        await self._choose(name, running=False)

    async def choose_trader(self, trader: Address, choice: Choice) -> None:
        await self._store.write([SettingRow(key=f"{CHOICE_PREFIX}{trader}", value=choice.value)])
        await self._bus.publish([TraderChosen(known_at_ms=self._clock.now_ms(), trader=trader, choice=choice)])

    async def _choose(self, name: str, *, running: bool) -> None:
        here = self._here()
        if here is not None:
            here.check(name)
        elif not self._is_shared:
            raise UnknownThing(f"no connector called {name} runs here")
        word = "running" if running else "stopped"
        await self._store.write([SettingRow(key=f"{STOPPED_PREFIX}{name}", value=word)])
        if here is not None:
            await here.obey(name, running=running)
        else:
            event = ConnectorChosen(known_at_ms=self._clock.now_ms(), name=name, running=running)
            await self._bus.publish([event])


class Connectors:
    """The connectors of this process, which is the one that collects: started and stopped as chosen."""

    def __init__(self, *, supervisor: Supervisor, reporters: Mapping[str, Reporter], store: Store) -> None:
        """`reporters` by connector name."""
        self._supervisor = supervisor
        self._reporters = reporters
        self._store = store

    def check(self, name: str) -> None:
        """Raises UnknownThing."""
        if name not in self._reporters:
            raise UnknownThing(f"no connector called {name} runs here")

    async def obey(self, name: str, *, running: bool) -> None:
        """Start or stop it, whichever is asked; what is so already stays so. Raises UnknownThing."""
        self.check(name)
        if running:
            self._supervisor.start(name)
        else:
            await self._supervisor.stop(name)
        self._reporters[name].runs(running)

    async def follow(self, orders: Inbox) -> None:
        """Obey what other processes order, until cancelled."""
        while True:
            for envelope in await orders.take():
                match envelope.event:
                    case ConnectorChosen(name=name, running=running) if name in self._reporters:
                        await self.obey(name, running=running)

    async def start_chosen(self) -> None:
        """At the program's start: start every connector that was not stopped by hand."""
        words = await self._store.settings.with_prefix(STOPPED_PREFIX)
        for name, reporter in self._reporters.items():
            if words.get(f"{STOPPED_PREFIX}{name}") == "stopped":
                reporter.runs(False)
            else:
                self._supervisor.start(name)

    async def revive(self) -> list[str]:
        """Start every connector again that ended without being told to; gives their names.

        The supervisor restarts what crashes. Left over is what came to an end by itself: it returned, or was cancelled
        by something of its own.
        """
        words = await self._store.settings.with_prefix(STOPPED_PREFIX)
        ended = [
            name
            for name in self._reporters
            if words.get(f"{STOPPED_PREFIX}{name}") != "stopped" and not self._supervisor.state(name).running
        ]
        for name in ended:
            self._supervisor.start(name)
            self._reporters[name].runs(True)
        return ended
