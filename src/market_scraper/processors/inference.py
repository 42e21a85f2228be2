"""Who holds a position, as far as the leaderboard alone can say."""

from collections.abc import Sequence

from market_scraper.domain.inference import inferrer, is_shown
from market_scraper.domain.rules import InferenceRules
from market_scraper.domain.traders import Inference, LeaderboardRow


class PositionInferenceProcessor:
    """Answers "has a position" with the measured precision of what speaks for it; it claims no side and no size.

    It works on its own, without bus or store (`TraderScoringProcessor` applies the same rule to every row):

    >>> from market_scraper.domain.traders import Performance
    >>> from market_scraper.domain.values import Address
    >>> row = LeaderboardRow(
    ...     trader=Address("0x" + "1" * 40), account_value=50_000.0, day=Performance(pnl=900.0, roi=0.018, vlm=2e6)
    ... )
    >>> processor = PositionInferenceProcessor()
    >>> answer = processor.infer(row)
    >>> answer.has_position, round(answer.confidence, 3), answer.indicators
    (True, 0.752, ('day_roi', 'pnl_ratio', 'day_volume'))
    >>> processor.is_shown(answer)
    True
    """

    def __init__(self, rules: InferenceRules | None = None) -> None:
        self.rules = InferenceRules() if rules is None else rules
        self.infer = inferrer(self.rules)

    def infer_all(self, rows: Sequence[LeaderboardRow]) -> list[Inference]:
        """Answer for each row, in their order."""
        infer = self.infer
        return [infer(row) for row in rows]

    def is_shown(self, inference: Inference) -> bool:
        """Say whether the answer reaches `confidence_threshold` and may be shown as a position."""
        return is_shown(inference, self.rules)
