"""Store and bus, opened in one place for whoever needs them."""

import hashlib
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import structlog

from market_scraper.config import Settings, choose_backends
from market_scraper.domain.errors import BusUnreachable, StoreError
from market_scraper.event_bus.codec import encode_event
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import Reserve
from market_scraper.ports.bus import Bus, Envelope
from market_scraper.ports.clock import Clock
from market_scraper.ports.lease import LeasedBus
from market_scraper.ports.stores import DeadLetterRow, SettingRow, Store
from market_scraper.runtime import timeouts
from market_scraper.runtime.backoff import backoff
from market_scraper.runtime.clock import ScaledClock, real_monotonic, real_sleep
from market_scraper.storage.address import MongoAddress
from market_scraper.storage.buffer import Buffer
from market_scraper.storage.open import open_store
from market_scraper.storage.spill_folder import SpillFolder
from market_scraper.storage.spill_gate import GatedStore
from market_scraper.storage.spill_recovery import replay_left

if TYPE_CHECKING:
    from market_scraper.event_bus.redis import RedisAddress

log = structlog.get_logger(__name__)

SEQ_SETTING = "bus.seq"
"""The end of the last reserved block of event numbers."""


LOCAL_REDIS = "redis://127.0.0.1:6379"
"""What `REDIS__URL=auto` looks for."""


async def open_store_and_bus(stack: AsyncExitStack, settings: Settings, clock: Clock) -> tuple[Store, LeasedBus]:
    """Open what the settings name; what the bus gives up on is kept in the store as a dead letter.

    Raises StoreUnreachable or BusUnreachable for a server that does not answer: there is no silent other one.
    """
    store = await stack.enter_async_context(
        open_store(
            choose_backends(settings).store,
            path=settings.storage.path,
            retention=settings.storage.retention.rules(),
            clock=clock,
            busy_s=timeouts.SQLITE_BUSY_S,
            mongo=mongo_address(settings),
        )
    )
    return store, await _open_bus(stack, settings, store, clock)


async def _open_bus(stack: AsyncExitStack, settings: Settings, store: Store, clock: Clock) -> LeasedBus:
    wanted = choose_backends(settings).bus
    if wanted == "redis":
        assert settings.redis.url is not None
        return await _open_redis(stack, settings.redis.url, store, clock)
    if wanted == "auto":
        try:
            bus = await _open_redis(stack, LOCAL_REDIS, store, clock)
        except BusUnreachable as error:
            log.warning("bus_chosen", bus="memory", because=f"REDIS__URL=auto: {error}")
        else:
            log.info("bus_chosen", bus="redis", because=f"REDIS__URL=auto: {LOCAL_REDIS} answers")
            return bus
    keep = partial(_keep_dead_letter, store, clock)
    return await stack.enter_async_context(MemoryBus(_reserve_in(store), dead_letter=keep))


async def _open_redis(stack: AsyncExitStack, url: str, store: Store, clock: Clock) -> LeasedBus:
    # The driver takes 0.3 s to import: only those pay who use it.
    from market_scraper.event_bus.redis import Patience, RedisBus

    return await stack.enter_async_context(
        RedisBus(
            _redis_address(url),
            _reserve_in(store),
            clock=ScaledClock(),  # real time
            delays=partial(backoff, first_s=0.1, most_s=2.0),
            dead_letter=partial(_keep_dead_letter, store, clock),
            unreadable=partial(_keep_unreadable, store, clock),
            patience=Patience(member_s=timeouts.BUS_MEMBER_S, reader_s=timeouts.BUS_READER_GONE_S),
            lease_s=timeouts.LEASE_S,
        )
    )


async def look_at_bus(settings: Settings) -> str:
    """Say which bus would be opened; raises ConfigError or BusUnreachable like opening it."""
    wanted = choose_backends(settings).bus
    if wanted == "memory":
        return "in memory"
    from market_scraper.event_bus.redis import reach

    try:
        return await reach(_redis_address(LOCAL_REDIS if wanted == "auto" else settings.redis.url or ""), ScaledClock())
    except BusUnreachable as error:
        if wanted == "auto":
            return f"in memory: REDIS__URL=auto, and {error}"
        raise


