"""blockchain.info: `/stats` and `/charts/{name}` (facts, section 4).

Units differ between the two: `/stats` has GH/s and satoshi, charts have TH/s and coins. Not established, and decided
here: the newest chart value is yesterday's, `/stats` is renewed every minute, an unknown chart is a 404.
"""

import re
from collections.abc import Callable, Iterator

import msgspec
from starlette.requests import Request

from market_scraper.simulator.onchain.answers import Sheet, sheet, sliced
from market_scraper.simulator.onchain.chain import COIN, PERIOD_BLOCKS, Chain
from market_scraper.simulator.onchain.days import DAY_MS, FIRST_PRICE, GENESIS, date_of, day_at, parse_ms
from market_scraper.simulator.onchain.faults import Spoil
from market_scraper.simulator.onchain.mood import Mood

_MINUTE_MS = 60_000
_SLICE_DAYS = 100
_SAMPLES = 1_500
_SPAN = re.compile(r"(\d{1,4})\s*(day|week|month|year)s?")
_SPAN_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


class Chart(msgspec.Struct, frozen=True):
    """One chart: what its page says of it, and its value at the end of a day."""

    title: str
    unit: str
    value: Callable[[Chain, Mood, int], float]
    first: int = GENESIS


def _end(day: int) -> int:
    return (day + 1) * DAY_MS


CHARTS = {
    "hash-rate": Chart("Hash Rate", "Hash Rate TH/s", lambda chain, _, day: chain.hash_rate_at(_end(day)) / 1e12),
    "difficulty": Chart(
        "Network Difficulty", "Difficulty", lambda chain, _, day: chain.difficulty(chain.height_at(_end(day)))
    ),
    "n-transactions": Chart(
        "Confirmed Transactions Per Day", "Transactions", lambda chain, _, day: chain.transactions(day)
    ),
    "n-unique-addresses": Chart(  # another definition than Coin Metrics': about a tenth fewer
        "Unique Addresses Used", "Addresses", lambda chain, _, day: round(0.9 * chain.addresses(day))
    ),
    "total-bitcoins": Chart(
        "Total Circulating Bitcoin", "BTC", lambda chain, _, day: chain.supply_at(_end(day)) / COIN
    ),
    "transaction-fees": Chart("Total Transaction Fees (BTC)", "BTC", lambda chain, _, day: chain.fees(day) / COIN),
    "miners-revenue": Chart(
        "Miners Revenue (USD)",
        "USD",
        lambda chain, mood, day: (chain.issued_at(_end(day)) + chain.fees(day)) / COIN * mood.price_at(_end(day)),
        FIRST_PRICE,
    ),
    "market-price": Chart("Market Price (USD)", "USD", lambda _, mood, day: mood.price_at(_end(day)), FIRST_PRICE),
}


