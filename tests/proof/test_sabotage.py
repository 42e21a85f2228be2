"""The sabotage table: with any one rule of the ledger taken out, a short run finds claims that are wrong."""

import datetime
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.sabotage import RULES
from tests.e2e.system import Process, server, to_ms
from tests.proof.course import EVERYONE, venue_of
from tests.proof.observer import Observer, is_exact
from tests.proof.plan import Plan
from tests.proof.scale import IS_FULL

pytestmark = pytest.mark.proof

COIN = "BTC"
LOOK_S = 0.5
IN_CI = 3
"""So many attacks a run in CI, others each day."""


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One rule, and what happens at a venue on which it is needed."""

    rule: str
    handicap: str = ""
    coins: tuple[str, ...] = ("BTC",)
    faults: tuple[dict[str, Any], ...] = ()  # `at_s` counts from when most are exact
    changes: int = 0  # off the tape, one every second
    restarts: bool = False  # the sabotaged program takes over the store of a healthy one
    watch_s: float = 60.0
    prints_per_s: float = 40.0
    settings: dict[str, str] = field(default_factory=dict)


ATTACKS = (
    Attack(rule="no_join_window"),
    Attack(rule="no_deduplication", faults=({"kind": "duplicate", "share": 0.3, "channel": "trades"},)),
    Attack(
        rule="no_drop_of_old_prints",
        handicap="with_a_short_memory",
        faults=tuple({"kind": "disconnect", "at_s": at_s} for at_s in (5, 25)),
    ),
    Attack(rule="no_gap", faults=({"kind": "outage", "for_s": 15},)),
    Attack(rule="no_gap_at_restart", restarts=True),
    Attack(rule="no_silence_limit", faults=({"kind": "mute", "for_s": 8},)),
    Attack(
        rule="no_end_at_an_undecodable_frame",
        faults=({"kind": "truncate", "share": 0.6, "channel": "trades", "for_s": 20},),
    ),
    Attack(rule="signs_by_side"),
    Attack(rule="no_dex_scope", coins=("BTC", "xyz:TSLA")),
    Attack(rule="no_refusal_of_older_answers", handicap="with_old_answers_twice", changes=30, watch_s=90.0),
    Attack(rule="no_watermark_age", faults=({"kind": "outage", "for_s": 20},), watch_s=25.0),
)


def _chosen() -> list[Attack]:
    """All of them, or in CI those whose turn it is: by the commit, else by the day."""
    if IS_FULL:
        return list(ATTACKS)
    commit = os.environ.get("GITHUB_SHA", "")
    turn = int(commit[:8], 16) if commit else datetime.date.today().toordinal()
    return [ATTACKS[(IN_CI * turn + i) % len(ATTACKS)] for i in range(IN_CI)]


def test_every_rule_has_its_attack() -> None:
    assert [attack.rule for attack in ATTACKS] == list(RULES)


@pytest.mark.parametrize("attack", _chosen(), ids=lambda attack: attack.rule)
async def test_without_the_rule_wrong_claims_are_found_and_with_it_none(tmp_path: Path, attack: Attack) -> None:
    broken, healthy = tmp_path / "broken", tmp_path / "healthy"
    broken.mkdir()
    healthy.mkdir()
    assert await _wrong_claims(broken, attack, is_sabotaged=True) != []
    assert await _wrong_claims(healthy, attack, is_sabotaged=False) == []


async def _wrong_claims(folder: Path, attack: Attack, *, is_sabotaged: bool) -> list[str]:
    """Attack the program, sabotaged or not, until something is wrong or the time is over."""
    plan = Plan(
        traders=80, prints_per_s=attack.prints_per_s, seconds=0, gaps_s=(), events=(), coins=attack.coins, seed=3
    )
    module = _module(attack, is_sabotaged=is_sabotaged)
    async with venue_of(folder, plan) as venue:
        if attack.restarts:
            async with _program(folder, venue, attack, ("market_scraper",)) as observer:
                await _mostly_exact(observer)
                assert await observer.server.stop() == 0
                await observer.until(observer.now_ms() + 10_000)
        async with _program(folder, venue, attack, module) as observer:
            if not attack.restarts:
                await _mostly_exact(observer, even_if_wrong=True)
            return await _attacked(observer, attack)


def _module(attack: Attack, *, is_sabotaged: bool) -> tuple[str, ...]:
    names = [name for name in (attack.handicap, attack.rule if is_sabotaged else "") if name]
    return ("tests.e2e.sabotage", "+".join(names)) if names else ("market_scraper",)


@asynccontextmanager
async def _program(folder: Path, venue: Process, attack: Attack, module: tuple[str, ...]) -> AsyncIterator[Observer]:
    settings = EVERYONE | {"HYPERLIQUID__SYMBOL": ",".join(attack.coins)} | attack.settings
    async with server(folder, venue, module=module, **settings) as program, Observer(venue, program) as observer:
        yield observer


async def _mostly_exact(observer: Observer, *, even_if_wrong: bool = False) -> None:
    """Wait until the program knows most of what is held, or has gone wrong on the way."""
    deadline_ms = observer.now_ms() + 120_000
    while True:
        look = await observer.look(COIN)
        if even_if_wrong and observer.verdicts.wrong:
            return
        if look.shown and look.share(is_exact)[0] >= 0.6:
            return
        assert observer.now_ms() < deadline_ms, "it never came to know most positions"
        await observer.until(observer.now_ms() + LOOK_S * 1000)


async def _attacked(observer: Observer, attack: Attack) -> list[str]:
    """Let the attack happen and look on; gives what was claimed wrongly."""
    started_ms = observer.now_ms()
    if attack.faults:
        await observer.order(*attack.faults)
    outages = [fault for fault in attack.faults if fault["kind"] == "outage"]
    wrong = observer.verdicts.wrong
    changed = 0
    while observer.now_ms() < started_ms + attack.watch_s * 1000 and not wrong:
        if changed < attack.changes:
            await observer.order({"kind": "off_tape", "coin": COIN, "lots": 7 + changed})
            changed += 1
        look = await observer.look(COIN)
        for outage in outages:
            if look.asked_ms >= started_ms + 5_000:
                wrong += [
                    f"{trader} exact in a full gap, as of {shown.as_of}"
                    for trader, shown in look.shown.items()
                    if is_exact(shown) and shown.as_of and to_ms(shown.as_of) < started_ms + outage["for_s"] * 1000
                ]
        await observer.until(look.asked_ms + LOOK_S * 1000)
    return wrong
