"""The newest ratings, and who is tracked."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from market_scraper.domain.events import TraderChosen, TradersRated
from market_scraper.domain.traders import Choice, Inference, LeaderboardRow, RatedTrader
from market_scraper.domain.values import Address

Rate = Callable[[Sequence[LeaderboardRow], Mapping[Address, Choice]], Sequence[RatedTrader]]
"""Rates all rows of one pull at once, given what the user's hand decided."""

_NOTHING_INFERRED = Inference(has_position=False, confidence=0.0)


class LiveTraders:
    """Implements `ports.views.TradersView`. A pull takes effect when its last part is in."""

    def __init__(self) -> None:
        self._captured_at_ms: int | None = None
        self._rated: dict[Address, RatedTrader] = {}
        self._choices: dict[Address, Choice] = {}
        self._tracked: list[RatedTrader] | None = None  # made when asked for
        self._version = 0
        self._coming: tuple[RatedTrader, ...] = ()  # the parts so far of the pull that is coming
        self._coming_at_ms: int | None = None
        self._next_part = 0

    def restore(
        self, choices: Mapping[Address, Choice], captured_at_ms: int | None, rated: Iterable[RatedTrader]
    ) -> None:
        """Take what the store has: choices, and the ratings of its newest whole pull."""
        self._choices.update(choices)
        if captured_at_ms is not None and (self._captured_at_ms is None or captured_at_ms > self._captured_at_ms):
            self._take(captured_at_ms, rated)
        self._change()

    def apply(self, event: TradersRated | TraderChosen) -> None:
        """Take the next event, in the bus's order."""
        match event:
            case TradersRated():
                self._part(event)
            case TraderChosen(trader=trader, choice=choice) if self._choices.get(trader) is not choice:
                self._choices[trader] = choice
                if (rated := self._rated.get(trader)) is not None:
                    self._rated[trader] = _tracked(rated, tracked=choice is Choice.TRACK)
                self._change()

    @property
    def captured_at_ms(self) -> int | None:
        return self._captured_at_ms

    def get(self, trader: Address) -> RatedTrader | None:
        return self._rated.get(trader)

    def tracked(self) -> Sequence[RatedTrader]:
        """As the port says. Who is tracked by hand without being ranked has no points and comes after the ranked."""
        if self._tracked is None:
            ranked = [rated for rated in self._rated.values() if rated.tracked]
            unranked = [
                _unranked(trader)
                for trader, choice in self._choices.items()
                if choice is Choice.TRACK and trader not in self._rated
            ]
            self._tracked = [*sorted(ranked, key=_place), *sorted(unranked, key=_place)]
        return self._tracked

    def is_tracked(self, trader: Address) -> bool:
        rated = self._rated.get(trader)
        return rated.tracked if rated is not None else self._choices.get(trader) is Choice.TRACK

    def choice(self, trader: Address) -> Choice | None:
        return self._choices.get(trader)

    @property
    def version(self) -> int:
        return self._version

    def _part(self, event: TradersRated) -> None:
        if self._captured_at_ms is not None and event.captured_at_ms < self._captured_at_ms:
            return  # an older pull
        if event.part == 0:
            self._coming, self._coming_at_ms, self._next_part = (), event.captured_at_ms, 0
        if event.part != self._next_part or event.captured_at_ms != self._coming_at_ms:
            return  # delivered again, or it began before we listened: the next one comes whole
        self._coming += event.traders
        self._next_part += 1
        if self._next_part == event.parts:
            self._take(event.captured_at_ms, self._coming)
            self._coming, self._coming_at_ms, self._next_part = (), None, 0
            self._change()

    def _take(self, captured_at_ms: int, traders: Iterable[RatedTrader]) -> None:
        """Take a whole pull; the hand has the last word over it. Who is not in it stays known as last seen."""
        self._captured_at_ms = captured_at_ms
        new = {rated.row.trader: rated for rated in traders}
        for trader, rated in self._rated.items():
            if trader not in new:
                new[trader] = _tracked(rated, tracked=False)
        for trader, choice in self._choices.items():
            if trader in new:
                new[trader] = _tracked(new[trader], tracked=choice is Choice.TRACK)
        self._rated = new

    def _change(self) -> None:
        self._version += 1
        self._tracked = None


def _tracked(rated: RatedTrader, *, tracked: bool) -> RatedTrader:
    return rated if rated.tracked is tracked else msgspec.structs.replace(rated, tracked=tracked)


def _place(rated: RatedTrader) -> tuple[float, Address]:
    return -rated.score, rated.row.trader


def _unranked(trader: Address) -> RatedTrader:
    return RatedTrader(
        row=LeaderboardRow(trader=trader, account_value=0.0),
        score=0.0,
        parts={},
        tags=(),
        inference=_NOTHING_INFERRED,
        tracked=True,
        ranked=False,
    )
