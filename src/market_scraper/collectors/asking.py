"""Asking for accounts: the planner says whom, the connector's budget says when, the ledger says what it was worth."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from market_scraper.collectors.pace import Pace
from market_scraper.collectors.targets import Worth
from market_scraper.domain.book import Answer
from market_scraper.domain.errors import InvalidInput, SourceError
from market_scraper.domain.foresight import Said, newest_ms, will_suffice, would_tell_more
from market_scraper.domain.planner import ANSWER_DUE_S, Planner, Target
from market_scraper.domain.positions import AccountSnapshot
from market_scraper.domain.values import Address, Symbol
from market_scraper.domain.watch import CoinWatch, Fact
from market_scraper.ports.clock import Clock
from market_scraper.ports.sources import VenueHttp

ACCOUNT_WEIGHT = 2
"""What one `clearinghouseState` costs (facts 3.1)."""

IDLE_S = 0.25
TOO_SOON_S = 1.0
"""An answer that came to nothing is worth asking for again after this long: the tape has moved on by then."""

FAILED_S = 10.0
"""A question that failed is put again after this long, and the source counts as down when nothing came for so long."""

FAILED_MOST_S = 30.0
ODD_S = 300.0
"""A size off the lot grid stays so: the next answer would say the same."""

LOOK_AHEAD_S = 0.25
"""How often what is out is looked at, to ask again before its verdict."""

SPACED_S = 0.5
"""So far apart at least are the questions to one target: answers of one moment would leave the same bases."""

MOST_OUT = 4
"""Questions to one target whose verdict is out: two or three tell nearly all, and nobody shall eat the budget."""

DEAF_AFTER_MS = int(ANSWER_DUE_S * 1000)
"""A coin whose watermark is that far behind cannot judge an answer in time; it would only pile up."""

STANDS_STILL_MS = 8_000
"""A quiet coin's watermark lies up to the join window and a late socket behind its last best prices."""

SHORT_MS = 60_000
"""A coin that had a gap less than this after the last one does not keep others waiting."""

DRIFTED_S = 3.0
"""After a drift only an answer whose window begins later says more; its stamp may be off by some tenths."""

STAMP_OFF_MS = 60_000
"""An account answer whose stamp is so far from the venue's clock says nothing of any cut that we know."""


