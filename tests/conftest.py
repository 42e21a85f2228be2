"""Shared by every test: where the recordings are, and what a missing one means."""

import os
from pathlib import Path

import pytest

RECORDINGS = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
REQUIRE_ALL = os.environ.get("REQUIRE_ALL") == "1"


def missing(reason: str) -> None:
    """Skip, or fail where nothing may be missing (`REQUIRE_ALL=1`, as in CI)."""
    if REQUIRE_ALL:
        pytest.fail(f"{reason} (REQUIRE_ALL=1)")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings (see its SOURCES.md)."""
    if not RECORDINGS.is_dir():
        missing("the recordings are not beside this checkout (../shared/data)")
    return RECORDINGS


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Proofs time real processes: one after the other, or they take each other's cores. None = xdist's own choice."""
    if config.option.markexpr != "proof":
        return None
    config.option.dist = "no"
    return 0
