"""What the proof's observer compares and what it leaves out: nothing may be excused that an audit has seen."""

from pathlib import Path
from typing import Any, cast

import pytest

from market_scraper.domain.values import iso
from tests.e2e.system import Process
from tests.proof.observer import Observer, Shown

COIN, TRADER = "BTC", "0x" + "1" * 40
CHANGED_MS = 1_790_000_000_000  # the truth halved then, without a print
SAID, TRUE = 2.0, 1.0


def after(seconds: float) -> str:
    """So long after the change, as answers have it."""
    return iso(CHANGED_MS + round(seconds * 1000))


def position(state: str, *, because: str | None = None, since_s: float = 0.0, confirmed_s: float = -100.0) -> Shown:
    return Shown(
        coin=COIN,
        size=SAID,
        state=state,
        doubt=None if because is None else 0.1,
        because=because,
        as_of=None,
        since=None if because is None else after(since_s),
        confirmed_at=after(confirmed_s),
    )


def heard(*shown: Shown) -> tuple[int, int, int]:
    """(claims left out, compared, wrong) of what was served of the trader, one look after the other."""
    nowhere = Process(cast(Any, None), {"origin": 0.0, "speed": 1.0, "url": ""}, Path())
    observer = Observer(nowhere, nowhere)
    for looks, each in enumerate(shown):
        observer.hear(COIN, TRADER, each, CHANGED_MS + 60_000 + 1_000 * looks, TRUE, [CHANGED_MS])
    verdicts = observer.verdicts
    return verdicts.left_out, verdicts.checks, len(verdicts.wrong)


def test_a_change_off_the_tape_is_left_out_until_an_audit() -> None:
    assert heard(position("exact")) == (1, 0, 0)


@pytest.mark.parametrize("because", ["stale", "gap"])
def test_that_the_tape_stood_still_is_no_audit(because: str) -> None:
    assert heard(position("unsure", because=because, since_s=55.0), position("exact")) == (1, 0, 0)


def test_who_was_seen_to_drift_is_compared_again() -> None:
    assert heard(position("unsure", because="drift", since_s=55.0), position("exact")) == (0, 1, 1)


def test_who_has_a_base_of_after_the_change_is_compared_again() -> None:
    assert heard(position("exact", confirmed_s=3.0)) == (0, 1, 1)


def test_an_answer_whose_window_holds_the_change_may_be_from_before_it() -> None:
    assert heard(position("exact", confirmed_s=1.0)) == (1, 0, 0)
