"""A run's figures as text, for the terminal and `docs/PERFORMANCE.md`."""

from tests.proof import figures
from tests.proof.course import Gap, Record
from tests.proof.observer import Verdicts
from tests.proof.plan import Plan

WEIGHT_PER_MINUTE = 1_000
"""`positions.rest_weight_per_minute`."""


def sweep_seconds(record: Record) -> float:
    """How long it takes to ask everyone once."""
    return record.followed * figures.QUESTION_WEIGHT * 60 / WEIGHT_PER_MINUTE


def report(plan: Plan, verdicts: Verdicts, record: Record) -> str:
    """Everything that is asserted, and what lies beside it."""
    detail, stats = record.last_detail, record.last_stats
    by_count, by_size = figures.time_average(figures.settled(record.samples, record.gaps, record.started_ms))
    lines = [
        "",
        f"{plan.traders} traders, {record.prints_per_s:.1f} prints/s, {plan.seconds / 60:g} venue minutes",
        f"looks             {len(record.samples)}, the collector not well at {record.failing}",
        f"exact claims      {verdicts.checks} compared of {len(verdicts.traders)} traders: {len(verdicts.wrong)} wrong",
        f"                  {verdicts.left_out} left out, {len(record.exact_in_gap)} exact in a full gap",
        f"when settled      {by_count:.4f} of holders, {by_size:.4f} of |size| exact (time average)",
        f"busiest           {record.busiest_share:.3f} of prints; {record.busiest_exact} of 20 exact at the end",
        f"oldest wait       {record.oldest_wait_s:.0f} s, a sweep of {record.followed}: {sweep_seconds(record):.0f} s",
        f"REST              {stats['weight_peak']} weight in a minute at most, {stats['answers_429']} answers of 429",
        f"sockets           {stats['sockets_opened']} opened",
        f"delisted coin     exact at {record.delisted_exact} looks",
    ]
    words = ("prints", "late", "drift", "moved_unheard", "gaps", "suspected_gaps")
    lines += [f"{word:<18}{detail.get(f'BTC_{word}')}" for word in words]
    lines += [_of_gap(gap, record) for gap in record.gaps]
    for found in record.found.values():
        took = "not found" if found.found_ms is None else f"{(found.found_ms - found.change.at_ms) / 1000:.0f} s"
        at_s = (found.change.at_ms - record.started_ms) / 1000
        lines.append(f"off the tape at {at_s:.0f} s: found after {took} {found.by}")
    lines.append("doubt told / share changed (count, standard errors off; knowing that people change together)")
    lines += [
        f"  {decile.told:.4f} / {decile.changed:.4f}  ({decile.count}, {decile.off:+.1f}; {decile.off_together:+.1f})"
        for decile in figures.deciles(record.gaps, record.changed)
    ]
    return "\n".join(lines)


def _of_gap(gap: Gap, record: Record) -> str:
    started_ms = record.started_ms
    took_s = figures.seconds_to(0.9, record.samples, gap, started_ms)
    sweep_s = figures.seconds_of_sweep(0.9, gap, WEIGHT_PER_MINUTE)
    ideal_s = figures.seconds_of_sweep(0.9, gap, WEIGHT_PER_MINUTE, answers_suffice=True)
    told_s = (gap.told_ms - gap.until_ms) / 1000
    fair_s = figures.seconds_of_sweep(0.9, gap, WEIGHT_PER_MINUTE, answers_suffice=True, from_told=True)
    sure = figures.nearly_sure_within(60, record.samples, gap, started_ms)
    return (
        f"gap of {(gap.until_ms - gap.since_ms) / 1000:.1f} s at {(gap.since_ms - started_ms) / 1000:.0f} s: "
        f"heard again {told_s:.1f} s after its end; 90 % of |size| exact after {took_s:.1f} s (sweep {sweep_s:.0f} s, "
        f"if each answer sufficed {ideal_s:.1f} s, and that from when it is heard {fair_s:.1f} s); "
        f"exact or nearly sure within 60 s: {sure:.3f}"
    )
