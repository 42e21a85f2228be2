from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.connectors.onchain.progress import AFTER_TROUBLE_S, SOON_S, Ask, Progress
from market_scraper.connectors.onchain.sieve import FIRST_BLOCK_MS
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.onchain import DAY_MS, Answer, Observation
from tests.unit.connectors.onchain.recorded import day_ms

TODAY = day_ms("2026-10-20")
YESTERDAY = TODAY - DAY_MS
AGAIN_DAYS = 7


class Host:
    """Has each metric on the days of a range, and may fail at the n-th ask."""

    def __init__(self, spans: Mapping[str, tuple[int, int]], fails_at: int | None = None) -> None:
        self.spans = dict(spans)
        self.fails_at = fails_at
        self.asked: list[Ask] = []

    async def answer(self, ask: Ask) -> Answer:
        self.asked.append(ask)
        if self.fails_at is not None and len(self.asked) >= self.fails_at:
            raise SourceError("host", "HTTP 500", retry_after_s=60.0)
        end_ms = TODAY + DAY_MS if ask.end_ms is None else ask.end_ms
        days = range(ask.start_ms, end_ms, DAY_MS)
        return Answer(observations=tuple(of(metric, t_ms) for t_ms in days for metric in self._has(ask.metrics, t_ms)))

    def _has(self, metrics: Iterable[str], t_ms: int) -> list[str]:
        return [each for each in metrics if each in self.spans and self.spans[each][0] <= t_ms <= self.spans[each][1]]


def of(metric: str, t_ms: int) -> Observation:
    return Observation(metric=metric, t_ms=t_ms, value=1.0)


def newest(answer: Answer) -> dict[str, int]:
    return {each.metric: each.t_ms for each in answer.observations}


async def test_a_history_comes_once_and_whole_and_then_only_the_last_days() -> None:
    host = Host({"a": (FIRST_BLOCK_MS, YESTERDAY)})
    progress = Progress(again_days=AGAIN_DAYS)

    first = await progress.read(["a"], {}, TODAY, host.answer)
    second = await progress.read(["a"], newest(first), TODAY, host.answer)

    assert [each.t_ms for each in first.observations] == list(range(FIRST_BLOCK_MS, TODAY, DAY_MS))
    assert first.next_in_s is None
    assert [each.t_ms for each in second.observations] == list(range(TODAY - 7 * DAY_MS, TODAY, DAY_MS))


async def test_a_heavy_history_comes_in_slices_without_a_hole_oldest_first() -> None:
    host = Host({"a": (FIRST_BLOCK_MS, YESTERDAY), "b": (day_ms("2015-01-01"), YESTERDAY)})

    answer = await Progress(again_days=AGAIN_DAYS, slice_days=1_000).read(["a", "b"], {}, TODAY, host.answer)

    ends = [ask.end_ms for ask in host.asked]
    assert ends[:-1] == [ask.start_ms for ask in host.asked[1:]]
    assert ends[-1] is None
    assert len(ends) == 7
    times = [each.t_ms for each in answer.observations]
    assert times == sorted(times)
    assert len(times) == len({(each.metric, each.t_ms) for each in answer.observations})
    assert newest(answer) == {"a": YESTERDAY, "b": YESTERDAY}


async def test_a_broken_off_backfill_goes_on_from_the_newest_day_that_is_kept() -> None:
    host = Host({"a": (FIRST_BLOCK_MS, YESTERDAY)})
    kept = day_ms("2014-06-01")

    await Progress(again_days=AGAIN_DAYS, slice_days=1_000).read(["a"], {"a": kept}, TODAY, host.answer)

    assert host.asked[0].start_ms == kept - (AGAIN_DAYS - 1) * DAY_MS


async def test_when_the_host_fails_in_the_middle_what_came_is_given_and_the_rest_is_due_soon() -> None:
    host = Host({"a": (FIRST_BLOCK_MS, YESTERDAY)}, fails_at=3)
    progress = Progress(again_days=AGAIN_DAYS, slice_days=1_000)

    part = await progress.read(["a"], {}, TODAY, host.answer)
    host.fails_at = None
    rest = await progress.read(["a"], newest(part), TODAY, host.answer)

    assert newest(part)["a"] == FIRST_BLOCK_MS + 1_999 * DAY_MS
    assert part.next_in_s == AFTER_TROUBLE_S
    assert [note.kind for note in part.notes] == ["fallback"]
    assert rest.next_in_s is None
    days = {each.t_ms for each in (*part.observations, *rest.observations)}
    assert days == set(range(FIRST_BLOCK_MS, TODAY, DAY_MS))


