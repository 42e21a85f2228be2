from itertools import islice

from market_scraper.runtime.backoff import backoff


def test_delays_grow_up_to_the_longest_and_never_end() -> None:
    delays = list(islice(backoff(first_s=1, most_s=10, jitter=0), 8))
    assert delays == [1, 2, 4, 8, 10, 10, 10, 10]


def test_jitter_stays_within_its_share_and_below_the_longest() -> None:
    for seed in range(50):
        first, *_, last = islice(backoff(first_s=1, most_s=10, jitter=0.2, seed=seed), 10)
        assert 0.8 <= first <= 1.2
        assert 8 <= last <= 10


def test_the_same_seed_gives_the_same_delays_and_another_one_others() -> None:
    assert list(islice(backoff(seed="a"), 5)) == list(islice(backoff(seed="a"), 5))
    assert list(islice(backoff(seed="a"), 5)) != list(islice(backoff(seed="b"), 5))