class BlockchainInfo:
    """Answers from the chain, by the venue's clock."""

    def __init__(self, chain: Chain, mood: Mood, now_ms: Callable[[], int]) -> None:
        self._chain, self._mood, self._now_ms = chain, mood, now_ms

    def stats(self, _request: Request, spoil: Spoil) -> Sheet:
        """GET /stats: the last 24 hours."""
        now = self._now_ms() // _MINUTE_MS * _MINUTE_MS
        chain, today = self._chain, day_at(now)
        height, blocks, issued = chain.height_at(now), chain.blocks_at(now), chain.issued_at(now)
        price, fees, sent = self._mood.price_at(now), chain.fees(today), 600_000 * COIN
        coins = (issued + fees) / COIN
        fields: dict[str, float] = {
            "timestamp": now,
            "market_price_usd": round(price, 2),
            "hash_rate": chain.hash_rate_at(now) / 1e9,
            "total_fees_btc": fees,
            "n_btc_mined": issued,
            "n_tx": chain.transactions_at(now),
            "n_blocks_mined": blocks,
            "minutes_between_blocks": round(1_440 / max(blocks, 1), 4),
            "totalbc": chain.supply_at(now),
            "n_blocks_total": height,
            "estimated_transaction_volume_usd": sent / 4 / COIN * price,
            "blocks_size": blocks * 1_700_000,
            "miners_revenue_usd": round(coins * price, 2),
            "miners_revenue_btc": round(coins),
            "nextretarget": (height // PERIOD_BLOCKS + 1) * PERIOD_BLOCKS - 1,
            "difficulty": chain.difficulty(height),
            "estimated_btc_sent": sent // 4,
            "total_btc_sent": sent,
            "trade_volume_btc": 6_543.2,
            "trade_volume_usd": round(6_543.2 * price, 2),
        }

        def true(name: str) -> Callable[[int], float]:
            return lambda _: fields[name]

        texts = []
        for name in fields:
            value = now if name == "timestamp" else spoil.value(name, today, today, true(name))
            texts.append(f'"{spoil.name(name)}":{_written(value, spoil, large=name in ("hash_rate", "difficulty"))}')
        return Sheet(parts=(f"{{{','.join(texts)}}}".encode(),))

    def chart(self, request: Request, spoil: Spoil) -> Sheet:
        """GET /charts/{name}?timespan=&start=&sampled=&format=."""
        asked, query = request.path_params["name"], request.query_params
        name = spoil.meaning(asked)
        chart = CHARTS.get(name or "")
        if name is None or chart is None:
            return sheet({"status": "not-found", "error": f"no chart {asked}"}, 404)
        if spoil.forbids(name):
            return sheet({"status": "forbidden", "error": f"{asked} needs a key"}, 403)
        newest = day_at(self._now_ms()) - 1
        try:
            first, last = _range(query.get("timespan", "1year"), query.get("start"), newest)
        except ValueError as error:
            return sheet({"status": "bad-request", "error": str(error)}, 400)
        days = range(max(first, chart.first), last + 1)
        if query.get("sampled", "true") != "false" and len(days) > _SAMPLES:
            days = days[:: -(-len(days) // _SAMPLES)]
        values = self._values(name, chart, days, newest, spoil)
        if query.get("format") == "csv":
            rows = (f"{date_of(day)} 00:00:00,{text}\n" for day, text in values)
            return Sheet(parts=sliced("", rows, "", "", at_once=_SLICE_DAYS), media_type="text/csv")
        head = {"status": "ok", "name": chart.title, "unit": chart.unit, "period": "day", "description": chart.title}
        points = (f'{{"x":{day * DAY_MS // 1000},"y":{text}}}' for day, text in values)
        begin = msgspec.json.encode(head).decode()[:-1] + ',"values":['
        return Sheet(parts=sliced(begin, points, ",", "]}", at_once=_SLICE_DAYS))

    def _values(self, name: str, chart: Chart, days: range, newest: int, spoil: Spoil) -> Iterator[tuple[int, str]]:
        def true(day: int) -> float:
            return chart.value(self._chain, self._mood, day)

        for day in days:
            yield day, _written(spoil.value(name, day, newest, true), spoil, large=False)


def _range(timespan: str, start: str | None, newest: int) -> tuple[int, int]:
    """First and last day. Raises ValueError."""
    if timespan == "all":
        return GENESIS, newest
    span = _SPAN.fullmatch(timespan)
    if span is None:
        raise ValueError(f"timespan {timespan} is not understood")
    days = int(span[1]) * _SPAN_DAYS[span[2]]
    if start is None:
        return newest - days + 1, newest
    first = day_at(parse_ms(start))
    return first, min(first + days - 1, newest)


def _written(value: float | None, spoil: Spoil, *, large: bool) -> str:
    """`large` numbers come in scientific notation on any day: 1.05E12."""
    if value is None:
        return "null"
    return f"{value:.12E}".replace("E+", "E") if large else spoil.number(repr(value))
