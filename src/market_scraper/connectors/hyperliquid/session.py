"""One socket's subscriptions, told what happened and when, answering what to send and when to give up. Pure.

All times are venue seconds that never fall. A session outlives its connections: what is wanted stays wanted.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

Payload = Mapping[str, object]
Key = frozenset[tuple[str, object]]


@dataclass(frozen=True, slots=True)
class Timing:
    """When a session does what, in venue seconds."""

    burst: int = 8
    """Subscribes sent at once after connecting: those of a few coins, so that the replay joins our past."""
    pace_s: float = 0.5
    """Between further ones: bursts were answered with a close `Inactive`, this cured it (seen by others, 2026-08)."""
    unconfirmed_s: float = 10.0
    """A subscribe without an answer is sent again."""
    ping_s: float = 20.0
    """Of sending nothing: the venue closes what sends it nothing for 60 s."""
    quiet_s: float = 10.0
    """Of hearing nothing: ping, to see whether anybody is there."""
    pong_s: float = 10.0
    """Of hearing nothing at all after a ping: the connection is dead."""
    max_age_s: float = 9_000.0
    """Renew well before the venue closes with `Expired` at about 3 h, so that several sockets can take turns."""
    first_retry_s: float = 2.0
    last_retry_s: float = 60.0
    """After a quota refusal, doubling: a closed socket's user slots are free within about 2 s."""
    invalid_retry_s: float = 300.0
    """After `Invalid subscription`: the market may be listed later."""


MAX_SILENCE_S = {"allMids": 15.0, "clearinghouseState": 30.0}
"""Channels that always speak (every 2 s and 5 s): silent for this long, they are subscribed anew."""

REFUSED_USERS = "Cannot track more than"
REFUSED_CHANNELS = "Cannot subscribe to more than"
REFUSED_MESSAGES = "Cannot send more than"
ALREADY_SUBSCRIBED = "Already subscribed"
ALREADY_UNSUBSCRIBED = "Already unsubscribed"
INVALID = "Invalid subscription"

EXPIRES = "renewed before it expires"
"""The verdict on an old connection: nothing is wrong with it, and it may be put off (`postpone_renewal`)."""


class _State(Enum):
    IDLE = auto()  # to be subscribed
    SUBSCRIBING = auto()  # sent, not yet confirmed
    CONFIRMED = auto()
    LEAVING = auto()  # to be unsubscribed
    UNSUBSCRIBING = auto()  # sent, not yet confirmed


@dataclass(slots=True)
class _Subscription:
    payload: Payload
    key: Key
    state: _State = _State.IDLE
    wanted: bool = True
    sent_s: float = -math.inf  # -inf: the venue cannot hold it
    heard_s: float = -math.inf
    not_before_s: float = -math.inf
    refusals: int = 0

    @property
    def kind(self) -> str:
        return str(self.payload.get("type"))


@dataclass(slots=True)
class _Connection:
    renew_s: float
    sent_s: float
    heard_s: float
    pinged_s: float | None = None  # a ping that nothing has followed yet
    tokens: float = 0.0
    tokens_s: float = 0.0


def key_of(payload: Payload) -> Key:
    """What makes two payloads the same: the venue adds defaults (null, false, "") and may change the case of hex."""
    return frozenset(
        (name, value.lower() if isinstance(value, str) and value[:2] == "0x" else _hashable(value))
        for name, value in payload.items()
        if value is not None and value is not False and value != ""
    )


def _hashable(value: object) -> object:
    return value if isinstance(value, str | int | float) else json.dumps(value, sort_keys=True, default=str)


