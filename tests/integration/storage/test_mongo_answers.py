"""Whatever was written in whatever order, MongoDB answers every question as the store in memory does."""

import random

from market_scraper.domain.onchain import Source
from market_scraper.domain.values import Interval, Recommendation
from market_scraper.ports.stores import Row, Store
from market_scraper.storage import MemoryRepository
from market_scraper.storage.address import MongoAddress
from market_scraper.storage.mongo import MongoStore
from tests.contracts.store_rows import (
    DAY_MS,
    HOUR_MS,
    act,
    candle_row,
    fact,
    gathered,
    reading_row,
    score,
    signal_row,
    state,
    tracked,
)
from tests.facts import BTC, address
from tests.servers.mongo import database

ROWS = 700
QUESTIONS = 60
SOURCES = (Source.BITVIEW, Source.CBBI)
METRICS = ("mvrv", "mvrv_")
FAR = (-(2**53), 2**53)  # beyond every year that a datetime can name


def some_row(chance: random.Random) -> Row:
    """Few keys, so that many rows meet an older or a newer one. A version is one word: the same says the same."""
    n, t, tid, known = chance.randrange(4), chance.randrange(12), chance.randrange(3), chance.randrange(15)
    # Nothing is known before it is so, and a signal has its moment by its id.
    match chance.randrange(8):
        case 0:
            return fact(n, t, tid, 100 * t + 10 * tid + known, known_at_ms=t + known, lots=known - 7)
        case 1:
            return state(n, known, lots=known)
        case 2:
            return act(n, t, tid, known_at_ms=t + known, size=float(known + 1))
        case 3:
            return score(n, t, float(known), known_at_ms=t + known)
        case 4:
            return tracked(n, known, is_tracked=known % 3 > 0, points=float(known))
        case 5:
            number = chance.randrange(20)
            told = list(Recommendation)[known % 3]
            return signal_row(
                number, number // 2, known_at_ms=number // 2 + known, recommendation=told, confidence=known / 16
            )
        case 6:
            source, metric = chance.choice(SOURCES), chance.choice(METRICS)
            return reading_row(t, float(known), tid, known_day=t + known, source=source, metric=metric)
        case _:
            return candle_row(HOUR_MS * chance.choice((t, t, 40)))


async def answers(store: Store, chance: random.Random) -> list[object]:
    """One question of each kind, with whatever bounds."""
    trader, since, limit = address(chance.randrange(5)), chance.choice((*range(12), *FAR)), chance.choice((0, 1, 3, 99))
    known = chance.choice((None, *range(26), *FAR))
    key = chance.choice((None, (chance.randrange(13), chance.randrange(4)), (FAR[1], 1)))
    ids = chance.choice((None, (chance.randrange(11), f"{chance.randrange(20):024x}")))
    start, end = (chance.choice((None, HOUR_MS * chance.randrange(45), *FAR)) for _ in "ab")
    moment = chance.choice((*range(26), *FAR))
    source, metric, day = chance.choice(SOURCES), chance.choice(METRICS), DAY_MS * chance.randrange(13)
    told = chance.choice((None, *Recommendation))
    days = None if known is None else known * DAY_MS if abs(known) < 99 else known
    bounds = {"since_ms": since, "known_by_ms": known}
    mean = await store.signals.mean_confidence(BTC, **bounds)
    return [
        await store.candles.history(BTC, Interval.H1, start_ms=start, end_ms=end, limit=limit),
        await store.candles.gaps(BTC, Interval.H1, start_ms=start, end_ms=end),
        await store.positions.history(trader, BTC, limit=limit, before=key, **bounds),
        await store.positions.at(BTC, moment, [address(n) for n in range(5)]),
        sorted(await gathered(store.positions.states(BTC)), key=lambda position: position.trader),
        await store.traders.scores(trader, since_ms=since, limit=limit),
        await store.traders.scores_at(moment),
        sorted(await store.traders.tracked(), key=lambda row: row.trader),
        await store.signals.get(f"{chance.randrange(22):024x}"),
        await store.signals.latest(BTC, known_by_ms=known),
        await store.signals.history(BTC, limit=limit, recommendation=told, before=ids, **bounds),
        await store.signals.count(BTC, **bounds),
        None if mean is None else round(mean, 12),
        await store.signals.of_trader(trader, BTC, limit=limit, before=key, **bounds),
        await store.readings.recent(days=limit, known_by_ms=days),
        await store.readings.history(
            source, metric, since_ms=day, limit=limit, known_by_ms=days, before=chance.choice((None, day + 5 * DAY_MS))
        ),
        await store.readings.revisions(source, metric, day),
        await store.readings.newest(source),
        sorted(await gathered(store.readings.values(source, since_ms=day)), key=lambda it: (it.metric, it.t_ms)),
    ]


async def test_every_question_has_the_same_answer(mongo_url: str) -> None:
    chance = random.Random(11)
    plain = MemoryRepository()
    with database(mongo_url) as name:
        async with MongoStore(MongoAddress(url=mongo_url, database=name)) as store:
            assert await answers(store, random.Random(0)) == await answers(plain, random.Random(0))  # of nothing
            rows = [some_row(chance) for _ in range(ROWS)]
            while rows:
                part, rows = rows[:90], rows[90:]
                await plain.write(part)
                await store.write(part)
                await store.write(part)  # as after an error
            for seed in range(QUESTIONS):
                expected = await answers(plain, random.Random(seed))
                for number, (theirs, ours) in enumerate(
                    zip(expected, await answers(store, random.Random(seed)), strict=True)
                ):
                    assert ours == theirs, (seed, number)
