"""What the voters' positions in one coin add up to.

A pure function of the sorted voters: no running sums, and every sum is exact before it is rounded (`math.fsum`), so
a restart, a replay and another order of arrival give the same digits.

The formulas are those of signal science 4.7, as far as they can be filled today:

* Skill weight: experts with a small edge each are best weighted by ln(p / (1 - p)), which is proportional to the
  edge. Edges are not measured yet, so the score stands in for them: the weight is score / 100, and at least 0.05
  (a trader followed by hand may have no score). No voter has more than 5 % of all weight, or than twice an even share.
* Conviction: signed notional / account value, clipped to -1..1. A trader's own habit (median conviction) is not known.
* Data quality: 1 for exact, 1 - doubt for unsure; the others have no vote.
* Confidence: logistic(b x S x sqrt(N_eff)) with S the net exposure, and b ~ N(1, 0.5^2) integrated out by the
  probit approximation. It is a prior, not a calibration: `calibrated` is False.
"""

import hashlib
from collections.abc import Mapping, Sequence
from math import exp, fsum, pi, sqrt

import msgspec

from market_scraper.domain.claims import Claim
from market_scraper.domain.positions import Position, PositionState
from market_scraper.domain.rules import SignalRules
from market_scraper.domain.signals import Contribution, Signal, SignalState
from market_scraper.domain.values import Address, Recommendation, Symbol

MODEL = "skill-conviction-1"
"""Version of the rule below: a change of it that changes digits is a new name."""

MIN_SKILL = 0.05
MAX_SHARE = 0.05
MAX_EVEN_SHARES = 2.0
SHOWN = 100
"""Contributions that a signal names. 500 take 30 kB each time, 1.3 GB a month; the hundredth moves no decision."""

PRIOR_MEAN = 1.0
PRIOR_DEVIATION = 0.5


class Voter(msgspec.Struct, frozen=True, gc=False):
    """One tracked trader's vote in one coin."""

    trader: Address
    size: float  # coins, signed; 0 = flat, which is a vote too
    equity: float  # USD, > 0
    weight: float  # skill x data quality, > 0
    state: PositionState
    doubt: float | None


class Tally(msgspec.Struct, frozen=True, gc=False):
    """The voters counted; fields as in `Signal`."""

    voters: int
    traders_long: int
    traders_short: int
    traders_flat: int
    long_bias: float
    short_bias: float
    net_exposure: float
    head_count_bias: float
    dollar_bias: float
    effective_voters: float
    confidence: float


def skill(score: float | None) -> float:
    """Give a voter's skill weight from the score; None = never ranked."""
    return MIN_SKILL if score is None else max(MIN_SKILL, score / 100.0)


def voter(position: Position, claim: Claim, *, score: float | None, equity: float | None) -> Voter | None:
    """Make a tracked trader's vote, or None: no size is known, doubt is whole, or nothing tells the conviction.

    `equity` is the leaderboard's account value (USD; sub-accounts and spot included); where that is missing or not
    above zero, the last account answer's is taken.
    """
    size = position.size
    if size is None:
        return None
    if claim.state is PositionState.EXACT:
        quality = 1.0
    elif claim.state is PositionState.UNSURE and claim.doubt is not None and claim.doubt < 1.0:
        quality = 1.0 - claim.doubt
    else:
        return None
    owned = next((e for e in (equity, position.account_value) if e is not None and e > 0.0), None)
    if owned is None:
        if size:
            return None
        owned = 1.0  # flat is flat, whatever is owned
    return Voter(position.trader, size, owned, skill(score) * quality, claim.state, claim.doubt)


