"""How long a proof runs: `PROOF_SCALE` 1 is full size, CI takes 0.1. Never shorter than 3 venue minutes and one gap."""

import os

SCALE = float(os.environ.get("PROOF_SCALE", "1"))
IS_FULL = SCALE >= 1
SPEED = float(os.environ.get("PROOF_SPEED", "6"))
"""Venue seconds in a real one. The whole system at 109 prints a venue second must fit into two cores."""


def separate_speed(prints_per_s: float) -> float:
    """Likewise where each role, Redis and the database have a process each.

    Every fact is then encoded, sent, read and decoded by several, and where everyone is tracked the MongoDB test server
    takes no more than some 100 facts a real second with all that comes of them; then the bus fills, and the tape waits.
    """
    return float(os.environ.get("PROOF_SPEED") or min(2.0, 100 / prints_per_s))
