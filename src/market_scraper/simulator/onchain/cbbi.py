"""colintalkscrypto.com: `/cbbi/data/latest.json` (facts, section 6; what changes when: recorded August 2026).

Eleven maps over one set of keys, 0..1. A day appears at 01:00 UTC of the next one; at 02:45 its Puell (and Confidence)
settles; its Woobull comes at 06:30 of the day after that. Agents that do not say who they are get a 403, as users of
the real host report (not established for which).
"""

from collections.abc import Callable, Iterator

from starlette.requests import Request

from market_scraper.simulator.onchain.answers import Sheet
from market_scraper.simulator.onchain.days import DAY_MS, day_at
from market_scraper.simulator.onchain.faults import Spoil
from market_scraper.simulator.onchain.mood import CBBI_FIRST, CBBI_LAGS, Mood, confidence

_HOUR_MS = 3_600_000
APPEARS_MS = 1 * _HOUR_MS  # after the end of its day
SETTLES_MS = 2 * _HOUR_MS + 3 * _HOUR_MS // 4
WOOBULL_MS = 30 * _HOUR_MS + _HOUR_MS // 2  # null at 04:34, there at 06:49
_UNSETTLED = 0.03  # how far Puell may be off before it settles (recorded: Confidence by up to 0.004)
_SLICE_DAYS = 20
_ANONYMOUS = ("python-", "Python-urllib", "Go-http-client", "okhttp")
_REFUSED = b"<html><head><title>403 Forbidden</title></head><body>403 Forbidden</body></html>"


class Cbbi:
    """Answers from the mood, by the venue's clock."""

    def __init__(self, mood: Mood, now_ms: Callable[[], int]) -> None:
        self._mood, self._now_ms = mood, now_ms

    def latest(self, request: Request, spoil: Spoil) -> Sheet:
        """GET /cbbi/data/latest.json: the whole history, about 1.5 MB."""
        agent = request.headers.get("user-agent", "")
        if not agent or agent.startswith(_ANONYMOUS):
            return Sheet(parts=(_REFUSED,), status=403, media_type="text/html")
        now = self._now_ms()
        changed = max(
            (now - after) // DAY_MS * DAY_MS + after for after in (APPEARS_MS, SETTLES_MS, WOOBULL_MS - DAY_MS)
        )
        return Sheet(
            parts=self._file(changed, spoil),
            version=str(changed),
            modified_ms=changed,
            headers={"access-control-allow-origin": "*"},
        )

    def _file(self, changed: int, spoil: Spoil) -> Iterator[bytes]:
        """The maps one after the other, as the file has them; `changed` = the moment it was computed for."""
        newest = day_at(changed - APPEARS_MS) - 1
        days = range(CBBI_FIRST, newest + 1)
        rows = {}
        for day in days:
            rows[day] = self._row(day, newest, changed, spoil)
            if day % _SLICE_DAYS == 0:
                yield b""  # a turn for others
        for number, name in enumerate(("Price", *CBBI_LAGS, "Confidence")):
            yield f'{"," if number else "{"}\n  "{spoil.name(name)}":{{'.encode()
            for first in range(0, len(days), 20 * _SLICE_DAYS):
                part = days[first : first + 20 * _SLICE_DAYS]
                texts = (f'\n    "{day * DAY_MS // 1000}":{_number(rows[day][name], spoil)}' for day in part)
                yield (("," if first else "") + ",".join(texts)).encode()
            yield b"\n  }"
        yield b"\n}\n"

    def _row(self, day: int, newest: int, at_ms: int, spoil: Spoil) -> dict[str, float | None]:
        """A day's column entries as of a moment."""
        parts: dict[str, float | None] = {}
        known = self._known(day, at_ms)
        price = round(self._mood.price_at((day + 1) * DAY_MS), 4)
        if spoil.spares_values:
            return {"Price": price, **known, "Confidence": confidence(known)}
        for name, true in known.items():

            def on(other: int, name: str = name) -> float | None:
                return (known if other == day else self._known(other, at_ms))[name]

            said = spoil.value(name, day, newest, on)
            parts[name] = said if said is None or said == true else round(min(max(said, 0.0), 1.0), 4)
        mean = confidence(parts)
        return {"Price": price, **parts, "Confidence": spoil.value("Confidence", day, newest, lambda _: mean)}

    def _known(self, day: int, at_ms: int) -> dict[str, float | None]:
        parts = self._mood.cbbi(day)
        since_end = at_ms - (day + 1) * DAY_MS
        if since_end < WOOBULL_MS:
            parts["Woobull"] = None
        puell = parts["Puell"]
        if since_end < SETTLES_MS and puell is not None:
            parts["Puell"] = round(max(puell - _UNSETTLED, 0.0), 4)
        return parts


def _number(value: float | None, spoil: Spoil) -> str:
    return "null" if value is None else spoil.number(repr(value))
