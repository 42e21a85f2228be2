"""A file that one process at a time has; the lock ends with its process, however it ends, after kill -9 too."""

import fcntl
import os
from pathlib import Path


class LockFile:
    """One lock file, ours until `release`. The file stays, and says whose it was last."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, path: Path) -> "LockFile | None":
        """Take it, making the file; None while another process has it. Raises OSError where none can be made."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    @staticmethod
    def holder(path: Path) -> str:
        """The process that took it last, as its PID; "unknown" where the file does not say."""
        try:
            return path.read_text(errors="replace").strip()[:20] or "unknown"
        except OSError:
            return "unknown"

    def release(self) -> None:
        """Let others have it. May be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
