"""The sections of the configuration with their defaults and bounds; each gives the domain's rules.

Values are checked once, here. A frozen model a section; unknown keys are refused.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.rules import (
    CappedRoi,
    FilterRules,
    InferenceRules,
    PositionRules,
    ScoringRules,
    SignalRules,
    TagRules,
    Tier,
)
from market_scraper.domain.values import Address, Symbol, parse_address, parse_symbol
from market_scraper.ports.stores import Retention


class Secret:
    """Marks a setting whose whole value is never shown."""


class Section(BaseModel):
    """Frozen, finite numbers only, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


def _split(raw: object) -> object:
    """`BTC,ETH` as a list; lists stay as they are."""
    if isinstance(raw, str):
        return [part.strip() for part in raw.split(",") if part.strip()]
    return raw


def _symbol(raw: object) -> object:
    try:
        return parse_symbol(raw) if isinstance(raw, str) else raw
    except InvalidInput as error:
        raise ValueError(str(error)) from error


def _address(raw: object) -> object:
    if isinstance(raw, int) and raw >= 0:
        raw = f"0x{raw:040x}"  # YAML reads an address without quotes as a number
    try:
        return parse_address(raw) if isinstance(raw, str) else raw
    except InvalidInput as error:
        raise ValueError(str(error)) from error


def _none_if_empty(raw: object) -> object:
    return None if raw == "" else raw


def _upper(raw: object) -> object:
    return raw.upper() if isinstance(raw, str) else raw


HttpUrl = Annotated[str, Field(pattern=r"^https?://\S+$")]
WsUrl = Annotated[str, Field(pattern=r"^wss?://\S+$")]
MongoUrl = Annotated[str, Field(pattern=r"^mongodb(\+srv)?://\S+$")]
RedisUrl = Annotated[str, Field(pattern=r"^(auto|(rediss?|unix)://\S+)$")]
Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
Days = Annotated[int, Field(ge=1, le=36_500)]
SymbolItem = Annotated[Symbol, BeforeValidator(_symbol)]
AddressItem = Annotated[Address, BeforeValidator(_address)]
Words = Annotated[tuple[str, ...], BeforeValidator(_split)]


class Mongo(Section):
    """`mongo`: a document server. No URL = the embedded store."""

    url: Annotated[MongoUrl | None, BeforeValidator(_none_if_empty)] = Field(default=None, repr=False)
    database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,63}$")] = "market_scraper"


class Redis(Section):
    """`redis`: a bus for several processes. No URL = the bus in memory; `auto` = local Redis if it answers."""

    url: Annotated[RedisUrl | None, BeforeValidator(_none_if_empty)] = Field(default=None, repr=False)


class Hyperliquid(Section):
    """`hyperliquid`: the venue, and which of its coins are collected and stored."""

    enabled: bool = True  # False = no Hyperliquid collectors; the API runs
    symbol: Annotated[tuple[SymbolItem, ...], BeforeValidator(_split), Field(min_length=1, max_length=50)] = (
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

    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)] = "INFO"
    format: Literal["console", "json"] = "console"


class Onchain(Section):
    """`onchain`: addresses of the Bitcoin sources."""

    blockchain_info_url: HttpUrl = "https://api.blockchain.info"
    fear_greed_url: HttpUrl = "https://api.alternative.me"
    coin_metrics_url: HttpUrl = "https://community-api.coinmetrics.io/v4"
    cbbi_url: HttpUrl = "https://colintalkscrypto.com/cbbi/data/latest.json"
    bitview_url: HttpUrl = "https://bitview.space"
    exchange_flow_url: HttpUrl = "https://community-api.coinmetrics.io/v4"


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


class Indicators(Section):
    """`position_inference.indicators`: each fires when its value exceeds the threshold."""

    day_roi_threshold: NotNegative = InferenceRules().day_roi_threshold  # |roi|, fraction
    pnl_ratio_threshold: NotNegative = InferenceRules().pnl_ratio_threshold  # |day pnl| / account value
    day_volume_threshold: NotNegative = InferenceRules().day_volume_threshold  # USD


