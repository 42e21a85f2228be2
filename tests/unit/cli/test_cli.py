"""Every command: help with an example, JSON, exit codes, no traceback."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from market_scraper import cli


def commands(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words that call each command below a group."""
    if isinstance(group, TyperGroup):
        for name, command in group.commands.items():
            yield from commands(command, (*path, name))
    else:
        yield path


COMMANDS = list(commands(typer.main.get_command(cli.app)))


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
    """Call the program in this process; gives exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["market-scraper", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_shows_an_example_and_takes_json(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run(capsys, monkeypatch, *path, "--help")
    assert code == 0
    assert f"Example: market-scraper {' '.join(path)}" in out
    assert "--json" in out


def test_help_loads_nothing_heavy() -> None:
    heavy = ["pydantic", "fastapi", "httpx2", "websockets", "rich", "structlog", "yaml", "uvicorn", "sqlite3"]
    script = f"import sys, market_scraper.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "words",
    [
        ("colour",),
        ("health", "--colour"),
        ("server", "--roles", "collect,tea"),
        ("collectors", "start"),
        ("collectors", "start", "candles", "--all"),
        ("traders", "show", "0xabc"),
        ("signals", "explain", "xyz"),
        ("simulate", "--traders", "3"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_exit_2_with_a_line_and_no_traceback(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run(capsys, monkeypatch, *words)
    assert code == 2
    assert "rror" in err
    assert "Traceback" not in err


def test_a_wrong_setting_is_exit_2_and_names_its_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("API_PORT", "99999")
    code, out, err = run(capsys, monkeypatch, "config")
    assert (code, out) == (2, "")
    assert err.startswith("error: API_PORT (environment)")
    assert err.count("\n") == 1
