import asyncio
from collections.abc import AsyncIterator
from itertools import repeat
from typing import TypeVar

import pytest

from market_scraper.domain.events import (
    CandlesClosed,
    ComponentReported,
    Event,
    LeaderboardCaptured,
    SignalGenerated,
    TraderChosen,
    TraderSignalGenerated,
    TradersRated,
)
from market_scraper.domain.market import Candle
from market_scraper.domain.positions import Cause, PositionState
from market_scraper.domain.signals import Action, Signal, SignalState, TraderSignal
from market_scraper.domain.traders import Choice, RatedTrader
from market_scraper.domain.values import Interval, Recommendation
from market_scraper.event_bus.memory import MemoryBus
from market_scraper.event_bus.numbers import reserve_in_memory
from market_scraper.ports.bus import Inbox
from market_scraper.ports.stores import (
    CandleRow,
    LeaderboardPart,
    PositionRow,
    PositionStateRow,
    Row,
    ScoreRow,
    SettingRow,
    SignalRow,
    TapeMarkRow,
    TrackedRow,
    TraderSignalRow,
)
from market_scraper.processors.persister import PERSISTED, Persister
from market_scraper.storage.memory import MemoryRepository
from tests.facts import BTC, address, advanced, changed, gapped, mark, position, rated
from tests.fakes import FakeClock, FakeSink, settle

R = TypeVar("R")


def of_kind(kind: type[R], rows: list[Row]) -> list[R]:
    return [row for row in rows if isinstance(row, kind)]


def ratings(*traders: RatedTrader, captured_at_ms: int = 500, part: int = 0, parts: int = 1) -> TradersRated:
    return TradersRated(
        known_at_ms=captured_at_ms, captured_at_ms=captured_at_ms, part=part, parts=parts, traders=traders
    )


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    async with MemoryBus(reserve_in_memory()) as bus:
        yield bus


@pytest.fixture
async def inbox(bus: MemoryBus) -> AsyncIterator[Inbox]:
    async with bus.subscribe("persister", *PERSISTED) as inbox:
        yield inbox


@pytest.fixture
def sink() -> FakeSink:
    return FakeSink()


@pytest.fixture
def persister(inbox: Inbox, sink: FakeSink) -> Persister:
    return Persister(inbox, sink, clock=FakeClock(), delays=lambda: repeat(1.0))


async def test_events_are_acknowledged_when_their_rows_are_stored_and_not_before(
    bus: MemoryBus, persister: Persister, sink: FakeSink
) -> None:
    task = asyncio.create_task(persister.run())
    await bus.publish([changed(position()), advanced(mark(1_000))])
    await settle()
    assert [type(row) for row in sink.put_rows] == [PositionStateRow, TapeMarkRow]
    assert bus.stats()["waiting_persister"] == 2
    sink.store_all()
    assert bus.stats()["waiting_persister"] == 0
    task.cancel()


async def test_a_persister_that_is_cancelled_while_the_sink_is_full_loses_nothing(bus: MemoryBus, inbox: Inbox) -> None:
    full = FakeSink(unstored_limit=1)
    persister = Persister(inbox, full, clock=FakeClock(), delays=lambda: repeat(1.0))
    for number in (1, 2):
        await bus.publish([changed(position(number))])
        if number == 1:
            task = asyncio.create_task(persister.run())
        await settle()
    task.cancel()
    await asyncio.wait({task})
    (left,) = await inbox.take()
    assert left.event == changed(position(2))


async def test_an_event_that_cannot_be_turned_into_rows_is_parked_and_the_rest_is_stored(
    bus: MemoryBus, persister: Persister, sink: FakeSink
) -> None:
    broken = CandlesClosed(known_at_ms=1, symbol=BTC, interval=Interval.M1, candles=None)  # type: ignore[arg-type]
    task = asyncio.create_task(persister.run())
    await bus.publish([broken, changed(position())])
    await settle()
    sink.store_all()
    assert len(sink.stored) == 1
    assert (bus.stats()["parked"], bus.stats()["waiting_persister"]) == (1, 0)
    task.cancel()


