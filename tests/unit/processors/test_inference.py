"""The processor that works on its own."""

import doctest

from market_scraper.domain.rules import InferenceRules
from market_scraper.domain.traders import LeaderboardRow, Performance
from market_scraper.domain.values import Address
from market_scraper.processors import PositionInferenceProcessor, inference


def test_the_documented_example_works() -> None:
    assert doctest.testmod(inference).failed == 0
    assert doctest.testmod(inference).attempted > 0


def test_each_row_is_answered_in_its_place_by_the_rules_given() -> None:
    rows = [
        LeaderboardRow(trader=Address("0x" + "1" * 40), account_value=1e6, day=Performance(0.0, 0.0, volume))
        for volume in (500.0, 50.0)
    ]
    processor = PositionInferenceProcessor(InferenceRules(day_volume_threshold=100.0))

    assert [answer.has_position for answer in processor.infer_all(rows)] == [True, False]
