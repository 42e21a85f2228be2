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


def test_a_store_that_is_asked_for_without_its_address_is_an_error_and_never_another_one() -> None:
    with pytest.raises(ConfigError, match=r"^STORAGE__BACKEND"):
        choose_backends(Settings.model_validate({"storage": {"backend": "mongo"}}))


@pytest.mark.parametrize(("url", "bus"), [(None, "memory"), ("auto", "auto"), ("redis://localhost", "redis")])
def test_a_redis_url_chooses_redis(url: str | None, bus: str) -> None:
    assert choose_backends(Settings.model_validate({"redis": {"url": url}})).bus == bus


@pytest.mark.parametrize(
    ("backend", "url", "store"),
    [
        ("auto", None, "sqlite"),
        ("auto", "mongodb://h", "mongo"),
        ("mongo", "mongodb://h", "mongo"),
        ("sqlite", None, "sqlite"),
        ("memory", "mongodb://h", "memory"),
    ],
)
def test_a_mongodb_url_chooses_mongodb_unless_another_store_is_asked_for(
    backend: str, url: str | None, store: str
) -> None:
    chosen = choose_backends(Settings.model_validate({"mongo": {"url": url}, "storage": {"backend": backend}}))
    assert chosen.store == store
    assert any("MONGO__URL" in note for note in chosen.notes) == (store != "mongo" and url is not None)
