"""One writer for one SQLite file, where no bus is shared."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from market_scraper.domain.errors import ConfigError
from market_scraper.storage.lock_file import LockFile


@contextmanager
def alone_on(store: Path) -> Iterator[None]:
    """Hold `store`'s lock file (`<store>.lock`); raises ConfigError while another program of ours holds it.

    The file stays, and says whose it was last.
    """
    path = store.with_name(f"{store.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = LockFile.take(path)
    except OSError as error:
        raise ConfigError(f"STORAGE__PATH: cannot write beside {store}: {error.strerror}") from error
    if lock is None:
        raise ConfigError(
            f"another server (process {LockFile.holder(path)}) works on {store}. Stop it, give this one a "
            f"STORAGE__PATH of its own, or give both a REDIS__URL, over which they share the work"
        )
    try:
        yield
    finally:
        lock.release()
