"""The sections that say where things are and how the program runs, with their defaults and bounds."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from market_scraper.config.fields import (
    Days,
    HttpUrl,
    MongoUrl,
    NotNegative,
    RedisUrl,
    Seconds,
    Secret,
    Section,
    SymbolItem,
    Words,
    WsUrl,
    none_if_empty,
    split_commas,
    upper,
)
from market_scraper.domain.values import Symbol
from market_scraper.ports.stores import Retention


class Mongo(Section):
    """`mongo`: a document server. No URL = the embedded store."""

    url: Annotated[MongoUrl | None, BeforeValidator(none_if_empty)] = Field(default=None, repr=False)
    database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,63}$")] = "market_scraper"


class Redis(Section):
    """`redis`: a bus for several processes. No URL = the bus in memory; `auto` = local Redis if it answers."""

    url: Annotated[RedisUrl | None, BeforeValidator(none_if_empty)] = Field(default=None, repr=False)


class Hyperliquid(Section):
    """`hyperliquid`: the venue, and which of its coins are collected and stored."""

    enabled: bool = True  # False = no Hyperliquid collectors; the API runs
    symbol: Annotated[tuple[SymbolItem, ...], BeforeValidator(split_commas), Field(min_length=1, max_length=50)] = (
        Symbol("BTC"),
    )
    api_url: HttpUrl = "https://api.hyperliquid.xyz"
    ws_url: WsUrl = "wss://api.hyperliquid.xyz/ws"
    leaderboard_url: HttpUrl = "https://stats-data.hyperliquid.xyz/Mainnet/leaderboard"

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """The collected coins, each once, in the user's order; the first is every route's default."""
        return tuple(dict.fromkeys(self.symbol))


class StorageRetention(Section):
    """`storage.retention`: days that history is kept."""

    signals: Days = 30
    trader_positions: Days = 30
    trader_signals: Days = 30
    leaderboard_history: Days = 90
    trader_scores: Days = 90

    def rules(self) -> Retention:
        """The same as the store reads it."""
        return Retention(**self.model_dump())


class Storage(Section):
    """`storage`: where history is kept."""

    path: Path = Path("data/market_scraper.db")  # from the working directory
    backend: Literal["auto", "memory", "sqlite", "mongo"] = "auto"  # auto = mongo if it has a URL, else sqlite
    retention: StorageRetention = StorageRetention()


class Logging(Section):
    """`logging`."""

    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(upper)] = "INFO"
    format: Literal["console", "json"] = "console"


class Onchain(Section):
    """`onchain`: addresses of the Bitcoin sources, and how much of the past is fetched."""

    blockchain_info_url: HttpUrl = "https://api.blockchain.info"
    fear_greed_url: HttpUrl = "https://api.alternative.me"
    coin_metrics_url: HttpUrl = "https://community-api.coinmetrics.io/v4"
    cbbi_url: HttpUrl = "https://colintalkscrypto.com/cbbi/data/latest.json"
    bitview_url: HttpUrl = "https://bitview.space"
    exchange_flow_url: HttpUrl = "https://community-api.coinmetrics.io/v4"
    history_days: Annotated[int, Field(ge=0, le=100_000)] = 0  # of what is not stored yet; 0 = all that a source has


class Clock(Section):
    """`clock`: venue now = origin + (real now - origin) x speed; only a paper venue has a speed other than 1."""

    origin: NotNegative = 0.0  # Unix seconds
    speed: Annotated[float, Field(gt=0, le=10_000)] = 1.0


class Task(Section):
    """One periodic task. Its defaults are its class's own: a task of which one key is given keeps the others."""

    enabled: bool = True
    interval_seconds: Seconds = 3_600.0


class CheckTask(Task):
    """One that looks after the others."""

    interval_seconds: Seconds = 600.0


class OptionalTask(Task):
    """One that runs only when asked for."""

    enabled: bool = False


class Tasks(Section):
    """`scheduler.tasks`."""

    leaderboard_refresh: Task = Task()
    health_check: CheckTask = CheckTask()
    connector_health: CheckTask = CheckTask()
    data_cleanup: OptionalTask = OptionalTask()


class Scheduler(Section):
    """`scheduler`."""

    enabled: bool = True
    tasks: Tasks = Tasks()


class Compression(Section):
    """`archival.compression`."""

    algorithm: Literal["zstd"] = "zstd"
    level: Annotated[int, Field(ge=1, le=22)] = 3


class GitLfs(Section):
    """`archival.git_lfs`."""

    repo_url: str = Field(default="", repr=False)
    branch: Annotated[str, Field(min_length=1)] = "main"


class Archival(Section):
    """`archival`: copies of history before it expires. `candles` = every `{symbol}_candles_*`."""

    enabled: bool = False
    schedule: Literal["daily", "weekly", "monthly"] = "monthly"
    directory: Path = Path("data/archives")
    compression: Compression = Compression()
    git_lfs: GitLfs = GitLfs()
    collections: Words = ("trader_positions", "signals", "leaderboard_history", "candles")


class Alerts(Section):
    """`alerts`: where fired alerts are sent."""

    enabled: bool = False
    urls: Annotated[Words, Secret()] = Field(default=(), repr=False)  # apprise URLs carry their tokens in the path


class Buffer(Section):
    """`buffer`: how long and how many rows may wait to be stored together, and how `/ws` batches."""

    flush_interval: Seconds = 50.0  # seconds; the longest loss when the process is killed
    max_size: Annotated[int, Field(ge=1, le=1_000_000)] = 100  # rows that force a flush
    spill_max_bytes: Annotated[int, Field(ge=0)] = 1 << 30  # on disk while the store is away; 0 = never on disk
    broadcast_batch_size: Annotated[int, Field(ge=1, le=10_000)] = 100
    broadcast_batch_timeout_ms: NotNegative = 10.0