def capped(weights: list[float]) -> list[float]:
    """Cut weights so that none has more than its greatest share of all that remains.

    The greatest share is 5 %, but never less than two even shares (by the effective number of weights): with few
    voters a tighter cap would only level those whom we are sure of with those whom we are not.
    """
    total = fsum(weights)
    if not weights or max(weights) <= MAX_SHARE * total:  # nearly always: the sum of squares is not needed
        return weights
    share = max(MAX_SHARE, MAX_EVEN_SHARES * fsum([w * w for w in weights]) / (total * total))
    if share >= 1.0 or max(weights) <= share * total:
        return weights
    heaviest = sorted(weights, reverse=True)
    for cut in range(1, len(heaviest)):
        if cut * share >= 1.0:
            break
        rest = fsum(heaviest[cut:])
        limit = share * rest / (1.0 - cut * share)  # the `cut` heaviest at `limit` each: limit = share x (new total)
        if heaviest[cut] <= limit:
            return [min(w, limit) for w in weights]
    return weights


def tally(voters: Sequence[Voter], price: float) -> Tally:
    """Count the voters at this price (USD)."""
    weights = capped([v.weight for v in voters])
    total = fsum(weights)
    sizes = [v.size for v in voters]
    votes = [w * u for w, u in zip(weights, _convictions(voters, price), strict=True) if u]
    longs, shorts = [c for c in votes if c > 0.0], [c for c in votes if c < 0.0]
    long_sum, short_sum = fsum(longs), -fsum(shorts)
    long_bias, short_bias = (long_sum / total, short_sum / total) if total else (0.0, 0.0)
    net = long_bias - short_bias
    squares = fsum([c * c for c in votes])
    effective = (long_sum + short_sum) ** 2 / squares if squares else 0.0
    held = [s for s in sizes if s]
    dollars = fsum(map(abs, held))
    count, long_count = len(sizes), len([s for s in held if s > 0.0])
    short_count = len(held) - long_count
    return Tally(
        voters=count,
        traders_long=long_count,
        traders_short=short_count,
        traders_flat=count - len(held),
        long_bias=long_bias,
        short_bias=short_bias,
        net_exposure=net,
        head_count_bias=(long_count - short_count) / count if count else 0.0,
        dollar_bias=fsum(held) / dollars if dollars else 0.0,
        effective_voters=effective,
        confidence=_confidence(net, effective),
    )


def _convictions(voters: Sequence[Voter], price: float) -> list[float]:
    return [-1.0 if (u := v.size * price / v.equity) < -1.0 else 1.0 if u > 1.0 else u for v in voters]


def _confidence(net: float, effective: float) -> float:
    """Give the chance that the sign of `net` is right: 0.5 for none, below 0.97 however clear (b is uncertain)."""
    signal = abs(net) * sqrt(effective)
    mean, variance = PRIOR_MEAN * signal, (PRIOR_DEVIATION * signal) ** 2
    return 1.0 / (1.0 + exp(-mean / sqrt(1.0 + pi * variance / 8.0)))


def recommend(previous: Recommendation, net: float, rules: SignalRules) -> Recommendation:
    """Advise with hysteresis: in at `entry_threshold`, out below `exit_threshold` (of |net exposure|)."""
    if net >= rules.entry_threshold:
        return Recommendation.BUY
    if -net >= rules.entry_threshold:
        return Recommendation.SELL
    if previous is Recommendation.BUY and net >= rules.exit_threshold:
        return Recommendation.BUY
    if previous is Recommendation.SELL and -net >= rules.exit_threshold:
        return Recommendation.SELL
    return Recommendation.NEUTRAL


