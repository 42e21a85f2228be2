"""The spill: durable, in order, bounded, one writer each, and whole again after any death."""

import resource
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from market_scraper.ports.stores import DeadLetterRow, PositionRow, PositionStateRow, Row, SettingRow, TapeMarkRow
from market_scraper.storage.spill import Spill
from market_scraper.storage.spill_folder import Slot, SpillFolder
from market_scraper.storage.spill_records import record_of
from tests.contracts.store_rows import fact, state
from tests.facts import mark

MANY = 1 << 30


def setting(number: int, size: int = 10) -> SettingRow:
    return SettingRow(key=f"k{number}", value=f"{number * 7919 % 9973:04d}" * size)


@pytest.fixture
def folder(tmp_path: Path) -> SpillFolder:
    return SpillFolder(tmp_path / "data" / "store.db.spill")


def drained(spill: Spill, limit: int = 3) -> list[Row]:
    rows: list[Row] = []
    while (chunk := spill.read(limit, 0)) is not None:
        rows += chunk.rows
        spill.done(chunk)
    return rows


def again(folder: SpillFolder) -> Spill:
    """What the next worker finds."""
    spill = Spill(folder, max_bytes=MANY)
    spill.adopt(folder.take())
    return spill


def segments(folder: SpillFolder) -> list[Path]:
    return sorted(folder.path.glob("*/*.spill"))


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """The kernel takes no more than so many bytes into one file: what a full disk does, half a record included."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_nothing_is_made_before_the_first_row(folder: SpillFolder) -> None:
    with Spill(folder, max_bytes=MANY) as spill:
        assert spill.read(10, 0) is None
        assert not spill.others_hold()
    assert not folder.path.exists()


def test_rows_come_back_in_their_order_over_many_files(folder: SpillFolder) -> None:
    rows = [setting(number) for number in range(100)]
    with Spill(folder, max_bytes=MANY, segment_bytes=250) as spill:
        for number in range(0, 100, 4):
            assert spill.append(rows[number : number + 4], 0)
        assert len(segments(folder)) > 5
        assert spill.rows == 100
        assert spill.bytes == sum(path.stat().st_size for path in segments(folder))
        assert drained(spill) == rows
        assert (spill.rows, spill.bytes) == (0, 0)
        assert segments(folder) == []


def test_reading_and_appending_take_turns(folder: SpillFolder) -> None:
    found: list[Row] = []
    with Spill(folder, max_bytes=MANY, segment_bytes=300) as spill:
        for number in range(60):
            spill.append([setting(number)], 0)
            if number % 3 == 2 and (chunk := spill.read(2, 0)) is not None:
                found += chunk.rows
                spill.done(chunk)
        assert [*found, *drained(spill)] == [setting(number) for number in range(60)]


def test_what_was_read_and_not_stored_is_read_again(folder: SpillFolder) -> None:
    with Spill(folder, max_bytes=MANY) as spill:
        spill.append([setting(1), setting(2)], 0)
        assert spill.read(1, 0) == spill.read(1, 0)
        assert spill.rows == 2


def test_the_next_worker_finds_what_the_last_one_left(folder: SpillFolder) -> None:
    with Spill(folder, max_bytes=MANY, segment_bytes=300) as spill:
        for number in range(20):
            spill.append([setting(number)], 0)
        chunk = spill.read(1, 0)
        assert chunk is not None
        spill.done(chunk)  # its file stands while others are in it: it is found again, which is harmless
    with again(folder) as spill:
        spill.append([setting(20)], 0)
        assert drained(spill) == [setting(number) for number in range(21)]


def test_only_we_may_read_it(folder: SpillFolder) -> None:
    with Spill(folder, max_bytes=MANY) as spill:
        spill.append([setting(1)], 0)
        for path in [*folder.path.glob("*/*")]:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for path in [folder.path, *folder.path.glob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.parametrize("tail", [b"\x00", b"torn", bytes(4096), record_of([setting(9)], 0)[:-1]])
def test_a_torn_end_is_left_out_and_counted(folder: SpillFolder, tail: bytes) -> None:
    with Spill(folder, max_bytes=MANY) as spill:
        spill.append([setting(1)], 0)
        spill.append([setting(2)], 0)
    with segments(folder)[0].open("ab") as file:
        file.write(tail)
    with again(folder) as spill:
        assert spill.torn_bytes == len(tail)
        spill.append([setting(3)], 0)
        assert drained(spill) == [setting(1), setting(2), setting(3)]


def test_a_file_that_holds_nothing_whole_goes(folder: SpillFolder) -> None:
    with Spill(folder, max_bytes=MANY) as spill:
        spill.append([setting(1)], 0)
    path = segments(folder)[0]
    path.write_bytes(path.read_bytes()[:-1])
    (path.parent / "0000000007.tmp").write_bytes(b"a merging that was killed")
    with again(folder) as spill:
        assert spill.rows == 0
        assert spill.read(1, 0) is None
    assert [path.name for path in folder.path.glob("*/*")] == ["lock"]


def test_damage_amid_a_file_costs_what_is_behind_it_and_nothing_of_other_files(folder: SpillFolder) -> None:
    with Spill(folder, max_bytes=MANY, segment_bytes=200) as spill:
        for number in range(20):
            spill.append([setting(number)], 0)
        second = segments(folder)[1]
        second.write_bytes(second.read_bytes()[:10] + b"XXXX" + second.read_bytes()[14:])
        with capture_logs() as logs:
            kept = drained(spill)
        assert spill.rows == 0
    assert [line["event"] for line in logs] == ["spill_damaged"]
    assert setting(0) in kept
    assert setting(19) in kept
    assert len(kept) < 20


def test_a_file_that_somebody_took_does_not_keep_the_rest_waiting(folder: SpillFolder) -> None:
    with Spill(folder, max_bytes=MANY, segment_bytes=200) as spill:
        for number in range(20):
            spill.append([setting(number)], 0)
        segments(folder)[0].unlink()
        kept = drained(spill)
        assert setting(19) in kept
        assert setting(0) not in kept
        assert (spill.rows, spill.bytes) == (0, 0)


def test_a_record_of_another_version_comes_as_a_dead_letter(
    folder: SpillFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Spill(folder, max_bytes=MANY) as spill:
        spill.append([setting(1)], 0)
        monkeypatch.delitem(sys.modules["market_scraper.storage.spill_records"]._decoders, "SettingRow")
        spill.append([state(1, 1)], 0)
        letter, kept = drained(spill)
    assert isinstance(letter, DeadLetterRow)
    assert "SettingRow" in letter.reason
    assert kept == state(1, 1)


def test_at_the_limit_nothing_more_is_taken_and_room_that_is_freed_is_used(folder: SpillFolder) -> None:
    with Spill(folder, max_bytes=4_000) as spill:
        found: list[Row] = []
        number = 0
        while spill.append([setting(number, 50)], 0):
            number += 1
            assert spill.bytes <= 4_000
        assert number > 10
        for later in range(number, number + 200):
            while not spill.append([setting(later, 50)], 0):
                chunk = spill.read(5, 0)
                assert chunk is not None
                found += chunk.rows
                spill.done(chunk)
            assert spill.bytes <= 4_000
        assert [*found, *drained(spill)] == [setting(number, 50) for number in range(number + 200)]


def test_what_is_longer_than_the_limit_is_refused(folder: SpillFolder) -> None:
    with Spill(folder, max_bytes=100) as spill:
        assert not spill.append([setting(number, 50) for number in range(200)], 0)
        assert spill.rows == 0


def test_at_the_limit_facts_of_one_trader_and_coin_merge(folder: SpillFolder) -> None:
    """Ten traders who change all the time: their newest states and one fact between two turns are enough."""
    version = 0
    with Spill(folder, max_bytes=40_000) as spill:
        for t_ms in range(1, 2_000):
            trader = t_ms % 10 + 1
            version += 1
            rows: list[Row] = [fact(trader, t_ms, t_ms, version, lots=t_ms), state(trader, version, lots=t_ms)]
            assert spill.append([*rows, TapeMarkRow(mark=mark(t_ms))], 0)
            assert spill.bytes <= 40_000
        assert spill.merged > 1_000
        with again_after_copy(folder) as copy:
            found = drained(copy, 100)
    states = {row.position.trader: row.position.version for row in found if isinstance(row, PositionStateRow)}
    assert sorted(states.values()) == list(range(version - 9, version + 1))
    facts = [row.changed for row in found if isinstance(row, PositionRow)]
    assert sum(1 + fact.merged for fact in facts) == version
    newest_version = 0
    for row in found:  # no mark is before a fact that it speaks for
        if isinstance(row, TapeMarkRow):
            assert row.mark.watermark_ms <= newest_version
        elif isinstance(row, PositionStateRow):
            newest_version = max(newest_version, row.position.version)


@contextmanager
def again_after_copy(folder: SpillFolder) -> Iterator[Spill]:
    """What a worker would find if this one were killed now."""
    killed = folder.path.with_name("killed")
    shutil.copytree(folder.path, killed)
    with again(SpillFolder(killed)) as spill:
        yield spill


def test_merging_keeps_opens_closes_and_flips(folder: SpillFolder) -> None:
    sizes = [1, 2, 3, 0, -1, -2, 5, 6, 7, 0] * 40
    before = 0
    with Spill(folder, max_bytes=80_000) as spill:
        for version, lots in enumerate(sizes, 1):
            assert spill.append([_with_before(fact(1, version, version, version, lots=lots), before)], 0)
            before = lots
        assert spill.merged > 20
        facts = [row.changed for row in drained(spill) if isinstance(row, PositionRow)]
    assert [f.lots_before for f in facts][1:] == [f.after.lots for f in facts][:-1]  # without a hole
    turns = [f for f in facts if (f.lots_before or 0) * (f.after.lots or 0) <= 0]
    assert len(turns) == 40 * 5  # opened, closed, opened short, flipped, closed


def _with_before(row: PositionRow, before: int) -> PositionRow:
    return PositionRow(changed=msgspec.structs.replace(row.changed, lots_before=before))


def test_a_disk_that_takes_half_a_record_leaves_none_of_it(folder: SpillFolder) -> None:
    with Spill(folder, max_bytes=MANY) as spill:
        spill.append([setting(1)], 0)
        used = spill.bytes
        with file_size_limit(used + 20):
            for _ in range(3):
                with pytest.raises(OSError, match="File too large"):
                    spill.append([setting(2)], 0)
        assert spill.bytes == used == segments(folder)[0].stat().st_size
        spill.append([setting(3)], 0)
        assert drained(spill) == [setting(1), setting(3)]


def test_a_disk_that_takes_nothing_at_all_leaves_no_file(folder: SpillFolder) -> None:
    with Spill(folder, max_bytes=MANY) as spill:
        with file_size_limit(5), pytest.raises(OSError, match="File too large"):
            spill.append([setting(2)], 0)
        assert segments(folder) == []
        assert spill.rows == 0
        spill.append([setting(3)], 0)
        assert drained(spill) == [setting(3)]


def test_a_disk_that_is_full_while_merging_keeps_what_was_there(folder: SpillFolder) -> None:
    with Spill(folder, max_bytes=16_000) as spill:
        version = 0

        def fill() -> None:
            nonlocal version
            while True:
                version += 1
                assert spill.append([state(number % 40 + 1, version * 100 + number) for number in range(5)], 0)

        with pytest.raises(OSError, match="File too large"), file_size_limit(2_200):
            fill()
        assert spill.bytes == sum(path.stat().st_size for path in segments(folder))
        assert list(folder.path.glob("*/*.tmp")) == []
        assert len(drained(spill)) == 5 * (version - 1)


def test_two_workers_never_share_a_file(folder: SpillFolder) -> None:
    with Spill(folder, max_bytes=MANY) as one, Spill(folder, max_bytes=MANY) as other:
        one.append([setting(1)], 0)
        assert other.others_hold()
        other.append([setting(2)], 0)
        assert one.others_hold()
        assert len(list(folder.path.glob("worker-*"))) == 2
        assert drained(one) == [setting(1)]
        assert drained(other) == [setting(2)]
        assert not one.others_hold()


def test_a_slot_is_free_again_once_its_process_is_killed(folder: SpillFolder) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from market_scraper.storage.spill import Spill; from market_scraper.storage.spill_folder import SpillFolder\n"
        "from market_scraper.ports.stores import SettingRow\n"
        "spill = Spill(SpillFolder(Path(sys.argv[1])), max_bytes=1 << 20)\n"
        "spill.append([SettingRow(key='k1', value='theirs')], 0)\n"
        "print('spilled', flush=True); sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"spilled\n"
        assert list(folder.orphans()) == []  # it lives
        assert folder.others_hold(None)
        own = folder.take()
        assert own.folder.name == "worker-2"
        child.kill()
        child.wait()
        (orphan,) = folder.orphans()
        with Spill(folder, max_bytes=MANY) as spill:
            spill.adopt(orphan)
            assert drained(spill) == [SettingRow(key="k1", value="theirs")]
        own.release()
        assert Slot.take(folder.path / "worker-1") is not None
    finally:
        child.kill()
        child.communicate()
