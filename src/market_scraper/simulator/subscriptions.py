"""What can be subscribed to: reading a subscription, its normalised echo, and the venue's exact error texts."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

INTERVALS_MS: dict[str, int] = {
    name: n * unit
    for unit, names in (
        (60_000, {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30}),
        (3_600_000, {"1h": 1, "2h": 2, "4h": 4, "8h": 8, "12h": 12}),
        (86_400_000, {"1d": 1, "3d": 3, "1w": 7, "1M": 30}),
    )
    for name, n in names.items()
}
_USER = re.compile(r"0x[0-9a-fA-F]{40}")
USER_KINDS = frozenset({"clearinghouseState", "userFills"})
COIN_KINDS = frozenset({"trades", "bbo", "candle", "activeAssetCtx"})


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription in its normalised form; equal ones are the same subscription."""

    kind: str
    coin: str = ""
    interval: str = ""
    user: str = ""
    dex: str = ""
    aggregate: bool = False

    def echo(self) -> dict[str, object]:
        """As the venue says it back: defaults added, unknown keys dropped."""
        payload: dict[str, object] = {"type": self.kind}
        if self.kind in COIN_KINDS:
            payload["coin"] = self.coin
        if self.kind == "candle":
            payload["interval"] = self.interval
        if self.kind in USER_KINDS:
            payload["user"] = self.user
        if self.kind == "userFills":
            payload["aggregateByTime"] = self.aggregate
        if self.kind == "clearinghouseState" or (self.kind == "allMids" and self.dex):
            payload["dex"] = self.dex
        return payload


class Refused(Exception):
    """The venue will not do it; the text is what it says on the error channel."""


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def parse_subscription(
    raw: object, *, knows_coin: Callable[[str], bool], knows_dex: Callable[[str], bool]
) -> Subscription:
    """Read a subscription payload. Raises Refused with `Invalid subscription {...}`."""
    refusal = Refused(f"Invalid subscription {_json(raw)}")
    if not isinstance(raw, Mapping):
        raise refusal
    kind, coin, interval = raw.get("type"), raw.get("coin", ""), raw.get("interval", "")
    user, dex, aggregate = raw.get("user", ""), raw.get("dex") or "", raw.get("aggregateByTime") or False
    if not (isinstance(kind, str) and isinstance(dex, str) and knows_dex(dex) and isinstance(aggregate, bool)):
        raise refusal
    if kind in COIN_KINDS:
        if not (isinstance(coin, str) and knows_coin(coin)):
            raise refusal
        if kind != "candle":
            return Subscription(kind, coin=coin)
        if not (isinstance(interval, str) and interval in INTERVALS_MS):
            raise refusal
        return Subscription(kind, coin=coin, interval=interval)
    if kind in USER_KINDS:
        if not (isinstance(user, str) and _USER.fullmatch(user)):
            raise refusal
        if kind == "userFills":
            return Subscription(kind, user=user.lower(), aggregate=aggregate)
        return Subscription(kind, user=user.lower(), dex=dex)
    if kind == "allMids":
        return Subscription(kind, dex=dex)
    raise refusal


def already_subscribed(subscription: Subscription) -> str:
    """Said when a socket subscribes twice."""
    return f"Already subscribed: {_json(subscription.echo())}"


def already_unsubscribed(subscription: Subscription) -> str:
    """Said when a socket unsubscribes from what it has not."""
    return f"Already unsubscribed: {_json(subscription.echo())}"


def not_json(raw: str) -> str:
    """Said of a message that is no request."""
    return f"Error parsing JSON into valid websocket request: {raw}"


def too_many_users(limit: int) -> str:
    """Said to the user too many; it does not echo the request."""
    return f"Cannot track more than {limit} total users."


def too_many_subscriptions(limit: int) -> str:
    """Said to the subscription too many."""
    return f"Cannot subscribe to more than {limit} channels."


def too_many_messages(limit: int) -> str:
    """Said instead of an answer to a message too many."""
    return f"Cannot send more than {limit} messages per minute."


def too_many_posts(post_id: int) -> str:
    """Said to a post too many."""
    return f"too many pending post requests id={post_id}"


def too_many_sockets(limit: int) -> str:
    """The close reason (1008) of a socket too many."""
    return f"Cannot open more than {limit} connections."
