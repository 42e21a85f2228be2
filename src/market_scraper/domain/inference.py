"""Does a trader hold a position? What the leaderboard alone can say, and how often it is right.

The rule: yes when |day roi|, |day pnl| / account value or day volume *exceeds* its threshold. It claims no side and
no size. Its confidence is not a guess but a count: of the recorded traders for whom exactly these indicators fired,
how many did hold a position when they were asked seconds to minutes later.
"""

from collections.abc import Callable
from math import inf

import msgspec

from market_scraper.domain.rules import InferenceRules
from market_scraper.domain.traders import Inference, LeaderboardRow

DAY_ROI = "day_roi"
PNL_RATIO = "pnl_ratio"
DAY_VOLUME = "day_volume"
INDICATORS = (DAY_ROI, PNL_RATIO, DAY_VOLUME)


class Measured(msgspec.Struct, frozen=True):
    """Recorded traders for whom exactly one set of indicators fired."""

    holders: int
    empty: int

    @property
    def n(self) -> int:
        """How many there were."""
        return self.holders + self.empty


MEASURED_ON = "2026-02-04 .. 2026-02-14"
MEASURED: dict[tuple[str, ...], Measured] = {
    (): Measured(0, 4),
    (DAY_ROI,): Measured(4, 16),
    (DAY_ROI, DAY_VOLUME): Measured(29, 6),
    (DAY_ROI, PNL_RATIO): Measured(5_196, 8_224),
    (DAY_ROI, PNL_RATIO, DAY_VOLUME): Measured(5_503, 1_818),
}
"""20,800 rows of public captures, at the default thresholds; `python bench/inference_precision.py` counts them again.

The rows are the top of the day list by PnL, so all are winners, and positions are those of the main dex: over the
whole leaderboard precision is unknown. With other thresholds these figures are a guide, not a measurement.
"""


def precision(indicators: tuple[str, ...]) -> float:
    """Give the share of holders among those with these indicators, 0..1; 0 when none fired.

    A set that was never recorded gets the share among all rows in which *at least* these fired.
    """
    if not indicators:
        return 0.0
    same = MEASURED.get(indicators)
    alike = [same] if same else [m for fired, m in MEASURED.items() if set(indicators) <= set(fired)]
    return sum(m.holders for m in alike) / sum(m.n for m in alike)


_ANSWERS: tuple[Inference, ...] = tuple(
    Inference(bool(fired), precision(fired), fired)
    for fired in (tuple(name for bit, name in enumerate(INDICATORS) if mask >> bit & 1) for mask in range(8))
)
"""The eight possible answers, by the bits of what fired: rating 47,000 rows makes no new objects."""


def inferrer(rules: InferenceRules) -> Callable[[LeaderboardRow], Inference]:
    """Make the rule's function for many rows.

    No day window, or `enabled: false`: no. What is not finite never fires, and without an account value above zero
    there is no ratio. `has_position` is the rule's word; who shows it leaves out what is below
    `confidence_threshold`.
    """
    roi_above, ratio_above, volume_above = (
        rules.day_roi_threshold,
        rules.pnl_ratio_threshold,
        rules.day_volume_threshold,
    )
    enabled, answers = rules.enabled, _ANSWERS

    def infer_row(row: LeaderboardRow) -> Inference:
        day = row.day
        if day is None or not enabled:
            return answers[0]
        account = row.account_value
        return answers[
            (roi_above < abs(day.roi) < inf)
            + 2 * (0.0 < account < inf and ratio_above < abs(day.pnl) / account < inf)
            + 4 * (volume_above < day.vlm < inf)
        ]

    return infer_row


def infer(row: LeaderboardRow, rules: InferenceRules) -> Inference:
    """Say whether one trader holds a position (see `inferrer`)."""
    return inferrer(rules)(row)


def is_shown(inference: Inference, rules: InferenceRules) -> bool:
    """Say whether the answer is sure enough to be shown as a position (`confidence_threshold`, inclusive)."""
    return inference.has_position and inference.confidence >= rules.confidence_threshold
