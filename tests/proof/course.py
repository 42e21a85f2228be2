"""Runs a plan against the real processes, looking all the while, and keeps what was seen."""

import asyncio
import json
import random
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from tests.e2e.system import Process, running, server, to_ms
from tests.proof.observer import LOTS, Change, Look, Observer, Shown, is_exact, is_nearly_sure
from tests.proof.plan import GAP_S, Event, Plan
from tests.proof.scale import SPEED

COIN = "BTC"
PATIENCE_S = 120.0  # real seconds
CALM_LOOK_S, CLOSE_LOOK_S, CLOSE_FOR_S = 5.0, 1.0, 120.0
SUSPEND_S = 20.0
COUNTED_S = 2.0
"""The doubt told at a gap's end is that of the one look that begins so long after the server has told the gap: by then
it has asked how many prints it missed, and nobody is exact again (decision 8)."""
EVERYONE = {"FILTERS__MIN_SCORE": "-1000", "FILTERS__MAX_COUNT": "100000", "FILTERS__MIN_ACCOUNT_VALUE": "0"}
"""Everyone is tracked, so that five requests show everybody's position."""


@dataclass(frozen=True)
class Sample:
    """How much was exact (or nearly sure) at one look: shares by count of holders and by |size|."""

    at_s: float
    exact: tuple[float, float]
    nearly_sure: tuple[float, float]


@dataclass(frozen=True)
class Holder:
    """One trader at a gap's end: |size| as known and as it truly was, and how often it trades."""

    known: float
    true: float
    prints_per_s: float


@dataclass(frozen=True)
class Forecast:
    """The doubt that was told of one trader at a gap's end, and whether the size had changed."""

    trader: str
    doubt: float
    changed: bool


@dataclass
class Gap:
    """One stretch that nobody heard, as the server tells it, and the look of `COUNTED_S` after that."""

    since_ms: int
    until_ms: int
    doubts: list[Forecast] = field(default_factory=list)
    holders: list[Holder] = field(default_factory=list)
    told_ms: int = 0  # when the server heard the tape again, and told the gap
    looked: bool = False  # its doubts were read


@dataclass
class Found:
    """One off-tape change of somebody who was exact: when an audit found it."""

    change: Change
    found_ms: int | None = None
    by: str = ""


@dataclass
class Record:
    """What the course showed."""

    samples: list[Sample] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    changed: list[set[str]] = field(default_factory=list)  # whose size truly changed, in each `GAP_S` of the run
    exact_in_gap: list[str] = field(default_factory=list)
    found: dict[tuple[str, int], Found] = field(default_factory=dict)
    delisted_exact: int = 0  # looks at the delisted coin, a minute and a half later, that showed anything exact
    oldest_wait_s: float = 0.0
    followed: int = 0
    busiest: list[str] = field(default_factory=list)
    busiest_share: float = 0.0
    busiest_exact: int = 0
    prints_per_s: float = 0.0
    last_detail: dict[str, Any] = field(default_factory=dict)
    last_stats: dict[str, Any] = field(default_factory=dict)
    failing: int = 0  # looks at which the collector said that it was not well
    started_ms: int = 0


@asynccontextmanager
async def venue_of(folder: Path, plan: Plan, *, speed: float = SPEED) -> AsyncIterator[Process]:
    """The paper venue of a plan."""
    options = {
        "traders": plan.traders,
        "prints_per_s": plan.prints_per_s,
        "speed": speed,
        "seed": plan.seed,
        "symbols": plan.coins,
        "history_days": 3,
    }
    async with running(["tests.proof.venue", json.dumps(options)], folder=folder, name="venue") as venue:
        yield venue


@asynccontextmanager
async def system(folder: Path, plan: Plan, **settings: str) -> AsyncIterator[Observer]:
    """The venue and a server of it, with everyone tracked."""
    chosen = EVERYONE | {"HYPERLIQUID__SYMBOL": ",".join(plan.coins), "LOGGING__FORMAT": "json"} | settings
    async with (
        venue_of(folder, plan) as venue,
        server(folder, venue, **chosen) as program,
        Observer(venue, program) as observer,
    ):
        yield observer


async def track_everyone(observer: Observer) -> None:
    """Sub-accounts stand on no leaderboard: have them tracked by hand, so that lists show them."""
    look = await observer.look(COIN)
    deadline = time.monotonic() + PATIENCE_S
    while not look.shown:
        assert time.monotonic() < deadline, "nobody is tracked: no leaderboard was rated"
        await asyncio.sleep(0.1)
        look = await observer.look(COIN)
    people = json.loads(await observer.get(f"{observer.venue.url}/_truth/traders"))["traders"]
    async with httpx2.AsyncClient(timeout=60.0) as http:
        for person in people:
            if person["user"] not in look.shown:
                answer = await http.post(f"{observer.server.url}/api/v1/traders/{person['user']}/track")
                answer.raise_for_status()


