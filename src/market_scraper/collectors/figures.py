"""What the positions collector shows of its work: names and meanings stand in `schemas.ledger_figures`."""

from collections import Counter, deque
from collections.abc import Mapping

import structlog

from market_scraper.collectors.asking import ACCOUNT_WEIGHT, Asker
from market_scraper.collectors.outbox import Outbox
from market_scraper.collectors.tape_sockets import TapeSockets
from market_scraper.collectors.user_slots import UserSlots
from market_scraper.domain.audit import MinuteAudit
from market_scraper.domain.census import Census
from market_scraper.domain.events import PositionChanged
from market_scraper.domain.positions import Cause, TapeGap
from market_scraper.domain.values import Symbol
from market_scraper.domain.watch import CoinWatch
from market_scraper.ports.clock import Clock
from market_scraper.ports.reporting import Detail

log = structlog.get_logger(__name__)

CENSUS_EVERY_S = 10.0
CENSUS_SLICE = 1_000
"""Books counted between two turns of the event loop: half a millisecond (measured)."""

MINUTE_S = 60.0
DRIFTS_SHOWN = 5

EDGE_SHARE = 0.05
"""With lags of up to 1.5 s and stamps off by 0.4 s, 0.4 % of cuts lie in the outer tenth of a window of 2 s."""

EDGE_SAMPLES = 200


