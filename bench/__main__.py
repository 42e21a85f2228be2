"""Run benchmarks: all, or those named.

    uv run python -m bench                    # all, for people
    uv run python -m bench tape_to_facts --json
    uv run python -m bench --write            # all, and docs/PERFORMANCE.md from them
    uv run python -m bench --list

With `--json` each figure is one line, as soon as it is known. The exit code is 1 when an aim was missed at full size.
"""

import argparse
import sys

import msgspec

from bench.catalogue import BENCHMARKS
from bench.figures import ROUNDS, Figure, show
from bench.page import PAGE, written


def main() -> int:
    """Measure and print; give the exit code."""
    asked = _arguments().parse_args()
    if asked.list:
        print(*(f"{each.name}: {each.says}" for each in BENCHMARKS.values()), sep="\n")
        return 0
    unknown = [name for name in asked.names if name not in BENCHMARKS]
    if unknown:
        print(f"no such figure: {', '.join(unknown)}; --list names them", file=sys.stderr)
        return 2
    if asked.write and asked.names:
        print("--write needs all figures", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for name in asked.names or BENCHMARKS:
        figure = BENCHMARKS[name].run(size=asked.size, rounds=asked.rounds)
        figures.append(figure)
        print(msgspec.json.encode(figure).decode() if asked.json else show(figure), flush=True)
    if asked.write:
        PAGE.write_text(written(PAGE.read_text(), figures))
    return int(any(figure.met is False for figure in figures))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="%(default)s unless told; the median is given")
    parser.add_argument("--size", type=float, default=1.0, help="1 = full size, which the aims speak of")
    parser.add_argument("--write", action="store_true", help="write docs/PERFORMANCE.md from the figures")
    parser.add_argument("--list", action="store_true", help="name the figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