class PositionInference(Section):
    """`position_inference`."""

    enabled: bool = True
    confidence_threshold: Share = InferenceRules().confidence_threshold
    indicators: Indicators = Indicators()

    def rules(self) -> InferenceRules:
        """The same as the domain reads it."""
        return InferenceRules(
            enabled=self.enabled, confidence_threshold=self.confidence_threshold, **self.indicators.model_dump()
        )


class Buffer(Section):
    """`buffer`: how long and how many rows may wait to be stored together, and how `/ws` batches."""

    flush_interval: Seconds = 50.0  # seconds; the longest loss when the process is killed
    max_size: Annotated[int, Field(ge=1, le=1_000_000)] = 100  # rows that force a flush
    broadcast_batch_size: Annotated[int, Field(ge=1, le=10_000)] = 100
    broadcast_batch_timeout_ms: NotNegative = 10.0


class ScoringWeights(Section):
    """`scoring.weights`: the most points that each part may give; they sum to 105."""

    all_time_roi: NotNegative = 30.0
    month_roi: NotNegative = 25.0
    week_roi: NotNegative = 20.0
    account_value: NotNegative = 15.0
    month_volume: NotNegative = 10.0
    consistency: NotNegative = 5.0  # given whole when day, week and month roi are all > 0


class RoiMultipliers(Section):
    """`scoring.roi_multipliers`: points per 100 % of roi."""

    all_time: NotNegative = 30.0
    month: NotNegative = 50.0
    week: NotNegative = 100.0


class RoiFloors(Section):
    """`scoring.roi_floors`: the fewest points that a loss may give."""

    all_time: Annotated[float, Field(le=0)] = 0.0
    month: Annotated[float, Field(le=0)] = 0.0
    week: Annotated[float, Field(le=0)] = -10.0


class ScoringTier(Section):
    """From `at_least` USD on: `points`."""

    at_least: NotNegative
    points: NotNegative


def _tiers(rule: tuple[Tier, ...]) -> tuple[ScoringTier, ...]:
    return tuple(ScoringTier(at_least=tier.at_least, points=tier.points) for tier in rule)


class ScoringTiers(Section):
    """`scoring.tiers`, USD; the highest tier reached counts."""

    account_value: tuple[ScoringTier, ...] = _tiers(ScoringRules().account_value_tiers)
    month_volume: tuple[ScoringTier, ...] = _tiers(ScoringRules().month_volume_tiers)


class Scoring(Section):
    """`scoring`."""

    weights: ScoringWeights = ScoringWeights()
    roi_multipliers: RoiMultipliers = RoiMultipliers()
    roi_floors: RoiFloors = RoiFloors()
    tiers: ScoringTiers = ScoringTiers()

    def rules(self, tags: TagRules | None = None) -> ScoringRules:
        """The same as the domain reads it; tiers come highest first, none above its part's weight."""
        times, low, high = self.roi_multipliers, self.roi_floors, self.weights
        return ScoringRules(
            all_time_roi=CappedRoi(multiplier=times.all_time, low=low.all_time, high=high.all_time_roi),
            month_roi=CappedRoi(multiplier=times.month, low=low.month, high=high.month_roi),
            week_roi=CappedRoi(multiplier=times.week, low=low.week, high=high.week_roi),
            account_value_tiers=_capped(self.tiers.account_value, high.account_value),
            month_volume_tiers=_capped(self.tiers.month_volume, high.month_volume),
            consistency_points=high.consistency,
            tags=TagRules() if tags is None else tags,
        )


def _capped(tiers: tuple[ScoringTier, ...], most: float) -> tuple[Tier, ...]:
    highest_first = sorted(tiers, key=lambda tier: tier.at_least, reverse=True)
    return tuple(Tier(at_least=tier.at_least, points=min(tier.points, most)) for tier in highest_first)


