"""What may be chosen about the paper venue."""

from dataclasses import dataclass, field
from pathlib import Path

from market_scraper.simulator.faults import Fault
from market_scraper.simulator.lateness import UntidyOptions
from market_scraper.simulator.limits import LimitOptions
from market_scraper.simulator.world import WorldOptions
from market_scraper.simulator.world.markets import DEFAULT_SYMBOLS


@dataclass(frozen=True, slots=True, kw_only=True)
class CadenceOptions:
    """How often frames come, in venue seconds. Measured where facts 4.3 says so; the candle's and context's are not."""

    mids_s: float = 2.0
    account_s: float = 5.0  # absolute state, for idle accounts too
    context_s: float = 1.0  # at most so often
    candle_s: float = 1.0  # at most so often while forming


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOptions:
    """One paper venue: its world, its limits, its untidiness and what goes wrong on request."""

    seed: int = 1
    traders: int = 300
    symbols: tuple[str, ...] = DEFAULT_SYMBOLS
    prints_per_s: float = 6.0  # of the busiest coin
    off_tape_per_hour: float = 0.0
    history_days: int = 400  # of candles before the start
    start_ms: int | None = None  # where the world begins; None = `warm_up_s` before the venue opens
    warm_up_s: float = 30.0  # prints that lie behind when the venue opens
    limits: LimitOptions = field(default_factory=LimitOptions)
    untidy: UntidyOptions = field(default_factory=UntidyOptions)
    cadence: CadenceOptions = field(default_factory=CadenceOptions)
    faults: tuple[Fault, ...] = ()
    replay_prints: int = 30  # prints of the coin that come on every trades subscribe (6 of 6 recorded)
    greeting: bool = True  # the bare text "Websocket connection established." that may come first
    idle_close_s: float = 60.0  # without a frame in either direction
    expire_s: float = 10_800.0  # closed with 1000 `Expired` regardless of activity
    playback: Path | None = None  # recorded frames instead of the world's
    speed: float = 1.0  # of the clock that is passed in; decides only how often the feed wakes

    def world(self, now_ms: int) -> WorldOptions:
        """The world's part, for a venue that opens at `now_ms`."""
        return WorldOptions(
            seed=self.seed,
            traders=self.traders,
            start_ms=now_ms - round(self.warm_up_s * 1000) if self.start_ms is None else self.start_ms,
            symbols=self.symbols,
            prints_per_s=self.prints_per_s,
            off_tape_per_hour=self.off_tape_per_hour,
            history_days=self.history_days,
        )