async def test_a_host_that_fails_at_once_is_told_as_failing() -> None:
    with pytest.raises(SourceError, match="500"):
        await Progress(again_days=AGAIN_DAYS).read(["a"], {}, TODAY, Host({}, fails_at=1).answer)


async def test_an_answer_without_any_value_makes_no_sense() -> None:
    with pytest.raises(InvalidInput, match="no value"):
        await Progress(again_days=AGAIN_DAYS).read(["a"], {}, TODAY, Host({}).answer)


async def test_a_metric_that_is_refused_costs_its_history_once_and_comes_back_with_all_of_it() -> None:
    host = Host({"a": (FIRST_BLOCK_MS, YESTERDAY)})
    progress = Progress(again_days=AGAIN_DAYS)
    had = newest(await progress.read(["a", "b"], {}, TODAY, host.answer))

    host.asked.clear()
    had |= newest(await progress.read(["a", "b"], had, TODAY, host.answer))
    assert min(ask.start_ms for ask in host.asked) == TODAY - 7 * DAY_MS

    host.spans["b"] = (FIRST_BLOCK_MS, YESTERDAY)
    back = await progress.read(["a", "b"], had, TODAY, host.answer)
    assert "b" not in newest(back)  # its last days alone would hide that the others are missing
    assert back.next_in_s == SOON_S

    whole = await progress.read(["a", "b"], had, TODAY, host.answer)
    assert next(each.t_ms for each in whole.observations if each.metric == "b") == FIRST_BLOCK_MS
    assert newest(whole)["b"] == YESTERDAY


async def test_what_was_given_but_not_taken_over_is_asked_for_again() -> None:
    host = Host({"a": (FIRST_BLOCK_MS, YESTERDAY)})
    progress = Progress(again_days=AGAIN_DAYS)
    await progress.read(["a"], {}, TODAY, host.answer)

    again = await progress.read(["a"], {}, TODAY, host.answer)

    assert again.observations[0].t_ms == FIRST_BLOCK_MS


async def test_a_new_metric_does_not_make_the_known_ones_download_their_history_again() -> None:
    host = Host({"a": (FIRST_BLOCK_MS, YESTERDAY), "b": (FIRST_BLOCK_MS, YESTERDAY)})

    answer = await Progress(again_days=AGAIN_DAYS).read(["a", "b"], {"a": YESTERDAY}, TODAY, host.answer)

    assert len([each for each in answer.observations if each.metric == "a"]) == 7
    assert len([each for each in answer.observations if each.metric == "b"]) == (TODAY - FIRST_BLOCK_MS) // DAY_MS


async def test_a_metric_that_ended_long_ago_does_not_come_back_for_ever() -> None:
    host = Host({"a": (FIRST_BLOCK_MS, YESTERDAY), "b": (FIRST_BLOCK_MS, day_ms("2012-01-01"))})
    progress = Progress(again_days=AGAIN_DAYS, slice_days=1_000)
    had = newest(await progress.read(["a", "b"], {}, TODAY, host.answer))

    host.asked.clear()
    answer = await progress.read(["a", "b"], had, TODAY, host.answer)

    assert min(ask.start_ms for ask in host.asked) >= TODAY - 400 * DAY_MS
    assert answer.next_in_s is None


@given(
    held=st.dictionaries(st.sampled_from("abc"), st.integers(FIRST_BLOCK_MS, TODAY)),
    slice_days=st.none() | st.integers(401, 3_000),
)
def test_a_plan_asks_for_every_day_after_the_newest_one_of_each_metric(
    held: dict[str, int], slice_days: int | None
) -> None:
    asks = Progress(again_days=AGAIN_DAYS, slice_days=slice_days).plan("abc", held, TODAY)

    for metric in "abc":
        mine = [ask for ask in asks if metric in ask.metrics]
        assert mine[0].start_ms <= held.get(metric, FIRST_BLOCK_MS)
        assert mine[-1].end_ms is None
        assert [ask.end_ms for ask in mine[:-1]] == [ask.start_ms for ask in mine[1:]]
