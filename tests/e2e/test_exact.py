"""Exact means exact, through the real processes, against the untidy paper venue."""

import asyncio
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.system import Witness, paper_venue, server, to_ms

REOPENED_WITHIN_S = 10.0
SPEED = 6.0
TRADERS = 200
LOTS = 10**5  # in one BTC


async def venue_seconds(seconds: float) -> None:
    """Let venue time pass while the system works: nothing signals that nothing went wrong."""
    await asyncio.sleep(seconds / SPEED)


async def until_mostly_exact(witness: Witness, people: list[str], *, share: float, within_s: float) -> None:
    """Wait until that share of a sample is exact."""
    sample = people[::4]
    deadline = time.monotonic() + within_s / SPEED
    while True:
        checked = await witness.check(sample)
        assert checked.wrong == []
        if checked.exact >= share * len(sample):
            return
        assert time.monotonic() < deadline, f"only {checked.exact} of {len(sample)} are exact"
        await asyncio.sleep(0.1)


async def test_every_exact_position_is_the_truth_through_a_lost_socket_and_a_full_gap(tmp_path: Path) -> None:
    async with (
        paper_venue(tmp_path, traders=TRADERS, speed=SPEED) as venue,
        server(tmp_path, venue) as program,
        Witness(venue, program) as witness,
    ):
        people = await witness.people()
        for trader in people:
            await witness.order(f"/api/v1/traders/{trader}/track")
        await until_mostly_exact(witness, people, share=0.9, within_s=240)

        await witness.break_venue({"kind": "disconnect", "sockets": [0]})
        for _ in range(3):
            checked = await witness.check(people)
            assert checked.wrong == []
        assert checked.exact >= 0.8 * len(people)

        reopened = await _who_closes_is_flat_and_who_reopens_has_two_facts(witness, people)
        await witness.break_venue({"kind": "outage", "for_s": 20, "rest": True})
        await venue_seconds(8)
        during = await witness.check(people[::5])
        assert during.exact == 0
        await venue_seconds(12)
        await until_mostly_exact(witness, people, share=0.9, within_s=300)

        await _history_is_the_truth(witness, people, *reopened)
        assert (await witness.stats())["answers_429"] == 0
        assert await program.stop() == 0


async def _who_closes_is_flat_and_who_reopens_has_two_facts(witness: Witness, people: list[str]) -> tuple[str, float]:
    """Have a holder close and, a second later, reopen at the size asked before; gives the holder and that size.

    One who trades by himself just then proves nothing, and another one is taken.
    """
    tried = 0
    for trader in people[10:]:
        said = await witness.position(trader)
        if tried < 5 and said is not None and said["state"] == "exact" and said["size"]:
            tried += 1
            try:
                async with asyncio.timeout(REOPENED_WITHIN_S):
                    await _closes_and_reopens(witness, trader, said["size"])
            except TimeoutError:
                continue
            return trader, said["size"]
    raise AssertionError("nobody's closing and reopening was told as two facts")


async def _closes_and_reopens(witness: Witness, trader: str, size: float) -> None:
    async with witness.listening(trader) as facts:
        await witness.break_venue(
            {"kind": "trade", "coin": "BTC", "user": trader, "lots": 0},
            {"kind": "trade", "coin": "BTC", "user": trader, "lots": round(size * LOTS), "at_s": 1.0},
        )
        sizes: list[float] = []
        while sizes[-2:] != [0, size]:
            fact = await anext(facts)
            if fact["state"] == "exact":
                sizes.append(fact["size"])


async def _history(witness: Witness, trader: str) -> list[dict[str, Any]]:
    """All of a trader's rows, newest first: on a slow machine there are pages of them."""
    rows: list[dict[str, Any]] = []
    page: dict[str, Any] = {}
    while not rows or page["next_cursor"] is not None:
        after = {"cursor": page["next_cursor"]} if rows else {}
        page = await witness.ask(f"/api/v1/traders/{trader}/positions", hours=2, limit=500, **after)
        if not page["positions"]:
            break
        rows += page["positions"]
    return rows


async def _history_is_the_truth(witness: Witness, people: list[str], reopened: str, size: float) -> None:
    """Every exact fact was true at its own time, and the reopening stands there as two facts.

    What the holder traded himself between the question and the closing does not matter.
    """
    closed = compared = 0
    for trader in people:
        exact = [row for row in reversed(await _history(witness, trader)) if row["state"] == "exact"]
        sizes = [row["size"] for row in exact]
        closed += any(before and not after for before, after in pairwise(sizes))
        if trader == reopened:
            assert (0, size) in pairwise(sizes), sizes
        for row in exact[-5:]:
            true = (await witness.truth(to_ms(row["timestamp"]), trader)).get(trader, 0.0)
            assert row["size"] == true, f"{trader} at {row['timestamp']}"
            compared += 1
    assert compared > len(people)
    assert closed > 0


@pytest.mark.parametrize("rule", ["no_join_window", "no_deduplication"])
@pytest.mark.proof
async def test_the_run_fails_when_a_rule_is_taken_out(tmp_path: Path, rule: str) -> None:
    async with (
        paper_venue(tmp_path, traders=TRADERS, speed=SPEED) as venue,
        server(tmp_path, venue, module=("tests.e2e.sabotage", rule)) as program,
        Witness(venue, program) as witness,
    ):
        people = await witness.people()
        deadline = time.monotonic() + 180 / SPEED
        while time.monotonic() < deadline:
            checked = await witness.check(people[:60])
            detail = (await witness.ask("/api/v1/connectors/positions"))["detail"]
            if checked.wrong or detail.get("BTC_drift", 0) > 2:
                return
            await asyncio.sleep(0.2)
        pytest.fail(f"without the rule nothing went wrong: {rule} is not tested")
