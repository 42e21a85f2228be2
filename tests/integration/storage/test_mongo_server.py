"""A MongoDB server that is not there, goes, freezes and comes back; and what may be said of its address."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo.errors import OperationFailure

from market_scraper.domain.errors import ConfigError, StoreError, StoreUnreachable
from market_scraper.ports.stores import Row, SettingRow
from market_scraper.storage.address import MongoAddress
from market_scraper.storage.mongo import MongoStore
from market_scraper.storage.mongo.failures import translated
from tests.contracts.store_rows import HOUR_MS, board_row, candle_row, fact, gathered, part, state
from tests.e2e.system import clean_environment
from tests.facts import BTC, address
from tests.servers.mongo import MongoServer, database

PROGRAM = (sys.executable, "-m", "market_scraper")


@pytest.fixture
def nowhere() -> Iterator[str]:
    """A host and port at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.proof
async def test_what_was_acknowledged_survives_the_servers_death_and_the_store_goes_on_when_it_is_back(
    own_mongo: MongoServer,
) -> None:
    async with MongoStore(MongoAddress(url=own_mongo.url, database="kept", select_s=1.5)) as store:
        acknowledged: list[str] = []
        full = asyncio.Event()

        async def write_on() -> None:
            for n in range(100_000):
                await store.write([SettingRow(key=f"{n:06d}", value=""), fact(n, n, 1, n), part(n + 1, [board_row(n)])])
                acknowledged.append(f"{n:06d}")
                if n == 20:
                    full.set()

        writing = asyncio.create_task(write_on())
        await full.wait()
        own_mongo.kill()
        with pytest.raises(StoreError) as away:
            await writing
        assert "127.0.0.1" in str(away.value)
        with pytest.raises(StoreError):
            await store.settings.get("000000")

        own_mongo.start()
        await store.check()
        found = await store.settings.with_prefix("0")
        assert set(acknowledged) <= set(found)
        last = len(acknowledged) - 1
        assert await store.positions.history(address(last), BTC, since_ms=0, limit=9) == [
            fact(last, last, 1, last).changed
        ]
        again: list[Row] = [
            SettingRow(key="x", value="1"),
            part(200_000, [board_row(1, 9.0)]),
            state(1, 5),
            candle_row(0),
        ]
        await store.write(again)
        await store.write(again)
        latest = await store.traders.latest_rows()
        assert latest is not None
        assert latest[0] == 200_000
        assert len(latest[1]) >= len(acknowledged)
        assert len(await gathered(store.positions.states(BTC))) == 1


async def test_a_frozen_server_is_waited_for_only_so_long(own_mongo: MongoServer) -> None:
    async with MongoStore(MongoAddress(url=own_mongo.url, database="kept", answer_s=2.0)) as store:
        os.kill(own_mongo.pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreError):
                await store.write([SettingRow(key="a", value="1")])
        finally:
            os.kill(own_mongo.pid, signal.SIGCONT)
        await store.write([SettingRow(key="a", value="2")])
        assert await store.settings.get("a") == "2"


async def test_a_server_that_is_not_there_is_told_at_the_door_without_credentials(nowhere: str) -> None:
    where = MongoAddress(url=f"mongodb://somebody:hunter2@{nowhere}/", database="kept", select_s=0.2)
    began = time.monotonic()
    with pytest.raises(StoreUnreachable) as told:
        async with MongoStore(where):
            raise AssertionError("opened")
    assert time.monotonic() - began < 10.0
    assert str(told.value).startswith(f"MongoDB at {nowhere} cannot be reached: [Errno ")
    everything = "".join(traceback.format_exception(told.value)) + repr(where)
    assert "hunter2" not in everything
    assert "somebody" not in everything
    assert "\n" not in str(told.value)


