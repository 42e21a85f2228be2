"""The figures that the positions collector tells of its tape, ledger and planner: their names, and what they say.

They stand in the `detail` of `/api/v1/connectors/positions`, those of a coin as `{symbol}_{name}`, and in `/metrics`
as `market_scraper_{metric}`, a coin's with the label `symbol`. Nothing here has a label per trader.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. Without a `metric` it is told in the detail alone."""

    name: str
    says: str
    metric: str = ""
    label: tuple[str, str] | None = None  # (name, value), where several figures are one metric
    rises: bool = False  # counts since the collector began, and only rises


COMPONENT = (
    Figure("sockets", "tape sockets that are connected", "tape_sockets"),
    Figure("followed", "account questions there are: one per trader and dex", "planner_followed"),
    Figure("wanted", "of these: an answer is wanted now", "planner_queue", ("place", "wanted")),
    Figure("asked", "of these: asked, and not judged yet", "planner_queue", ("place", "asked")),
    Figure("oldest_wanted_s", "how long the longest waiting one has been wanted", "planner_oldest_wanted_seconds"),
    Figure("oldest_unsure_s", "since when the longest unsure position is so", "ledger_oldest_unsure_seconds"),
    Figure("weight_budget", "REST weight a minute that accounts may take", "account_weight_budget"),
    Figure("weight_wanted", "taken in the last minute by what was wanted", "account_weight", ("use", "wanted")),
    Figure("weight_audit", "taken in the last minute by audits", "account_weight", ("use", "audit")),
    Figure("questions_wanted", "account questions put because wanted", "account_questions", ("use", "wanted"), True),
    Figure("questions_audit", "account questions put to audit", "account_questions", ("use", "audit"), True),
    Figure("questions_unanswered", "without a verdict after 30 s", "account_questions_unanswered", None, True),
    Figure("implausible_stamps", "answers stamped a minute or more off", "account_answers_implausible", None, True),
    Figure("user_slots", "traders whose account is pushed over a socket", "user_slots"),
    Figure("slot_answers", "account answers pushed so, which cost no weight", "user_slot_answers", None, True),
    Figure("slot_answers_a_minute", "likewise in the last minute", "user_slot_answers_last_minute"),
    Figure("facts_merged", "facts merged because bus or store were slow", "facts_merged", None, True),
    Figure("last_drifts", "the last five drifts, newest first: coin, trader, cause, block time"),
)
"""What is told once."""

COIN = (
    Figure("prints", "prints counted", "tape_prints", None, True),
    Figure("duplicates", "prints that another socket had brought before", "tape_duplicates", None, True),
    Figure("late", "prints that came after the watermark had passed them", "tape_late_prints", None, True),
    Figure("too_old", "prints dropped: before the tape or its mark began", "tape_old_prints", None, True),
    Figure("gaps", "stretches of tape that nobody heard", "tape_gaps", None, True),
    Figure("gap_s", "seconds in them", "tape_gap_seconds", None, True),
    Figure("minutes_compared", "our minutes compared with the venue's bars", "tape_minutes_compared", None, True),
    Figure("suspected_gaps", "of these: other prints than ours", "tape_suspected_gaps", None, True),
    Figure("joined", "answers that made a position exact", "ledger_verdicts", ("verdict", "joined"), True),
    Figure("confirmed", "answers that agreed with an exact one", "ledger_verdicts", ("verdict", "confirmed"), True),
    Figure("several", "answers that left several bases", "ledger_verdicts", ("verdict", "several"), True),
    Figure("drift", "answers and tape contradicted each other", "ledger_drift", ("cause", "drift"), True),
    Figure("odd_size", "answers with a size off the lot grid", "ledger_drift", ("cause", "odd_size"), True),
    Figure("drift_late", "positions made unsure by a late print", "ledger_drift", ("cause", "late"), True),
    Figure("moved_unheard", "positions of another size behind a gap", "ledger_drift", ("cause", "gap"), True),
    Figure("halts", "times the market was halted or delisted", "ledger_drift", ("cause", "halt"), True),
    Figure("refused_old", "no newer than the last answer", "ledger_refused", ("reason", "old"), True),
    Figure("refused_unheard", "answers of before the tape began", "ledger_refused", ("reason", "unheard"), True),
    Figure("refused_forgotten", "before the ring of prints", "ledger_refused", ("reason", "forgotten"), True),
    Figure("waiting", "answers that wait for the watermark", "ledger_waiting"),
    Figure("placed", "answers whose place in the join window is known", "join_placed", None, True),
    Figure("edge_share", "share of these in its outer tenth; above 0.05 the window is too small", "join_edge_ratio"),
    Figure("places", "where they fell: ms from the answer's stamp, in steps of 250, and how many"),
    Figure("exact", "positions exact up to the watermark (in /metrics: market_scraper_positions)"),
    Figure("unsure", "positions unsure (likewise)"),
    Figure("unknown", "traders without a base (likewise)"),
    Figure("coverage", "|size| of exact traders / (2 x open interest) (likewise: market_scraper_coverage_ratio)"),
)
"""What is told of every coin."""
