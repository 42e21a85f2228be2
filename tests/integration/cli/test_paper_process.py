"""The paper venue as a process: it says where it is, stops in order, and never outlives its owner."""

import json
import os
import select
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

SIMULATE = [sys.executable, "-m", "market_scraper", "simulate", "--port", "0", "--json", "--traders", "20"]
PATIENCE_S = 60  # of a machine that is busy with other tests


def test_it_announces_itself_and_ends_with_0_on_sigterm(tmp_path: Path) -> None:
    with subprocess.Popen([*SIMULATE, "--speed", "2"], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as venue:
        assert venue.stdout is not None
        ready = json.loads(venue.stdout.readline())
        asked = urllib.request.Request(
            f"{ready['url']}/info", b'{"type": "allMids"}', {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            assert "BTC" in json.load(answer)
        assert ready["speed"] == 2.0
        venue.terminate()
        assert venue.wait(PATIENCE_S) == 0


def test_it_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    owner = (
        "import subprocess\n"
        "pipe = subprocess.PIPE\n"
        f"venue = subprocess.Popen({[*SIMULATE, '--lifeline']!r}, stdin=pipe, stdout=pipe, text=True)\n"
        "venue.stdout.readline()\n"
        "print(venue.pid, flush=True)\n"
        "venue.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as parent:
        assert parent.stdout is not None
        venue_pid = int(parent.stdout.readline())
        gone = os.pidfd_open(venue_pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait(PATIENCE_S)
    readable, _, _ = select.select([gone], [], [], PATIENCE_S)
    os.close(gone)
    assert readable  # a process descriptor becomes readable when the process has ended


def test_a_wrong_schedule_of_faults_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "faults.yaml").write_text("- {kind: tea, at_s: 1}")
    wrong = subprocess.run(
        [*SIMULATE, "--faults", "faults.yaml"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: faults.yaml is no schedule of faults")
    assert wrong.stderr.count("\n") == 1
