"""Every benchmark runs and says sane figures. Never how fast: that is measured on a quiet machine, not here."""

import asyncio
import json
import math
import sys
from pathlib import Path

import pytest
from bench.catalogue import BENCHMARKS
from bench.figures import ROUNDS

ROOT = Path(__file__).resolve().parents[3]
SMALL = "0.01"


async def bench(*words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        out, error = await asyncio.wait_for(process.communicate(), 120.0)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), error.decode()


@pytest.mark.proof
@pytest.mark.parametrize("name", BENCHMARKS)
async def test_a_benchmark_says_one_line_of_sane_json(name: str) -> None:
    code, out, error = await bench(name, "--json", "--size", SMALL)
    assert code == 0, error
    (line,) = out.splitlines()
    said = json.loads(line)
    assert (said["name"], said["unit"], said["size"]) == (name, BENCHMARKS[name].unit, float(SMALL))
    assert len(said["rounds"]) >= ROUNDS
    assert math.isfinite(said["value"])
    assert said["value"] > 0
    if BENCHMARKS[name].floor_is is None:
        assert (said["floor"], said["ratio"]) == (None, None)
    else:
        assert said["floor"] > 0
        assert said["ratio"] > 0
    assert said["met"] is None  # a small run says nothing about the aim


async def test_an_unknown_figure_is_an_error_that_names_it() -> None:
    code, out, error = await bench("warp_speed")
    assert (code, out) == (2, "")
    assert "warp_speed" in error
