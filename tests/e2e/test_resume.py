"""Who was away misses nothing: WebSocket clients by their last number, the program by its store."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.system import Process, Witness, paper_venue, server, to_ms

SPEED = 30.0
BARS = 500  # more than the first answer of a new series brings
MORE_VOTERS = {"FILTERS__MIN_SCORE": "20"}  # of a hundred simulated traders few reach the product's 50 points
QUIET_S = 300.0  # venue seconds
PATIENCE_S = 40.0
MINUTE_MS = 60_000


class Client:
    """One WebSocket client and what it was told."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.told: list[dict[str, Any]] = []

    async def hear(self, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """The next frame."""
        frame: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), within_s))
        self.told.append(frame)
        return frame

    async def hear_messages(self, count: int) -> list[dict[str, Any]]:
        """That many messages; heartbeats are passed over."""
        messages: list[dict[str, Any]] = []
        while len(messages) < count:
            frame = await self.hear()
            if "data" in frame:
                messages.append(frame)
        return messages

    async def hear_until(self, seq: int) -> list[dict[str, Any]]:
        """Messages up to the one with that number."""
        messages = await self.hear_messages(1)
        while messages[-1]["seq"] < seq:
            messages += await self.hear_messages(1)
        return messages


@asynccontextmanager
async def client(program: Process, query: str) -> AsyncIterator[Client]:
    """Connect to `/ws?QUERY`."""
    uri = f"{program.url.replace('http', 'ws', 1)}/ws?{query}"
    # One that leaves with frames unread does not see the farewell behind them: it need not wait for it.
    async with connect(uri, proxy=None, close_timeout=0.1) as socket:
        yield Client(socket)


async def until(is_so: Callable[[], Awaitable[bool]], within_s: float = PATIENCE_S) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + within_s
    while not await is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


def seqs(messages: list[dict[str, Any]]) -> list[int]:
    """Their numbers."""
    return [message["seq"] for message in messages]


def rise_strictly(numbers: list[int]) -> bool:
    """Each is above the one before."""
    return all(before < after for before, after in pairwise(numbers))


async def test_clients_get_every_message_once_through_silence_absence_and_a_restart(tmp_path: Path) -> None:
    async with paper_venue(tmp_path, traders=100, speed=SPEED) as venue:
        async with server(tmp_path, venue, **MORE_VOTERS) as program:
            async with (
                client(program, "channel=traders") as steady,
                client(program, "channel=signals") as signals,
                Witness(venue, program) as witness,
            ):
                hello = await steady.hear()
                assert (hello["type"], hello["channel"]) == ("hello", "traders")
                first = await steady.hear_messages(5)
                assert {message["type"] for message in first} <= {"position", "score"}
                assert all(message["channel"] == "traders" for message in first)
                heard = await signals.hear_messages(2)
                assert {message["type"] for message in heard} == {"signal"}
                assert rise_strictly(seqs(heard))

                # Away for ten messages that somebody else hears.
                async with client(program, "channel=traders") as leaving:
                    seen = (await leaving.hear_messages(3))[-1]["seq"]
                missed = [message for message in await steady.hear_until(seen + 1) if message["seq"] > seen]
                missed += await steady.hear_messages(10)
                async with client(program, f"channel=traders&last_seq={seen}") as returned:
                    again = await returned.hear_until(missed[-1]["seq"])
                assert [m for m in again if m["seq"] <= missed[-1]["seq"]] == missed
                assert all(frame["type"] != "gap" for frame in returned.told)
                assert rise_strictly(seqs([frame for frame in steady.told if "data" in frame]))

                await _silence_is_survived(witness, (steady, signals))
            last = max(seqs([frame for frame in steady.told + signals.told if "data" in frame]))
            assert await program.stop() == 0

        async with server(tmp_path, venue, **MORE_VOTERS) as program:
            for channel in ("traders", "signals"):
                async with client(program, f"channel={channel}&last_seq={last}") as returned:
                    fresh = await returned.hear_messages(3)
                gaps = [frame for frame in returned.told if frame["type"] == "gap"]
                assert [gap["last_seq"] for gap in gaps] == [last]
                assert returned.told.index(gaps[0]) == 1  # after the greeting, before any message
                assert rise_strictly([last, *seqs(fresh)])


