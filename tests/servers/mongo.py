"""A server that speaks MongoDB's wire protocol, for tests: mongo-java-server with a file, in a process of its own.

Needs a JDK and, once, Maven with a way to its repository: the jars are kept in the user's cache folder.
"""

import fcntl
import hashlib
import os
import select
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import OperationFailure

HERE = Path(__file__).parent
POM = HERE / "pom.xml"
LAUNCHER = HERE / "MongoTestServer.java"
FETCH_S = 180.0
READY_S = 60.0  # a busy machine; it is ready in 1.5 s
STOP_S = 10.0


class Unavailable(Exception):
    """The server cannot be run here; says why."""


class MongoServer:
    """One server with its file. Stopped or killed, it may be started again: same port, same data.

    It also ends when this process does, for then its standard input ends.
    """

    def __init__(self, jars: Path, classes: Path, folder: Path) -> None:
        self._jars, self._classes = jars, classes
        self._file = folder / "mongo.mv"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"mongodb://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Return once it takes connections."""
        assert self._process is None
        small = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m")  # quick to start, and out of the way
        self._process = subprocess.Popen(
            ["java", *small, "-cp", f"{self._classes}:{self._jars}/*", LAUNCHER.stem, str(self.port), str(self._file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # "no logger found"
        )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], READY_S)
        said = self._process.stdout.readline() if ready else b""
        if not said:
            self.kill()
            raise Unavailable("the MongoDB test server did not start")
        self.port = int(said)

    def stop(self) -> None:
        """End it in order. Harmless when it is not running."""
        if self._process is not None:
            process, self._process = self._process, None
            try:
                process.communicate(timeout=STOP_S)  # closes its standard input
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill(self) -> None:
        """`kill -9`."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.communicate()


@contextmanager
def mongo_server(folder: Path) -> Iterator[MongoServer]:
    """Run one whose data lie in `folder`, or raise Unavailable."""
    server = MongoServer(jars(), classes(), folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def jars() -> Path:
    """The folder of the server's jars, fetched on first use; several processes may ask at once."""
    if shutil.which("java") is None:
        raise Unavailable("no MongoDB test server: TEST_MONGO_URL is not set and there is no java")
    return _made_once(f"mongo-java-server-{_mark(POM)}", _fetch)


def classes() -> Path:
    """The folder of the launcher, compiled on first use: the JVM would do it at each start."""
    return _made_once(f"mongo-launcher-{_mark(POM, LAUNCHER)}", _compile)


def _mark(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _made_once(name: str, make: Callable[[Path], None]) -> Path:
    """A folder in the user's cache, whole or not there; several processes may ask at once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "market-scraper-tests"
    folder = cache / name
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(folder)
    return folder


def _fetch(folder: Path) -> None:
    if shutil.which("mvn") is None:
        raise Unavailable("no MongoDB test server: TEST_MONGO_URL is not set and there is no mvn to fetch one")
    _run("mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={folder}")


def _compile(folder: Path) -> None:
    _run("javac", "-cp", f"{jars()}/*", "-d", str(folder), str(LAUNCHER))


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=FETCH_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"no MongoDB test server: {command[0]} failed ({type(error).__name__})") from error


@contextmanager
def database(url: str) -> Iterator[str]:
    """The name of a database that nobody else uses; dropped at the end."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    yield name
    # The protocol server fails to drop a database in which an index was dropped; it goes with its file.
    with MongoClient[dict[str, object]](url) as client, suppress(OperationFailure):
        client.drop_database(name)


def let_old_documents_live(url: str) -> None:
    """Turn a real MongoDB's TTL monitor off, for tests store facts of 1970. It stays off until the server restarts."""
    with MongoClient[dict[str, object]](url) as client, suppress(OperationFailure):
        client.admin.command("setParameter", 1, ttlMonitorEnabled=False)
