"""One socket's protocol: what a client's message does and what is answered, without a socket and without a clock."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from market_scraper.simulator.limits import ClientLimits
from market_scraper.simulator.link import Frame
from market_scraper.simulator.subscriptions import (
    Refused,
    Subscription,
    already_subscribed,
    already_unsubscribed,
    not_json,
    parse_subscription,
    too_many_messages,
    too_many_posts,
    too_many_subscriptions,
    too_many_users,
)

PONG = Frame("pong", '{"channel":"pong"}')


class Answer(msgspec.Struct, frozen=True):
    """What `/info` says, over HTTP or in a `post`."""

    status: int
    body: bytes
    media_type: str = "application/json"


class Host(Protocol):
    """What a session needs of the venue around it."""

    def knows_coin(self, coin: str) -> bool: ...

    def knows_dex(self, dex: str) -> bool: ...

    def send(self, frame: Frame, on_sent: Callable[[], None] | None = None) -> None:
        """Queue a frame on this socket."""
        ...

    def subscribed(self, subscription: Subscription) -> None:
        """Begin to send it: what comes right after the echo, then what happens."""
        ...

    def unsubscribed(self, subscription: Subscription) -> None: ...

    def ask(self, payload: object) -> Answer:
        """Answer an info request at this client's expense."""
        ...

    def refused(self) -> None:
        """Count a refusal."""
        ...


def frame_of(channel: str, data: object, coin: str = "") -> Frame:
    """Encode a frame."""
    return Frame(channel, msgspec.json.encode({"channel": channel, "data": data}).decode(), coin)


class Session:
    """One socket's subscriptions and manners."""

    def __init__(self, host: Host, limits: ClientLimits) -> None:
        self._host = host
        self._limits = limits
        self.subscriptions: dict[Subscription, None] = {}

    def hear(self, text: str, now_s: float) -> None:
        """Do what a message asks."""
        options = self._limits.options
        if not self._limits.messages.take(now_s):
            self._refuse(too_many_messages(options.messages_per_minute))
            return
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            message = None
        match message:
            case {"method": "ping"}:
                self._host.send(PONG)
            case {"method": "subscribe", "subscription": raw}:
                self._subscribe(raw, now_s)
            case {"method": "unsubscribe", "subscription": raw}:
                self._unsubscribe(raw, now_s)
            case {"method": "post", "id": int(post_id), "request": {"type": str(kind), "payload": payload}}:
                self._post(post_id, kind, payload)
            case _:
                self._refuse(not_json(text))

    def _refuse(self, text: str) -> None:
        self._host.refused()
        self._host.send(frame_of("error", text))

    def _read(self, raw: object) -> Subscription | None:
        try:
            return parse_subscription(raw, knows_coin=self._host.knows_coin, knows_dex=self._host.knows_dex)
        except Refused as refusal:
            self._refuse(str(refusal))
            return None

    def _subscribe(self, raw: object, now_s: float) -> None:
        subscription = self._read(raw)
        if subscription is None:
            return
        options = self._limits.options
        if subscription in self.subscriptions:
            self._refuse(already_subscribed(subscription))
        elif self._limits.subscriptions >= options.subscriptions:
            self._refuse(too_many_subscriptions(options.subscriptions))
        elif subscription.user and not self._limits.users.take(subscription.user, now_s):
            self._refuse(too_many_users(options.users))
        else:
            self._limits.subscriptions += 1
            self.subscriptions[subscription] = None
            self._confirm("subscribe", subscription)
            self._host.subscribed(subscription)

    def _unsubscribe(self, raw: object, now_s: float) -> None:
        subscription = self._read(raw)
        if subscription is None:
            return
        if subscription not in self.subscriptions:
            self._refuse(already_unsubscribed(subscription))
            return
        self._drop(subscription, now_s, closed=False)
        self._host.unsubscribed(subscription)
        self._confirm("unsubscribe", subscription)

    def _confirm(self, method: str, subscription: Subscription) -> None:
        echo = {"method": method, "subscription": subscription.echo()}
        self._host.send(frame_of("subscriptionResponse", echo))

    def _drop(self, subscription: Subscription, now_s: float, *, closed: bool) -> None:
        del self.subscriptions[subscription]
        self._limits.subscriptions -= 1
        if subscription.user:
            self._limits.users.release(subscription.user, now_s, closed=closed)

    def _post(self, post_id: int, kind: str, payload: object) -> None:
        if self._limits.inflight_posts >= self._limits.options.inflight_posts:
            self._refuse(too_many_posts(post_id))
            return
        self._limits.inflight_posts += 1
        response: dict[str, object]
        if kind != "info":  # nothing can be traded here, and explorer requests are not supported over sockets
            response = {"type": "error", "payload": "422 Unprocessable Entity: only info requests are served"}
        else:
            answer = self._host.ask(payload)
            if answer.status == 200:
                name = payload.get("type") if isinstance(payload, dict) else None
                response = {"type": "info", "payload": {"type": name, "data": msgspec.Raw(answer.body)}}
            else:
                response = {"type": "error", "payload": f"{answer.status}: {answer.body.decode()}"}
        self._host.send(frame_of("post", {"id": post_id, "response": response}), self._answered)

    def _answered(self) -> None:
        self._limits.inflight_posts -= 1

    def close(self, now_s: float) -> list[Subscription]:
        """Give back what the socket held; says what it was subscribed to. May be called twice."""
        held = list(self.subscriptions)
        for subscription in held:
            self._drop(subscription, now_s, closed=True)
        return held
