"""Large blocks go back to the system when they are freed, whatever was freed before."""

import gc
import subprocess
import sys

import pytest

from market_scraper.runtime.memory import sparing_what_stays

CHILD = """
import re
from market_scraper.runtime.memory import hold_memory_steady

def resident_kb():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])

assert hold_memory_steady()
del (warm_up := [bytes(4_000_000)])[:]  # without a limit that is held, the next ones come from the heap
before = resident_kb()
large, small = [], []
for _ in range(50):
    large.append(bytearray(b"x" * 1_000_000))
    small.append(bytearray(b"x" * 5_000))  # lives on, behind the large one
large.clear()
print(resident_kb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_small_blocks_that_live_on_do_not_keep_large_ones_that_are_gone() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=30, check=True)
    assert int(done.stdout) < 2_000


def test_the_collector_leaves_alone_what_was_there_before_and_sees_it_again_afterwards() -> None:
    gc.unfreeze()  # what the suite itself leaves alone
    frozen = gc.get_freeze_count()
    with sparing_what_stays():
        assert gc.get_freeze_count() > frozen + 1_000
    assert gc.get_freeze_count() == 0
