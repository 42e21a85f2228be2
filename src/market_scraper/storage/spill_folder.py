"""Whose spill is whose: one folder a worker, held by a lock that ends with its process, however it ends."""

from collections.abc import Iterator
from pathlib import Path

from market_scraper.storage.lock_file import LockFile

SEGMENTS = "*.spill"
_LOCK = "lock"


class Slot:
    """One worker's folder, `worker-1`, `worker-2`, …; ours alone until `release`."""

    def __init__(self, folder: Path, lock: LockFile) -> None:
        self.folder = folder
        self._lock = lock

    @classmethod
    def take(cls, folder: Path) -> "Slot | None":
        """Take a folder, making it; None while another process has it. Raises OSError where none can be made."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = LockFile.take(folder / _LOCK)
        return None if lock is None else cls(folder, lock)

    def release(self) -> None:
        """Let others have it. May be called twice."""
        self._lock.release()


class SpillFolder:
    """All workers' spills of one store on this machine. Asking makes nothing; `take` does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def take(self) -> Slot:
        """Take the first free slot, whatever a worker that is gone has left in it. Raises OSError."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = 1
        while (slot := Slot.take(self.path / f"worker-{number}")) is None:
            number += 1
        return slot

    def orphans(self) -> Iterator[Slot]:
        """Take, one after the other, each slot that holds rows and that nobody has any more."""
        for folder in self._holding():
            slot = Slot.take(folder)
            if slot is not None:
                yield slot

    def others_hold(self, own: Slot | None) -> bool:
        """Whether another worker, alive or gone, has rows that are not in the store yet."""
        return any(own is None or folder != own.folder for folder in self._holding())

    def _holding(self) -> list[Path]:
        try:
            return sorted(folder for folder in self.path.glob("worker-*") if any(folder.glob(SEGMENTS)))
        except OSError:  # it went while we looked
            return []