class Asker:
    """Keeps the planner and the ledgers of all coins in step. `run` is one worker; run a few of them."""

    def __init__(
        self,
        http: VenueHttp,
        watches: Mapping[Symbol, CoinWatch],
        clock: Clock,
        *,
        on_facts: Callable[[list[Fact]], None],
        venue_now_ms: Callable[[], int],
        weight_per_minute: int = 1_000,
        on_stamp: Callable[[int], None] = lambda _stamp_ms: None,
    ) -> None:
        """`on_stamp` hears the node's stamp of every account answer (ms), at its receipt."""
        self.planner = Planner()
        self.worth = Worth()
        self.implausible = 0
        self._http = http
        self._watches = watches
        self._clock = clock
        self._on_facts = on_facts
        self._venue_now_ms = venue_now_ms
        self._on_stamp = on_stamp
        self._pace = Pace(weight_per_minute / ACCOUNT_WEIGHT)
        self._heard: dict[Target, list[_Heard]] = {}  # answers whose verdict is out
        self._under_way: Counter[Target] = Counter()  # questions whose answer is out
        self._moved: set[Target] = set()  # wanted ones that have traded since they were weighed
        self._looked_s = 0.0
        self._failing_since_s: float | None = None  # no account answer came well since then
        self._reason = ""
        self.told = False  # the source itself has logged why it fails

    # -- who is wanted -------------------------------------------------------------------------------------------

    def want_ranked(self) -> None:
        """Everyone on a new leaderboard is followed; who is not known yet is wanted, who waits is weighed anew."""
        self.reweigh()
        for trader in self.worth.ranked:
            for dex in self._dexes():
                target = Target(trader, dex)
                if target not in self.planner:
                    self._want(target)

    def reweigh(self) -> None:
        """Votes or open interest are new: what was wanted before them was weighed without."""
        now_ms = self._venue_now_ms()
        self.planner.reweigh(
            (target, self.worth.gain(target, self._watches, now_ms)) for target in self.planner.waiting()
        )

    def seen(self, trader: Address, dex: str, *, is_unknown: bool) -> None:
        """Somebody appeared on the tape; `is_unknown` = without a base there, as on a coin that began later."""
        target = Target(trader, dex)
        if self.planner.is_wanted(target):
            self._moved.add(target)
        elif target not in self.planner or (is_unknown and not self.planner.is_waiting(target)):
            self._want(target)

    def take_up(self, watch: CoinWatch) -> None:
        """Follow everyone that the store knew; who was exact stays so if the tape joins its past."""
        dex = watch.market.dex
        for book in watch.ledger.books():
            target = Target(book.trader, dex)
            if watch.ledger.is_exact(book.trader):
                self.planner.follow(target)
            else:
                self._want(target)

    def want(self, trader: Address, dex: str) -> None:
        """Somebody's base has become doubtful."""
        self._want(Target(trader, dex))

    def want_everyone(self, watch: CoinWatch) -> None:
        """After a gap every base of the coin is gone."""
        dex, now_ms = watch.market.dex, self._venue_now_ms()
        targets = (Target(book.trader, dex) for book in watch.ledger.books())
        self.planner.want_all(
            ((target, self.worth.gain(target, self._watches, now_ms)) for target in targets),
            now_s=self._clock.monotonic(),
        )

    def _want(self, target: Target) -> None:
        gain = self.worth.gain(target, self._watches, self._venue_now_ms())
        self.planner.want(target, gain, now_s=self._clock.monotonic())

    def _dexes(self) -> set[str]:
        return {watch.market.dex for watch in self._watches.values()}

    # -- asking --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            if not self._may_help():  # the turns of this time are saved for when it is over
                await self._clock.sleep(IDLE_S)
                continue
            self._look_ahead(self._clock.monotonic())
            target = self._next(self._clock.monotonic())
            if target is None:
                await self._clock.sleep(IDLE_S)
                continue
            self._under_way[target] += 1
            try:
                snapshot = await self._http.account(target.trader, target.dex)
            except SourceError as error:
                self._answered(target)
                wait_s = FAILED_S if error.retry_after_s is None else max(error.retry_after_s, TOO_SOON_S)
                await self._rest(target, wait_s, str(error), told=True)
            except InvalidInput as error:
                self._answered(target)
                await self._rest(target, FAILED_S, f"unreadable account answer: {error}", told=False)
            else:
                self._answered(target)
                self._failing_since_s = None
                self.hear(snapshot)

    def _next(self, now_s: float) -> Target | None:
        """Whom to ask now, with a turn of the pace taken; None when nobody may be asked yet."""
        room = self._http.account_room()
        if not self._pace.may_ask_again(room):
            return None
        counts = self.planner.counts
        audits, again = counts.audits, counts.again
        may_ask = self._pace.may_ask(now_s, room)
        target = self.planner.next(now_s, first=may_ask, audit=may_ask and self._pace.may_audit(now_s, room))
        if target is not None and counts.again == again:
            self._pace.asked(now_s, audit=counts.audits > audits)
        return target

    def _answered(self, target: Target) -> None:
        self._under_way[target] -= 1
        if self._under_way[target] <= 0:
            del self._under_way[target]

    def _look_ahead(self, now_s: float) -> None:
        """Weigh anew who has traded, and ask once more, before the verdict, where what was heard will not suffice."""
        if now_s - self._looked_s < LOOK_AHEAD_S:
            return
        self._looked_s = now_s
        venue_now_ms = self._venue_now_ms()
        for target in self._moved:
            self.planner.weigh(target, self.worth.gain(target, self._watches, venue_now_ms), now_s=now_s)
        self._moved.clear()
        for target, heard in self._heard.items():
            if (
                len(heard) < MOST_OUT
                and now_s - heard[-1].at_s >= SPACED_S
                and target not in self._under_way
                and not self.planner.is_wanted(target)
                and any(self._needs_more(watch, target, heard, venue_now_ms) for watch in self._of_dex(target.dex))
            ):
                self._unsettled(target, 0.0)

    def _needs_more(self, watch: CoinWatch, target: Target, heard: list["_Heard"], venue_now_ms: int) -> bool:
        said = [answer.said[watch.symbol] for answer in heard if watch.symbol in answer.said]
        if not said:
            return False
        book, epoch_ms, window_ms = watch.ledger.get(target.trader), watch.tape.epoch_ms, watch.window_ms
        if will_suffice(book, said, epoch_ms=epoch_ms, window_ms=window_ms):
            return False
        last_ms = newest_ms(said)
        return (
            book is None
            or last_ms - window_ms < epoch_ms  # it will be refused
            or would_tell_more(book, last_ms, venue_now_ms=venue_now_ms, window_ms=window_ms)
        )

    def _of_dex(self, dex: str) -> list[CoinWatch]:
        return [watch for watch in self._watches.values() if watch.market.dex == dex]

    async def _rest(self, target: Target, wait_s: float, reason: str, *, told: bool) -> None:
        """After a failure: every worker pauses a quarter of the time that nothing has come well."""
        now_s = self._clock.monotonic()
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        self._reason, self.told = reason, told
        self._unsettled(target, wait_s)
        await self._clock.sleep(min(FAILED_MOST_S, max(TOO_SOON_S, (now_s - self._failing_since_s) / 4)))

    @property
    def failing(self) -> str | None:
        """Why accounts cannot be asked, once nothing came well for `FAILED_S`."""
        since_s = self._failing_since_s
        return self._reason if since_s is not None and self._clock.monotonic() - since_s >= FAILED_S else None

    def hear(self, snapshot: AccountSnapshot) -> None:
        """Take an account answer, asked for or pushed over a user slot."""
        target = Target(snapshot.trader, snapshot.dex)
        venue_now_ms = self._venue_now_ms()
        self._on_stamp(snapshot.time_ms)
        if abs(snapshot.time_ms - venue_now_ms) > STAMP_OFF_MS:
            self.implausible += 1
            self._unsettled(target, FAILED_S)
            return
        coins = [
            symbol
            for symbol, watch in self._watches.items()
            if watch.market.dex == snapshot.dex and _moves(watch, venue_now_ms, DEAF_AFTER_MS)
        ]
        if not coins:
            self._unsettled(target, FAILED_S)
            return
        said = {
            symbol: Said(snapshot.time_ms, next((p.lots for p in snapshot.positions if p.symbol == symbol), 0))
            for symbol in coins
        }
        self._heard.setdefault(target, []).append(_Heard(snapshot.time_ms, self._clock.monotonic(), said, set(coins)))
        now_ms = self._clock.now_ms()
        facts: list[Fact] = []
        for symbol in coins:  # a verdict may come at once and take its coin out of the open ones
            facts += self._watches[symbol].hear_account(snapshot, now_ms)
        if facts:
            self._on_facts(facts)

    def hear_verdict(self, watch: CoinWatch, answer: Answer, verdict: str) -> None:
        """Take the ledger's judgement of one coin.

        After the last coin's the target is settled; where one was no help it is wanted again, unless another question
        or answer of it is out already, which may help.
        """
        target = Target(answer.trader, watch.market.dex)
        heard = self._heard.get(target, [])
        this = next((h for h in heard if h.stamp_ms == answer.time_ms and watch.symbol in h.open), None)
        if this is not None:
            this.open.discard(watch.symbol)
            this.helped = this.helped and verdict == "exact"
            if not this.open:
                heard.remove(this)
            if not heard:
                self._heard.pop(target, None)
        if verdict == "exact" and (this is None or (this.helped and not this.open)):
            self.planner.settle(target, now_s=self._clock.monotonic())
        elif verdict in ("drift", "odd_size"):
            self._unsettled(target, DRIFTED_S if verdict == "drift" else ODD_S)
        elif not (heard or target in self._under_way or self.planner.is_wanted(target)):
            self._unsettled(target, TOO_SOON_S)

    def _unsettled(self, target: Target, wait_s: float) -> None:
        now_s = self._clock.monotonic()
        gain = self.worth.gain(target, self._watches, self._venue_now_ms())
        self.planner.unsettled(target, gain, now_s=now_s, not_before_s=now_s + wait_s)

    def _may_help(self) -> bool:
        """An answer can be judged only if its whole window lies within what we heard: wait that long after a gap.

        Where no socket carries the tape, or it stands still, a gap may have begun, in which asking is in vain. While
        one coin must be waited for, no other is asked for either: the reserve is there for all of them. But not for
        one that has gap after gap.
        """
        now_ms = self._venue_now_ms()
        heard = [w for w in self._watches.values() if w.tape.covered_by() and _moves(w, now_ms, STANDS_STILL_MS)]
        begun = [watch for watch in heard if now_ms - watch.tape.epoch_ms < 2 * watch.window_ms]
        return len(begun) < len(heard) and all(_has_gap_after_gap(watch) for watch in begun)


@dataclass(slots=True)
class _Heard:
    """An answer whose verdict is out in some coins."""

    stamp_ms: int
    at_s: float
    said: dict[Symbol, Said]
    open: set[Symbol]
    helped: bool = True  # no verdict so far says otherwise


def _has_gap_after_gap(watch: CoinWatch) -> bool:
    """Whether the coin's whole stretch before this one was short."""
    gaps = watch.tape.gaps
    return len(gaps) > 1 and gaps[-1].since_ms - gaps[-2].until_ms < SHORT_MS


def _moves(watch: CoinWatch, venue_now_ms: int, within_ms: int) -> bool:
    """Whether the coin's tape has moved so lately."""
    watermark_ms = watch.tape.watermark_ms
    return watermark_ms is not None and venue_now_ms - watermark_ms <= within_ms
