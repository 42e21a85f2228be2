"""Connections that read, each in a thread of its own: they see what is committed and never wait for the writer."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from market_scraper.domain.errors import InvalidInput, StoreError
from market_scraper.storage.sqlite.failures import translated

T = TypeVar("T")
_THREADS = 3


class Readers:
    """Runs queries beside the event loop."""

    def __init__(self, path: Path, busy_s: float) -> None:
        self._path = path
        self._busy_s = busy_s
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="sqlite-reader")
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._connections: list[sqlite3.Connection] = []
        self._closed = False

    async def run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Give what `query` makes of a connection, all from one moment of the data; raises StoreError."""
        if self._closed:
            raise StoreError(f"SQLite file {self._path} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._query, query)

    def close(self) -> None:
        """End the threads; blocks. May be called twice."""
        self._closed = True
        self._pool.shutdown()
        while self._connections:
            self._connections.pop().close()

    def _query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with translated(self._path):
                connection = self._connection()
                connection.execute("BEGIN")
                try:
                    return query(connection)
                finally:
                    connection.execute("COMMIT")
        except (
            InvalidInput,
            ValueError,
            KeyError,
        ) as error:  # nobody's input is at fault: the file is not as we left it
            raise StoreError(f"SQLite file {self._path} holds what cannot be read: {error}") from error

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._mine, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                self._path, timeout=self._busy_s, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA query_only = 1")
            self._mine.connection = connection
            with self._lock:
                self._connections.append(connection)
        return connection
