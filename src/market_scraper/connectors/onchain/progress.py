"""Which days a source is asked for: a whole history once, in slices where it is heavy, then the last days again."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from market_scraper.connectors.onchain.sieve import FIRST_BLOCK_MS
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.onchain import DAY_MS, Answer, Note

RECENT_MS = 40 * DAY_MS
"""What is asked for from later than this comes with the newest days; the rest is history and asked for apart."""

REACH_MS = 400 * DAY_MS
"""How far back a hole in a metric that we have is asked for again and again."""

SOON_S, AFTER_TROUBLE_S = 60.0, 600.0
"""When to go on with a history: after a metric came back, after the host failed in the middle."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One range of days for some metrics."""

    metrics: tuple[str, ...]
    start_ms: int  # 00:00 UTC
    end_ms: int | None = None  # exclusive; None = as far as there is something
    history: bool = False
    probes: frozenset[str] = frozenset()  # those of which all days were asked for in vain: did they come back?


@dataclass(frozen=True, slots=True)
class _Asked:
    until_ms: int  # exclusive
    given_ms: int | None  # the newest t that came of it


class Progress:
    """Remembers, for this run, what was asked for in vain; what was found, the caller's `newest` says.

    Without it a metric that a source no longer gives would have its whole history asked for at each read.
    """

    def __init__(self, *, again_days: int, slice_days: int | None = None) -> None:
        """`again_days`: how far back the source is known to revise. `slice_days`: None = a history comes in one go."""
        self._again_ms = again_days * DAY_MS
        self._slice_ms = slice_days * DAY_MS if slice_days is not None else None
        self._asked: dict[str, _Asked] = {}

    async def read(
        self,
        metrics: Iterable[str],
        newest: Mapping[str, int],
        now_ms: int,
        ask: Callable[[Ask], Awaitable[Answer]],
    ) -> Answer:
        """Plan, `ask` for each range and put the answers together, oldest first: a broken-off backfill can go on.

        When a later one of several asks fails, what came until then is given. Raises what `ask` raises, and
        InvalidInput when there is no value in any answer.
        """
        metrics, today_ms = tuple(metrics), now_ms - now_ms % DAY_MS
        answers: list[Answer] = []
        trouble: list[Note] = []
        for each in self.plan(metrics, newest, today_ms):
            try:
                answer = await ask(each)
            except (SourceError, InvalidInput) as error:
                if not answers:
                    raise
                trouble.append(Note(kind="fallback", text=f"a part of the history only: {error}"[:200]))
                break
            answers.append(self.took(each, answer, today_ms))
        notes = tuple(dict.fromkeys([*(note for answer in answers for note in answer.notes), *trouble]))
        if all(answer.unchanged for answer in answers):
            return Answer(notes=notes, unchanged=True)
        said = sorted((each for answer in answers for each in answer.observations), key=lambda each: each.t_ms)
        if not said and not self._came_back(metrics):
            raise InvalidInput(f"no value came: {notes[0].text}" if notes else "no value came")
        is_behind = any(metric not in self._asked or self._asked[metric].until_ms <= today_ms for metric in metrics)
        next_in_s = (AFTER_TROUBLE_S if trouble else SOON_S) if is_behind else None
        return Answer(observations=tuple(said), notes=notes, next_in_s=next_in_s)

    def plan(self, metrics: Iterable[str], newest: Mapping[str, int], today_ms: int) -> list[Ask]:
        """What to ask for now: the newest days first, then the history that is missing, oldest first.

        A metric is in one of the two only, so that nothing newer than a hole is ever given.
        """
        recent: dict[str, int] = {}
        history: dict[str, int] = {}
        probes: set[str] = set()
        for metric in metrics:
            start_ms = self._start(metric, newest.get(metric))
            if start_ms > today_ms and metric not in newest:
                probes.add(metric)
                start_ms = today_ms - self._again_ms
            (recent if start_ms > today_ms - RECENT_MS else history)[metric] = min(start_ms, today_ms)
        asks = [Ask(tuple(recent), min(recent.values()), probes=frozenset(probes))] if recent else []
        return asks + self._slices(history, today_ms)

    def took(self, ask: Ask, answer: Answer, today_ms: int) -> Answer:
        """Note what came. Of metrics that came back nothing is left in the answer: their history is to come first."""
        given = {each.metric: each.t_ms for each in answer.observations}  # oldest first: the newest stays
        back = ask.probes & given.keys()
        for metric in ask.metrics:
            if metric in back:
                del self._asked[metric]
                continue
            before = self._asked.get(metric)
            known = (given.get(metric), before.given_ms if before is not None else None)
            given_ms = max((t_ms for t_ms in known if t_ms is not None), default=None)
            self._asked[metric] = _Asked(today_ms + DAY_MS if ask.end_ms is None else ask.end_ms, given_ms)
        if not back:
            return answer
        kept = tuple(each for each in answer.observations if each.metric not in back)
        return Answer(observations=kept, notes=answer.notes)

    def forget(self, metrics: Iterable[str]) -> None:
        """Say that there is more than came: these are asked for again from the newest one taken, however old it is."""
        for metric in metrics:
            self._asked.pop(metric, None)

    def _came_back(self, metrics: Iterable[str]) -> bool:
        return any(metric not in self._asked for metric in metrics)

    def _start(self, metric: str, taken_ms: int | None) -> int:
        """The first day to ask for, which is later than today when all was asked for in vain."""
        asked = self._asked.get(metric)
        if asked is not None and asked.given_ms is not None and (taken_ms is None or taken_ms < asked.given_ms):
            asked = None  # what came of it was not taken over
        if taken_ms is None:
            return FIRST_BLOCK_MS if asked is None else asked.until_ms
        start_ms = max(taken_ms - taken_ms % DAY_MS + DAY_MS - self._again_ms, FIRST_BLOCK_MS)
        return start_ms if asked is None else max(start_ms, asked.until_ms - REACH_MS)

    def _slices(self, starts: Mapping[str, int], today_ms: int) -> list[Ask]:
        asks: list[Ask] = []
        start_ms = min(starts.values(), default=today_ms + DAY_MS)
        while start_ms <= today_ms:
            end_ms = start_ms + self._slice_ms if self._slice_ms is not None else today_ms + DAY_MS
            begun = tuple(metric for metric, first_ms in starts.items() if first_ms < end_ms)
            asks.append(Ask(begun, start_ms, end_ms if end_ms <= today_ms else None, history=True))
            start_ms = end_ms
        return asks
