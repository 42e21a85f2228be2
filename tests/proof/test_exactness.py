"""Exact means exact, at full size: the claim on which the product stands, attacked for forty minutes of venue time."""

from pathlib import Path

import pytest

from tests.proof.course import Course, system
from tests.proof.plan import exactness
from tests.proof.report import report
from tests.proof.scale import IS_FULL, SCALE
from tests.proof.thresholds import it_is_soon_exact_again, nothing_was_wrong

pytestmark = pytest.mark.proof


async def test_at_eighty_five_prints_a_second_no_exact_claim_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = exactness(SCALE, prints_per_s=88.0)
    async with system(tmp_path, plan) as observer:
        record = await Course(observer, plan).run()
        told = report(plan, observer.verdicts, record)
    with capsys.disabled():
        print(told)
    nothing_was_wrong(observer, record)
    assert record.busiest_share >= 0.15 or not IS_FULL
    assert record.prints_per_s >= 85 or not IS_FULL
    it_is_soon_exact_again(plan, record)


async def test_at_the_venues_own_pace_with_bursts_no_exact_claim_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = exactness(SCALE, prints_per_s=6.0)
    async with system(tmp_path, plan) as observer:
        record = await Course(observer, plan).run()
        told = report(plan, observer.verdicts, record)
    with capsys.disabled():
        print(told)
    nothing_was_wrong(observer, record)
    it_is_soon_exact_again(plan, record)
