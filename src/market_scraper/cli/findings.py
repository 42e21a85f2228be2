"""What a check of `doctor` comes to: a finding, never an error."""

from collections.abc import Coroutine
from dataclasses import dataclass

import httpx2

from market_scraper.config import mask
from market_scraper.domain.errors import MarketScraperError
from market_scraper.runtime.clock import real_timeout


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result."""

    check: str
    ok: bool
    detail: str


async def asked(check: str, answer: Coroutine[object, object, str], patience_s: float) -> Finding:
    """Await what an upstream is asked for; its text is the finding's. `patience_s` in real seconds."""
    try:
        async with real_timeout(patience_s):
            return Finding(check, True, await answer)
    except TimeoutError:
        return Finding(check, False, f"cannot reach: no answer within {patience_s:.0f} s")
    except MarketScraperError as error:
        said = mask(str(error))
        is_told = said.startswith("cannot reach") or not _is_unreachable(error)
        return Finding(check, False, said if is_told else f"cannot reach: {said}")


def _is_unreachable(error: BaseException) -> bool:
    """Whether nobody answered, rather than somebody wrongly."""
    cause = error.__cause__ or error.__context__
    return isinstance(cause, httpx2.TransportError | TimeoutError) or (cause is not None and _is_unreachable(cause))
