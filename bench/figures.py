"""What a benchmark is: a name, what it measures, the aim it is held to, and how its rounds become one figure."""

import gc
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

ROUNDS = 5
"""A figure is the median of at least so many rounds, each with its floor measured beside it."""


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """What the figure must reach: the value itself, or the ratio to the floor."""

    of: Literal["value", "ratio"]
    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, figure: "Figure") -> bool:
        """Whether a measured figure reaches it."""
        reached = figure.value if self.of == "value" else figure.ratio
        if reached is None:
            return False
        return (self.at_least is None or reached >= self.at_least) and (self.at_most is None or reached <= self.at_most)


class Round(msgspec.Struct, frozen=True):
    """One measurement. `floor` has the value's unit; None where there is no floor."""

    value: float
    floor: float | None = None


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One result. `ratio` = value / floor, the median of the rounds' own ratios."""

    name: str
    value: float
    unit: str
    floor: float | None
    ratio: float | None
    aim: Aim | None
    met: bool | None  # None without an aim, and at a size other than 1, where it says nothing
    rounds: Sequence[float]  # each round's value
    size: float  # 1 = the full size that the aim speaks of


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """One figure's recipe. `measure(size, rounds)` gives a Round for each round; size 1 is what the aim speaks of."""

    name: str
    unit: str
    says: str  # what is measured, in a line of docs/PERFORMANCE.md
    floor_is: str | None  # what the floor is, likewise
    measure: Callable[[float, int], Sequence[Round]]
    aim: Aim | None = None
    takes: Literal["median", "worst"] = "median"  # the worst is the greatest

    def run(self, *, size: float = 1.0, rounds: int = ROUNDS) -> Figure:
        """Measure it."""
        taken = self.measure(size, rounds)
        values = [one.value for one in taken]
        floors = [one.floor for one in taken if one.floor is not None]
        ratios = [one.value / one.floor for one in taken if one.floor]
        figure = Figure(
            name=self.name,
            value=max(values) if self.takes == "worst" else statistics.median(values),
            unit=self.unit,
            floor=statistics.median(floors) if floors else None,
            ratio=statistics.median(ratios) if ratios else None,
            aim=self.aim,
            met=None,
            rounds=values,
            size=size,
        )
        met = self.aim.is_met(figure) if self.aim is not None and size == 1.0 else None
        return msgspec.structs.replace(figure, met=met)


class Stopwatch:
    """Times a block; `real_s` is what passed, `cpu_s` what this process used of it (less noise on a busy machine)."""

    real_s = 0.0
    cpu_s = 0.0

    def __enter__(self) -> "Stopwatch":
        gc.collect()  # what an earlier round left is not this one's cost; the collector itself stays on
        self._cpu = _cpu_s()
        self._real = time.perf_counter()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.real_s = time.perf_counter() - self._real
        self.cpu_s = _cpu_s() - self._cpu


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def show(figure: Figure) -> str:
    """One line for people."""
    beside = "" if figure.floor is None else f", floor {figure.floor:,.4g}, ratio {figure.ratio or 0.0:.3g}"
    verdict = {None: "", True: ", aim met", False: ", AIM MISSED"}[figure.met]
    return f"{figure.name}: {figure.value:,.4g} {figure.unit}{beside}{verdict}"


def main(benchmark: Benchmark) -> None:
    """Run one file's figure: `python -m bench.NAME`."""
    print(show(benchmark.run()))
