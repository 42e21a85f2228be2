"""What is made of facts: inferred positions, scores, signals."""

from market_scraper.processors.inference import PositionInferenceProcessor
from market_scraper.processors.scoring import TraderScoringProcessor
from market_scraper.processors.signals import SignalGenerationProcessor

__all__ = ["PositionInferenceProcessor", "SignalGenerationProcessor", "TraderScoringProcessor"]