class Exclude(Section):
    """`filters.exclude`: never tracked, unless by hand."""

    addresses: Annotated[tuple[AddressItem, ...], BeforeValidator(_split)] = ()
    tags: Words = ()


class Filters(Section):
    """`filters`: who is tracked, i.e. listed, voting and with history."""

    min_score: float = FilterRules().min_score
    max_count: Annotated[int, Field(ge=0, le=100_000)] = FilterRules().max_count
    min_account_value: NotNegative = FilterRules().min_account_value  # USD
    require_positive: bool = FilterRules().require_positive  # month pnl > 0
    exclude: Exclude = Exclude()

    def rules(self) -> FilterRules:
        """The same as the domain reads it."""
        return FilterRules(
            min_score=self.min_score,
            max_count=self.max_count,
            min_account_value=self.min_account_value,
            require_positive=self.require_positive,
            exclude_addresses=frozenset(self.exclude.addresses),
            exclude_tags=frozenset(self.exclude.tags),
        )


class Tags(Section):
    """`tags`: thresholds, each inclusive."""

    whale_account_value: NotNegative = TagRules().whale_account_value  # USD
    large_account_value: NotNegative = TagRules().large_account_value  # USD
    elite_score: float = TagRules().elite_score
    top_performer_score: float = TagRules().top_performer_score
    high_performer_roi: float = TagRules().high_performer_roi  # all-time, fraction
    high_volume: NotNegative = TagRules().high_volume  # month, USD
    medium_volume: NotNegative = TagRules().medium_volume  # month, USD

    def rules(self) -> TagRules:
        """The same as the domain reads it."""
        return TagRules(**self.model_dump())


class Positions(Section):
    """`positions`: how the tape is heard and the REST budget spent."""

    tape_sockets: Annotated[int, Field(ge=1, le=4)] = PositionRules().tape_sockets
    join_window_ms: Annotated[int, Field(ge=0, le=30_000)] = PositionRules().join_window_ms
    exact_max_age_seconds: Annotated[float, Field(gt=0, le=60)] = PositionRules().exact_max_age_ms / 1000
    rest_weight_per_minute: Annotated[int, Field(ge=20, le=1_200)] = PositionRules().rest_weight_per_minute
    user_slots: Annotated[int, Field(ge=0, le=10)] = PositionRules().user_slots

    def rules(self) -> PositionRules:
        """The same as the domain reads it."""
        return PositionRules(
            tape_sockets=self.tape_sockets,
            join_window_ms=self.join_window_ms,
            exact_max_age_ms=round(self.exact_max_age_seconds * 1000),
            rest_weight_per_minute=self.rest_weight_per_minute,
            user_slots=self.user_slots,
        )


class Signals(Section):
    """`signals`: when a net exposure becomes a recommendation, and how often it is told."""

    entry_threshold: Share = SignalRules().entry_threshold  # of |net_exposure|
    exit_threshold: Share = SignalRules().exit_threshold
    min_voters: Annotated[int, Field(ge=1)] = SignalRules().min_voters
    min_coverage: Share = SignalRules().min_coverage
    emit_interval_seconds: Seconds = SignalRules().emit_interval_s  # tape time
    confidence_step: Annotated[float, Field(gt=0, le=1)] = SignalRules().confidence_step

    @model_validator(mode="after")
    def _exit_is_not_above_entry(self) -> Self:
        if self.exit_threshold > self.entry_threshold:
            raise ValueError(
                f"exit_threshold {self.exit_threshold} must not be above entry_threshold {self.entry_threshold}"
            )
        return self

    def rules(self) -> SignalRules:
        """The same as the domain reads it."""
        return SignalRules(
            entry_threshold=self.entry_threshold,
            exit_threshold=self.exit_threshold,
            min_voters=self.min_voters,
            min_coverage=self.min_coverage,
            emit_interval_s=self.emit_interval_seconds,
            confidence_step=self.confidence_step,
        )
