"""One worker's rows on disk while the store is away: appended, read back in order, bounded in bytes.

All of it is blocking file work for one caller at a time; `storage.buffer` runs it in a thread.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from market_scraper.domain.errors import InvalidInput
from market_scraper.ports.stores import DeadLetterRow, Row
from market_scraper.storage.merging import MergedRows
from market_scraper.storage.spill_folder import SEGMENTS, Slot, SpillFolder
from market_scraper.storage.spill_records import HEADER, RecordReader, record_of, rows_of
from market_scraper.storage.writing import REASON_CHARS

log = structlog.get_logger(__name__)

SEGMENT_BYTES = 16 * 1024 * 1024
"""A file's size: what is read again after a crash in the middle of refilling, and what is freed at once."""

RUN_ROWS = 20_000
"""Rows that are merged with each other where the file is full: what that takes of memory, some 20 MB."""


@dataclass(slots=True)
class _Segment:
    path: Path
    size: int  # bytes of whole records
    rows: int
    is_merged: bool = False  # a second merging would find nothing


@dataclass(frozen=True, slots=True)
class Chunk:
    """The oldest rows. Give it back to `Spill.done` once they are stored."""

    rows: list[Row]
    records_rows: int  # rows of the records they came from
    end: int  # where the next record begins


class Spill:
    """Rows that are durable and not in the store yet. Used as `with`; leaving keeps what it holds for the next one.

    It takes a slot in the folder with its first row, or what was left there with `adopt`. A returned `append` is on
    the disk (fsync). Never more than `max_bytes` are used, but for what was left by a worker that was allowed more,
    and while files are merged.
    """

    def __init__(self, folder: SpillFolder, *, max_bytes: int, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.rows = 0
        self.bytes = 0
        self.merged = 0  # rows that were merged for want of room, since the start
        self.torn_bytes = 0  # of records that were not whole, and are left out
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = max(1, min(segment_bytes, max_bytes // 8))
        self._slot: Slot | None = None
        self._segments: deque[_Segment] = deque()
        self._head = 0  # where reading stands in the first segment
        self._file: FileIO | None = None  # of the last segment, while it is written to
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the slot go with what it holds. May be called twice."""
        self._seal()
        self._segments.clear()
        self.rows = self.bytes = self._head = 0
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    def adopt(self, slot: Slot) -> None:
        """Take a slot with what a worker that is gone has left in it; only while this holds nothing."""
        if self._slot is not None:
            raise ValueError("this spill has its slot")
        self._slot = slot
        for unfinished in slot.folder.glob("*.tmp"):
            unfinished.unlink()
        for path in sorted(slot.folder.glob(SEGMENTS)):
            self._number = max(self._number, int(path.stem))
            self._keep_whole(path)
        if self.rows:
            log.info("spill_found", folder=str(slot.folder), rows=self.rows, torn_bytes=self.torn_bytes)

    def others_hold(self) -> bool:
        """Whether another worker of this machine has rows that are not in the store yet."""
        return self._folder.others_hold(self._slot)

    def append(self, rows: Sequence[Row], known_at_ms: int) -> bool:
        """Put rows behind all others, durably; merges older ones where there is no room. False where that won't do.

        Raises OSError when the disk does not take them; then nothing of them is kept.
        """
        if self._slot is None:
            self.adopt(self._folder.take())
        record = record_of(rows, known_at_ms)
        while self.bytes + len(record) > self._max_bytes:
            if not self._make_room(known_at_ms):
                return False
        self._write(record)
        self._segments[-1].rows += len(rows)
        self.rows += len(rows)
        return True

    def read(self, limit: int, known_at_ms: int) -> Chunk | None:
        """Give the oldest rows: whole records of one segment, `limit` rows or a few more; None when nothing is held.

        A record that cannot be read, of another version of the program, comes as a dead letter. Raises OSError.
        """
        if not self._segments:
            return None
        first = self._segments[0]
        rows: list[Row] = []
        taken, end = 0, self._head
        try:
            with first.path.open("rb") as file:
                file.seek(self._head)
                records = RecordReader(file)
                while len(rows) < limit and end < first.size and (record := records.next()) is not None:
                    body, count = record
                    taken += count
                    end += HEADER.size + len(body)
                    rows += _readable(body, known_at_ms)
        except FileNotFoundError:
            pass  # somebody took it: waiting will not bring it back
        if not taken and end < first.size:  # the disk has lost what it had
            log.error("spill_damaged", path=str(first.path), bytes=first.size - end, rows=first.rows)
            self.torn_bytes += first.size - end
            return Chunk([], first.rows, first.size)
        return Chunk(rows, taken, end)

    def done(self, chunk: Chunk) -> None:
        """Let the chunk that was read last go: its rows are in the store."""
        first = self._segments[0]
        self._head = chunk.end
        first.rows -= chunk.records_rows
        self.rows -= chunk.records_rows
        if self._head >= first.size:
            if len(self._segments) == 1:
                self._seal()
            self._segments.popleft()
            self._head = 0
            self.bytes -= first.size
            first.path.unlink(missing_ok=True)

    def _write(self, record: bytes) -> None:
        if self._file is None or self._segments[-1].size >= self._segment_bytes:
            self._begin_segment()
        segment = self._segments[-1]
        assert self._file is not None
        try:
            _write_all(self._file, record)
            os.fsync(self._file.fileno())
        except OSError:
            self._cut(segment)
            raise
        segment.size += len(record)
        self.bytes += len(record)

    def _begin_segment(self) -> None:
        assert self._slot is not None
        self._seal()
        self._number += 1
        path = self._slot.folder / f"{self._number:010}.spill"
        self._file = _created(path)
        self._segments.append(_Segment(path, 0, 0))
        _sync_folder(self._slot.folder)

    def _cut(self, segment: _Segment) -> None:
        """Take back what was half written. Where that fails too, the next start knows it by its checksum."""
        assert self._file is not None
        try:
            self._file.truncate(segment.size)
            self._file.seek(segment.size)
        except OSError:
            self._seal()
        if not segment.size:
            self._seal()
            self._segments.pop()
            segment.path.unlink(missing_ok=True)

    def _seal(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _keep_whole(self, path: Path) -> None:
        size = rows = 0
        with path.open("rb") as file:
            records = RecordReader(file)
            while (record := records.next()) is not None:
                size += HEADER.size + len(record[0])
                rows += record[1]
        torn = path.stat().st_size - size
        if torn:
            self.torn_bytes += torn
            log.warning("spill_torn", path=str(path), whole_bytes=size, torn_bytes=torn)
        if not size:
            path.unlink()
            return
        self._segments.append(_Segment(path, size, rows))
        self.bytes += size
        self.rows += rows

    def _make_room(self, known_at_ms: int) -> bool:
        """Merge facts of one trader and coin in the oldest files that may have some; False where none has any more."""
        if self._file is not None and self._segments[-1].size >= self._segment_bytes // 2:
            self._seal()  # a smaller one would be merged again and again
        before = self.bytes
        while self.bytes >= before:
            neighbours = self._mergeable()
            if not neighbours:
                return False
            self._merge(neighbours, known_at_ms)
        return True

    def _mergeable(self) -> list[_Segment]:
        """One file that was never merged, or else merged neighbours that together make no more than one file."""
        closed = list(self._segments)[: -1 if self._file is not None else None]
        for segment in closed:
            if not segment.is_merged:
                return [segment]
        for at, segment in enumerate(closed):
            size, end = segment.size, at + 1
            while end < len(closed) and size + closed[end].size <= self._segment_bytes:
                size += closed[end].size
                end += 1
            if end - at > 1:
                return closed[at:end]
        return []

    def _merge(self, old: list[_Segment], known_at_ms: int) -> None:
        """Write neighbours anew as one file, which takes the place of the first in one step.

        A crash before it leaves all as it was. One after it leaves the others too: then they are stored again, behind
        what was merged from them, which changes nothing but that facts between two turns are told twice.
        """
        first, *others = old
        start = self._head if first is self._segments[0] else 0
        merged = _Segment(first.path, 0, 0, is_merged=True)
        scratch = first.path.with_suffix(".tmp")
        try:
            with _created(scratch) as file:
                for run in _runs(old, start, known_at_ms):
                    record = record_of(run, known_at_ms)
                    _write_all(file, record)
                    merged.size += len(record)
                    merged.rows += len(run)
                os.fsync(file.fileno())
            scratch.replace(first.path)
        except OSError:
            scratch.unlink(missing_ok=True)
            raise
        _sync_folder(first.path.parent)
        for segment in others:
            segment.path.unlink(missing_ok=True)
            self._segments.remove(segment)
        if start:
            self._head = 0
        self._segments[self._segments.index(first)] = merged
        gone = sum(segment.rows for segment in old) - merged.rows
        self.merged += gone
        self.rows -= gone
        self.bytes -= sum(segment.size for segment in old) - merged.size


def _runs(segments: list[_Segment], start: int, known_at_ms: int) -> Iterator[list[Row]]:
    """The rows of neighbours, from `start` of the first, some thousands at a time, merged with each other."""
    run = MergedRows(history=True)
    for segment in segments:
        with segment.path.open("rb") as file:
            file.seek(start)
            records, read = RecordReader(file), start
            while read < segment.size and (record := records.next()) is not None:
                read += HEADER.size + len(record[0])
                for row in _readable(record[0], known_at_ms):
                    run.add(row)
                if len(run) >= RUN_ROWS:
                    yield run.in_order()
                    run = MergedRows(history=True)
        start = 0
    if len(run):
        yield run.in_order()


def _readable(body: bytes, known_at_ms: int) -> list[Row]:
    try:
        return rows_of(body)
    except InvalidInput as error:
        log.error("spill_unreadable", reason=str(error))
        return [DeadLetterRow(source="spill", known_at_ms=known_at_ms, reason=str(error)[:REASON_CHARS], body=body)]


def _created(path: Path) -> FileIO:
    """A new file that only we may read, unbuffered: what a write raises, it raises at once."""
    return FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w")


def _write_all(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        written = file.write(view)
        view = view[written or 0 :]


def _sync_folder(folder: Path) -> None:
    """Make names durable, not only bytes."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
