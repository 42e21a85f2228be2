"""How old a row may become, by collection."""

from market_scraper.ports.stores import Retention
from market_scraper.storage import documents

DAY_S = 86_400
DAY_MS = DAY_S * 1_000
DEAD_LETTER_DAYS = 30  # not a setting: they are for somebody who looks, and must not grow for months


def days_kept(retention: Retention) -> dict[str, int]:
    """Give days by collection; collections that are not named keep everything."""
    return {
        documents.SIGNALS.name: retention.signals,
        documents.TRADER_POSITIONS.name: retention.trader_positions,
        documents.TRADER_SIGNALS.name: retention.trader_signals,
        documents.LEADERBOARD_HISTORY.name: retention.leaderboard_history,
        documents.TRADER_SCORES.name: retention.trader_scores,
        documents.DEAD_LETTERS.name: DEAD_LETTER_DAYS,
    }


def cutoffs_ms(retention: Retention, now_ms: int) -> dict[str, int]:
    """Give, by collection, the time before which rows are deleted; collections that are not named keep everything."""
    return {name: now_ms - days * DAY_MS for name, days in days_kept(retention).items()}