class TestPositions:
    def test_everyones_state_is_kept_and_history_of_the_tracked_only(self, persister: Persister) -> None:
        persister.rows_of(ratings(rated(1), rated(2, tracked=False)))
        for trader, kinds in ((1, [PositionRow, PositionStateRow]), (2, [PositionStateRow]), (3, [PositionStateRow])):
            assert [type(row) for row in persister.rows_of(changed(position(trader)))] == kinds

    def test_who_is_untracked_by_hand_gets_no_more_history(self, persister: Persister) -> None:
        persister.rows_of(ratings(rated(1)))
        persister.rows_of(TraderChosen(known_at_ms=1, trader=address(1), choice=Choice.UNTRACK))
        assert of_kind(PositionRow, persister.rows_of(changed(position(1)))) == []
        persister.rows_of(TraderChosen(known_at_ms=1, trader=address(1), choice=Choice.TRACK))
        assert len(of_kind(PositionRow, persister.rows_of(changed(position(1))))) == 1

    def test_a_market_maker_is_kept_once_a_minute_and_at_every_turn(self, persister: Persister) -> None:
        persister.rows_of(ratings(rated(1, tags=("market_maker",))))

        def kept(t_ms: int, before: int, after: int, state: PositionState = PositionState.EXACT) -> bool:
            fact = changed(position(1, t_ms=t_ms, lots=after, state=state, version=t_ms), before)
            return len(of_kind(PositionRow, persister.rows_of(fact))) == 1

        assert kept(1_000, 0, 5)  # open
        assert not kept(2_000, 5, 6)
        assert kept(3_000, 6, 0)  # close
        assert kept(4_000, 0, 5)  # open
        assert kept(5_000, 5, -5)  # flip
        assert not kept(6_000, -5, -6)
        assert kept(7_000, -6, -6, PositionState.UNSURE)
        assert not kept(8_000, -6, -7, PositionState.UNSURE)
        assert not kept(66_999, -7, -8, PositionState.UNSURE)
        assert kept(67_000, -8, -9, PositionState.UNSURE)  # a minute
        assert kept(67_000, -8, -9, PositionState.UNSURE)  # delivered again

    def test_who_is_seen_to_act_like_one_is_thinned_too(self, persister: Persister) -> None:
        persister.rows_of(ratings(rated(1)))

        def kept(t_ms: int, lots: int) -> bool:
            fact = position(1, t_ms=t_ms, lots=lots, version=t_ms, changes=2_000, watched_from_ms=0)
            return len(of_kind(PositionRow, persister.rows_of(changed(fact, lots - 1)))) == 1

        hour_ms = 3_600_000
        assert [kept(hour_ms, 5), kept(hour_ms + 1_000, 6), kept(hour_ms + 60_000, 7)] == [True, False, True]

    def test_known_at_is_never_before_t_and_never_falls(self, persister: Persister) -> None:
        persister.rows_of(ratings(rated(1)))
        known = []
        for t_ms, known_at_ms in ((1_000, 900), (1_001, 1_500), (1_002, 1_200)):
            rows = persister.rows_of(changed(position(1, t_ms=t_ms, version=t_ms), known_at_ms=known_at_ms))
            (row,) = of_kind(PositionRow, rows)
            (state,) = of_kind(PositionStateRow, rows)
            assert state.known_at_ms == row.changed.known_at_ms
            known.append(state.known_at_ms)
        assert known == [1_000, 1_500, 1_500]


