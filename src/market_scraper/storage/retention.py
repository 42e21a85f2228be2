"""How old a row may become, by collection."""

from market_scraper.ports.stores import Retention
from market_scraper.storage import documents

DAY_MS = 86_400_000
DEAD_LETTER_DAYS = 30  # not a setting: they are for somebody who looks, and must not grow for months


def cutoffs_ms(retention: Retention, now_ms: int) -> dict[str, int]:
    """Give, by collection, the time before which rows are deleted; collections that are not named keep everything."""
    days = {
        documents.SIGNALS.name: retention.signals,
        documents.TRADER_POSITIONS.name: retention.trader_positions,
        documents.TRADER_SIGNALS.name: retention.trader_signals,
        documents.LEADERBOARD_HISTORY.name: retention.leaderboard_history,
        documents.TRADER_SCORES.name: retention.trader_scores,
        documents.DEAD_LETTERS.name: DEAD_LETTER_DAYS,
    }
    return {name: now_ms - kept * DAY_MS for name, kept in days.items()}
