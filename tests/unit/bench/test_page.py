"""docs/PERFORMANCE.md shows every figure, and is written without touching what stands around the table."""

import re

import pytest
from bench.catalogue import BENCHMARKS
from bench.figures import Aim, Benchmark, Figure, Round
from bench.page import BEGIN, END, PAGE, written


def figure(value: float = 2.0, floor: float | None = 1.0, aim: Aim | None = None) -> Figure:
    """Of three rounds around `value`."""
    rounds = [Round(value * by, floor) for by in (0.5, 1.0, 4.0)]
    return Benchmark(
        name="tape_to_facts", unit="ms", says="", floor_is="", measure=lambda _size, _rounds: rounds, aim=aim
    ).run()


def test_every_benchmark_has_its_figure_on_the_page_and_no_other_has() -> None:
    page = PAGE.read_text()
    assert re.findall(r"^\| `(\w+)` \| [\d.,]+ ", page, re.MULTILINE) == list(BENCHMARKS)
    for benchmark in BENCHMARKS.values():
        assert f"* `{benchmark.name}`: {benchmark.says}." in page


def test_only_what_stands_between_the_marks_is_written() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    new = written(page, [figure()])
    assert new.startswith(f"before\n{BEGIN}\n")
    assert new.endswith(f"\n{END}\nafter\n")
    assert "old" not in new
    assert written(new, [figure()]) == new


def test_a_figure_is_the_median_of_its_rounds_and_so_is_its_ratio() -> None:
    measured = figure()
    assert (measured.value, measured.floor, measured.ratio) == (2.0, 1.0, 2.0)
    assert figure(floor=None).ratio is None


@pytest.mark.parametrize(
    ("aim", "met"),
    [
        (Aim(of="ratio", at_most=2.0), True),
        (Aim(of="ratio", at_most=1.9), False),
        (Aim(of="value", at_least=2.0), True),
        (Aim(of="value", at_least=2.1), False),
        (None, None),
    ],
)
def test_an_aim_is_met_at_its_very_bound(aim: Aim | None, met: bool | None) -> None:
    assert figure(aim=aim).met is met


def test_an_aim_of_a_ratio_is_missed_without_a_floor() -> None:
    assert figure(floor=None, aim=Aim(of="ratio", at_most=9.0)).met is False