class TestGaps:
    GAP = mark(9_000, gaps=((2_000, 8_000),))

    def test_tracked_traders_who_were_exact_get_a_row_and_then_the_mark(self, persister: Persister) -> None:
        persister.rows_of(ratings(rated(1), rated(2), rated(3), rated(4, tracked=False)))
        persister.rows_of(changed(position(1, t_ms=2_000, tid=7)))
        persister.rows_of(changed(position(2, state=PositionState.UNSURE, doubt=0.5, because=Cause.DRIFT)))
        persister.rows_of(changed(position(4)))
        row, last = persister.rows_of(gapped(self.GAP))
        assert isinstance(row, PositionRow)
        after = row.changed.after
        assert (row.changed.cause, after.trader, after.state) == (Cause.GAP, address(1), PositionState.UNSURE)
        assert (after.t_ms, after.tid, after.since_ms, after.lots) == (2_001, 0, 2_000, 100)
        assert after.doubt is not None
        assert 0 < after.doubt < 1
        assert row.changed.known_at_ms >= after.t_ms
        assert last == TapeMarkRow(mark=self.GAP)

    def test_who_was_re_based_after_an_earlier_gap_is_exact_again_and_who_was_not_stays_as_it_is(
        self, persister: Persister
    ) -> None:
        persister.rows_of(ratings(rated(1), rated(2)))
        persister.rows_of(changed(position(1, epoch_ms=0)))
        persister.rows_of(changed(position(2, epoch_ms=8_000, t_ms=8_500)))
        second = mark(20_000, gaps=((2_000, 8_000), (10_000, 15_000)))
        (row,) = of_kind(PositionRow, persister.rows_of(gapped(second)))
        assert row.changed.after.trader == address(2)

    def test_a_gap_in_one_coin_says_nothing_of_another(self, persister: Persister) -> None:
        persister.rows_of(ratings(rated(1)))
        persister.rows_of(changed(position(1)))
        other = mark(9_000, symbol=address(1)[:3], gaps=((2_000, 8_000),))  # type: ignore[arg-type]
        assert of_kind(PositionRow, persister.rows_of(gapped(other))) == []

    def test_a_gap_delivered_again_gives_the_same_rows(self, persister: Persister) -> None:
        persister.rows_of(ratings(rated(1)))
        persister.rows_of(changed(position(1)))
        assert persister.rows_of(gapped(self.GAP)) == persister.rows_of(gapped(self.GAP))

    async def test_after_a_restart_the_newest_positions_come_from_the_store(self, inbox: Inbox, sink: FakeSink) -> None:
        store = MemoryRepository()
        await store.write(
            [
                PositionStateRow(position=position(1), known_at_ms=1_000),
                TrackedRow(
                    trader=address(1), tracked=True, score=60.0, tags=("market_maker",), by_hand=False, known_at_ms=1
                ),
            ]
        )
        persister = Persister(inbox, sink, clock=FakeClock(), delays=lambda: repeat(1.0))
        await persister.load(store, [BTC])
        assert len(of_kind(PositionRow, persister.rows_of(gapped(self.GAP)))) == 1
        first, second = (changed(position(1, t_ms=t, lots=t, version=t), 1) for t in (3_000, 4_000))
        assert len(of_kind(PositionRow, persister.rows_of(first))) == 1
        assert len(of_kind(PositionRow, persister.rows_of(second))) == 0


