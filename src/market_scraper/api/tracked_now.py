"""The tracked traders as they stand, as lines of a list."""

from collections.abc import Iterable

import msgspec

from market_scraper.api.answers import ENCODER
from market_scraper.api.boards import Board
from market_scraper.api.deps import ApiState
from market_scraper.api.followed import is_open, position_now, seen_class
from market_scraper.api.snapshots import Line
from market_scraper.domain.positions import PositionState
from market_scraper.domain.values import Symbol
from market_scraper.schemas import traders
from market_scraper.schemas.times import moment

STALE_MARGIN_MS = 1_000
"""An exact claim so near its end is not prepared for others: the venue's clock may be this far from ours."""


def lines_of(summaries: Iterable[traders.TraderSummary]) -> list[Line]:
    """Encode each trader once."""
    return [Line(each, msgspec.Raw(ENCODER.encode(each)), is_open(each.position)) for each in summaries]


def board_now(state: ApiState, symbol: Symbol) -> Board:
    """Give the tracked traders. New ratings and the user's hand show at once, positions within MAX_AGE_S."""
    deps = state.deps
    view, now_s = deps.views.traders, deps.clock.monotonic()
    kept = state.boards.get(symbol, view.version, now_s)
    if kept is not None:
        return kept
    shown = [
        traders.summary(
            rated,
            active=True,
            position=position_now(deps, rated.row.trader, symbol),
            name=seen_class(deps, rated, symbol),
        )
        for rated in view.tracked()
    ]
    oldest = moment(deps.clock.now_ms() - deps.exact_max_age_ms + STALE_MARGIN_MS)
    stays_true = all(
        each.position is None
        or each.position.state is not PositionState.EXACT
        or (each.position.as_of is not None and each.position.as_of > oldest)
        for each in shown
    )
    board = Board(lines_of(shown), captured_ms=view.captured_at_ms, made_at_s=now_s, stays_true=stays_true)
    if stays_true:
        state.boards.keep(symbol, view.version, board)
    return board
