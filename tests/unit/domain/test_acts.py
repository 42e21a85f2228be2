"""Position facts read as acts."""

import pytest

from market_scraper.domain.acts import act_of
from market_scraper.domain.events import PositionChanged
from market_scraper.domain.positions import Cause, Position, PositionState
from market_scraper.domain.values import Address, Symbol


def fact(
    before: int | None, after: int | None, *, cause: Cause = Cause.PRINT, doubt: float | None = None
) -> PositionChanged:
    return PositionChanged(
        known_at_ms=1_050,
        lots_before=before,
        cause=cause,
        px=97_000.0,
        after=Position(
            trader=Address("0x" + "a" * 40),
            symbol=Symbol("BTC"),
            sz_decimals=5,
            lots=after,
            net_lots=0,
            state=PositionState.EXACT if doubt is None else PositionState.UNSURE,
            doubt=doubt,
            because=None if doubt is None else Cause.GAP,
            since_ms=None,
            epoch_ms=0,
            changes=1,
            watched_from_ms=0,
            entry_px=None,
            leverage=None,
            liquidation_px=None,
            confirmed_ms=None,
            account_value=None,
            t_ms=1_000,
            tid=7,
            version=1,
        ),
    )


@pytest.mark.parametrize(
    ("before", "after", "action", "direction"),
    [
        (0, 100_000, "open", "long"),
        (0, -5, "open", "short"),
        (7, 0, "close", "long"),
        (-7, 0, "close", "short"),
        (7, 8, "increase", "long"),
        (-7, -8, "increase", "short"),
        (7, 1, "decrease", "long"),
        (-7, -1, "decrease", "short"),
        (7, -1, "flip", "short"),
        (-1, 7, "flip", "long"),
    ],
)
def test_sizes_before_and_after_say_what_was_done(before: int, after: int, action: str, direction: str) -> None:
    act = act_of(fact(before, after))

    assert act is not None
    assert (act.action, act.direction) == (action, direction)
    assert act.size == after / 100_000
    assert (act.t_ms, act.tid, act.known_at_ms, act.price, act.confidence) == (1_000, 7, 1_050, 97_000.0, 1.0)


def test_an_act_of_an_unsure_position_is_as_sure_as_the_position() -> None:
    act = act_of(fact(5, 6, doubt=0.25))

    assert act is not None
    assert act.confidence == 0.75


@pytest.mark.parametrize("cause", [Cause.BASE, Cause.DRIFT, Cause.GAP, Cause.CANDIDATES, Cause.ODD_SIZE])
def test_a_fact_without_a_match_is_no_act(cause: Cause) -> None:
    assert act_of(fact(5, 0, cause=cause)) is None


def test_without_a_known_size_or_a_change_there_is_no_act() -> None:
    assert act_of(fact(None, 5)) is None
    assert act_of(fact(5, None)) is None
    assert act_of(fact(5, 5)) is None


def test_a_match_that_came_late_is_an_act_too() -> None:
    assert act_of(fact(5, 0, cause=Cause.LATE)) is not None
