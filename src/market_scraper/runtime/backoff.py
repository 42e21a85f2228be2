"""How long to wait before trying again: an endless row of delays, passed in by whoever owns the retries."""

from collections.abc import Iterator
from random import Random


def backoff(
    *, first_s: float = 0.5, most_s: float = 30.0, factor: float = 2.0, jitter: float = 0.2, seed: int | str = 0
) -> Iterator[float]:
    """Yield delays in seconds for ever: first_s x factor^n, at most most_s, each off by up to ± `jitter` of itself.

    The jitter keeps many clients from coming back together; the same seed gives the same delays.
    """
    random = Random(seed)
    delay_s = first_s
    while True:
        yield min(most_s, delay_s * random.uniform(1 - jitter, 1 + jitter))
        delay_s = min(most_s, delay_s * factor)
