"""Worlds that several tests look at."""

from functools import cache

from market_scraper.simulator.world import World, WorldOptions
from market_scraper.simulator.world.facts import Block, Print

START_MS = 1_763_800_000_123  # 2025-11-22T08:26:40Z, not on a minute


def make(*, seed: int = 7, traders: int = 120, prints_per_s: float = 20.0, off_tape_per_hour: float = 0.0) -> World:
    """A fresh world."""
    return World(
        WorldOptions(
            seed=seed,
            traders=traders,
            start_ms=START_MS,
            prints_per_s=prints_per_s,
            off_tape_per_hour=off_tape_per_hour,
            history_days=40,
        )
    )


@cache
def lived() -> tuple[World, tuple[Block, ...]]:
    """Four busy minutes of 300 traders; only to be looked at."""
    world = make(traders=300)
    return world, tuple(world.advance(START_MS + 240_000))


def prints_of(blocks: tuple[Block, ...] | list[Block]) -> list[Print]:
    """All prints in order."""
    return [one for block in blocks for _, prints in block.prints for one in prints]