def aggregate(
    voters: Sequence[Voter],
    *,
    symbol: Symbol,
    t_ms: int,
    known_at_ms: int,
    price: float,
    coverage: float,
    tape_is_stale: bool,
    previous: Signal | None,
    rules: SignalRules,
) -> Signal:
    """Make the signal of one moment, without contributions (see `explained`).

    `voters` are sorted by address; `price` is in USD; `previous` is the last one emitted: its recommendation stands
    until the exit threshold, its `t` is exceeded by at least 1 ms, its known-at never falls. When the tape stands
    still, a live signal goes stale and keeps its recommendation, for the last picture is all there is.
    """
    counted = tally(voters, price)
    before = Recommendation.NEUTRAL if previous is None else previous.recommendation
    if counted.voters < rules.min_voters:
        state = SignalState.WARMING_UP
    elif tape_is_stale:
        was_live = previous is not None and previous.state is not SignalState.WARMING_UP
        state = SignalState.STALE if was_live else SignalState.WARMING_UP
    else:
        state = SignalState.LIVE if coverage >= rules.min_coverage else SignalState.WARMING_UP
    match state:
        case SignalState.WARMING_UP:
            recommendation = Recommendation.NEUTRAL
        case SignalState.STALE:
            recommendation = before
        case SignalState.LIVE:
            recommendation = recommend(before, counted.net_exposure, rules)
    if previous is not None:
        t_ms = max(t_ms, previous.t_ms + 1)
        known_at_ms = max(known_at_ms, previous.known_at_ms)
    return Signal(
        id=signal_id(symbol, t_ms),
        t_ms=t_ms,
        known_at_ms=max(known_at_ms, t_ms),
        symbol=symbol,
        recommendation=recommendation,
        confidence=counted.confidence,
        calibrated=False,
        long_bias=counted.long_bias,
        short_bias=counted.short_bias,
        net_exposure=counted.net_exposure,
        head_count_bias=counted.head_count_bias,
        dollar_bias=counted.dollar_bias,
        traders_long=counted.traders_long,
        traders_short=counted.traders_short,
        traders_flat=counted.traders_flat,
        effective_voters=counted.effective_voters,
        coverage=coverage,
        price=price,
        state=state,
        model=MODEL,
    )


def signal_id(symbol: Symbol, t_ms: int, model: str = MODEL) -> str:
    """Give 24 hex digits: 8 of the second, 16 of a digest of (symbol, t, model)."""
    digest = hashlib.blake2b(f"{symbol}|{t_ms}|{model}".encode(), digest_size=8).hexdigest()
    return f"{t_ms // 1000 & 0xFFFFFFFF:08x}{digest}"


def explained(signal: Signal, voters: Sequence[Voter], left_out: Mapping[str, int] | None = None) -> Signal:
    """Add what each voter contributed, the `SHOWN` largest |shares| first, ties by address, and the sum of the others'.

    `voters` are those that the signal was made from. Flat ones add nothing and are not listed: `traders_flat` counts
    them. `left_out` counts those who did not vote, by class.
    """
    counts = {} if left_out is None else dict(left_out)
    if signal.price is None:
        return msgspec.structs.replace(signal, left_out=counts)
    weights = capped([v.weight for v in voters])
    total = fsum(weights)
    added = [
        Contribution(
            trader=v.trader, size=v.size, weight=w, conviction=u, share=w * u / total, state=v.state, doubt=v.doubt
        )
        for v, w, u in zip(voters, weights, _convictions(voters, signal.price), strict=True)
        if v.size
    ]
    added.sort(key=lambda one: (-abs(one.share), one.trader))
    others = added[SHOWN:]
    return msgspec.structs.replace(
        signal,
        contributions=tuple(added[:SHOWN]),
        others=len(others),
        others_share=fsum([one.share for one in others]),
        left_out=counts,
    )


def should_emit(previous: Signal | None, new: Signal, tape_now_ms: int, rules: SignalRules) -> bool:
    """Say whether `new` is worth telling: the advice or its state changes, confidence moves by a step, or it is time.

    Time is the tape's: `emit_interval_s` since the last one's `t`.
    """
    if previous is None:
        return True
    return (
        new.recommendation is not previous.recommendation
        or new.state is not previous.state
        or abs(new.confidence - previous.confidence) >= rules.confidence_step
        or is_due(previous, tape_now_ms, rules)
    )


def is_due(previous: Signal, tape_now_ms: int, rules: SignalRules) -> bool:
    """Say whether the tape has moved on so far that a signal is told even if nothing changed."""
    return tape_now_ms - previous.t_ms >= rules.emit_interval_s * 1000.0