def _redis_address(url: str) -> "RedisAddress":
    from market_scraper.event_bus.redis import RedisAddress

    return RedisAddress(url=url, connect_s=timeouts.REDIS_CONNECT_S, answer_s=timeouts.REDIS_ANSWER_S)


def bus_name(bus: Bus) -> str:
    """Which bus was opened, as `/health/status` shows it."""
    return "memory" if isinstance(bus, MemoryBus) else "redis"


def mongo_address(settings: Settings) -> MongoAddress | None:
    """Where MongoDB is, if it is the store; raises ConfigError for a URL that would be read wrongly."""
    if choose_backends(settings).store != "mongo" or settings.mongo.url is None:
        return None
    return MongoAddress(
        url=settings.mongo.url,
        database=settings.mongo.database,
        select_s=timeouts.MONGO_SELECT_S,
        answer_s=timeouts.MONGO_ANSWER_S,
    )


def spill_folder(settings: Settings) -> SpillFolder | None:
    """Where rows wait on disk while the store is away: beside the data, a folder for each store; None = nowhere."""
    backend = choose_backends(settings).store
    if backend == "memory" or not settings.buffer.spill_max_bytes:
        return None  # a store in memory is never away, and after a restart the rows would be another life's
    path, mongo = settings.storage.path, mongo_address(settings)
    if mongo is None:
        return SpillFolder(path.with_name(f"{path.name}.spill"))
    # Rows of one database must never end in another one, which the same folder may serve tomorrow.
    digest = hashlib.blake2b(f"{mongo.hosts}/{mongo.database}".encode(), digest_size=6).hexdigest()
    return SpillFolder(path.with_name(f"{mongo.database}-{digest}.spill"))


def behind_the_spill(settings: Settings, store: Store) -> Store:
    """The store for those who begin from it: it is not complete while anything of it is on disk."""
    folder = spill_folder(settings)
    return store if folder is None else GatedStore(store, folder)


async def replay_spilled(settings: Settings, store: Store, clock: Clock) -> None:
    """Store what workers of this machine that are gone have left on disk, before anyone reads what is stored.

    Raises StoreUnreachable when that cannot be done: what was accepted is never passed over.
    """
    folder = spill_folder(settings)
    if folder is not None:
        await replay_left(folder, store, clock)


def _reserve_in(store: Store) -> Reserve:
    """Reserve event numbers in the store, so that none is given again after a restart."""

    async def reserve(size: int) -> int:
        for delay_s in backoff(first_s=0.1, most_s=5.0):
            try:
                end = int(await store.settings.get(SEQ_SETTING) or 1)
                await store.write([SettingRow(key=SEQ_SETTING, value=str(end + size))])
            except StoreError as error:
                log.warning("numbers_wait_for_the_store", reason=str(error))
                await real_sleep(delay_s)
            else:
                return end
        raise AssertionError("delays never end")

    return reserve


async def _keep_dead_letter(store: Store, clock: Clock, envelope: Envelope, reason: str) -> None:
    await _keep_unreadable(store, clock, encode_event(envelope.event), reason)


async def _keep_unreadable(store: Store, clock: Clock, data: bytes, reason: str) -> None:
    await store.write([DeadLetterRow(source="bus", known_at_ms=clock.now_ms(), reason=reason, body=data)])


async def drain(bus: Bus, buffer: Buffer | None) -> None:
    """Wait until all groups have worked off what was published, for a share of the time for stopping at the most."""
    deadline_s = real_monotonic() + timeouts.STOP_S / 4
    while any(n for name, n in bus.stats().items() if name.startswith("waiting_")) and real_monotonic() < deadline_s:
        if buffer is not None:
            buffer.hurry()
        await real_sleep(0.01)
