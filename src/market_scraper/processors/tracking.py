"""Who is tracked, as rows: followed through ratings and the user's hand. Plain values but for `load`."""

import msgspec

from market_scraper.domain.events import TraderChosen, TradersRated
from market_scraper.domain.traders import Choice, RatedTrader
from market_scraper.domain.values import Address
from market_scraper.ports.stores import (
    CHOICE_PREFIX,
    Row,
    ScoreRow,
    SettingReader,
    SettingRow,
    TrackedRow,
    TraderReader,
)

MARKET_MAKER = "market_maker"
"""The tag of traders whose history is thinned."""


class Tracking:
    """The tracked traders at this point of the stream."""

    def __init__(self) -> None:
        self.tracked: dict[Address, TrackedRow] = {}
        self.market_makers: set[Address] = set()
        self._by_hand: set[Address] = set()
        self._pull: int | None = None  # captured_at_ms of the pull whose parts are coming
        self._parts_seen = 0
        self._rated: set[Address] = set()  # of `tracked`, those that this pull has rated

    async def load(self, traders: TraderReader, settings: SettingReader) -> None:
        """Take over what the store knows."""
        for row in await traders.tracked():
            self._track(row)
        for key, value in (await settings.with_prefix(CHOICE_PREFIX)).items():
            if value == Choice.TRACK:
                self._by_hand.add(Address(key.removeprefix(CHOICE_PREFIX)))

    def rated(self, event: TradersRated, known_at_ms: int) -> list[Row]:
        """Scores of the tracked, and who came and went. Who is in no part of a whole pull any more went, too.

        The same pull may come again, rated anew after a choice.
        """
        if event.captured_at_ms != self._pull or event.part == 0:
            self._pull, self._parts_seen = event.captured_at_ms, 0
            self._rated.clear()
        rows: list[Row] = []
        for rated in event.traders:
            trader = rated.row.trader
            if rated.tracked:
                self._rated.add(trader)
                rows += self._tracked_rows(event, rated, known_at_ms)
            elif trader in self.tracked:
                rows.append(self._dropped(trader, known_at_ms))
        self._parts_seen += 1
        if self._parts_seen == event.parts and event.part == event.parts - 1:
            for trader in sorted(self.tracked.keys() - self._rated - self._by_hand):
                rows.append(self._dropped(trader, known_at_ms))
        return rows

    def chosen(self, event: TraderChosen, known_at_ms: int) -> list[Row]:
        """The choice itself, and its effect at once; who is new gets score and tags with the next rating."""
        trader = event.trader
        choice = SettingRow(key=f"{CHOICE_PREFIX}{trader}", value=event.choice.value)
        if event.choice is Choice.UNTRACK:
            self._by_hand.discard(trader)
            return [choice, self._dropped(trader, known_at_ms)]
        self._by_hand.add(trader)
        known = self.tracked.get(trader)
        if known is None:
            known = TrackedRow(trader=trader, tracked=True, score=None, tags=(), by_hand=True, known_at_ms=known_at_ms)
        return [choice, self._track(msgspec.structs.replace(known, by_hand=True, known_at_ms=known_at_ms))]

    def _tracked_rows(self, event: TradersRated, rated: RatedTrader, known_at_ms: int) -> list[Row]:
        trader = rated.row.trader
        return [
            ScoreRow(
                captured_at_ms=event.captured_at_ms,
                known_at_ms=known_at_ms,
                trader=trader,
                score=rated.score,
                parts=rated.parts,
                tags=rated.tags,
                account_value=rated.row.account_value,
            ),
            self._track(
                TrackedRow(
                    trader=trader,
                    tracked=True,
                    score=rated.score,
                    tags=rated.tags,
                    by_hand=trader in self._by_hand,
                    known_at_ms=known_at_ms,
                )
            ),
        ]

    def _track(self, row: TrackedRow) -> TrackedRow:
        self.tracked[row.trader] = row
        if MARKET_MAKER in row.tags:
            self.market_makers.add(row.trader)
        else:
            self.market_makers.discard(row.trader)
        return row

    def _dropped(self, trader: Address, known_at_ms: int) -> TrackedRow:
        self.tracked.pop(trader, None)
        self.market_makers.discard(trader)
        return TrackedRow(trader=trader, tracked=False, score=None, tags=(), by_hand=False, known_at_ms=known_at_ms)