class LastMinute:
    """How much a counter rose in the last minute, or since the first sample of it, where that is younger."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def note(self, now_s: float, count: int) -> int:
        """Take a sample; gives the rise."""
        self._samples.append((now_s, count))
        while len(self._samples) > 1 and self._samples[1][0] <= now_s - MINUTE_S:
            self._samples.popleft()
        return count - self._samples[0][1]


class Figures:
    """Hears what happens in one life of the collector, and tells it together with what its parts count."""

    def __init__(
        self,
        watches: Mapping[Symbol, CoinWatch],
        audits: Mapping[Symbol, MinuteAudit],
        asker: Asker,
        tape: TapeSockets,
        outbox: Outbox,
        clock: Clock,
        *,
        weight_budget: int,
    ) -> None:
        self._watches = watches
        self._audits = audits
        self._asker = asker
        self._tape = tape
        self._outbox = outbox
        self._clock = clock
        self._weight_budget = weight_budget
        self._wanted, self._audited, self._pushed = LastMinute(), LastMinute(), LastMinute()
        for counter in (self._wanted, self._audited, self._pushed):
            counter.note(clock.monotonic(), 0)
        self._missed_ms: Counter[Symbol] = Counter()
        self._halts: Counter[Symbol] = Counter()
        self._late: Counter[Symbol] = Counter()
        self._drifts: deque[str] = deque(maxlen=DRIFTS_SHOWN)
        self._census: dict[Symbol, Census] = {}
        self._warned: set[Symbol] = set()

    # -- what happens --------------------------------------------------------------------------------------------

    def gapped(self, symbol: Symbol, gap: TapeGap) -> None:
        """Nobody heard this stretch of the coin's tape."""
        self._missed_ms[symbol] += gap.until_ms - gap.since_ms

    def halted(self, symbol: Symbol) -> None:
        """The coin's market stands still."""
        self._halts[symbol] += 1

    def corrected(self, fact: PositionChanged) -> None:
        """Take a fact that no print in its turn made: what it says of drift is kept."""
        after = fact.after
        if fact.cause is Cause.LATE and after.because is Cause.LATE:
            self._late[after.symbol] += 1
        elif fact.cause not in (Cause.DRIFT, Cause.ODD_SIZE):
            return
        self._drifts.appendleft(f"{after.symbol} {after.trader} {fact.cause.value} {after.t_ms}")

    async def take_census(self) -> None:
        """Count everybody's states every `CENSUS_EVERY_S`, a slice at a time, until cancelled."""
        while True:
            for symbol, watch in list(self._watches.items()):
                census, books = Census(), list(watch.ledger.books())
                for start in range(0, len(books), CENSUS_SLICE):
                    mark = watch.mark()
                    if mark is not None:
                        census.count(books[start : start + CENSUS_SLICE], mark)
                    await self._clock.sleep(0)
                self._census[symbol] = census
            await self._clock.sleep(CENSUS_EVERY_S)

    def look_at_windows(self) -> None:
        """Warn once of a coin whose answers lie near the edge of the join window: others may lie beyond it, unseen."""
        for symbol, watch in self._watches.items():
            counts = watch.ledger.counts
            if symbol in self._warned or counts.placed < EDGE_SAMPLES:
                continue
            if counts.at_edge > EDGE_SHARE * counts.placed:
                self._warned.add(symbol)
                log.warning(
                    "join_window_too_small",
                    symbol=symbol,
                    join_window_ms=watch.window_ms,
                    edge_share=round(counts.at_edge / counts.placed, 4),
                    answers=counts.placed,
                )

    # -- what is told --------------------------------------------------------------------------------------------

    def detail(self, slots: UserSlots) -> Detail:
        """Everything, by the names of `schemas.ledger_figures`."""
        planner, now_s = self._asker.planner, self._clock.monotonic()
        since = [c.oldest_unsure_ms for c in self._census.values() if c.oldest_unsure_ms is not None]
        detail: dict[str, float | int | str | None] = {
            "sockets": self._tape.connected,
            "followed": len(planner),
            "wanted": planner.wanted,
            "asked": planner.asked,
            "oldest_wanted_s": round(planner.oldest_wanted_s(now_s), 1),
            "oldest_unsure_s": max(0, self._tape.venue_now_ms() - min(since)) / 1000 if since else 0.0,
            "weight_budget": self._weight_budget,
            "weight_wanted": self._wanted.note(now_s, planner.counts.wanted) * ACCOUNT_WEIGHT,
            "weight_audit": self._audited.note(now_s, planner.counts.audits) * ACCOUNT_WEIGHT,
            "questions_wanted": planner.counts.wanted,
            "questions_audit": planner.counts.audits,
            "questions_unanswered": planner.counts.unanswered,
            "implausible_stamps": self._asker.implausible,
            "user_slots": len(slots.traders),
            "slot_answers": slots.answers,
            "slot_answers_a_minute": self._pushed.note(now_s, slots.answers),
            "facts_merged": self._outbox.merged,
            "last_drifts": "; ".join(self._drifts) or None,
        }
        for symbol in self._watches:
            detail |= {f"{symbol}_{name}": value for name, value in self._of_coin(symbol).items()}
        return detail

    def _of_coin(self, symbol: Symbol) -> dict[str, float | int | str | None]:
        watch, audit = self._watches[symbol], self._audits[symbol]
        tape, ledger, census = watch.tape.counts, watch.ledger.counts, self._census.get(symbol, Census())
        open_lots = self._asker.worth.open_lots(symbol)
        return {
            "prints": tape.prints,
            "duplicates": tape.duplicates,
            "late": tape.late,
            "too_old": tape.before_start,
            "gaps": tape.gaps,
            "gap_s": self._missed_ms[symbol] / 1000,
            "minutes_compared": audit.compared,
            "suspected_gaps": audit.mismatches,
            "joined": ledger.joined,
            "confirmed": ledger.confirmed,
            "several": ledger.several,
            "drift": ledger.drift,
            "odd_size": ledger.odd,
            "drift_late": self._late[symbol],
            "moved_unheard": ledger.moved_unheard,
            "halts": self._halts[symbol],
            "refused_old": ledger.refused["refused_old"],
            "refused_unheard": ledger.refused["refused_unheard"],
            "refused_forgotten": ledger.refused["refused_forgotten"],
            "waiting": watch.ledger.waiting,
            "placed": ledger.placed,
            "edge_share": round(ledger.at_edge / ledger.placed, 4) if ledger.placed else None,
            "places": " ".join(f"{ms}:{count}" for ms, count in sorted(ledger.offsets_ms.items())) or None,
            "exact": census.exact,
            "unsure": census.unsure,
            "unknown": census.unknown,
            "coverage": None if open_lots is None else round(census.exact_lots / (2 * open_lots), 4),
        }
