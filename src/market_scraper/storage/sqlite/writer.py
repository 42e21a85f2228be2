"""The one thread that writes: jobs wait in a queue, each is one transaction, a sentinel ends it."""

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from market_scraper.domain.errors import StoreError, StoreUnreachable
from market_scraper.storage.sqlite.failures import translated
from market_scraper.storage.sqlite.schema import migrate

T = TypeVar("T")
_Job = tuple[Callable[[sqlite3.Connection], Any], Future[Any]]


class Writer:
    """Owns the only writing connection of this process. Other processes may have theirs: we wait `busy_s` for them.

    `on_undone` is called in the thread after a transaction was rolled back, to forget what was believed in it.
    """

    def __init__(self, path: Path, busy_s: float, on_undone: Callable[[], None]) -> None:
        self._path = path
        self._busy_s = busy_s
        self._on_undone = on_undone
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._opened: Future[None] = Future()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)

    def open(self) -> Future[None]:
        """Start the thread; done when the file is open and migrated, fails with StoreUnreachable."""
        self._thread.start()
        return self._opened

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Run `work` in a transaction. Nothing of it stays when it raises."""
        done: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise StoreError(f"SQLite file {self._path} is closed")
            self._jobs.put((work, done))
        return done

    def close(self) -> None:
        """Finish what is queued and end the thread; blocks. May be called twice."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        if not self._opened.set_running_or_notify_cancel():  # the program was stopped while it started
            return
        try:
            connection = self._connect()
        except BaseException as error:
            self._opened.set_exception(error)
            return
        self._opened.set_result(None)
        try:
            while (job := self._jobs.get()) is not None:
                work, done = job
                if not done.set_running_or_notify_cancel():
                    continue
                try:
                    result = self._transact(connection, work)
                except BaseException as error:
                    done.set_exception(error)
                else:
                    done.set_result(result)
        finally:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnreachable(f"cannot make the folder of SQLite file {self._path}: {error.strerror}") from error
        with translated(self._path):
            connection = sqlite3.connect(self._path, timeout=self._busy_s, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                # A committed transaction is in the WAL file: it survives the death of the process. Only a power cut
                # may take the last ones, and never half of one.
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA journal_size_limit = 67108864")
                migrate(connection)
            except StoreUnreachable as error:
                connection.close()
                raise StoreUnreachable(f"SQLite file {self._path} {error}") from error
            except BaseException:
                connection.close()
                raise
            return connection

    def _transact(self, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
        with translated(self._path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                self._on_undone()
                if connection.in_transaction:  # a full disk may have rolled back already
                    connection.execute("ROLLBACK")
                raise
            return result
