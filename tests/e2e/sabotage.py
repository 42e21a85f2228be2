"""`python -m tests.e2e.sabotage RULE[+RULE...] ARGUMENTS...`: the real program with rules of the ledger taken out.

A proof that cannot fail proves nothing: each rule is taken out once, and the run must then find wrong claims. Some
rules answer to what a short run seldom meets; a *handicap* brings that about, and the healthy program must bear it.
"""

import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from market_scraper.collectors import asking, tape_sockets
from market_scraper.domain import ledger, tape
from market_scraper.domain.market import Print
from market_scraper.ports.sources import FrameLost
from market_scraper.views import positions as positions_view

NEVER_S = 1e9


def _put(owner: object, name: str, instead: object) -> None:
    setattr(owner, name, instead)


def no_join_window() -> None:
    """Join at the answer's own stamp."""
    honest = ledger.CoinLedger.__init__

    def init(self: Any, market: Any, *, join_window_ms: int = 0, epoch_ms: int = 0) -> None:
        del join_window_ms
        honest(self, market, join_window_ms=0, epoch_ms=epoch_ms)

    _put(ledger.CoinLedger, "__init__", init)


def no_deduplication() -> None:
    """Count every print that any socket brings."""
    honest = tape.CoinTape._count

    def count(self: Any, prints: Sequence[Print]) -> Any:
        self._seen.clear()
        return honest(self, [p for p in prints if p.time_ms > self.epoch_ms])

    _put(tape.CoinTape, "_count", count)


def no_drop_of_old_prints() -> None:
    """Count prints that are older than every key remembered."""
    honest = tape.CoinTape._count

    def count(self: Any, prints: Any) -> Any:
        self._floor_ms = -1
        return honest(self, prints)

    _put(tape.CoinTape, "_count", count)


def no_gap() -> None:
    """Join whatever comes next to what was before."""
    _put(tape.CoinTape, "_break", _join)


def no_gap_at_restart() -> None:
    """Join whatever comes first after a start to what the store holds."""
    honest_init, honest_break = tape.CoinTape.__init__, tape.CoinTape._break

    def init(self: Any, symbol: Any, *, mark: Any = None, **others: Any) -> None:
        honest_init(self, symbol, mark=mark, **others)
        self.restored_to_ms = None if mark is None else mark.watermark_ms

    def break_(self: Any, since_ms: int, until_ms: int) -> Any:
        """The gap itself, and whatever shows later that there was one."""
        if self.restored_to_ms is not None and since_ms <= self.restored_to_ms:
            self.restored_to_ms = max(self.restored_to_ms, until_ms)
            return _join(self, since_ms, until_ms)
        return honest_break(self, since_ms, until_ms)

    _put(tape.CoinTape, "__init__", init)
    _put(tape.CoinTape, "_break", break_)


def _join(self: Any, _since_ms: int, until_ms: int) -> None:
    self._watermark_ms = until_ms


def no_silence_limit() -> None:
    """Take silence for a quiet market, however long, on one socket or for one coin."""
    _put(tape_sockets, "SILENCE_S", NEVER_S)
    honest = tape.CoinTape.__init__

    def init(self: Any, symbol: Any, **others: Any) -> None:
        honest(self, symbol, **{**others, "silence_s": NEVER_S})

    _put(tape.CoinTape, "__init__", init)


def no_end_at_an_undecodable_frame() -> None:
    """Pass over what cannot be read."""
    honest = tape_sockets.TapeSockets._hear

    def hear(self: Any, name: str, heard: Any) -> None:
        if not isinstance(heard, FrameLost):
            honest(self, name, heard)

    _put(tape_sockets.TapeSockets, "_hear", hear)


def signs_by_side() -> None:
    """Credit every other print the wrong way round, as signing by the aggressor does."""
    honest = ledger.CoinLedger.count

    def count(self: Any, advance: tape.Advance, known_at_ms: int) -> Any:
        turned = tuple(
            msgspec.structs.replace(p, buyer=p.seller, seller=p.buyer) if p.tid % 2 else p for p in advance.fresh
        )
        return honest(self, msgspec.structs.replace(advance, fresh=turned), known_at_ms)

    _put(ledger.CoinLedger, "count", count)


def no_dex_scope() -> None:
    """Let an account answer speak for every coin, whatever dex it is of."""
    honest_asker = asking.Asker.hear
    honest_ledger = ledger.CoinLedger.hear

    def hear(self: Any, snapshot: Any) -> None:
        honest_asker(self, snapshot)
        for watch in self._watches.values():
            if watch.market.dex != snapshot.dex:
                self._on_facts(watch.hear_account(snapshot, self._clock.now_ms()))

    def hear_any(self: Any, snapshot: Any) -> None:
        honest_ledger(self, msgspec.structs.replace(snapshot, dex=self.market.dex))

    _put(asking.Asker, "hear", hear)
    _put(ledger.CoinLedger, "hear", hear_any)


def no_refusal_of_older_answers() -> None:
    """Judge an account answer however old it is beside the last one."""
    honest = ledger.CoinLedger._judge

    def judge(self: Any, answer: Any, *times: int) -> Any:
        book = self.get(answer.trader)
        if book is not None:
            book.answered_ms = min(book.answered_ms, answer.time_ms - 1)
        return honest(self, answer, *times)

    _put(ledger.CoinLedger, "_judge", judge)
    _put(ledger.CoinLedger, "_drift_noticed_ms", staticmethod(lambda _book: -1))


def no_watermark_age() -> None:
    """Call exact what was exact once, however long nothing was heard since."""
    honest = positions_view.LivePositions.__init__

    def init(self: Any, *parts: Any, **others: Any) -> None:
        honest(self, *parts, **{**others, "exact_max_age_ms": round(NEVER_S * 1000)})

    _put(positions_view.LivePositions, "__init__", init)


def with_a_short_memory() -> None:
    """A handicap: remember twenty prints, so that each replay brings older ones."""
    honest = tape.CoinTape.__init__

    def init(self: Any, symbol: Any, **others: Any) -> None:
        honest(self, symbol, **{**others, "keys_held": 20})

    _put(tape.CoinTape, "__init__", init)


def with_old_answers_twice() -> None:
    """A handicap: the answer before the last one comes again, twice, as from a gateway that sends things late."""
    honest = asking.Asker.hear
    before: dict[tuple[str, str], deque[Any]] = {}

    def hear(self: Any, snapshot: Any) -> None:
        heard = before.setdefault((snapshot.trader, snapshot.dex), deque(maxlen=2))
        if len(heard) == 2:
            honest(self, heard[0])
            honest(self, heard[0])
        honest(self, snapshot)
        heard.append(snapshot)

    _put(asking.Asker, "hear", hear)


RULES: dict[str, Callable[[], None]] = {
    rule.__name__: rule
    for rule in (
        no_join_window,
        no_deduplication,
        no_drop_of_old_prints,
        no_gap,
        no_gap_at_restart,
        no_silence_limit,
        no_end_at_an_undecodable_frame,
        signs_by_side,
        no_dex_scope,
        no_refusal_of_older_answers,
        no_watermark_age,
    )
}
HANDICAPS: dict[str, Callable[[], None]] = {
    handicap.__name__: handicap for handicap in (with_a_short_memory, with_old_answers_twice)
}


def main() -> None:
    """Take the rules out, then be the program."""
    for name in sys.argv[1].split("+"):
        (RULES | HANDICAPS)[name]()
    del sys.argv[1]
    from market_scraper.cli import main as program

    program()


if __name__ == "__main__":
    main()
