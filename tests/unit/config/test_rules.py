"""The sections give the domain's rules, with the same defaults."""

import pytest

from market_scraper.config import Settings, choose_backends
from market_scraper.config.rules import Positions, Scoring, ScoringTier, ScoringTiers, ScoringWeights
from market_scraper.domain.errors import ConfigError
from market_scraper.domain.rules import FilterRules, InferenceRules, PositionRules, ScoringRules, SignalRules
from market_scraper.ports.stores import Retention


def test_the_defaults_are_the_domain_s_own() -> None:
    settings = Settings()
    assert settings.position_inference.rules() == InferenceRules()
    assert settings.scoring.rules(settings.tags.rules()) == ScoringRules()
    assert settings.filters.rules() == FilterRules()
    assert settings.signals.rules() == SignalRules()
    assert settings.positions.rules() == PositionRules()
    assert settings.storage.retention.rules() == Retention()


def test_seconds_become_milliseconds() -> None:
    assert Positions(exact_max_age_seconds=2.5).rules().exact_max_age_ms == 2_500


def test_tiers_are_read_highest_first_and_never_give_more_than_their_weight() -> None:
    tiers = (ScoringTier(at_least=1, points=2), ScoringTier(at_least=10, points=20))
    rules = Scoring(weights=ScoringWeights(month_volume=9), tiers=ScoringTiers(month_volume=tiers)).rules()
    assert [(tier.at_least, tier.points) for tier in rules.month_volume_tiers] == [(10, 9), (1, 2)]


def test_a_store_or_bus_that_is_not_there_yet_is_an_error_and_never_another_one() -> None:
    for wrong in (
        Settings.model_validate({"mongo": {"url": "mongodb://localhost"}}),
        Settings.model_validate({"storage": {"backend": "mongo"}}),
        Settings.model_validate({"redis": {"url": "redis://localhost"}}),
    ):
        with pytest.raises(ConfigError, match=r"^(MONGO__URL|STORAGE__BACKEND|REDIS__URL)"):
            choose_backends(wrong)


def test_redis_auto_means_the_memory_bus_and_says_so() -> None:
    chosen = choose_backends(Settings.model_validate({"redis": {"url": "auto"}}))
    assert (chosen.store, chosen.bus) == ("sqlite", "memory")
    assert "bus in memory" in chosen.notes[0]