async def _silence_is_survived(witness: Witness, clients: Sequence[Client]) -> None:
    """For five minutes nothing happens, then the same connections bring messages again."""
    await witness.order("/api/v1/connectors/positions/stop")
    # What was under way, and signals that say how old our knowledge has become.
    quiet_from_ms = to_ms((await witness.ask("/health/status"))["timestamp"]) + 90_000

    async def listen(each: Client) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIET_S / SPEED):
                while True:
                    await each.hear()

    await asyncio.gather(*map(listen, clients))
    for each in clients:
        assert [m for m in each.told if "data" in m and to_ms(m["timestamp"]) > quiet_from_ms] == []
        await each.socket.send("ping")
        while (await each.hear())["type"] != "pong":
            pass
    await witness.order("/api/v1/connectors/positions/start")
    for each in clients:
        await each.hear_messages(2)


async def test_a_restarted_program_continues_where_it_stopped_or_was_killed(tmp_path: Path) -> None:
    async with paper_venue(tmp_path, traders=100, speed=SPEED) as venue:
        async with server(tmp_path, venue, **MORE_VOTERS) as program, Witness(venue, program) as witness:
            people = await witness.people()

            await until(lambda: _candles_are_there(witness))
            await until(lambda: _mostly_exact(witness, people[::3]))
            tracked = [each["address"] for each in (await witness.ask("/api/v1/traders", limit=500))["traders"]]
            by_hand = next(who for who in people[::3] if who not in tracked)
            await witness.order(f"/api/v1/traders/{by_hand}/track")
            await witness.order(f"/api/v1/traders/{tracked[0]}/untrack")
            await witness.order("/api/v1/connectors/leaderboard/stop")
            before = await _histories(witness, tracked)
            assert any(before.values())
            assert await program.stop() == 0

        await asyncio.sleep(100 / SPEED)  # bars close and traders trade while nobody looks

        async with server(tmp_path, venue, **MORE_VOTERS) as program, Witness(venue, program) as witness:
            checked = await witness.check(people)
            assert checked.wrong == []
            now_tracked = {each["address"] for each in (await witness.ask("/api/v1/traders", limit=500))["traders"]}
            assert now_tracked == {by_hand, *tracked[1:]}
            assert (await witness.ask("/api/v1/connectors/leaderboard"))["status"] == "stopped"
            assert (await witness.ask("/api/v1/connectors/positions"))["status"] != "stopped"
            await until(lambda: _candles_are_there(witness))
            await until(lambda: _mostly_exact(witness, people[::3]))

            after = await _histories(witness, tracked)
            for who, rows in before.items():
                # What was there is there, in the same order, and nothing is told twice.
                assert after[who][-len(rows) :] == rows or not rows
                keys = [(row["timestamp"], row["size"], row["state"], row["cause"]) for row in after[who]]
                assert len(set(keys)) == len(keys)
            bars = (await witness.ask("/api/v1/markets/BTC/history", timeframe="1m", limit=BARS))["candles"]
            times = [to_ms(bar["t"]) for bar in bars]
            assert len(times) == BARS
            assert {later - earlier for earlier, later in pairwise(times)} == {MINUTE_MS}
            await program.kill()

        # What was not stored yet is lost; it is not made up, and what stands is still the truth.
        async with server(tmp_path, venue, **MORE_VOTERS) as program, Witness(venue, program) as witness:
            assert (await witness.check(people)).wrong == []
            await until(lambda: _mostly_exact(witness, people[::3]))
            for who, rows in (await _histories(witness, tracked)).items():
                for row in (row for row in rows[:5] if row["state"] == "exact"):
                    true = (await witness.truth(to_ms(row["timestamp"]), who)).get(who, 0.0)
                    assert row["size"] == true, f"{who} at {row['timestamp']}"
            assert await program.stop() == 0
    assert "Traceback" not in program.log.read_text()


async def _candles_are_there(witness: Witness) -> bool:
    """Whether the last 500 minutes are there: the newest come first, what is before them as its weight allows."""
    try:
        answer = await witness.ask("/api/v1/markets/BTC/history", timeframe="1m", limit=BARS)
    except httpx2.HTTPStatusError:  # 503: nothing is known of the market yet
        return False
    now_ms = to_ms((await witness.ask("/health/status"))["timestamp"])
    bars = answer["candles"]
    return len(bars) == BARS and now_ms - to_ms(bars[-1]["t"]) <= 3 * MINUTE_MS


async def _mostly_exact(witness: Witness, people: Sequence[str]) -> bool:
    checked = await witness.check(people)
    assert checked.wrong == []
    return checked.exact > 0.8 * len(people)


async def _histories(witness: Witness, traders: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Position history by trader, newest first."""
    return {
        who: (await witness.ask(f"/api/v1/traders/{who}/positions", hours=24, limit=500))["positions"]
        for who in traders[1:]
    }