async def test_a_closed_store_refuses_everything(mongo_url: str) -> None:
    async with MongoStore(MongoAddress(url=mongo_url, database="closed")) as store:
        pass
    with pytest.raises(StoreError):
        await store.check()
    with pytest.raises(StoreError):
        await store.write([SettingRow(key="a", value="1")])
    with pytest.raises(StoreError):
        await store.settings.get("a")


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://somebody:hun/ter2@host/db",
        "mongodb://somebody:12/hunter2@host:27017/db",
        "mongodb://somebody:hun@ter2@host/db",
        "mongodb://somebody:hun:ter2@host/db",
        "mongodb://somebody:hun?ter2@host/db",
        "mongodb://somebody:12?hunter2@host/db",
        "mongodb://",
        "mongodb://@",
        "mongodb://somebody:hun%ter2@host",
    ],
)
def test_an_address_that_would_be_read_wrongly_is_refused_and_no_piece_of_it_is_shown(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^MONGO__URL") as refused:
        MongoStore(MongoAddress(url=url, database="kept"))
    told = "".join(traceback.format_exception(refused.value))
    assert not [piece for piece in ("hunter2", "ter2", "somebody") if piece in told.partition("ConfigError: ")[2]]


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("mongodb://h", "h"),
        ("mongodb://u:p%2Fw@h1:1,h2:2/db?replicaSet=a", "h1:1,h2:2"),
        ("mongodb://u:p@[::1]:27017/?appName=@a@", "[::1]:27017"),
        ("mongodb+srv://u:p@cluster.example.com/?w=1", "cluster.example.com"),
    ],
)
def test_of_an_address_only_its_hosts_are_shown(url: str, hosts: str) -> None:
    assert MongoAddress(url=url, database="kept").hosts == hosts


def test_what_the_address_says_itself_is_not_overruled() -> None:
    said = MongoAddress(url="mongodb://h/?serverSelectionTimeoutMS=9&w=1", database="kept")
    assert said.says("serverselectiontimeoutms")
    assert not said.says("socketTimeoutMS")


def test_a_refusal_of_the_server_is_told_in_its_own_short_words() -> None:
    error = OperationFailure("Authentication failed., full error: {...}", 18, {"errmsg": "Authentication failed."})
    with pytest.raises(StoreError, match=r"^MongoDB at h: Authentication failed\.$"), translated("h"):
        raise error


def test_the_program_stops_with_one_masked_line_when_its_server_is_not_there(nowhere: str, tmp_path: Path) -> None:
    env = clean_environment() | {"MONGO__URL": f"mongodb://somebody:hunter2@{nowhere}/?serverSelectionTimeoutMS=300"}
    done = subprocess.run(
        [*PROGRAM, "server"], capture_output=True, text=True, cwd=tmp_path, check=False, env=env, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: MongoDB at {nowhere} cannot be reached")
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.stderr + done.stdout
    assert not list(tmp_path.rglob("*.db"))  # and no other store in its place


@pytest.mark.proof
async def test_the_programs_commands_find_the_store_in_mongodb(mongo_url: str, tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        env = clean_environment() | {"MONGO__URL": mongo_url, "MONGO__DATABASE": name}
        return subprocess.run(
            [*PROGRAM, *words], capture_output=True, text=True, cwd=tmp_path, check=False, env=env, timeout=60
        )

    with database(mongo_url) as name:
        async with MongoStore(MongoAddress(url=mongo_url, database=name)) as store:
            await store.write([candle_row(0), candle_row(3 * HOUR_MS)])
        gaps, doctor = await asyncio.gather(
            asyncio.to_thread(run, "gaps", "--json"), asyncio.to_thread(run, "doctor", "--json")
        )
    assert [(gap["interval"], gap["missing"]) for gap in json.loads(gaps.stdout)] == [("1h", 2)]
    findings = {each["check"]: each for each in json.loads(doctor.stdout)}
    assert findings["store"]["ok"]
    assert name in findings["store"]["detail"]


@pytest.mark.parametrize("option", ["tls=true&tlsCAFile=/there/is/none", "authMechanism=NONE", "w=-1", "wide=2"])
def test_an_option_that_the_driver_refuses_is_named(option: str) -> None:
    with pytest.raises(ConfigError, match=r"^MONGO__URL cannot be used: .*[A-Za-z]{3}"):
        MongoStore(MongoAddress(url=f"mongodb://host/?{option}", database="kept"))
