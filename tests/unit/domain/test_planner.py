"""Whom to ask next."""

from hypothesis import given
from hypothesis import strategies as st

from market_scraper.domain.planner import ANSWER_DUE_S, SWEEP_EVERY, Planner, Target
from market_scraper.domain.values import Address


def target(i: int) -> Target:
    return Target(Address(f"0x{i:040x}"))


def test_the_most_worthwhile_is_asked_first() -> None:
    planner = Planner()
    for i, gain in enumerate((0.1, 0.9, 0.5)):
        planner.want(target(i), gain, now_s=0.0)
    assert [planner.next(0.0) for _ in range(3)] == [target(1), target(2), target(0)]


def test_a_target_is_asked_once_at_a_time() -> None:
    planner = Planner()
    planner.want(target(1), 1.0, now_s=0.0)
    assert planner.next(0.0) == target(1)
    planner.want(target(1), 1.0, now_s=0.0)
    assert planner.next(0.0) is None
    planner.settle(target(1), now_s=0.0)
    assert planner.next(0.0) == target(1)


def test_a_newer_want_replaces_the_older() -> None:
    planner = Planner()
    planner.want(target(1), 0.9, now_s=0.0)
    planner.want(target(2), 0.5, now_s=0.0)
    planner.want(target(1), 0.1, now_s=0.0)
    assert [planner.next(0.0) for _ in range(3)] == [target(2), target(1), None]


def test_nobody_is_asked_before_the_time_it_was_wanted_for() -> None:
    planner = Planner()
    planner.want(target(1), 0.9, now_s=0.0, not_before_s=5.0)
    planner.want(target(2), 0.1, now_s=0.0)
    assert [planner.next(4.9), planner.next(4.9), planner.next(5.0)] == [target(2), None, target(1)]


def test_who_is_wanted_a_moment_after_the_callers_clock_was_read_is_asked_a_moment_later() -> None:
    planner = Planner()
    planner.unsettled(target(1), 0.9, now_s=10.001, not_before_s=10.001)
    assert [planner.next(10.0), planner.next(10.25)] == [None, target(1)]


def test_everybody_else_is_audited_the_longest_unasked_first() -> None:
    planner = Planner()
    for i in range(3):
        planner.follow(target(i))
        planner.settle(target(i), now_s=0.0)
    order = []
    for _ in range(6):
        asked = planner.next(0.0)
        assert asked is not None
        order.append(asked)
        planner.settle(asked, now_s=0.0)
    assert order == [target(0), target(1), target(2)] * 2


def test_the_sweep_goes_on_whatever_is_wanted() -> None:
    planner = Planner()
    planner.follow(target(999))
    planner.want_all(((target(i), 1.0) for i in range(100)), now_s=0.0)
    asked = [planner.next(0.0) for _ in range(SWEEP_EVERY)]
    assert target(999) in asked


def test_the_turn_of_who_waited_longest_goes_to_the_wanted_before_who_was_settled_later() -> None:
    planner = Planner()
    planner.want_all(((target(i), 1.0 + i) for i in range(100)), now_s=0.0)
    for _ in range(SWEEP_EVERY - 1):
        asked = planner.next(1.0)
        assert asked is not None
        planner.settle(asked, now_s=2.0)
    assert planner.next(3.0) == target(0)  # the least worth, and not one of those just settled


def test_who_was_no_help_is_asked_again_where_nobody_else_may_be() -> None:
    planner = Planner()
    planner.want(target(1), 0.1, now_s=0.0)
    planner.next(0.0)
    planner.want(target(2), 0.9, now_s=0.0)
    planner.follow(target(3))
    planner.unsettled(target(1), 0.1, now_s=0.0, not_before_s=1.0)
    assert planner.next(0.5, first=False, audit=False) is None
    assert planner.next(1.0, first=False, audit=False) == target(1)
    assert [planner.next(1.0, audit=False) for _ in range(2)] == [target(2), None]
    assert planner.counts.again == 1


