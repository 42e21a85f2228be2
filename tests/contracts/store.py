"""What every store promises; a backend inherits `StoreContract` and gives it a `store`.

The store keeps a day of signals, two of positions, three of trader signals, four of leaderboards, five of scores.
"""

import random

import msgspec
import pytest

from market_scraper.domain.errors import InvalidInput
from market_scraper.domain.positions import PositionState
from market_scraper.domain.traders import LeaderboardRow
from market_scraper.domain.values import Interval, Recommendation, Symbol
from market_scraper.ports.stores import DeadLetterRow, Retention, Row, SettingRow, SignalRow, Store, TapeMarkRow
from tests.contracts.store_readings import ReadingContract
from tests.contracts.store_rows import (
    DAY_MS,
    HOUR_MS,
    act,
    board_row,
    candle,
    candle_row,
    fact,
    gathered,
    part,
    reading_row,
    score,
    signal,
    signal_row,
    state,
    tracked,
)
from tests.facts import BTC, ETH, address, mark

RETENTION = Retention(signals=1, trader_positions=2, trader_signals=3, leaderboard_history=4, trader_scores=5)
H1 = Interval.H1


def by_trader(rows: list[LeaderboardRow]) -> list[LeaderboardRow]:
    return sorted(rows, key=lambda row: row.trader)


class WritingContract:
    async def test_an_empty_write_is_no_error(self, store: Store) -> None:
        await store.write([])

    async def test_of_a_write_with_a_bad_row_nothing_is_kept(self, store: Store) -> None:
        rows: list[Row] = [SettingRow(key="a", value="1"), candle_row(0), candle_row(HOUR_MS, float("nan"))]
        with pytest.raises(InvalidInput):
            await store.write(rows)
        assert await store.settings.get("a") is None
        assert await store.candles.newest(BTC, H1) is None
        await store.write(rows[:2])  # and the tables that were begun are not believed to be there
        assert await store.candles.newest(BTC, H1) == candle(0)

    async def test_a_bad_leaderboard_row_leaves_no_trace(self, store: Store) -> None:
        await store.write([part(1, [board_row(1)])])
        for bad in (part(2, [board_row(1, 7.0), board_row(2, float("inf"))]), part(2, [], number=1, parts=1)):
            with pytest.raises(InvalidInput):
                await store.write([SettingRow(key="a", value="1"), bad])
        await store.write([part(3, [board_row(1, 7.0)])])
        assert await store.settings.get("a") is None
        assert await store.traders.latest_rows() == (3, [board_row(1, 7.0)])

    async def test_half_a_character_is_refused_everywhere(self, store: Store) -> None:
        for bad in (SettingRow(key="a", value="\ud800"), part(1, [board_row(1, name="\ud800")])):
            with pytest.raises(InvalidInput):
                await store.write([bad])
        await store.write([SettingRow(key="a", value="憨"), part(1, [board_row(1, name="憨")])])
        assert await store.settings.get("a") == "憨"

    async def test_rows_of_one_write_are_kept_in_their_order(self, store: Store) -> None:
        await store.write(
            [
                SettingRow(key="a", value="1"),
                candle_row(0, 1.0),
                SettingRow(key="a", value="2"),
                candle_row(0, 2.0),
            ]
        )
        assert await store.settings.get("a") == "2"
        assert await store.candles.newest(BTC, H1) == candle(0, 2.0)

    async def test_a_dead_letter_may_be_written_twice(self, store: Store) -> None:
        letter = DeadLetterRow(source="parser", known_at_ms=1, reason="no JSON", body=b"\x00{")
        await store.write([letter, letter])

    async def test_a_check_answers(self, store: Store) -> None:
        await store.check()


