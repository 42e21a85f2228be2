"""The documents stay true: a setting, a command or a link that is missing fails here."""

import re
from pathlib import Path

import pytest
import typer.main
from dotenv import dotenv_values
from typer.core import TyperGroup

from market_scraper import cli
from market_scraper.config import Configuration, Settings, read
from market_scraper.config.settings import NAMES
from market_scraper.schemas import ledger_figures

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path for path in ROOT.glob("**/*.md") if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
DEFAULTS = {it.key: it.value for it in Configuration(Settings(), {}).effective()}
NOT_SHOWN_BY_DEFAULT = {"MONGO__URL", "REDIS__URL"}  # `.env.example` shows an address instead


@pytest.mark.parametrize("key", NAMES)
def test_every_setting_is_documented_with_its_default(key: str) -> None:
    text = (ROOT / "docs/guides/configuration.md").read_text()
    row = re.search(rf"^\| `{re.escape(key)}` \| (.+?) \| .+ \|$", text, re.MULTILINE)
    assert row is not None, f"docs/guides/configuration.md does not explain {key}"
    shown = row[1].strip("`")
    if shown == "unset":
        assert DEFAULTS[key] in (None, "", [])
    else:
        assert read(environ={NAMES[key].env: shown}, folder=Path("/nonexistent")).settings == Settings()


def test_the_document_explains_no_setting_that_is_gone() -> None:
    text = (ROOT / "docs/guides/configuration.md").read_text()
    assert set(re.findall(r"^\| `([a-z_.]+)` \|", text, re.MULTILINE)) == set(NAMES)


def test_the_example_environment_holds_every_name_with_its_default(tmp_path: Path) -> None:
    text = (ROOT / ".env.example").read_text()
    everything = re.sub(r"^# ([A-Z_0-9]+=)", r"\1", text, flags=re.MULTILINE)
    (tmp_path / ".env").write_text(everything)
    found = dotenv_values(tmp_path / ".env", interpolate=False)
    assert {name.env for name in NAMES.values()} <= set(found)

    (tmp_path / ".env").write_text(
        "\n".join(
            f"{name}={value}" for name, value in found.items() if name not in {*NOT_SHOWN_BY_DEFAULT, "MARKET_CONFIG"}
        )
    )
    assert read(environ={}, folder=tmp_path).settings == Settings()


def test_the_example_environment_as_it_is_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())
    assert read(environ={}, folder=tmp_path).settings == Settings()


def test_the_yaml_file_holds_the_defaults_of_whole_sections() -> None:
    found = read(environ={}, file=ROOT / "config/market_config.yaml", folder=Path("/nonexistent"))
    assert found.settings == Settings()
    sections = {key.split(".")[0] for key in found.sources} - {"storage"}
    missing = {key for key in NAMES if key.split(".")[0] in sections} - set(found.sources)
    assert missing == {"archival.git_lfs.repo_url"}  # comes from a variable that is not set


def test_every_command_is_named_in_the_documents() -> None:
    text = "\n".join(path.read_text() for path in PAGES)
    group = typer.main.get_command(cli.app)
    assert isinstance(group, TyperGroup)
    assert [name for name in group.commands if f"market-scraper {name}" not in text and f"`{name}`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_can_be_found_from_the_index() -> None:
    index = (ROOT / "DOCUMENTATION.md").read_text()
    pages = [str(page.relative_to(ROOT)) for page in PAGES if page.is_relative_to(ROOT / "docs")]
    assert [page for page in pages if f"({page})" not in index and not page.startswith("docs/decisions/")] == []


def test_the_readme_shows_the_two_commands_and_the_version_s_changes_are_told() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "pip install uv && uv run market-scraper demo" in readme
    assert "pip install uv && uv run pytest" in readme
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("figure", [*ledger_figures.COMPONENT, *ledger_figures.COIN], ids=lambda figure: figure.name)
def test_every_figure_of_the_positions_collector_is_documented_with_its_metric(figure: ledger_figures.Figure) -> None:
    metric = f"market_scraper_{figure.metric}{'_total' if figure.rises else ''}" if figure.metric else ""
    label = "" if figure.label is None else f'{{{figure.label[0]}="{figure.label[1]}"}}'
    row = (
        f"| `{figure.name}` | {figure.says} | `{metric}{label}` |"
        if metric
        else f"| `{figure.name}` | {figure.says} | |"
    )
    assert row in (ROOT / "docs/architecture/connectors.md").read_text().splitlines()