class Session:
    """Wanted against confirmed subscriptions, pings and silence of one socket."""

    def __init__(self, timing: Timing | None = None) -> None:
        self._timing = timing or Timing()
        self._known: dict[Key, _Subscription] = {}
        self._replays: set[str] = set()  # coins whose next trades frame is the replay
        self._speaking: dict[tuple[str, str], _Subscription] = {}
        self._connection: _Connection | None = None
        self.stirred = False
        """Something was answered since `due` was last asked: what it and `next_at` said may have changed."""

    # What the owner wants.

    def want(self, payloads: Sequence[Payload]) -> None:
        """Set all that should be subscribed; the order is the order of sending."""
        wanted = {key_of(payload): payload for payload in payloads}
        for key, known in list(self._known.items()):
            if key not in wanted:
                self._leave(known)
        again = {key: self._known.pop(key, None) for key in wanted}
        for key, payload in wanted.items():
            subscription = again[key] or _Subscription(dict(payload), key)
            subscription.wanted = True
            self._known[key] = subscription
        self._index()

    def renew(self, payload: Payload) -> None:
        """Unsubscribe and subscribe anew, for the replay."""
        found = self._known.get(key_of(payload))
        if found is not None and found.wanted and found.state is _State.CONFIRMED:
            found.state = _State.LEAVING

    # What happened.

    def opened(self, now_s: float) -> None:
        """A new connection stands; nothing is subscribed on it."""
        self._connection = _Connection(
            now_s + self._timing.max_age_s, now_s, now_s, tokens=self._timing.burst, tokens_s=now_s
        )
        self._replays.clear()
        for key, known in list(self._known.items()):
            if not known.wanted:
                del self._known[key]
            known.state = _State.IDLE
            known.sent_s = known.not_before_s = -math.inf
            known.refusals = 0
        self._index()

    def closed(self) -> None:
        """The connection is gone."""
        self._connection = None

    def heard(self, now_s: float) -> None:
        """Any frame came."""
        if self._connection is not None:
            self._connection.heard_s = now_s
            if self._connection.pinged_s is not None:
                self._connection.pinged_s = None
                self.stirred = True

    def heard_of(self, channel: str, which: str, now_s: float) -> None:
        """A frame of a channel that always speaks came: `which` is its user or dex, "" when it has neither."""
        found = self._speaking.get((channel, which))
        if found is not None:
            found.heard_s = now_s

    def confirmed(self, method: str, echo: Payload, now_s: float) -> Payload | None:
        """The venue answered a subscribe or unsubscribe. Gives our own payload if that changed anything."""
        self.stirred = True
        found = self._match(echo)
        if found is None:
            return None
        if method == "unsubscribe":
            if found.state in (_State.IDLE, _State.SUBSCRIBING):
                return None  # of an earlier one, sent twice
            self._gone(found)
            return found.payload
        # An idle one may be confirmed too: a refusal of another, which did not say of what, had set it back.
        if method != "subscribe" or found.state not in (_State.SUBSCRIBING, _State.IDLE):
            return None
        found.state = _State.CONFIRMED if found.wanted else _State.LEAVING
        found.heard_s = now_s
        found.refusals = 0
        return found.payload

    def refused(self, text: str, now_s: float) -> None:
        """The venue sent an error text. Quota refusals do not say of what: all that is unanswered waits."""
        self.stirred = True
        if text.startswith((ALREADY_SUBSCRIBED, ALREADY_UNSUBSCRIBED, INVALID)):
            found = self._match(_echo_in(text))
            if found is None:
                return
            if text.startswith(ALREADY_UNSUBSCRIBED):
                if found.state not in (_State.IDLE, _State.SUBSCRIBING):  # else of an earlier one, sent twice
                    self._gone(found)
            elif text.startswith(ALREADY_SUBSCRIBED):
                # Subscribed without our knowing since when: only from a new subscribe on do we know the replay.
                if found.state is _State.SUBSCRIBING:
                    found.state = _State.LEAVING
            elif not found.wanted:
                self._gone(found)
            elif found.state is _State.SUBSCRIBING:
                self._set_back(found, now_s + self._timing.invalid_retry_s)
        elif text.startswith(REFUSED_MESSAGES):
            for known in self._known.values():
                if known.state in (_State.IDLE, _State.SUBSCRIBING):
                    self._set_back(known, now_s + self._timing.last_retry_s)
        elif text.startswith((REFUSED_USERS, REFUSED_CHANNELS)):
            users_only = text.startswith(REFUSED_USERS)
            for known in self._known.values():
                if known.state is _State.SUBSCRIBING and ("user" in known.payload or not users_only):
                    delay_s = min(self._timing.first_retry_s * 2.0**known.refusals, self._timing.last_retry_s)
                    known.refusals = min(known.refusals + 1, 10)
                    self._set_back(known, now_s + delay_s)

    def awaits_replay(self, coin: str) -> bool:
        """Whether the coin's next trades frame is the replay: the first since it was subscribed.

        Nothing says whether the venue confirms before or after it.
        """
        return coin in self._replays

    def replayed(self, coin: str) -> None:
        """The replay was read. (An unreadable one is not it: the next frame then opens the stretch, as safely.)"""
        self._replays.discard(coin)

    # What to do.

    def due(self, now_s: float) -> list[dict[str, object]]:
        """The messages to send now, in order; they count as sent."""
        connection = self._connection
        if connection is None:
            return []
        self.stirred = False
        self._tire(now_s)
        messages: list[dict[str, object]] = []
        for known in list(self._known.values()):
            if not self._ready(known, now_s) or not self._token(connection, now_s):
                continue
            leaving = not known.wanted or known.state in (_State.LEAVING, _State.UNSUBSCRIBING)
            known.state = _State.UNSUBSCRIBING if leaving else _State.SUBSCRIBING
            known.sent_s = now_s
            method = "unsubscribe" if leaving else "subscribe"
            if known.kind == "trades" and not leaving:
                self._replays.add(str(known.payload.get("coin")))
            messages.append({"method": method, "subscription": dict(known.payload)})
        if not messages and self._ping_at(connection) <= now_s:
            connection.pinged_s = now_s
            messages.append({"method": "ping"})
        if messages:
            connection.sent_s = now_s
        return messages

    def verdict(self, now_s: float) -> str | None:
        """Why this connection must be closed now, or None."""
        connection = self._connection
        if connection is None:
            return None
        if connection.pinged_s is not None and now_s - connection.pinged_s >= self._timing.pong_s:
            return f"silent for {now_s - connection.heard_s:.0f} s"
        if now_s >= connection.renew_s:
            return EXPIRES
        return None

    def postpone_renewal(self, until_s: float) -> None:
        """Keep the connection until then, for another socket is being renewed."""
        if self._connection is not None:
            self._connection.renew_s = until_s

    def next_at(self, now_s: float) -> float:
        """When `due` or `verdict` may next have something to say, if nothing happens before."""
        connection = self._connection
        if connection is None:
            return math.inf
        moments = [connection.renew_s, self._ping_at(connection)]
        if connection.pinged_s is not None:
            moments.append(connection.pinged_s + self._timing.pong_s)
        token_s = connection.tokens_s + (1.0 - connection.tokens) * self._timing.pace_s
        for known in self._known.values():
            if (ready_s := self._ready_at(known)) < math.inf:
                moments.append(max(ready_s, token_s))
            elif known.state is _State.CONFIRMED and (limit_s := MAX_SILENCE_S.get(known.kind)) is not None:
                moments.append(known.heard_s + limit_s)
        return max(now_s, min(moments))

    @property
    def unconfirmed(self) -> int:
        """How many wanted subscriptions the venue has not confirmed."""
        return sum(known.wanted and known.state is not _State.CONFIRMED for known in self._known.values())

    # How it is done.

    def _ready_at(self, known: _Subscription) -> float:
        match known.state:
            case _State.IDLE:
                return known.not_before_s
            case _State.LEAVING:
                return -math.inf
            case _State.SUBSCRIBING | _State.UNSUBSCRIBING:
                return known.sent_s + self._timing.unconfirmed_s
            case _State.CONFIRMED:
                return math.inf

    def _ready(self, known: _Subscription, now_s: float) -> bool:
        return self._ready_at(known) <= now_s

    def _token(self, connection: _Connection, now_s: float) -> bool:
        grown = (now_s - connection.tokens_s) / self._timing.pace_s
        connection.tokens = min(float(self._timing.burst), connection.tokens + grown)
        connection.tokens_s = now_s
        # A hair below one counts as one, or rounding would have the owner ask again and again at the same moment.
        if connection.tokens < 1.0 - 1e-6:
            return False
        connection.tokens -= 1.0
        return True

    def _tire(self, now_s: float) -> None:
        """Send those anew that always speak and do not."""
        for known in self._known.values():
            limit_s = MAX_SILENCE_S.get(known.kind)
            if limit_s is not None and known.state is _State.CONFIRMED and now_s - known.heard_s >= limit_s:
                known.state = _State.LEAVING

    def _ping_at(self, connection: _Connection) -> float:
        if connection.pinged_s is not None:
            return math.inf
        return min(connection.sent_s + self._timing.ping_s, connection.heard_s + self._timing.quiet_s)

    def _leave(self, known: _Subscription) -> None:
        known.wanted = False
        unsent = known.state is _State.IDLE and known.sent_s == -math.inf
        if unsent or self._connection is None:
            del self._known[known.key]
        elif known.state in (_State.CONFIRMED, _State.IDLE):  # idle after a nameless refusal: it may yet be confirmed
            known.state = _State.LEAVING

    def _gone(self, known: _Subscription) -> None:
        """It is not subscribed any more: forget it, or (a renewal) subscribe it again."""
        self._replays.discard(str(known.payload.get("coin")) if known.kind == "trades" else "")
        if known.wanted:
            known.state = _State.IDLE
            known.sent_s = -math.inf
        else:
            del self._known[known.key]
            self._index()

    def _set_back(self, known: _Subscription, until_s: float) -> None:
        """Perhaps it was refused, perhaps it will yet be confirmed: try again later, or make sure that it is gone."""
        known.state = _State.IDLE if known.wanted else _State.LEAVING
        known.not_before_s = max(known.not_before_s, until_s)

    def _match(self, echo: Payload) -> _Subscription | None:
        """Find ours in an echo to which the venue may have added defaults."""
        key = key_of(echo)
        found = self._known.get(key)
        if found is not None:
            return found
        return next((known for known in self._known.values() if known.key <= key), None)

    def _index(self) -> None:
        self._speaking = {
            (known.kind, str(known.payload.get("user") or known.payload.get("dex") or "").lower()): known
            for known in self._known.values()
            if known.kind in MAX_SILENCE_S
        }


def _echo_in(text: str) -> Payload:
    """The subscription that an error text quotes, or nothing."""
    start = text.find("{")
    try:
        echo = json.loads(text[start:]) if start >= 0 else {}
    except (ValueError, RecursionError):
        return {}
    return echo if isinstance(echo, dict) else {}