def forecasts(
    gap: Gap, shown: Mapping[str, Shown], before: Mapping[str, float], after: Mapping[str, float]
) -> list[Forecast]:
    """Everybody of whom a doubt was told because of this gap, and whether his true size at its end is another one.

    `before`, `after`: the truth at the gap's beginning and at its end, flat ones left out.
    """
    return [
        Forecast(trader, said.doubt, before.get(trader, 0.0) != after.get(trader, 0.0))
        for trader, said in shown.items()
        if said.state == "unsure" and said.because == "gap" and said.doubt is not None and said.since is not None
        if to_ms(said.since) == gap.since_ms
    ]


class Course:
    """One run of a plan; `collector` is the process that collects, where that is not the one that answers."""

    def __init__(self, observer: Observer, plan: Plan, collector: Process | None = None) -> None:
        self.observer = observer
        self.collector = observer.server if collector is None else collector
        self.plan = plan
        self.record = Record()
        self._start_ms = 0
        self._close_until_ms = 0
        self._ordered_gap_ms: int | None = None
        self._delisted_ms: int | None = None
        self._look: Look | None = None
        self._rng = random.Random(5)
        self._log_read = 0

    async def run(self) -> Record:
        """Follow the plan to its end."""
        observer, record = self.observer, self.record
        await track_everyone(observer)
        self._start_ms = record.started_ms = observer.now_ms()
        events = list(self.plan.events)
        looks = 0
        while (at_s := (observer.now_ms() - self._start_ms) / 1000) < self.plan.seconds:
            while events and events[0].at_s <= at_s:
                await self._do(events.pop(0))
            await self._see()
            looks += 1
            if looks % 4 == 0:
                await self._see_the_rest()
            now_ms = observer.now_ms()
            pause_s = CLOSE_LOOK_S if now_ms < self._close_until_ms else CALM_LOOK_S
            next_s = min(at_s + pause_s, events[0].at_s if events else self.plan.seconds)
            due_ms = [gap.told_ms + COUNTED_S * 1000 for gap in record.gaps if not gap.looked]
            await observer.until(min([self._start_ms + next_s * 1000, *due_ms]))
        await self._see_the_rest()
        await self._look_through_histories()
        await self._see_the_busiest()
        await self._see_who_changed()
        record.last_stats = await observer.stats()
        return record

    # -- doing -------------------------------------------------------------------------------------------------------

    async def _do(self, event: Event) -> None:
        now_ms = self.observer.now_ms()
        match event.kind:
            case "lose_socket":
                sockets = (await self.observer.stats())["tape_sockets"]
                if sockets:
                    await self.observer.order({**event.fault, "sockets": [self._rng.choice(sockets)]})
            case "change":
                await self._change_somebody()
            case "suspend":
                self._close_until_ms = now_ms + round((SUSPEND_S + CLOSE_FOR_S) * 1000)
                self.collector.process.send_signal(signal.SIGSTOP)
                await self.observer.until(now_ms + SUSPEND_S * 1000)
                self.collector.process.send_signal(signal.SIGCONT)
            case kind:
                if kind == "delist":
                    self._delisted_ms = now_ms
                at_ms = await self.observer.order(event.fault)
                if kind == "gap":
                    self._ordered_gap_ms = at_ms
                    self._close_until_ms = at_ms + round((GAP_S + CLOSE_FOR_S) * 1000)

    async def _change_somebody(self) -> None:
        """Halve an exact position of somebody without a print."""
        assert self._look is not None
        held = sorted(
            trader
            for trader, shown in self._look.shown.items()
            if is_exact(shown) and shown.size and abs(shown.size) * LOTS >= 10
        )
        if held:
            trader = self._rng.choice(held)
            lots = round((self._look.shown[trader].size or 0.0) * LOTS / 2)
            await self.observer.order({"kind": "off_tape", "coin": COIN, "user": trader, "lots": lots})

    # -- seeing ------------------------------------------------------------------------------------------------------

    async def _see(self) -> None:
        before, look = self._look, await self.observer.look(COIN)
        self._look = look
        self._read_log()
        self.record.samples.append(
            Sample((look.asked_ms - self._start_ms) / 1000, look.share(is_exact), look.share(is_nearly_sure))
        )
        ordered_ms = self._ordered_gap_ms
        if ordered_ms is not None and look.asked_ms >= ordered_ms + 5_000:
            self.record.exact_in_gap += [
                f"{trader} as of {to_ms(shown.as_of) - ordered_ms} ms, asked at {look.asked_ms - ordered_ms} ms"
                for trader, shown in look.shown.items()
                if is_exact(shown) and shown.as_of and self._is_unheard(look.asked_ms, to_ms(shown.as_of), ordered_ms)
            ]
        for gap in self.record.gaps:
            if not gap.looked and look.asked_ms >= gap.told_ms + COUNTED_S * 1000:
                gap.looked = True
                await self._look_after(gap, look)
        for change in self.observer.changes:
            key = change.user, change.at_ms
            if change.coin == COIN and change.cause == "settlement" and key not in self.record.found:
                was = None if before is None else before.shown.get(change.user)
                if was is not None and is_exact(was):
                    self.record.found[key] = Found(change)
        for found in self.record.found.values():
            shown = look.shown.get(found.change.user)
            if found.found_ms is None and shown is not None and shown.because == "drift":
                found.found_ms, found.by = look.asked_ms, "shown unsure"

    def _is_unheard(self, asked_ms: int, as_of_ms: int, ordered_ms: int) -> bool:
        """Whether nobody can know a position as of then: the outage lasts, or its prints were in no replay after it.

        Where few trade, a replay may reach back to before the outage: then nothing was missed, and there is no gap.
        """
        if asked_ms < ordered_ms + GAP_S * 1000:
            return True
        return any(gap.since_ms < as_of_ms < gap.until_ms for gap in self.record.gaps)

    async def _look_after(self, gap: Gap, look: Look) -> None:
        before = await self.observer.truth(COIN, gap.since_ms)
        gap.doubts = forecasts(gap, look.shown, before, await self.observer.truth(COIN, gap.until_ms))
        writes = await self._writes()
        run_s = (look.asked_ms - self._start_ms) / 1000
        gap.holders = [
            Holder(
                known=0.0 if (said := look.shown.get(trader)) is None else abs(said.size or 0.0),
                true=abs(look.newest_true.get(trader, 0.0)),
                prints_per_s=count / run_s,
            )
            for trader, count in writes.items()
        ]

    async def _see_who_changed(self) -> None:
        """The truth of the whole run in steps as long as a gap: how far apart are two of them, by chance alone?"""
        step_ms = round(GAP_S * 1000)
        moments = range(self._start_ms, self.observer.now_ms() - step_ms, step_ms)
        sizes = [await self.observer.truth(COIN, at_ms) for at_ms in moments]
        for before, after in pairwise(sizes):
            everyone = before.keys() | after.keys()
            self.record.changed.append({each for each in everyone if before.get(each) != after.get(each)})

    async def _writes(self) -> dict[str, int]:
        """How often each trader's position was written so far: hardly more than once a print."""
        url = f"{self.observer.venue.url}/_truth/activity"
        writes: dict[str, int] = json.loads(await self.observer.get(url, coin=COIN))["writes"]
        return writes

    def _read_log(self) -> None:
        """The server tells each gap in its log."""
        lines = self.collector.log.read_bytes()
        for line in lines[self._log_read :].splitlines():
            if b'"tape_gap"' in line:
                said = msgspec.json.decode(line)
                if said["symbol"] == COIN:
                    until_ms = said["since_ms"] + round(said["seconds"] * 1000)
                    told_ms = self.observer.venue_ms(to_ms(said["timestamp"]))
                    self.record.gaps.append(Gap(said["since_ms"], until_ms, told_ms=told_ms))
                    self._close_until_ms = max(self._close_until_ms, until_ms + round(CLOSE_FOR_S * 1000))
        self._log_read = len(lines)

    async def _see_the_rest(self) -> None:
        detail = await self.observer.detail()
        if not detail:
            self.record.failing += 1
        else:
            self.record.last_detail = detail
            self.record.oldest_wait_s = max(self.record.oldest_wait_s, detail["oldest_wanted_s"])
            self.record.followed = detail["followed"]
        other = await self.observer.look(self.plan.coins[1])
        if self._delisted_ms is not None and other.asked_ms > self._delisted_ms + 90_000:
            self.record.delisted_exact += any(is_exact(shown) for shown in other.shown.values())

    async def _look_through_histories(self) -> None:
        """Who drifted and was made exact again between two looks has it in the history."""
        for found in self.record.found.values():
            if found.found_ms is None:
                for fact in await self.observer.history(found.change.user, COIN):
                    at_ms = to_ms(fact["timestamp"])
                    if fact["cause"] == "drift" and fact["state"] == "unsure" and at_ms >= found.change.at_ms - 2_000:
                        found.found_ms, found.by = at_ms, "in the history"

    async def _see_the_busiest(self) -> None:
        writes = await self._writes()
        prints = sum(writes.values()) / 2
        stats = await self.observer.stats()
        self.record.prints_per_s = prints / (stats["now_ms"] - stats["start_ms"]) * 1000
        self.record.busiest = sorted(writes, key=lambda trader: -writes[trader])[:20]
        self.record.busiest_share = writes[self.record.busiest[0]] / prints
        assert self._look is not None
        self.record.busiest_exact = sum(self._look.state(trader) == "exact" for trader in self.record.busiest)
