"""At the venue's usual six prints a second the replay of thirty spans some seconds: a short loss of all is no gap."""

from pathlib import Path

import pytest

from tests.proof.course import COIN, system
from tests.proof.observer import Observer, is_exact
from tests.proof.plan import Plan
from tests.proof.scale import IS_FULL

pytestmark = pytest.mark.proof

LOSSES = 12 if IS_FULL else 5
APART_S = 25.0
"""A connection that lived less than ten seconds is opened again only after a pause."""

LONGEST_LOSS_S = 3.0


async def test_sockets_that_are_all_lost_and_back_within_three_seconds_join_by_the_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan(traders=100, prints_per_s=6.0, seconds=0, gaps_s=(), events=(), coins=(COIN,))
    async with system(tmp_path, plan) as observer:
        await _mostly_exact(observer)
        short = joined = lost_exactness = 0
        for _ in range(LOSSES):
            before, exact_before = await _gaps(observer), (await observer.look(COIN)).share(is_exact)[0]
            opened = (await observer.stats())["sockets_opened"]
            await observer.order({"kind": "disconnect", "code": 1000})
            ordered_ms = observer.now_ms()
            while sum(number >= opened for number in (await observer.stats())["tape_sockets"]) < 3:
                await observer.until(observer.now_ms() + 100)
            back_s = (observer.now_ms() - ordered_ms) / 1000
            await observer.until(ordered_ms + APART_S * 1000)
            exact_after = (await observer.look(COIN)).share(is_exact)[0]
            if back_s <= LONGEST_LOSS_S:
                short += 1
                joined += await _gaps(observer) == before
                lost_exactness += exact_after < 0.9 * exact_before
    with capsys.disabled():
        print(f"\n{joined} of {short} short losses joined; {observer.verdicts.checks} exact claims compared")
    assert observer.verdicts.wrong == []
    # A block of thirty prints and more leaves the replay nothing that is older than it: that is a gap by right.
    assert short >= LOSSES / 2
    assert joined >= short - 2
    assert lost_exactness <= 2


async def _gaps(observer: Observer) -> int:
    return int((await observer.detail())[f"{COIN}_gaps"])


async def _mostly_exact(observer: Observer) -> None:
    deadline_ms = observer.now_ms() + 180_000
    while (look := await observer.look(COIN)).share(is_exact)[0] < 0.8 or not look.shown:
        assert observer.now_ms() < deadline_ms, "it never came to know most positions"
        await observer.until(observer.now_ms() + 1_000)
