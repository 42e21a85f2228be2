"""How long a proof runs: `PROOF_SCALE` 1 is full size, CI takes 0.1. Never shorter than 3 venue minutes and one gap."""

import os

SCALE = float(os.environ.get("PROOF_SCALE", "1"))
IS_FULL = SCALE >= 1
SPEED = float(os.environ.get("PROOF_SPEED", "6"))
"""Venue seconds in a real one. The whole system at 109 prints a venue second must fit into two cores."""
