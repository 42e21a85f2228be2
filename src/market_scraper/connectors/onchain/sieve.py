"""What an answer says, in our terms: values that can be true become observations, the others are refused and noted."""

import math
import re
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import TypeVar

import msgspec

from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.onchain import DAY_MS, METRICS, Answer, Note, Observation

FIRST_BLOCK_MS = 1_230_940_800_000
"""2009-01-03: nothing is known of Bitcoin from before."""

LAST_MS = 4_102_444_800_000
"""2100-01-01: a stamp after it is a mistake in its unit."""

T = TypeVar("T")

# float() alone would take "1_000", " 7 ", "nan" and digits of other scripts.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def decode(body: bytes | msgspec.Raw, shape: type[T]) -> T:
    """JSON of that shape. Raises InvalidInput for anything else, with the place where it differs."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"unreadable answer: {error}"[:200]) from error


def number(raw: object) -> float:
    """A finite number from a JSON number or the text of one. Raises InvalidInput."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise InvalidInput(f"{_shown(raw)} is no number")
    if isinstance(raw, str) and not _NUMBER.fullmatch(raw):
        raise InvalidInput(f"{_shown(raw)} is no number")
    try:
        value = float(raw)
    except OverflowError as error:
        raise InvalidInput(f"{_shown(raw)} is no number") from error
    if not math.isfinite(value):
        raise InvalidInput(f"{_shown(raw)} is no number")
    return value


def scaled(raw: object, scale: float) -> float:
    """`raw` x `scale`, right to the last digit that `raw` is written with. Raises InvalidInput for no finite number.

    Through its decimal digits: dividing or multiplying floats by 10^n is one off in the last place now and then.
    """
    value = number(raw)
    if scale == 1.0 or value == 0.0:  # a value so small that it is 0 here may have an exponent beyond Decimal's
        return value
    digits = Decimal(raw) if isinstance(raw, str | int) else Decimal(repr(value))
    return float(digits * _exact(scale))


@cache
def _exact(scale: float) -> Decimal:
    """The scale as it is written: 1e-6, not the float that is nearest to it. There are a handful of them."""
    return Decimal(repr(scale))


def moment(raw: object, unit_ms: int = 1_000) -> int:
    """Milliseconds from a stamp that counts `unit_ms` each (1,000 = Unix seconds). Raises InvalidInput."""
    t_ms = number(raw) * unit_ms
    if not FIRST_BLOCK_MS <= t_ms < LAST_MS:
        raise InvalidInput(f"{_shown(raw)} is no time that Bitcoin knows")
    return int(t_ms)


def day(raw: object, unit_ms: int = 1_000) -> int:
    """00:00 UTC, in ms, of the day that a stamp lies in. Raises InvalidInput."""
    t_ms = moment(raw, unit_ms)
    return t_ms - t_ms % DAY_MS


def iso_day(t_ms: int) -> str:
    """`2026-08-18`."""
    return str(date(1970, 1, 1) + timedelta(days=t_ms // DAY_MS))


class Sieve:
    """Fills one Answer. Nothing here raises: what cannot be true is left out, and noted once a metric."""

    def __init__(self) -> None:
        self._observations: list[Observation] = []
        self._refused: dict[str, tuple[int, str]] = {}  # by metric: how many, and the last one's reason
        self._notes: list[Note] = []
        self._withdrawn: list[tuple[str, int]] = []

    def take(
        self,
        metric: str,
        t_ms: int,
        raw: object,
        *,
        scale: float = 1.0,
        label: str | None = None,
        published_ms: int | None = None,
        provisional: bool = False,
    ) -> float | None:
        """Keep `raw` x `scale` as the metric's value of t, and give it. None = the source has none, or none is kept."""
        if raw is None:
            return None
        bounds = METRICS[metric]
        try:
            value = scaled(raw, scale)
        except InvalidInput as error:
            self.refuse(metric, t_ms, str(error))
            return None
        if not bounds.least <= value <= bounds.most:
            self.refuse(metric, t_ms, f"{value:g} is not within {bounds.least:g} to {bounds.most:g} {bounds.unit}")
            return None
        self._observations.append(
            Observation(
                metric=metric,
                t_ms=t_ms,
                value=value,
                label=label,
                published_ms=published_ms,
                provisional=provisional,
            )
        )
        return value

    def none(self, metric: str, t_ms: int) -> None:
        """Say that the source has no value of t: if it had one before, it has taken that back."""
        self._withdrawn.append((metric, t_ms))

    def refuse(self, metric: str, t_ms: int | None, reason: str) -> None:
        """Say that a value was left out. `t_ms` None: not even its day is known."""
        count, _ = self._refused.get(metric, (0, ""))
        self._refused[metric] = (count + 1, reason if t_ms is None else f"{iso_day(t_ms)}: {reason}")

    def note(self, kind: str, text: str, metric: str | None = None) -> None:
        """Say something that the source's operator should know; kinds are those of `domain.onchain.Note`."""
        self._notes.append(Note(kind=kind, text=text, metric=metric))

    def __len__(self) -> int:
        """Values kept so far."""
        return len(self._observations)

    def answer(self, notes: tuple[Note, ...] = (), *, next_in_s: float | None = None) -> Answer:
        """All that was kept, oldest first, and all that was noted (after `notes`)."""
        refused = (
            Note(kind="refused", text=f"{count} refused, the last: {reason}", metric=metric)
            for metric, (count, reason) in self._refused.items()
        )
        self._observations.sort(key=lambda observation: observation.t_ms)
        return Answer(
            observations=tuple(self._observations),
            withdrawn=tuple(self._withdrawn),
            notes=(*notes, *self._notes, *refused),
            next_in_s=next_in_s,
        )


def _shown(raw: object) -> str:
    return repr(raw)[:40]
