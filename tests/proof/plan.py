"""What happens in a proof's run, and when; all times in venue seconds from the moment at which watching begins."""

import random
from dataclasses import dataclass, field
from typing import Any

GAP_S = 20.0
SETTLED_S = 300.0
"""From this long after the start or a gap's end on, nearly everything is exact."""


@dataclass(frozen=True)
class Event:
    """Something to happen: a fault of the venue, `lose_socket`, a `change` off the tape, a `suspend` of the server."""

    at_s: float
    kind: str
    fault: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """One run."""

    traders: int
    prints_per_s: float
    seconds: float
    gaps_s: tuple[float, ...]
    events: tuple[Event, ...]
    coins: tuple[str, ...] = ("BTC", "SOL")  # the second one is delisted
    seed: int = 1


def full_gap(at_s: float) -> Event:
    """Every socket goes down, and none comes up for `GAP_S`."""
    return Event(at_s, "gap", {"kind": "outage", "for_s": GAP_S})


def losses(count: int, seconds: float, gaps_s: tuple[float, ...]) -> list[Event]:
    """Lost sockets, evenly spread, one at a time and apart from full gaps: closed, aborted, mute and half-open."""
    rng = random.Random(3)
    kinds: list[dict[str, Any]] = [
        {"kind": "disconnect", "code": 1006},
        {"kind": "mute", "for_s": 12.0},
        {"kind": "half_open", "for_s": 12.0},
        {"kind": "disconnect", "code": 1000},
        {"kind": "mute", "for_s": 12.0, "channel": "trades"},
    ]
    moments: list[float] = []
    step_s = seconds / (count + 1)
    for i in range(count):
        at_s = step_s * (i + 1) + rng.uniform(-0.2, 0.2) * step_s
        for gap_s in gaps_s:
            if gap_s - 30 < at_s < gap_s + 60:
                at_s = gap_s + 60 + rng.uniform(0, 10)
        moments.append(at_s)
    return [Event(at_s, "lose_socket", kinds[i % len(kinds)]) for i, at_s in enumerate(sorted(moments))]


def exactness(scale: float, *, prints_per_s: float) -> Plan:
    """The full course at scale 1: 42 minutes, 3 gaps, 20 losses, 12 changes off the tape, a delisting, a suspend."""
    gaps_s: tuple[float, ...]
    changes_s: tuple[float, ...]
    if scale >= 1:
        seconds, gaps_s = 2_520.0, (600.0, 1_150.0, 1_700.0)
        changes_s, suspend_s = (330.0, 340.0, 930.0, 940.0, 1_480.0, 1_490.0), 2_200.0
        delist_s = 1_020.0
    else:
        seconds = max(210.0, 2_520.0 * scale)
        gaps_s, changes_s, suspend_s, delist_s = (110.0,), (75.0,), 0.0, seconds - 60
    events = [full_gap(at_s) for at_s in gaps_s]
    events += losses(max(3, round(20 * min(scale, 1))), seconds, (*gaps_s, *((suspend_s,) if suspend_s else ())))
    events += [Event(at_s, "change") for at_s in changes_s]
    events.append(Event(delist_s, "delist", {"kind": "delist", "coin": "SOL"}))
    if suspend_s:
        events.append(Event(suspend_s, "suspend"))
    if prints_per_s < 20:  # bursts, as a quiet market has them
        events += [
            Event(at_s, "burst", {"kind": "burst", "coin": "BTC", "prints_per_s": 30.0, "for_s": 10.0})
            for at_s in range(45, int(seconds) - 60, 240)
        ]
    return Plan(
        traders=max(400, round(2_000 * min(scale, 1))),
        prints_per_s=prints_per_s,
        seconds=seconds,
        gaps_s=gaps_s,
        events=tuple(sorted(events, key=lambda event: event.at_s)),
    )