class CandleContract:
    async def test_a_series_without_candles_is_empty(self, store: Store) -> None:
        assert await store.candles.newest(BTC, H1) is None
        assert await store.candles.history(BTC, H1, start_ms=None, end_ms=None, limit=5) == []
        assert await store.candles.gaps(BTC, H1) == []

    async def test_a_later_save_replaces_the_candle(self, store: Store) -> None:
        await store.write([candle_row(0, 1.0)])
        await store.write([candle_row(0, 2.0)])
        assert await store.candles.history(BTC, H1, start_ms=None, end_ms=None, limit=5) == [candle(0, 2.0)]

    async def test_series_are_apart_even_when_only_case_or_dex_differ(self, store: Store) -> None:
        symbols = [Symbol(name) for name in ("KPEPE", "kPEPE", "xyz:TSLA", "TSLA", "SQLITE")]
        rows = [candle_row(0, close, symbol=symbol) for close, symbol in enumerate(symbols, start=1)]
        await store.write([*rows, candle_row(0, 9.0, symbol=Symbol("TSLA"), interval=Interval.D1)])
        for close, symbol in enumerate(symbols, start=1):
            assert await store.candles.newest(symbol, H1) == candle(0, close)

    async def test_history_is_oldest_first_from_the_start_or_up_to_the_end(self, store: Store) -> None:
        times = [hour * HOUR_MS for hour in range(6)]
        await store.write([candle_row(t) for t in reversed(times)])

        async def hours(start: int | None, end: int | None, limit: int) -> list[int]:
            start_ms, end_ms = (None if hour is None else hour * HOUR_MS for hour in (start, end))
            found = await store.candles.history(BTC, H1, start_ms=start_ms, end_ms=end_ms, limit=limit)
            return [candle.t_ms // HOUR_MS for candle in found]

        assert await hours(None, None, 2) == [4, 5]
        assert await hours(None, 3, 2) == [2, 3]
        assert await hours(1, None, 2) == [1, 2]
        assert await hours(1, 2, 9) == [1, 2]
        newest = await store.candles.newest(BTC, H1)
        assert newest is not None
        assert newest.t_ms == 5 * HOUR_MS

    async def test_gaps_lie_between_stored_candles_and_are_cut_to_the_bounds(self, store: Store) -> None:
        await store.write([candle_row(hour * HOUR_MS) for hour in (0, 1, 3, 8, 9)])

        async def gaps(start: float | None = None, end: float | None = None) -> list[tuple[int, int]]:
            start_ms, end_ms = (None if hour is None else int(hour * HOUR_MS) for hour in (start, end))
            found = await store.candles.gaps(BTC, H1, start_ms=start_ms, end_ms=end_ms)
            return [(first // HOUR_MS, last // HOUR_MS) for first, last in found]

        assert await gaps() == [(2, 2), (4, 7)]
        assert await gaps(start=3) == [(4, 7)]
        assert await gaps(start=5, end=6) == [(5, 6)]
        assert await gaps(start=4.5, end=6.5) == [(5, 6)]
        assert await gaps(end=2) == [(2, 2)]
        assert await gaps(start=8) == []
        assert await gaps(start=20, end=30) == []


class PositionContract:
    async def test_a_fact_comes_back_as_it_was(self, store: Store) -> None:
        row = fact(1, 5_000, 77, 3, known_at_ms=5_100, lots=-(10**17) - 1)
        await store.write([row, row])
        assert await store.positions.history(address(1), BTC, since_ms=0, limit=9) == [row.changed]

    async def test_an_older_version_never_overwrites_a_newer_fact_or_state(self, store: Store) -> None:
        await store.write([fact(1, 5, 0, 4, lots=44), state(1, 4, lots=44)])
        await store.write([fact(1, 5, 0, 3, lots=33), state(1, 3, lots=33)])
        (kept,) = await store.positions.history(address(1), BTC, since_ms=0, limit=9)
        assert kept.after.lots == 44
        assert [position.lots for position in await gathered(store.positions.states(BTC))] == [44]
        await store.write([state(1, 5, lots=None, state=PositionState.UNKNOWN)])
        assert [position.lots for position in await gathered(store.positions.states(BTC))] == [None]

    async def test_history_is_paged_newest_first_and_knows_when(self, store: Store) -> None:
        rows = [fact(1, t, tid, 10 * t + tid, known_at_ms=t + 5) for t in (10, 20, 30) for tid in (1, 2)]
        await store.write([*rows, fact(2, 20, 1, 99)])

        async def keys(**options: int | tuple[int, int] | None) -> list[tuple[int, int]]:
            asked = {"since_ms": 0, "limit": 9, **options}
            found = await store.positions.history(address(1), BTC, **asked)  # type: ignore[arg-type]
            return [(changed.after.t_ms, changed.after.tid) for changed in found]

        assert await keys(limit=3) == [(30, 2), (30, 1), (20, 2)]
        assert await keys(limit=2, before=(20, 2)) == [(20, 1), (10, 2)]
        assert await keys(since_ms=20) == [(30, 2), (30, 1), (20, 2), (20, 1)]
        assert await keys(known_by_ms=24) == [(10, 2), (10, 1)]
        assert await store.positions.history(address(1), ETH, since_ms=0, limit=9) == []

    async def test_at_a_moment_only_what_was_known_then_counts(self, store: Store) -> None:
        await store.write(
            [
                fact(1, 10, 5, 1, known_at_ms=12, lots=1),
                fact(1, 20, 9, 2, known_at_ms=22, lots=2),
                fact(1, 20, 0, 3, known_at_ms=22, lots=3),  # a snapshot at the same block: newer by version, not by tid
                fact(1, 15, 4, 4, known_at_ms=40, lots=4),  # came late, and tells of an older block
                fact(2, 30, 1, 5, known_at_ms=30, lots=5),
            ]
        )

        async def lots(moment_ms: int) -> dict[str, int | None]:
            found = await store.positions.at(BTC, moment_ms, [address(1), address(2), address(3)])
            return {trader[-1]: changed.after.lots for trader, changed in found.items()}

        assert await lots(11) == {}
        assert await lots(12) == {"1": 1}
        assert await lots(21) == {"1": 1}
        assert await lots(29) == {"1": 3}
        assert await lots(40) == {"1": 4, "2": 5}
        assert await store.positions.at(ETH, 40, [address(1)]) == {}

    async def test_states_of_one_coin_come_in_slices(self, store: Store) -> None:
        await store.write([state(n, n) for n in range(2_500)])
        await store.write([state(1, 9, symbol=ETH)])
        slices = [found async for found in store.positions.states(BTC)]
        assert len(slices) > 1
        assert sorted(position.version for found in slices for position in found) == list(range(2_500))

    async def test_the_newest_watermark_of_a_coin_wins(self, store: Store) -> None:
        newest = mark(
            20, gaps=((3, 5), (7, 9)), halted_since_ms=11, rate_shape=0.5, rate_watch_s=6.5, pace=0.8, spread=0.3
        )
        await store.write([TapeMarkRow(mark=newest), TapeMarkRow(mark=mark(5, symbol=ETH))])
        await store.write([TapeMarkRow(mark=mark(19)), TapeMarkRow(mark=mark(20, epoch_ms=8))])
        assert await store.positions.marks() == {BTC: newest, ETH: mark(5, symbol=ETH)}
        gapped = mark(20, gaps=((3, 5), (7, 9), (20, 30)))  # the watermark stands, the gap is news
        await store.write([TapeMarkRow(mark=gapped)])
        assert (await store.positions.marks())[BTC] == gapped


class TraderContract:
    async def test_before_the_first_complete_pull_there_is_none(self, store: Store) -> None:
        assert await store.traders.latest_rows() is None
        await store.write([part(5, [board_row(1)], 0, 2)])
        assert await store.traders.latest_rows() is None

    async def test_a_pull_is_the_latest_with_its_last_part(self, store: Store) -> None:
        await store.write([part(5, [board_row(1, name="憨巴小龙")], 0, 2)])
        await store.write([part(5, [board_row(2)], 1, 2), part(5, [board_row(2)], 1, 2)])
        assert await store.traders.latest_rows() == (5, [board_row(1, name="憨巴小龙"), board_row(2)])
        await store.write([part(6, [board_row(1, 9.0)], 0, 2)])
        assert await store.traders.latest_rows() == (5, [board_row(1, name="憨巴小龙"), board_row(2)])

    async def test_everyone_ever_seen_is_given_as_last_seen(self, store: Store) -> None:
        await store.write([part(5, [board_row(1, 1.0), board_row(2, 2.0), board_row(4, 4.0)])])
        await store.write([part(6, [board_row(2, 2.5)], 0, 2)])  # never completed, but seen
        await store.write([part(7, [board_row(3, 3.0), board_row(1, 1.5)])])
        latest = await store.traders.latest_rows()
        assert latest is not None
        assert latest[0] == 7
        expected = [board_row(1, 1.5), board_row(2, 2.5), board_row(3, 3.0), board_row(4, 4.0)]
        assert by_trader(latest[1]) == expected

    async def test_an_older_pull_never_overwrites_a_newer_one(self, store: Store) -> None:
        await store.write([part(7, [board_row(1, 7.0)])])
        await store.write([part(5, [board_row(1, 5.0), board_row(2)])])
        await store.write([part(7, [board_row(1, 8.0)])])  # the same part again changes nothing
        assert await store.traders.latest_rows() == (7, [board_row(1, 7.0)])

    async def test_of_a_trader_named_twice_in_one_part_the_last_word_counts(self, store: Store) -> None:
        await store.write([part(5, [board_row(1, 1.0)])])
        await store.write([part(6, [board_row(1, 2.0), board_row(1, 1.0), board_row(2, 1.0), board_row(2, 2.0)])])
        assert await store.traders.latest_rows() == (6, [board_row(1, 1.0), board_row(2, 2.0)])

    async def test_many_pulls_give_what_a_plain_map_gives(self, store: Store) -> None:
        chance, expected = random.Random(7), dict[str, LeaderboardRow]()
        for pull in range(1, 61):
            listed = chance.sample(range(40), 30)
            rows = [board_row(n, float(chance.randrange(4)), name=chance.choice([None, "a"])) for n in listed]
            expected |= {row.trader: row for row in rows}
            await store.write([part(pull, rows[:13], 0, 2), part(pull, rows[13:], 1, 2)])
            if pull % 6 == 0:
                latest = await store.traders.latest_rows()
                assert latest is not None
                assert latest[0] == pull
                assert by_trader(latest[1]) == by_trader(list(expected.values()))

    async def test_tracked_are_those_whose_newest_word_says_so(self, store: Store) -> None:
        await store.write([tracked(1, 10), tracked(2, 10, points=None), tracked(3, 10)])
        await store.write([tracked(1, 20, is_tracked=False), tracked(3, 5, is_tracked=False)])
        await store.write([tracked(1, 15)])  # an older word does not bring it back
        found = sorted(await store.traders.tracked(), key=lambda row: row.trader)
        assert found == [tracked(2, 10, points=None), tracked(3, 10)]
        await store.write([tracked(1, 30, points=70.0)])
        assert tracked(1, 30, points=70.0) in await store.traders.tracked()

    async def test_scores_of_a_trader_are_newest_first(self, store: Store) -> None:
        await store.write([score(1, t, float(t)) for t in (10, 30, 20)] + [score(2, 20, 5.0)])
        await store.write([score(1, 20, 99.0, known_at_ms=19)])  # an older word
        assert await store.traders.scores(address(1), since_ms=20, limit=9) == [score(1, 30, 30.0), score(1, 20, 20.0)]
        assert await store.traders.scores(address(1), since_ms=0, limit=1) == [score(1, 30, 30.0)]

    async def test_scores_at_a_moment_are_those_of_the_pull_known_then_best_first(self, store: Store) -> None:
        old = [score(1, 10, 50.0, known_at_ms=11), score(2, 10, 70.0, known_at_ms=11)]
        new = [score(1, 20, 90.0, known_at_ms=25), score(3, 20, 90.0, known_at_ms=25)]
        await store.write([*new, *old])
        assert await store.traders.scores_at(10) == []
        assert await store.traders.scores_at(24) == [old[1], old[0]]
        assert await store.traders.scores_at(25) == new


class SignalContract:
    async def test_a_signal_comes_back_with_its_contributions(self, store: Store) -> None:
        await store.write([signal_row(1, 10), signal_row(1, 10)])
        alone = msgspec.structs.replace(signal(2, 20), contributions=())
        await store.write([SignalRow(signal=alone)])
        assert await store.signals.get(f"{1:024x}") == signal(1, 10)
        assert await store.signals.get(f"{2:024x}") == alone
        assert await store.signals.get("f" * 24) is None
        assert await store.signals.latest(BTC) == alone
        assert await store.signals.previous(alone) == signal(1, 10)
        assert await store.signals.previous(signal(1, 10)) is None

    async def test_history_is_paged_newest_first_without_contributions(self, store: Store) -> None:
        await store.write([signal_row(n, 10 * (n // 2), known_at_ms=10 * (n // 2) + 3) for n in range(2, 8)])
        await store.write([signal_row(99, 15, symbol=ETH)])

        async def numbers(**options: object) -> list[int]:
            asked = {"since_ms": 0, "limit": 9, **options}
            found = await store.signals.history(BTC, **asked)  # type: ignore[arg-type]
            assert all(signal.contributions == () for signal in found)
            return [int(signal.id, 16) for signal in found]

        assert await numbers() == [7, 6, 5, 4, 3, 2]
        assert await numbers(limit=2, before=(30, f"{7:024x}")) == [6, 5]
        assert await numbers(since_ms=20) == [7, 6, 5, 4]
        assert await numbers(known_by_ms=23) == [5, 4, 3, 2]
        latest = await store.signals.latest(BTC, known_by_ms=22)
        assert latest == signal(3, 10, known_at_ms=13)
        assert await store.signals.latest(BTC, known_by_ms=12) is None

    async def test_signals_are_counted_by_recommendation(self, store: Store) -> None:
        buy, sell, neutral = Recommendation.BUY, Recommendation.SELL, Recommendation.NEUTRAL
        await store.write(
            [
                signal_row(1, 10, recommendation=sell, confidence=1.0),
                signal_row(2, 20, recommendation=buy, confidence=0.5),
                signal_row(3, 30, recommendation=buy, confidence=0.75, known_at_ms=33),
            ]
        )
        assert await store.signals.count(BTC, since_ms=11) == {buy: 2, sell: 0, neutral: 0}
        assert await store.signals.count(BTC, since_ms=0, known_by_ms=32) == {buy: 1, sell: 1, neutral: 0}
        assert await store.signals.mean_confidence(BTC, since_ms=11) == pytest.approx(0.625)
        assert await store.signals.mean_confidence(BTC, since_ms=0, known_by_ms=32) == pytest.approx(0.75)
        assert await store.signals.mean_confidence(BTC, since_ms=31) is None
        found = await store.signals.history(BTC, since_ms=0, limit=9, recommendation=sell)
        assert [int(signal.id, 16) for signal in found] == [1]

    async def test_a_traders_acts_are_paged_newest_first(self, store: Store) -> None:
        await store.write([act(1, t, tid, known_at_ms=t + 2) for t in (10, 20) for tid in (1, 2)] + [act(2, 10, 1)])
        await store.write([act(1, 10, 1, known_at_ms=11, size=9.0)])  # an older word

        async def keys(**options: object) -> list[tuple[int, int]]:
            asked = {"since_ms": 0, "limit": 9, **options}
            found = await store.signals.of_trader(address(1), BTC, **asked)  # type: ignore[arg-type]
            return [(signal.t_ms, signal.tid) for signal in found]

        assert await keys() == [(20, 2), (20, 1), (10, 2), (10, 1)]
        assert await keys(limit=2, before=(20, 2)) == [(20, 1), (10, 2)]
        assert await keys(since_ms=20, known_by_ms=21) == []
        last = await store.signals.of_trader(address(1), BTC, since_ms=0, limit=1, before=(10, 2))
        assert last == [act(1, 10, 1, known_at_ms=12).signal]


class SettingContract:
    async def test_the_last_choice_stands(self, store: Store) -> None:
        await store.write([SettingRow(key="connector.cbbi", value="stopped"), SettingRow(key="connector_x", value="")])
        await store.write([SettingRow(key="connector.cbbi", value="running")])
        assert await store.settings.get("connector.cbbi") == "running"
        assert await store.settings.get("connector") is None
        assert await store.settings.with_prefix("connector.") == {"connector.cbbi": "running"}
        assert await store.settings.with_prefix("%") == {}


class RetentionContract:
    async def test_what_is_too_old_goes_and_what_has_no_age_stays(self, store: Store) -> None:
        now_ms = 100 * DAY_MS
        day = [now_ms - days * DAY_MS for days in range(9)]
        await store.write(
            [
                *(signal_row(n, t) for n, t in enumerate(day)),
                *(fact(1, t, 0, 1) for t in day),
                *(act(1, t, 0) for t in day),
                *(score(1, t, 1.0) for t in day),
                candle_row(0),
                state(1, 1, t_ms=0),
                TapeMarkRow(mark=mark(0)),
                tracked(1, 0),
                reading_row(0, 1.0),
                SettingRow(key="a", value="1"),
                DeadLetterRow(source="a", known_at_ms=0, reason="", body=b""),
            ]
        )
        deleted = await store.expire(now_ms)
        assert {name: count for name, count in deleted.items() if count} == {
            "signals": 7,
            "trader_positions": 6,
            "trader_signals": 5,
            "trader_scores": 3,
            "dead_letters": 1,
        }
        assert len(await store.signals.history(BTC, since_ms=0, limit=99)) == 2
        assert await store.signals.get(f"{5:024x}") is None
        assert len(await store.positions.history(address(1), BTC, since_ms=0, limit=99)) == 3
        assert len(await store.signals.of_trader(address(1), BTC, since_ms=0, limit=99)) == 4
        assert len(await store.traders.scores(address(1), since_ms=0, limit=99)) == 6
        assert await store.traders.scores_at(day[7]) == []
        assert await store.candles.newest(BTC, H1) is not None
        assert len(await gathered(store.positions.states(BTC))) == 1
        assert await store.positions.marks() != {}
        assert await store.traders.tracked() != []
        assert len(await store.readings.recent(days=9)) == 1
        assert await store.settings.get("a") == "1"
        assert not any((await store.expire(now_ms)).values())

    async def test_the_latest_leaderboard_outlives_any_age(self, store: Store) -> None:
        rows = [board_row(n) for n in range(5)]
        for pull in range(1, 40):
            rows = [board_row(n, float(pull)) if n != 4 else row for n, row in enumerate(rows)]
            await store.write([part(pull * HOUR_MS, rows)])
        await store.expire(50 * DAY_MS)
        assert await store.traders.latest_rows() == (39 * HOUR_MS, rows)
        await store.write([part(40 * HOUR_MS, [board_row(9)])])
        assert await store.traders.latest_rows() == (40 * HOUR_MS, [*rows, board_row(9)])


class StoreContract(
    WritingContract,
    CandleContract,
    PositionContract,
    TraderContract,
    SignalContract,
    ReadingContract,
    SettingContract,
    RetentionContract,
):
    """All promises."""

    async def test_closing_twice_is_harmless(self, store: Store) -> None:
        await store.close()  # type: ignore[attr-defined]
        await store.close()  # type: ignore[attr-defined]
