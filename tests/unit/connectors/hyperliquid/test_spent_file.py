"""What a process spent is known to the next one on the same store, however it ended."""

import asyncio
import random
from collections import deque
from pathlib import Path

import pytest

from market_scraper.connectors.hyperliquid.limits import WEIGHT_PER_MINUTE, Share, WeightBudget
from market_scraper.connectors.hyperliquid.spent_file import PLACES, SpentFile
from market_scraper.connectors.hyperliquid.turnstile import ANSWERED_MS, UNANSWERED_MS, Turnstile
from tests.fakes import FakeClock, settle

NOW_MS = 1_700_000_000_000


def started(clock: FakeClock, path: Path | None, *, active_ms: int | None = None) -> Turnstile:
    """A process that goes on from `path`; one that is killed is merely let go of."""
    gate = Turnstile(WeightBudget({"a": Share(1_000, 1)}), clock)
    gate.keep_spending(None if path is None else SpentFile(path), active_ms)
    return gate


async def spend(gate: Turnstile, weight: int) -> None:
    gate.settle(await gate.enter("a", weight))


async def test_who_starts_after_a_kill_has_what_the_minute_leaves_and_gets_more_as_it_passes(tmp_path: Path) -> None:
    clock, path = FakeClock(), tmp_path / "spent"
    first = started(clock, path)
    await spend(first, 600)
    await clock.advance(20.0)
    await spend(first, 300)
    second = started(clock, path)
    assert (second.spent(), second.room("a")) == (900, 100)
    await clock.advance(41.0)
    assert second.room("a") == 700
    await clock.advance(20.0)
    assert second.room("a") == 1_000


async def test_what_was_under_way_when_it_was_killed_counts_for_as_long_as_the_venue_may_count_it(
    tmp_path: Path,
) -> None:
    clock, path = FakeClock(), tmp_path / "spent"
    await started(clock, path).enter("a", 40)
    second = started(clock, path)
    await clock.advance(90.0)
    assert second.spent() == 40
    await clock.advance(1.0)
    assert second.spent() == 0


async def test_what_turned_out_cheaper_counts_as_what_it_was(tmp_path: Path) -> None:
    clock, path = FakeClock(), tmp_path / "spent"
    first = started(clock, path)
    first.settle(await first.enter("a", 107), 21)
    assert started(clock, path).spent() == 21


async def test_a_silence_that_the_venue_wants_outlives_the_process(tmp_path: Path) -> None:
    clock, path = FakeClock(), tmp_path / "spent"
    first = started(clock, path)
    first.refuse(await first.enter("a", 2), 30.0)
    second = started(clock, path)
    asked = asyncio.create_task(second.enter("a", 2))
    await clock.advance(29.9)
    assert not asked.done()
    await clock.advance(0.2)
    await asyncio.wait_for(asked, 1.0)


async def test_a_first_start_has_the_whole_budget_at_once(tmp_path: Path) -> None:
    assert started(FakeClock(), tmp_path / "spent").room("a") == 1_000
    assert started(FakeClock(), None).room("a") == 1_000


@pytest.mark.parametrize("torn", [b"", b"\xff" * 16 * (PLACES + 1), b"\0" * 100])
async def test_a_file_that_says_nothing_of_a_process_that_was_there_leaves_what_the_venue_allows_beyond_it(
    tmp_path: Path, torn: bytes
) -> None:
    clock, path = FakeClock(), tmp_path / "spent"
    path.write_bytes(torn)
    assert started(clock, path, active_ms=clock.now_ms()).room("a") == WEIGHT_PER_MINUTE - 1_000
    again = started(clock, path)  # which this one has said in the file, too
    assert again.room("a") == WEIGHT_PER_MINUTE - 1_000
    await clock.advance(91.0)
    assert again.room("a") == 1_000


async def test_a_clock_that_was_set_back_keeps_nothing_for_longer_than_it_could_count(tmp_path: Path) -> None:
    clock, path = FakeClock(), tmp_path / "spent"
    await spend(started(clock, path), 500)
    clock.jump_ms(-3_600_000)
    second = started(clock, path)
    assert second.spent() == 500
    await clock.advance(91.0)
    assert second.spent() == 0


async def test_a_file_that_cannot_be_written_is_taken_away_and_asking_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "spent"
    path.symlink_to("/dev/full")
    gate = started(FakeClock(), path)
    await spend(gate, 10)
    await spend(gate, 10)
    assert gate.spent() == 20
    assert not path.is_symlink()


def test_a_place_is_given_again_once_its_request_counts_no_more(tmp_path: Path) -> None:
    file = SpentFile(tmp_path / "spent")
    file.begin([(NOW_MS + 5, 7)], 0)
    places = [file.charge(NOW_MS, NOW_MS + UNANSWERED_MS, 2) for _ in range(PLACES - 1)]
    assert len(set(places)) == PLACES - 1
    file.settle(places[9], NOW_MS + ANSWERED_MS, 2)
    freed = [file.charge(NOW_MS + ANSWERED_MS, NOW_MS + ANSWERED_MS + UNANSWERED_MS, 2) for _ in range(2)]
    assert freed == [0, places[9]]


@pytest.mark.parametrize("seed", range(5))
async def test_however_often_it_is_killed_the_venue_counts_no_more_than_it_allows(tmp_path: Path, seed: int) -> None:
    """Lives of some seconds, each of which spends all that it may; a request counts when it is sent."""
    clock, path, dice = FakeClock(), tmp_path / "spent", random.Random(seed)
    counted: deque[tuple[float, int]] = deque()
    for _ in range(12):
        gate = started(clock, path)
        ends_s = clock.monotonic() + dice.uniform(0.0, 30.0)

        async def ask(gate: Turnstile = gate, ends_s: float = ends_s) -> None:
            while True:
                weight = dice.choice((2, 20, 60))
                ticket = await gate.enter("a", weight)
                counted.append((clock.monotonic(), weight))
                await clock.sleep(dice.uniform(0.05, 1.0))
                gate.settle(ticket)

        tasks = [asyncio.create_task(ask()) for _ in range(8)]
        while clock.monotonic() < ends_s:
            await clock.advance(0.5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await settle()
    assert sum(weight for _, weight in counted) > 2_000
    for at_s, _ in counted:
        assert sum(weight for s, weight in counted if at_s <= s < at_s + 60.0) <= 1_000