class TestTraders:
    def test_the_tracked_get_a_score_and_who_no_longer_is_goes(self, persister: Persister) -> None:
        persister.rows_of(ratings(rated(1), rated(2)))
        rows = persister.rows_of(ratings(rated(1, score=70.0), rated(2, tracked=False), rated(3, tracked=False)))
        (score,) = of_kind(ScoreRow, rows)
        assert (score.trader, score.score, score.parts) == (address(1), 70.0, {"all": 70.0})
        assert [(row.trader, row.tracked) for row in of_kind(TrackedRow, rows)] == [
            (address(1), True),
            (address(2), False),
        ]

    def test_who_is_in_no_part_of_a_whole_pull_goes_but_not_while_parts_are_missing(self, persister: Persister) -> None:
        persister.rows_of(ratings(rated(1), rated(2)))
        persister.rows_of(TraderChosen(known_at_ms=501, trader=address(3), choice=Choice.TRACK))
        half = persister.rows_of(ratings(rated(4), captured_at_ms=600, part=1, parts=2))
        assert [row.trader for row in of_kind(TrackedRow, half)] == [address(4)]
        persister.rows_of(ratings(rated(1), captured_at_ms=700, part=0, parts=2))
        rows = persister.rows_of(ratings(rated(4), captured_at_ms=700, part=1, parts=2))
        assert [(row.trader, row.tracked) for row in of_kind(TrackedRow, rows)] == [
            (address(4), True),
            (address(2), False),
        ]

    def test_the_same_pull_rated_again_counts_anew(self, persister: Persister) -> None:
        for _ in range(2):
            persister.rows_of(ratings(rated(1), part=0, parts=2))
            rows = persister.rows_of(ratings(rated(2), part=1, parts=2))
            assert [row.trader for row in of_kind(TrackedRow, rows)] == [address(2)]

    def test_a_choice_is_stored_and_takes_effect_at_once(self, persister: Persister) -> None:
        persister.rows_of(ratings(rated(1, score=80.0)))
        for trader, score in ((1, 80.0), (2, None)):
            setting, row = persister.rows_of(TraderChosen(known_at_ms=600, trader=address(trader), choice=Choice.TRACK))
            assert setting == SettingRow(key=f"choice:{address(trader)}", value="track")
            assert isinstance(row, TrackedRow)
            assert (row.tracked, row.by_hand, row.score) == (True, True, score)
        setting, row = persister.rows_of(TraderChosen(known_at_ms=600, trader=address(1), choice=Choice.UNTRACK))
        assert setting == SettingRow(key=f"choice:{address(1)}", value="untrack")
        assert isinstance(row, TrackedRow)
        assert not row.tracked


SIGNAL = Signal(
    id="0" * 24,
    t_ms=5_000,
    known_at_ms=4_000,
    symbol=BTC,
    recommendation=Recommendation.BUY,
    confidence=0.6,
    calibrated=False,
    long_bias=0.7,
    short_bias=0.3,
    net_exposure=0.4,
    head_count_bias=0.1,
    dollar_bias=0.2,
    traders_long=3,
    traders_short=1,
    traders_flat=0,
    effective_voters=3.1,
    coverage=0.5,
    price=60_000.0,
    state=SignalState.LIVE,
    model="1",
)
ACT = TraderSignal(
    trader=address(1),
    symbol=BTC,
    t_ms=5_000,
    known_at_ms=4_000,
    tid=9,
    action=Action.OPEN,
    direction="long",
    size=1.0,
    price=None,
    confidence=0.5,
)


def test_signals_candles_and_leaderboards_become_their_rows(persister: Persister) -> None:
    candles = tuple(Candle(t_ms=t, o=1, h=1, l=1, c=1, v=1) for t in (0, 60_000))
    (signal,) = persister.rows_of(SignalGenerated(known_at_ms=4_000, signal=SIGNAL))
    (act,) = persister.rows_of(TraderSignalGenerated(known_at_ms=4_000, signal=ACT))
    assert isinstance(signal, SignalRow)
    assert isinstance(act, TraderSignalRow)
    assert signal.signal.known_at_ms == act.signal.known_at_ms == 5_000
    event: Event = CandlesClosed(known_at_ms=1, symbol=BTC, interval=Interval.M1, candles=candles)
    assert persister.rows_of(event) == [CandleRow(symbol=BTC, interval=Interval.M1, candle=c) for c in candles]
    row = rated(1).row
    event = LeaderboardCaptured(known_at_ms=8, captured_at_ms=9, part=1, parts=3, rows=(row,))
    assert persister.rows_of(event) == [LeaderboardPart(captured_at_ms=9, known_at_ms=9, part=1, parts=3, rows=(row,))]


def test_what_is_shown_and_not_kept_gives_no_row(persister: Persister) -> None:
    report = ComponentReported(
        known_at_ms=1,
        name="x",
        kind="bus",
        running=True,
        last_success_ms=None,
        allowed_age_s=None,
        errors=0,
        reason=None,
        failing_since_ms=None,
    )
    assert persister.rows_of(report) == []
