"""Exact means exact, at full size: the claim on which the product stands, attacked for forty minutes of venue time."""

from pathlib import Path

import pytest

from tests.proof import figures
from tests.proof.course import Course, Record, system
from tests.proof.observer import Observer
from tests.proof.plan import Plan, exactness
from tests.proof.report import WEIGHT_PER_MINUTE, report, sweep_seconds
from tests.proof.scale import IS_FULL, SCALE

pytestmark = pytest.mark.proof

SPENDABLE = 1_150  # all kinds of requests together, of the venue's 1,200


async def test_at_eighty_five_prints_a_second_no_exact_claim_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = exactness(SCALE, prints_per_s=88.0)
    async with system(tmp_path, plan) as observer:
        record = await Course(observer, plan).run()
        told = report(plan, observer.verdicts, record)
    with capsys.disabled():
        print(told)
    _nothing_was_wrong(observer, record)
    assert record.busiest_share >= 0.15 or not IS_FULL
    assert record.prints_per_s >= 85 or not IS_FULL
    _it_is_soon_exact_again(plan, record)


async def test_at_the_venues_own_pace_with_bursts_no_exact_claim_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = exactness(SCALE, prints_per_s=6.0)
    async with system(tmp_path, plan) as observer:
        record = await Course(observer, plan).run()
        told = report(plan, observer.verdicts, record)
    with capsys.disabled():
        print(told)
    _nothing_was_wrong(observer, record)
    _it_is_soon_exact_again(plan, record)


def _nothing_was_wrong(observer: Observer, record: Record) -> None:
    """Holds at every scale."""
    assert observer.verdicts.wrong == []
    assert observer.verdicts.checks >= 1_000
    assert record.exact_in_gap == []
    assert record.delisted_exact == 0
    assert record.last_stats["answers_429"] == 0
    assert record.last_stats["weight_peak"] <= SPENDABLE


def _it_is_soon_exact_again(plan: Plan, record: Record) -> None:
    """Thresholds that need time and sample."""
    sweep_s = sweep_seconds(record)
    assert record.oldest_wait_s <= 3 * sweep_s
    suspends = sum(event.kind == "suspend" for event in plan.events)
    assert len(record.gaps) == len(plan.gaps_s) + suspends, "a gap that nobody ordered"
    for gap in record.gaps:
        at_60 = figures.nearly_sure_within(60.0, record.samples, gap, record.started_ms)
        assert at_60 >= 0.95, f"{at_60:.3f} of |size| is exact or nearly sure a minute after a gap"
    if not IS_FULL:
        return
    by_count, by_size = figures.time_average(figures.settled(record.samples, record.gaps, record.started_ms))
    assert by_count >= 0.95
    assert by_size >= 0.95
    assert record.busiest_exact == 20
    for gap in record.gaps:
        took_s = figures.seconds_to(0.9, record.samples, gap, record.started_ms)
        assert took_s <= figures.seconds_of_sweep(0.9, gap, WEIGHT_PER_MINUTE)
    for decile in figures.deciles([doubt for gap in record.gaps for doubt in gap.doubts]):
        assert abs(decile.off) <= 3
    due_ms = record.last_stats["now_ms"] - 3_000 * sweep_s
    for found in record.found.values():
        if found.change.at_ms <= due_ms and not _in_a_gap(found.change.at_ms, record, sweep_s):
            assert found.found_ms is not None, f"nobody found {found.change}"
            assert found.found_ms - found.change.at_ms <= 3_000 * sweep_s


def _in_a_gap(at_ms: int, record: Record, sweep_s: float) -> bool:
    """Whether a gap came before an audit had to: it takes every base, and with it what could contradict."""
    return any(gap.since_ms - 3_000 * sweep_s <= at_ms <= gap.until_ms for gap in record.gaps)
