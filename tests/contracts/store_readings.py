"""What every store promises of on-chain readings."""

import math

import pytest

from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.onchain import Reading, Source
from market_scraper.ports.stores import ReadingRow, Row, SettingRow, Store
from tests.contracts.store_rows import DAY_MS, gathered, reading, reading_row

BITVIEW, CBBI = Source.BITVIEW, Source.CBBI


def days(readings: list[Reading]) -> list[int]:
    return [reading.t_ms // DAY_MS for reading in readings]


def told(readings: list[Reading]) -> dict[int, float]:
    """Values by day."""
    return {reading.t_ms // DAY_MS: reading.value for reading in readings}


class ReadingContract:
    async def test_a_store_without_readings_says_so(self, store: Store) -> None:
        assert await store.readings.recent(days=9) == []
        assert await store.readings.history(BITVIEW, "mvrv", since_ms=0, limit=9) == []
        assert await store.readings.revisions(BITVIEW, "mvrv", 0) == []
        assert await store.readings.newest(BITVIEW) == {}
        assert await gathered(store.readings.values(BITVIEW, since_ms=0)) == []

    async def test_a_reading_comes_back_as_it_was_however_often_it_is_written(self, store: Store) -> None:
        whole = reading(
            5, -0.125, 3, label="Extreme Fear 憨", published_ms=5 * DAY_MS + 1, provisional=True, restated=True
        )
        plain = reading(6, 4e17)
        rows: list[Row] = [ReadingRow(reading=whole), ReadingRow(reading=plain)]
        await store.write(rows)
        await store.write([*rows, *rows])
        assert await store.readings.recent(days=9) == [whole, plain]
        assert await store.readings.revisions(BITVIEW, "mvrv", 5 * DAY_MS) == [whole]

    async def test_of_a_revision_that_was_said_twice_the_later_word_stands(self, store: Store) -> None:
        """Who was stopped before its words were stored numbers anew; the sorting of the two does not matter."""
        later, earlier = reading(1, 2.0, known_day=3), reading(1, 1.0, known_day=2)
        for first, second in ((earlier, later), (later, earlier)):
            await store.write([ReadingRow(reading=first)])
            await store.write([ReadingRow(reading=second)])
            assert await store.readings.revisions(BITVIEW, "mvrv", DAY_MS) == [later]

    async def test_what_is_no_number_is_refused_with_all_of_its_write(self, store: Store) -> None:
        for value in (math.nan, math.inf):
            with pytest.raises(InvalidInput):
                await store.write([SettingRow(key="a", value="1"), reading_row(0, 1.0), reading_row(1, value)])
        assert await store.settings.get("a") is None
        assert await store.readings.newest(BITVIEW) == {}

    async def test_every_revision_is_kept_and_the_newest_is_the_days_value(self, store: Store) -> None:
        await store.write([reading_row(1, 1.2, 2), reading_row(2, 2.0)])
        await store.write([reading_row(1, 1.0, 0), reading_row(1, 1.1, 1)])  # in any order
        assert await store.readings.revisions(BITVIEW, "mvrv", DAY_MS) == [
            reading(1, 1.0, 0),
            reading(1, 1.1, 1),
            reading(1, 1.2, 2),
        ]
        assert told(await store.readings.recent(days=9)) == {1: 1.2, 2: 2.0}
        assert told(await store.readings.history(BITVIEW, "mvrv", since_ms=0, limit=9)) == {1: 1.2, 2: 2.0}
        assert told(await gathered(store.readings.values(BITVIEW, since_ms=0))) == {1: 1.2, 2: 2.0}

    async def test_as_of_a_moment_only_what_was_known_then_is_told(self, store: Store) -> None:
        await store.write(
            [
                reading_row(1, 1.0, 0, known_day=2),
                reading_row(1, 1.1, 1, known_day=4),
                reading_row(2, 2.0, 0, known_day=3),
                reading_row(2, 2.1, 1, known_day=9),
            ]
        )

        async def known(day: float) -> dict[int, float]:
            known_by_ms = int(day * DAY_MS)
            recent = await store.readings.recent(days=9, known_by_ms=known_by_ms)
            history = await store.readings.history(BITVIEW, "mvrv", since_ms=0, limit=9, known_by_ms=known_by_ms)
            assert recent == history[::-1]
            return told(recent)

        assert await known(1.99) == {}
        assert await known(2) == {1: 1.0}
        assert await known(3.5) == {1: 1.0, 2: 2.0}
        assert await known(4) == {1: 1.1, 2: 2.0}
        assert await known(9) == {1: 1.1, 2: 2.1}

    async def test_recent_counts_days_for_each_source_and_metric_alone(self, store: Store) -> None:
        await store.write([reading_row(day, day, revision) for day in (1, 2, 3, 5) for revision in (0, 1)])
        await store.write([reading_row(1, 0.5, source=Source.COIN_METRICS), reading_row(9, 0.25, metric="nupl")])
        found = await store.readings.recent(days=2)
        assert [(reading.source, reading.metric, reading.t_ms // DAY_MS) for reading in found] == [
            (BITVIEW, "mvrv", 3),
            (BITVIEW, "mvrv", 5),
            (BITVIEW, "nupl", 9),
            (Source.COIN_METRICS, "mvrv", 1),
        ]
        # The two newest of those known then: revision 0 of day 3 came on day 4, revision 1 on day 5.
        found = await store.readings.recent(days=2, known_by_ms=4 * DAY_MS)
        assert [(reading.t_ms // DAY_MS, reading.revision) for reading in found if reading.source is BITVIEW] == [
            (2, 1),
            (3, 0),
        ]

    async def test_history_is_paged_newest_first_with_one_value_for_each_day(self, store: Store) -> None:
        await store.write([reading_row(day, day + revision / 10, revision) for day in range(6) for revision in (0, 1)])
        await store.write([reading_row(4, 9.0, source=CBBI), reading_row(4, 9.0, metric="mvrv_")])

        async def page(**options: int | None) -> list[int]:
            asked = {"since_ms": 0, "limit": 9, **options}
            found = await store.readings.history(BITVIEW, "mvrv", **asked)  # type: ignore[arg-type]
            assert all(reading.revision == 1 for reading in found)
            return days(found)

        assert await page() == [5, 4, 3, 2, 1, 0]
        assert await page(limit=2) == [5, 4]
        assert await page(limit=2, before=4 * DAY_MS) == [3, 2]
        assert await page(since_ms=2 * DAY_MS, before=4 * DAY_MS) == [3, 2]
        assert await page(since_ms=2 * DAY_MS + 1, limit=9) == [5, 4, 3]
        assert await page(known_by_ms=5 * DAY_MS, before=4 * DAY_MS) == [3, 2, 1, 0]
        assert await page(before=0) == []

    async def test_the_newest_day_of_each_metric_of_a_source_is_known(self, store: Store) -> None:
        await store.write([reading_row(day, 1.0, metric=metric) for metric in ("sopr", "mvrv") for day in (3, 1)])
        await store.write([reading_row(7, 1.0, 1, metric="sopr"), reading_row(99, 1.0, source=CBBI)])
        assert await store.readings.newest(BITVIEW) == {"sopr": 7 * DAY_MS, "mvrv": 3 * DAY_MS}
        assert await store.readings.newest(CBBI) == {"mvrv": 99 * DAY_MS}

    async def test_values_come_in_slices_each_day_once(self, store: Store) -> None:
        rows = [reading_row(day, day, metric=metric) for metric in ("age.1d_to_1w", "supply") for day in range(2_100)]
        await store.write([*rows, reading_row(1_999, -1.0, 1, metric="supply"), reading_row(5, 1.0, source=CBBI)])
        slices = [list(found) async for found in store.readings.values(BITVIEW, since_ms=10 * DAY_MS)]
        assert max(map(len, slices)) <= 2_000
        for metric in ("age.1d_to_1w", "supply"):
            found = [reading for part in slices for reading in part if reading.metric == metric]
            assert sorted(days(found)) == list(range(10, 2_100))
            assert told(found)[1_999] == (-1.0 if metric == "supply" else 1_999.0)
        assert sum(map(len, slices)) == 2 * 2_090
