"""Killed at random moments, again and again, on one store: nothing twice, nothing lost, nothing made up."""

import asyncio
import random
import shutil
import sqlite3
import statistics
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from market_scraper.storage import documents
from tests.e2e.system import ROOT, Process, clean_environment, server, upstreams, venue_clock
from tests.proof import acknowledging
from tests.proof.course import COIN, EVERYONE, track_everyone, venue_of
from tests.proof.observer import Observer, is_exact
from tests.proof.plan import Plan
from tests.proof.scale import SCALE, SPEED

pytestmark = pytest.mark.proof

KILLS = max(3, round(20 * min(SCALE, 1)))
PLAN = Plan(traders=200, prints_per_s=6.0, seconds=0, gaps_s=(), events=(), coins=(COIN,), seed=20)
AGAIN_EXACT = 0.95
AGAIN_WITHIN_S = 300.0  # venue seconds
LOOK_S = 2.0
COMPARED = 300  # facts of the history


@dataclass
class Record:
    """What the lives together showed."""

    started_at_s: list[float] = field(default_factory=list)  # kills so many real seconds after the launch
    ran_s: list[float] = field(default_factory=list)  # kills so many venue seconds after it was exact again
    again_s: list[float] = field(default_factory=list)  # venue seconds from the launch until exact again
    checks: int = 0
    acknowledged: int = 0
    drift: int = 0


async def test_a_program_killed_at_random_moments_loses_doubles_and_makes_up_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, record = random.Random(9), Record()
    async with venue_of(tmp_path, PLAN) as venue:
        await _live(tmp_path, venue, record, die_after_s=rng.uniform(0, 60), is_first=True)
        _store_is_whole(tmp_path, record)
        for number in range(1, KILLS):
            if number % 3 == 1:
                after_s = rng.uniform(0.3, 5.0)
                record.started_at_s.append(after_s)
                await _launch_and_kill(tmp_path, venue, after_s)
            else:
                await _live(tmp_path, venue, record, die_after_s=rng.uniform(0, 60))
            _store_is_whole(tmp_path, record)
        await _live(tmp_path, venue, record, die_after_s=None)
        _store_is_whole(tmp_path, record)
        await _history_is_the_truth(tmp_path, venue)
    with capsys.disabled():
        print(_report(record))


async def _launch_and_kill(folder: Path, venue: Process, after_s: float) -> None:
    """Kill it that many real seconds after its launch, wherever it has come to."""
    environment = clean_environment() | upstreams(venue.url) | venue_clock(venue) | _settings(folder)
    with (folder / "early.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.proof.acknowledging", "server", "--port", "0"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=log,
            cwd=ROOT,
            env=environment | {"STORAGE__PATH": str(folder / "store.db")},
        )
    try:
        await asyncio.wait_for(process.wait(), after_s)
    except TimeoutError:
        process.kill()
        await process.wait()
    else:
        raise AssertionError(f"it ended by itself: {(folder / 'early.log').read_text()[-3000:]}")


async def _live(
    folder: Path, venue: Process, record: Record, *, die_after_s: float | None, is_first: bool = False
) -> None:
    """One life: exact again in time, then looked at until it is killed (None = stopped, once its candles are whole)."""
    module = ("tests.proof.acknowledging",)
    launched_ms = _now_ms(venue)
    async with server(folder, venue, module=module, **_settings(folder)) as program, Observer(venue, program) as eye:
        if is_first:
            await track_everyone(eye)
        while (await _look(eye)) < AGAIN_EXACT:
            assert eye.now_ms() < launched_ms + AGAIN_WITHIN_S * 1000, "not exact again in time"
            await eye.until(eye.now_ms() + LOOK_S * 1000)
        record.again_s.append((eye.now_ms() - launched_ms) / 1000)
        while not await eye.candles_are_whole(COIN):
            assert eye.now_ms() < launched_ms + AGAIN_WITHIN_S * 1000, "a hole in the candles"
            await eye.until(eye.now_ms() + LOOK_S * 1000)
        until_ms = eye.now_ms() + 1000 * (10.0 if die_after_s is None else die_after_s)
        while eye.now_ms() < until_ms:
            await _look(eye)
            await eye.until(min(until_ms, eye.now_ms() + LOOK_S * 1000))
        record.drift += (await eye.detail())[f"{COIN}_drift"]
        record.checks += eye.verdicts.checks
        if die_after_s is None:
            assert await program.stop() == 0
        else:
            record.ran_s.append(die_after_s)
            await program.kill()
    assert "Traceback" not in program.log.read_text()


async def _look(eye: Observer) -> float:
    """See everybody; gives the smaller of the shares of holders and of |size| that are exact."""
    look = await eye.look(COIN)
    assert eye.verdicts.wrong == []
    return min(look.share(is_exact)) if look.newest_true else 0.0


def _store_is_whole(folder: Path, record: Record) -> None:
    """Look at a copy of what the killed program left: no repair of ours may help the next one."""
    copy = folder / "copy"
    copy.mkdir()
    for file in folder.glob("store.db*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, copy)
    if (copy / "store.db").exists():
        notes = list(acknowledging.read(folder / "acknowledged"))
        with closing(sqlite3.connect(copy / "store.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert acknowledging.lost(connection, notes) == []
            assert acknowledging.duplicates(connection) == []
        record.acknowledged = len(notes)
    shutil.rmtree(copy)


async def _history_is_the_truth(folder: Path, venue: Process) -> None:
    """Facts from all over the run, of all lives, each at its own time."""
    query = (
        f"SELECT {documents.TRADER}, {documents.TIME}, lots FROM {documents.TRADER_POSITIONS.name} "
        f"WHERE st = 'exact' AND {documents.COIN} = ? ORDER BY {documents.TIME}, {documents.TRADER}"
    )
    with closing(sqlite3.connect(folder / "store.db")) as connection:
        facts = connection.execute(query, (COIN,)).fetchall()
    assert len(facts) > COMPARED
    async with Observer(venue, venue) as eye:
        assert await eye.untrue(COIN, random.Random(4).sample(facts, COMPARED)) == []


def _settings(folder: Path) -> dict[str, str]:
    return EVERYONE | {
        "HYPERLIQUID__SYMBOL": COIN,
        "LOGGING__FORMAT": "json",
        acknowledging.FILE: str(folder / "acknowledged"),
    }


def _now_ms(venue: Process) -> int:
    return Observer(venue, venue).now_ms()


def _report(record: Record) -> str:
    quartiles = statistics.quantiles(record.again_s, n=4)
    return "\n".join(
        [
            "",
            f"{KILLS} kills: {len(record.ran_s)} in full work, {len(record.started_at_s)} within 5 s of the launch",
            f"acknowledged rows       {record.acknowledged}, none lost, none doubled",
            f"exact claims compared   {record.checks}, none wrong; drift {record.drift}",
            f"95 % exact again after  {statistics.median(record.again_s):.0f} venue seconds "
            f"(median of {len(record.again_s)} starts at speed {SPEED:g}; "
            f"quartiles {quartiles[0]:.0f} and {quartiles[2]:.0f}; longest {max(record.again_s):.0f})",
        ]
    )
