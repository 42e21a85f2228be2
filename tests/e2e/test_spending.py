"""Whoever starts again, however the last one ended, spends only what the venue's minute leaves."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.system import Process, Witness, paper_venue, server

SPEED = 5.0
SOON_S = 30.0
MOST_A_MINUTE = 900
LOOKED_AT_MS = 30_000


async def counted(venue: Process, program: Process, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait until the venue has counted so; gives what it has."""
    async with Witness(venue, program) as witness:
        deadline = time.monotonic() + SOON_S
        while not is_so(stats := await witness.stats()):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        return dict(stats)


@pytest.mark.parametrize("is_killed", [True, pytest.param(False, marks=pytest.mark.proof)])  # the harder one always
async def test_a_server_that_starts_again_at_once_never_meets_429(tmp_path: Path, is_killed: bool) -> None:
    async with paper_venue(tmp_path, traders=600, speed=SPEED) as venue:
        async with server(tmp_path, venue) as program:
            await counted(venue, program, lambda stats: stats["weight_used"] >= MOST_A_MINUTE)
            if is_killed:
                await program.kill()
            else:
                assert await program.stop() == 0
        async with server(tmp_path, venue) as program:
            until_ms = (await counted(venue, program, bool))["now_ms"] + LOOKED_AT_MS
            assert (await counted(venue, program, lambda stats: stats["now_ms"] >= until_ms))["answers_429"] == 0
