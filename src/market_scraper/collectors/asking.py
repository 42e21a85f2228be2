"""Asking for accounts: the planner says whom, the connector's budget says when, the ledger says what it was worth."""

from collections.abc import Callable, Mapping

from market_scraper.collectors.pace import Pace
from market_scraper.collectors.targets import Worth
from market_scraper.domain.book import Answer
from market_scraper.domain.errors import InvalidInput, SourceError
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

DEAF_AFTER_MS = int(ANSWER_DUE_S * 1000)
"""A coin whose watermark is that far behind cannot judge an answer in time; it would only pile up."""

STANDS_STILL_MS = 8_000
"""A quiet coin's watermark lies up to the join window and a late socket behind its last best prices."""

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
    ) -> None:
        self.planner = Planner()
        self.worth = Worth()
        self.implausible = 0
        self._http = http
        self._watches = watches
        self._clock = clock
        self._on_facts = on_facts
        self._venue_now_ms = venue_now_ms
        self._pace = Pace(weight_per_minute / ACCOUNT_WEIGHT)
        self._open: dict[Target, set[Symbol]] = {}  # coins whose verdict on the target's answer is out
        self._bad: dict[Target, float] = {}  # some coin's verdict was no help: ask again after so many seconds
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
        if target not in self.planner or (is_unknown and not self.planner.is_waiting(target)):
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
            if wait_s := self._pace.turn(self._clock.monotonic()):
                await self._clock.sleep(wait_s)
            target = self.planner.next(self._clock.monotonic()) if self._may_help() else None
            if target is None:
                await self._clock.sleep(IDLE_S)
                continue
            try:
                snapshot = await self._http.account(target.trader, target.dex)
            except SourceError as error:
                wait_s = FAILED_S if error.retry_after_s is None else max(error.retry_after_s, TOO_SOON_S)
                await self._rest(target, wait_s, str(error), told=True)
            except InvalidInput as error:
                await self._rest(target, FAILED_S, f"unreadable account answer: {error}", told=False)
            else:
                self._failing_since_s = None
                self.hear(snapshot)

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
        self._open[target] = set(coins)
        now_ms = self._clock.now_ms()
        facts: list[Fact] = []
        for symbol in coins:  # a verdict may come at once and take its coin out of the open ones
            facts += self._watches[symbol].hear_account(snapshot, now_ms)
        if facts:
            self._on_facts(facts)

    def hear_verdict(self, watch: CoinWatch, answer: Answer, verdict: str) -> None:
        """Take the ledger's judgement of one coin; after the last coin's the target is settled, or wanted again."""
        target = Target(answer.trader, watch.market.dex)
        coins = self._open.get(target)
        if verdict != "exact":
            wait_s = {"odd_size": ODD_S, "drift": DRIFTED_S}.get(verdict, TOO_SOON_S)
            self._bad[target] = min(wait_s, self._bad.get(target, wait_s))
        if coins is not None:
            coins.discard(watch.symbol)
            if coins:
                return
            del self._open[target]
        wait_for_s = self._bad.pop(target, None)
        if wait_for_s is not None:
            self._unsettled(target, wait_for_s)
        else:
            self.planner.settle(target)

    def _unsettled(self, target: Target, wait_s: float) -> None:
        now_s = self._clock.monotonic()
        gain = self.worth.gain(target, self._watches, self._venue_now_ms())
        self.planner.unsettled(target, gain, now_s=now_s, not_before_s=now_s + wait_s)

    def _may_help(self) -> bool:
        """An answer can be judged only if its whole window lies within what we heard: wait that long after a gap.

        Where the tape stands still a gap may have begun, in which asking would be in vain.
        """
        now_ms = self._venue_now_ms()
        return any(
            _moves(watch, now_ms, STANDS_STILL_MS) and now_ms - watch.tape.epoch_ms >= 2 * watch.window_ms
            for watch in self._watches.values()
        )


def _moves(watch: CoinWatch, venue_now_ms: int, within_ms: int) -> bool:
    """Whether the coin's tape has moved so lately."""
    watermark_ms = watch.tape.watermark_ms
    return watermark_ms is not None and venue_now_ms - watermark_ms <= within_ms
