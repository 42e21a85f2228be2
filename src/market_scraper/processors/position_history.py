"""Which position facts go into the history of a trader, and what a gap adds to it. Plain values, no I/O."""

from collections.abc import Collection, Iterable

import msgspec

from market_scraper.domain.claims import claim
from market_scraper.domain.events import PositionChanged
from market_scraper.domain.positions import Cause, Position, PositionState, TapeMark
from market_scraper.domain.values import Address, Symbol

THIN_MS = 60_000
"""Of a market maker one fact a minute is kept, besides every open, close, flip and change of state."""


class PositionHistory:
    """Remembers everyone's newest fact: whoever is tracked when a gap comes gets a row that says so."""

    def __init__(self) -> None:
        self._newest: dict[Symbol, dict[Address, Position]] = {}
        self._kept_ms: dict[tuple[Symbol, Address], int] = {}  # of thinned traders

    def remember(self, positions: Iterable[Position]) -> None:
        """Take what the store has as newest."""
        for position in positions:
            self._newest.setdefault(position.symbol, {})[position.trader] = position

    def changed(self, event: PositionChanged, *, thin: bool) -> bool:
        """Remember a fact and say whether it is kept. Asked again about the same fact, it is kept again."""
        after = event.after
        newest = self._newest.setdefault(after.symbol, {})
        before = newest.get(after.trader)
        if before is None or after.version > before.version:
            newest[after.trader] = after
        if not thin:
            return True
        key = (after.symbol, after.trader)
        kept_ms = self._kept_ms.get(key)
        if kept_ms is None or not kept_ms < after.t_ms < kept_ms + THIN_MS or _is_turn(event, before):
            self._kept_ms[key] = max(after.t_ms, kept_ms or 0)
            return True
        return False

    def gapped(self, mark: TapeMark, known_at_ms: int, traders: Collection[Address]) -> list[PositionChanged]:
        """A fact for each of `traders` who was exact until the last of the mark's gaps and is unsure since.

        Its t is the first millisecond that nobody heard: the last whole block may have a fact of its own.
        """
        newest = self._newest.get(mark.symbol)
        if not mark.gaps or newest is None:
            return []
        gap = mark.gaps[-1]
        whole_since_ms = mark.gaps[-2].until_ms if len(mark.gaps) > 1 else 0
        facts = []
        for trader in sorted(traders):
            position = newest.get(trader)
            if (
                position is None
                or position.state is not PositionState.EXACT
                or not whole_since_ms <= position.epoch_ms < gap.until_ms
            ):
                continue
            now = claim(position, mark, venue_now_ms=mark.watermark_ms)
            after = msgspec.structs.replace(
                position,
                state=now.state,
                doubt=now.doubt,
                because=now.because,
                since_ms=now.since_ms,
                entry_px=None,
                t_ms=gap.since_ms + 1,
                tid=0,
            )
            facts.append(
                PositionChanged(
                    known_at_ms=known_at_ms, after=after, lots_before=position.lots, cause=Cause.GAP, px=None
                )
            )
        return facts


def _is_turn(event: PositionChanged, before: Position | None) -> bool:
    """An open, a close, a flip or a change of state."""
    if before is None or before.state is not event.after.state:
        return True
    was, now = event.lots_before, event.after.lots
    if was is None or now is None:
        return was is not now
    return (was > 0) - (was < 0) != (now > 0) - (now < 0)
