"""A Redis server of our own for tests: a port and a folder that nobody else uses, in a process that ends with us."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

READY_S = 20.0
STOP_S = 10.0


class Unavailable(Exception):
    """The server cannot be run here; says why."""


class RedisServer:
    """One server with its append-only file. Stopped or killed, it may be started again: same port, same data."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options or ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Return once it answers."""
        assert self._process is None
        for _ in range(3):  # somebody else may take the port between our look and its start
            self._process = subprocess.Popen(
                [
                    *("redis-server", "--port", str(self.port), "--bind", "127.0.0.1"),
                    *("--dir", str(self._folder), "--daemonize", "no", *self._options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=(self._folder / "redis.log").open("ab"),
                stderr=subprocess.STDOUT,
            )
            if self._answers():
                return
            self.kill()
        raise Unavailable("redis-server did not start")

    def _answers(self) -> bool:
        assert self._process is not None
        until_s = time.monotonic() + READY_S
        while time.monotonic() < until_s and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(64).startswith(b"+PONG"):
                        return True
            except OSError:
                pass
            time.sleep(0.005)  # it tells nobody when it is ready
        return False

    def freeze(self) -> None:
        """Let it hang: connections stay, no answer comes."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it in order. Harmless when it is not running."""
        if self._process is not None:
            process, self._process = self._process, None
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill(self) -> None:
        """`kill -9`."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.wait()


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """Run one whose data lie in `folder`, or raise Unavailable."""
    if shutil.which("redis-server") is None:
        raise Unavailable("there is no redis-server (Debian: redis-server)")
    server = RedisServer(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
