"""What goes out over all sockets: turns the world's blocks and the clock's passing into frames, each encoded once."""

import random

from market_scraper.simulator import shapes
from market_scraper.simulator.faults import Fault
from market_scraper.simulator.info import FILLS_LIMIT, InfoDesk
from market_scraper.simulator.link import Frame, Link
from market_scraper.simulator.options import VenueOptions
from market_scraper.simulator.session import frame_of
from market_scraper.simulator.subscriptions import Subscription
from market_scraper.simulator.world import World
from market_scraper.simulator.world.facts import Block, Print
from market_scraper.simulator.world.markets import Market

_JOIN_WAIT_MS = 400  # a frame that waits for a second block waits no longer
_FRESH_MS = 1000  # a subscription may begin within a block only while the block is new


class Feed:
    """The world's voice. `faults` is the list in force, kept by the venue."""

    def __init__(self, world: World, options: VenueOptions, desk: InfoDesk, rng: random.Random) -> None:
        self._world = world
        self._options = options
        self._desk = desk
        self._rng = rng
        self._markets: dict[str, Market] = {market.coin: market for market in world.markets}
        self._wanted: dict[Subscription, dict[Link, None]] = {}
        self._joining: dict[str, tuple[int, tuple[Print, ...]]] = {}  # coin -> (since, prints of a waiting block)
        self._due_ms: dict[Subscription, int] = {}  # thinned and timed channels: when the next frame may come
        self._accounts_due_ms: dict[tuple[Link, Subscription], int] = {}
        self._stale_contexts: set[str] = set()
        self._printed: dict[str, int] = {}  # coin -> blocks that printed
        self._sent_printed: dict[Subscription, int] = {}  # what of it a candle subscription was sent
        self._sent_bar_ms: dict[Subscription, int] = {}  # open time of the bar that was sent last
        self.faults: list[Fault] = []
        self.prints = 0
        self.blocks = 0

    # -- subscriptions ------------------------------------------------------------------------------------------------
    def subscribe(self, link: Link, subscription: Subscription, now_ms: int) -> None:
        """Send what comes right after the echo, and from now on what happens."""
        self._wanted.setdefault(subscription, {})[link] = None
        if self._options.playback is not None:
            return
        for frame in self._first_frames(subscription, now_ms):
            link.put(frame, now_ms, self.faults)
        if subscription.kind == "clearinghouseState":
            self._accounts_due_ms[link, subscription] = now_ms + round(self._options.cadence.account_s * 1000)

    def unsubscribe(self, link: Link, subscription: Subscription) -> None:
        """Send it no more. Unknown ones are ignored."""
        links = self._wanted.get(subscription)
        if links is not None:
            links.pop(link, None)
            if not links:
                del self._wanted[subscription]
                self._due_ms.pop(subscription, None)
                self._sent_bar_ms.pop(subscription, None)
                self._sent_printed.pop(subscription, None)
        self._accounts_due_ms.pop((link, subscription), None)

    def listeners(self, kind: str) -> list[int]:
        """Numbers of the sockets that have subscribed to this kind of frame, rising."""
        return sorted({link.index for wanted, links in self._wanted.items() if wanted.kind == kind for link in links})

    def _first_frames(self, subscription: Subscription, now_ms: int) -> list[Frame]:
        coin = subscription.coin
        match subscription.kind:
            case "trades":
                return self._replay(coin, now_ms)
            case "bbo":
                best = self._world.bbo(coin)
                return [] if best is None else [frame_of("bbo", shapes.bbo(self._markets[coin], best), coin)]
            case "activeAssetCtx":
                return [self._context(coin, now_ms)]
            case "candle":
                bar = self._world.forming_candle(coin, subscription.interval)
                self._sent_bar_ms.setdefault(subscription, bar.open_ms)  # others may wait for the end of an older one
                return [frame_of("candle", shapes.candle(self._markets[coin], bar), coin)]
            case "allMids":
                return [self._mids(subscription, now_ms)]
            case "clearinghouseState":
                return [self._account(subscription, now_ms)]
            case _:
                user = subscription.user
                facts = self._world.newest_fills(user, FILLS_LIMIT, twap=False)
                fills = shapes.fills(self._markets, facts, aggregate=subscription.aggregate)
                return [frame_of("userFills", {"isSnapshot": True, "user": user, "fills": fills})]

    def _replay(self, coin: str, now_ms: int) -> list[Frame]:
        """The coin's last prints, in an ordinary frame. Its oldest block may be cut by the count.

        A subscription that begins within a block gets the part that is there, and then the block again, whole.
        """
        prints = self._world.recent_prints(coin, 500)
        if not prints:
            return []
        newest = [fact for fact in prints if fact.time_ms == prints[-1].time_ms]
        fresh = now_ms - newest[0].time_ms <= _FRESH_MS
        frames: list[Frame] = []
        if self._options.untidy.cut_replays and fresh and self._rng.random() < 0.5:
            prints = prints[: len(prints) - len(newest) + self._rng.randint(1, len(newest))]
            frames.append(self._trades(coin, newest))
        return [self._trades(coin, prints[-self._options.replay_prints :]), *frames]

    # -- frames -------------------------------------------------------------------------------------------------------
    def _trades(self, coin: str, prints: list[Print] | tuple[Print, ...]) -> Frame:
        market = self._markets[coin]
        return frame_of("trades", [shapes.trade(market, fact) for fact in prints], coin)

    def _context(self, coin: str, now_ms: int) -> Frame:
        fact = self._world.context(coin, now_ms)
        data = {"coin": coin, "ctx": shapes.context(self._markets[coin], fact)}
        return frame_of("activeAssetCtx", data, coin)

    def _mids(self, subscription: Subscription, now_ms: int) -> Frame:
        mids = self._world.mids(now_ms, subscription.dex)
        data: shapes.Json = {"mids": {coin: shapes.mid_text(mid) for coin, mid in mids.items()}}
        return frame_of("allMids", data | {"dex": subscription.dex} if subscription.dex else data)

    def _account(self, subscription: Subscription, now_ms: int) -> Frame:
        state = self._desk.account(subscription.user, subscription.dex, now_ms)
        data = {"dex": subscription.dex, "user": subscription.user, "clearinghouseState": state}
        return frame_of("clearinghouseState", data)

    def _bars(self, subscription: Subscription) -> list[Frame]:
        """The forming bar; before it the last one once more, when it was sent unfinished."""
        coin, interval = subscription.coin, subscription.interval
        market = self._markets[coin]
        bars = [self._world.forming_candle(coin, interval)]
        sent_ms = self._sent_bar_ms.get(subscription)
        if sent_ms is not None and sent_ms < bars[0].open_ms:
            bars = [*self._world.candles(coin, interval, sent_ms, sent_ms), *bars]
        self._sent_bar_ms[subscription] = bars[-1].open_ms
        return [frame_of("candle", shapes.candle(market, bar), coin) for bar in bars]

    def _send(self, subscription: Subscription, frames: list[Frame], now_ms: int) -> None:
        for frame in frames:
            for link in self._wanted.get(subscription, ()):
                link.put(frame, now_ms, self.faults)

    # -- time ---------------------------------------------------------------------------------------------------------
    def step(self, now_ms: int) -> None:
        """Let the world come to `now_ms` and send what that brings."""
        for block in self._world.advance(now_ms):
            self._block(block, now_ms)
        for coin, (since_ms, prints) in list(self._joining.items()):
            if now_ms - since_ms >= _JOIN_WAIT_MS:
                del self._joining[coin]
                self._send_trades(coin, prints, now_ms)
        self._on_time(now_ms)

    def _block(self, block: Block, now_ms: int) -> None:
        self.blocks += 1
        for coin, prints in block.prints:
            self.prints += len(prints)
            self._printed[coin] = self._printed.get(coin, 0) + 1
            waiting = self._joining.pop(coin, None)
            if waiting is not None:
                self._send_trades(coin, waiting[1] + prints, now_ms)
            elif self._rng.random() < self._options.untidy.joined_blocks:
                self._joining[coin] = (now_ms, prints)
            else:
                self._send_trades(coin, prints, now_ms)
        for best in block.bbos:
            subscription = Subscription("bbo", coin=best.coin)
            if subscription in self._wanted:
                self._send(
                    subscription, [frame_of("bbo", shapes.bbo(self._markets[best.coin], best), best.coin)], now_ms
                )
        self._stale_contexts.update(block.ctx_coins)
        self._send_fills(block, now_ms)

    def _send_trades(self, coin: str, prints: tuple[Print, ...], now_ms: int) -> None:
        subscription = Subscription("trades", coin=coin)
        if subscription in self._wanted:
            self._send(subscription, [self._trades(coin, prints)], now_ms)

    def _send_fills(self, block: Block, now_ms: int) -> None:
        wanted = [subscription for subscription in self._wanted if subscription.kind == "userFills"]
        if not wanted or not block.prints:
            return
        traded = {user for _, prints in block.prints for fact in prints for user in (fact.buyer, fact.seller)}
        for subscription in wanted:
            user = subscription.user
            if user not in traded:
                continue
            facts = self._world.fills(user, block.time_ms, block.time_ms, twap=False)
            if facts:  # own slices of a TWAP are left out
                shaped = shapes.fills(self._markets, facts, aggregate=subscription.aggregate)
                self._send(subscription, [frame_of("userFills", {"user": user, "fills": shaped})], now_ms)

    def _on_time(self, now_ms: int) -> None:
        cadence = self._options.cadence
        for subscription in self._wanted:
            coin = subscription.coin
            match subscription.kind:
                case "allMids":
                    if self._is_due(subscription, cadence.mids_s, now_ms):
                        self._send(subscription, [self._mids(subscription, now_ms)], now_ms)
                case "activeAssetCtx":
                    if coin in self._stale_contexts and self._is_due(subscription, cadence.context_s, now_ms):
                        self._stale_contexts.discard(coin)
                        self._send(subscription, [self._context(coin, now_ms)], now_ms)
                case "candle":
                    printed = self._printed.get(coin, 0)
                    if self._sent_printed.get(subscription) != printed and self._is_due(
                        subscription, cadence.candle_s, now_ms
                    ):
                        self._sent_printed[subscription] = printed
                        self._send(subscription, self._bars(subscription), now_ms)
                case _:
                    pass
        for (link, subscription), due_ms in self._accounts_due_ms.items():
            if due_ms <= now_ms:
                self._accounts_due_ms[link, subscription] = now_ms + round(cadence.account_s * 1000)
                link.put(self._account(subscription, now_ms), now_ms, self.faults)

    def _is_due(self, subscription: Subscription, every_s: float, now_ms: int) -> bool:
        if self._due_ms.get(subscription, 0) > now_ms:
            return False
        self._due_ms[subscription] = now_ms + round(every_s * 1000)
        return True

    def play(self, frame: Frame, subscription: Subscription, now_ms: int) -> None:
        """Send a recorded frame to whom it belongs."""
        self._send(subscription, [frame], now_ms)