def test_one_that_is_wanted_is_weighed_anew_and_one_that_is_not_is_left_alone() -> None:
    planner = Planner()
    planner.want(target(1), 0.1, now_s=0.0)
    planner.want(target(2), 0.5, now_s=0.0)
    planner.weigh(target(1), 0.9, now_s=1.0)
    planner.weigh(target(3), 0.9, now_s=1.0)
    assert [planner.next(1.0) for _ in range(3)] == [target(1), target(2), None]
    assert target(3) not in planner


def test_a_question_without_a_verdict_is_asked_again() -> None:
    planner = Planner()
    planner.want(target(1), 1.0, now_s=0.0)
    planner.next(0.0)
    assert planner.next(ANSWER_DUE_S - 0.1) is None
    assert planner.next(ANSWER_DUE_S) == target(1)
    assert planner.counts.unanswered == 1


def test_who_gave_no_answer_is_wanted_for_as_much_as_before() -> None:
    planner = Planner()
    planner.want(target(1), 0.9, now_s=0.0)
    planner.next(0.0)
    planner.want(target(2), 0.5, now_s=1.0)
    assert [planner.next(ANSWER_DUE_S) for _ in range(2)] == [target(1), target(2)]


def test_new_weights_change_the_order_of_who_is_wanted_and_nothing_else() -> None:
    planner = Planner()
    planner.want(target(1), 0.9, now_s=0.0)
    planner.want(target(2), 0.1, now_s=0.0)
    planner.want(target(3), 0.5, now_s=0.0, not_before_s=5.0)
    planner.follow(target(4))
    assert sorted(planner.waiting(), key=lambda t: t.trader) == [target(1), target(2), target(3)]
    planner.reweigh([(target(1), 0.1), (target(2), 0.2), (target(3), 0.9), (target(4), 9.0), (target(5), 9.0)])
    assert [planner.next(4.0) for _ in range(3)] == [target(2), target(1), target(4)]
    assert planner.next(5.0) == target(3)
    assert target(5) not in planner
    assert [planner.is_waiting(target(i)) for i in (3, 5)] == [True, False]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["follow", "want", "settle", "unsettled", "weigh", "next", "all"]),
            st.integers(0, 9),
            st.floats(0, 1),
            st.sampled_from([0.0, 0.0, -0.5, 0.5, 3.0]),
        ),
        max_size=80,
    )
)
def test_a_followed_target_is_never_lost_nor_kept_twice_and_who_is_wanted_is_asked(
    steps: list[tuple[str, int, float, float]],
) -> None:
    planner = Planner()
    known: set[Target] = set()
    now_s = 0.0
    for verb, i, gain, late_s in steps:  # a question may be put by a clock that was read a little earlier
        now_s += 1
        known.add(target(i))
        match verb:
            case "follow":
                planner.follow(target(i))
            case "want":
                planner.want(target(i), gain, now_s=now_s)
            case "settle":
                planner.settle(target(i), now_s=now_s)
            case "unsettled":
                planner.unsettled(target(i), gain, now_s=now_s, not_before_s=now_s + max(late_s, 0.0))
            case "weigh":
                planner.follow(target(i))
                planner.weigh(target(i), gain, now_s=now_s)
            case "all":
                planner.want_all([(t, gain) for t in sorted(known, key=lambda t: t.trader)], now_s=now_s)
            case "next":
                planner.follow(target(i))
                planner.next(now_s + min(late_s, 0.0))
        assert len(planner) == len(known)
        assert all(t in planner for t in known)
    later_s = now_s + 5.0
    waiting = planner.waiting()
    # Until nobody is left: who gave no answer for 30 s is wanted again meanwhile, and may be worth more.
    asked = list(iter(lambda: planner.next(later_s, audit=False), None))
    assert set(asked) >= set(waiting)
