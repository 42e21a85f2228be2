"""Shared by every test: where the recordings are, and what a missing one means."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers import redis
from tests.servers.mongo import MongoServer, Unavailable, let_old_documents_live, mongo_server

pytest.register_assert_rewrite("tests.proof.thresholds")  # whoever reads a failed proof wants the values


def _compile_once() -> None:
    """Keep bytecode in the user's cache where the environment forbids it beside the sources.

    Else each of some hundred processes that the tests start would compile anew all that it imports.
    """
    if sys.dont_write_bytecode:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(cache / "market-scraper-tests" / "bytecode")
        sys.dont_write_bytecode = False
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


_compile_once()

RECORDINGS = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
REQUIRE_ALL = os.environ.get("REQUIRE_ALL") == "1"


def missing(reason: str) -> None:
    """Skip, or fail where nothing may be missing (`REQUIRE_ALL=1`, as in CI)."""
    if REQUIRE_ALL:
        pytest.fail(f"{reason} (REQUIRE_ALL=1)")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings (see its SOURCES.md)."""
    if not RECORDINGS.is_dir():
        missing("the recordings are not beside this checkout (../shared/data)")
    return RECORDINGS


@pytest.fixture(scope="session")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of MongoDB's protocol: the one at TEST_MONGO_URL, or one of our own."""
    with ExitStack() as stack:
        url = os.environ.get("TEST_MONGO_URL")
        if url is None:
            try:
                url = stack.enter_context(mongo_server(tmp_path_factory.mktemp("mongo"))).url
            except Unavailable as error:
                missing(str(error))
                raise  # not reached
        else:
            let_old_documents_live(url)
        yield url


@pytest.fixture
def own_mongo(tmp_path: Path) -> Iterator[MongoServer]:
    """A server of MongoDB's protocol for one test, which may kill or freeze it."""
    try:
        with mongo_server(tmp_path) as server:
            yield server
    except Unavailable as error:
        missing(str(error))


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis server of our own; each test takes a namespace of its own there."""
    with ExitStack() as stack:
        yield shared_redis(stack, tmp_path_factory).url


def shared_redis(stack: ExitStack, folders: pytest.TempPathFactory, *options: str) -> redis.RedisServer:
    """Start a Redis server that ends with `stack`, or skip."""
    try:
        return stack.enter_context(redis.redis_server(folders.mktemp("redis"), *options))
    except redis.Unavailable as error:
        missing(str(error))
        raise  # not reached


def pytest_collection_finish() -> None:
    """Leave what is there before the first test out of the garbage collector's sight: it stays, and it is a lot."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than cores, for tests also wait. Proofs time real processes: they run one after the other."""
    if config.option.markexpr != "proof":
        return len(os.sched_getaffinity(0)) + 1
    config.option.dist = "no"
    return 0
