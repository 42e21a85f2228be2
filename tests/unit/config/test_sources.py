"""Where settings come from, and what a wrong one says."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_scraper.config import Configuration, load, read
from market_scraper.config.settings import NAMES, Name, Settings
from market_scraper.config.sources import _from_yaml
from market_scraper.domain.errors import ConfigError


def write(folder: Path, *, yaml: str = "", dotenv: str = "") -> Path:
    """Lay a YAML file and a `.env` in a folder, as users do."""
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "market_config.yaml").write_text(yaml)
    (folder / ".env").write_text(dotenv)
    return folder


def source_of(configuration: Configuration, key: str) -> tuple[object, str]:
    return next((each.value, each.source) for each in configuration.effective() if each.key == key)


def test_each_source_beats_the_ones_below_it(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        yaml="api_port: 1\nsignals: {min_voters: 1}\nbuffer: {max_size: 1}\nfilters: {max_count: 1}",
        dotenv="API_PORT=2\nSIGNALS__MIN_VOTERS=2\nBUFFER__MAX_SIZE=2\n",
    )
    environ = {"API_PORT": "3", "SIGNALS__MIN_VOTERS": "3"}
    found = read({"api_port": 4}, environ=environ, folder=folder)

    assert source_of(found, "api_port") == (4, "flag")
    assert source_of(found, "signals.min_voters") == (3, "environment")
    assert source_of(found, "buffer.max_size") == (2, ".env")
    assert source_of(found, "filters.max_count") == (1, "config/market_config.yaml")
    assert source_of(found, "positions.tape_sockets") == (3, "default")


def test_no_file_at_all_gives_the_product_s_defaults(tmp_path: Path) -> None:
    assert load(environ={}, folder=tmp_path) == Settings()


@pytest.mark.parametrize("name", NAMES.values(), ids=lambda name: name.key)
def test_every_yaml_key_is_also_a_variable(name: Name, tmp_path: Path) -> None:
    default = next(each for each in Configuration(Settings(), {}).effective() if each.key == name.key).value
    if default is None or default in ("", []):
        default = {"mongo.url": "mongodb://h", "redis.url": "auto", "filters.exclude.addresses": ["0x" + "a" * 40]}.get(
            name.key, ["a"] if name.is_list else "a"
        )
    text = default if isinstance(default, str) else json.dumps(default)
    assert source_of(read(environ={name.env: text}, folder=tmp_path), name.key)[1] == "environment"


@pytest.mark.parametrize("name", NAMES.values(), ids=lambda name: name.key)
def test_a_value_set_to_its_default_changes_no_other(name: Name, tmp_path: Path) -> None:
    default = Settings().model_dump(mode="json")
    for part in name.key.split("."):
        default = default[part]
    assert load({name.key: default}, environ={}, folder=tmp_path) == Settings()


def test_lists_are_comma_lists_or_json(tmp_path: Path) -> None:
    assert load(environ={"HYPERLIQUID__SYMBOL": "BTC, kPEPE,BTC"}, folder=tmp_path).hyperliquid.symbols == (
        "BTC",
        "kPEPE",
    )
    assert load(environ={"HYPERLIQUID__SYMBOL": '["ETH"]'}, folder=tmp_path).hyperliquid.symbols == ("ETH",)
    tiers = load(
        environ={"SCORING__TIERS__MONTH_VOLUME": '[{"at_least": 5, "points": 1}]'}, folder=tmp_path
    ).scoring.tiers
    assert [(tier.at_least, tier.points) for tier in tiers.month_volume] == [(5, 1)]


def test_an_address_in_yaml_needs_no_quotes(tmp_path: Path) -> None:
    address = "0x00AAda14835424957a1e6b397d8026b1d9ff7e1e"
    folder = write(tmp_path, yaml=f"filters: {{exclude: {{addresses: [{address}]}}}}")
    assert load(environ={}, folder=folder).filters.exclude.addresses == (address.lower(),)


def test_yaml_takes_variables_from_environment_and_dotenv_and_unset_is_empty(tmp_path: Path) -> None:
    yaml = "archival: {git_lfs: {repo_url: '${REPO}/${NOT_SET}x'}}\nstorage: {path: '${DB}'}\napi_port: ${PORT}"
    folder = write(tmp_path, yaml=yaml, dotenv="REPO=https://from.dotenv\nDB=a.db\n")
    settings = load(environ={"DB": "b.db"}, folder=folder)

    assert settings.archival.git_lfs.repo_url == "https://from.dotenv/x"
    assert settings.storage.path == Path("b.db")
    assert settings.api_port == 8_000  # an empty value is not set


def test_other_variables_are_left_alone_even_when_they_are_called_as_a_section(tmp_path: Path) -> None:
    folder = write(tmp_path, dotenv="SOMETHING_ELSE=1\nTAGS=not ours\nMONGO__SOMETHING=1\n")
    assert load(environ={"STORAGE": "block", "ALERTS": "{"}, folder=folder) == Settings()


def test_a_named_file_is_read_and_must_exist(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("api_port: 5")
    assert load(file=Path("mine.yaml"), environ={}, folder=tmp_path).api_port == 5
    assert load(environ={"MARKET_CONFIG": "mine.yaml"}, folder=tmp_path).api_port == 5
    with pytest.raises(ConfigError, match=r"nowhere\.yaml does not exist"):
        load(environ={"MARKET_CONFIG": "nowhere.yaml"}, folder=tmp_path)


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        (
            "positions: {tape_sokets: 3}",
            "positions.tape_sokets (config/market_config.yaml) is no setting; did you mean ",
        ),
        ("colour: red", "colour (config/market_config.yaml) is no setting"),
        ("colour:", "colour (config/market_config.yaml) is no setting"),
        ("scheduler: {tasks: {tea: {enabled: true}}}", "scheduler.tasks.tea"),
        ("scoring: {tiers: {account_value: [{at_least: 1, point: 2}]}}", "scoring.tiers.account_value.0.point"),
        ("positions: {tape_sockets: 9}", "positions.tape_sockets (config/market_config.yaml) should be less than"),
        ("archival: {compression: {level: 23}}", "archival.compression.level"),
        ("signals: {entry_threshold: .nan}", "signals.entry_threshold"),
        ("signals: {exit_threshold: 0.9}", "signals: exit_threshold 0.9 must not be above entry_threshold 0.2"),
        ("signals: 5", "signals (config/market_config.yaml) is a section"),
        ("hyperliquid: {symbol: 'B-TC'}", "hyperliquid.symbol"),
        ("filters: {exclude: {addresses: [abc]}}", "filters.exclude.addresses"),
        ("storage: {retention: {signals: 0}}", "storage.retention.signals"),
        ("- a", "must hold sections"),
        ("a: [", "is no valid YAML"),
    ],
)
def test_a_wrong_yaml_value_is_one_line_that_names_the_key(yaml: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environ={}, folder=write(tmp_path, yaml=yaml))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_variable_is_named_as_a_variable_with_its_value(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^API_PORT \(environment\) should be less than or equal to 65535, was '70000'"
    ):
        load(environ={"API_PORT": "70000"}, folder=tmp_path)
    with pytest.raises(ConfigError, match=r"^SCORING__TIERS__ACCOUNT_VALUE \(environment\) should be a JSON list"):
        load(environ={"SCORING__TIERS__ACCOUNT_VALUE": "1000:5"}, folder=tmp_path)


def test_no_credential_is_shown_by_config_by_repr_or_by_an_error(tmp_path: Path) -> None:
    environ = {
        "API_KEY": "hunter2",
        "MONGO__URL": "mongodb://user:hunter2@host/db",
        "REDIS__URL": "redis://:hunter2@host",
        "ALERTS__URLS": "tgram://hunter2/chat",
        "ARCHIVAL__GIT_LFS__REPO_URL": "https://hunter2@host/repo",
    }
    found = read(environ=environ, folder=tmp_path)
    shown = json.dumps([(each.key, each.value) for each in found.effective()])
    assert "hunter2" not in shown
    assert "mongodb://***@host/db" in shown
    assert "hunter2" not in repr(found.settings)
    with_query = read(environ={"ONCHAIN__BITVIEW_URL": "https://host/?api_key=hunter2"}, folder=tmp_path)
    assert source_of(with_query, "onchain.bitview_url")[0] == "https://host/?api_key=***"
    with pytest.raises(ConfigError) as caught:
        load(environ={"MONGO__URL": "mysql://user:hunter2@host"}, folder=tmp_path)
    assert "hunter2" not in str(caught.value)


@given(st.dictionaries(st.sampled_from([name.env for name in NAMES.values()]), st.text(max_size=20), max_size=4))
def test_any_text_in_our_variables_is_taken_or_refused_by_name(environ: dict[str, str]) -> None:
    said = ""
    try:
        load(environ=environ, folder=Path("/nonexistent"))
    except ConfigError as error:
        said = str(error)
    assert not said or any(name in said or name.split("__")[0].lower() in said for name in environ)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda leaf: st.lists(leaf, max_size=3),
    )
)
def test_any_yaml_value_is_taken_or_refused_as_a_config_error(value: object) -> None:
    for name in NAMES:
        tree: object = value
        for part in reversed(name.split(".")):
            tree = {part: tree}
        assert isinstance(tree, dict)
        flat = _from_yaml(tree, {}, "file")
        assert set(flat) <= {name}
