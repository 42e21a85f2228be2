"""The venue's margin arithmetic, on whole millionths of a USD."""


def isolated_raw_micro(cost_micro: int, leverage: int) -> int:
    """`leverage.rawUsd` of an isolated position: the margin put up at the entry, less the signed cost."""
    return abs(cost_micro) // leverage - cost_micro


def liquidation_units(mark: int, lots: int, available_micro: int, maintenance_rate: float) -> float:
    """Price (units) at which equity equals maintenance margin; `available_micro` is equity less maintenance now.

    The venue's formula, checked on the recorded state of facts 2.3 (ETH 0.0335, isolated 20x: 2866.26936529). It may be
    negative (a long that can lose everything and still stand) or far above any price (a tiny short hedge).
    """
    side = 1 if lots > 0 else -1
    return mark - side * available_micro / abs(lots) / (1 - maintenance_rate * side)
