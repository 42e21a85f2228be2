"""Where settings come from: flags > environment > `.env` > YAML > defaults, each value remembering its source."""

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from dotenv import dotenv_values
from pydantic import ValidationError

from market_scraper.config.settings import NAMES, Name, Settings
from market_scraper.domain.errors import ConfigError

DEFAULT_FILE = Path("config/market_config.yaml")
FILE_VARIABLE = "MARKET_CONFIG"
"""The variable that names another YAML file."""

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

Layer = tuple[str, dict[str, object]]  # where from, value by key


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting as it stands, without credentials."""

    key: str
    env: str
    value: object
    source: str  # flag, environment, .env, the YAML file's path, or default


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings together with where each came from."""

    settings: Settings
    sources: Mapping[str, str]  # by key; absent = default

    def effective(self) -> list[Effective]:
        """Every setting in the order of the sections, secrets masked."""
        data = self.settings.model_dump(mode="json")
        return [
            Effective(name.key, name.env, name.show(_dig(data, name.key)), self.sources.get(name.key, "default"))
            for name in NAMES.values()
        ]


def load(
    flags: Mapping[str, object] | None = None,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """Give the settings alone; see `read`."""
    return read(flags, file=file, environ=environ, folder=folder).settings


def read(
    flags: Mapping[str, object] | None = None,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Configuration:
    """Read and check everything; raises ConfigError, in one line that names the key.

    `flags` are by key (`{"api_port": 8080}`), None = not given. An empty variable counts as not set, as does an empty
    YAML value; an empty flag does not: it hides what lies below. `.env` and the YAML file are looked for in `folder`
    (the working directory); a file that is named and missing is an error.
    """
    environ = os.environ if environ is None else environ
    folder = Path() if folder is None else folder
    dotenv = _read_dotenv(folder / ".env")
    named = file or next((Path(v[FILE_VARIABLE]) for v in (environ, dotenv) if v.get(FILE_VARIABLE)), None)
    shown, table = _read_yaml(folder, named)
    layers: list[Layer] = [
        ("flag", {key: value for key, value in (flags or {}).items() if value is not None}),
        ("environment", _from_variables(environ, "environment")),
        (".env", _from_variables(dotenv, ".env")),
        (shown, _from_yaml(table, {**dotenv, **environ}, shown)),
    ]
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    for source, layer in layers:
        for key, value in layer.items():
            if key not in NAMES:
                raise ConfigError(f"{key} ({source}) is no setting")
            if key not in values:
                values[key], sources[key] = value, source
    try:
        return Configuration(Settings.model_validate(_nested(values)), sources)
    except ValidationError as error:
        raise ConfigError("; ".join(_complaints(error, values, sources))) from None


def _read_dotenv(path: Path) -> dict[str, str]:
    try:
        return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f".env cannot be read: {error}") from error


def _read_yaml(folder: Path, named: Path | None) -> tuple[str, dict[str, object]]:
    """Give the file's name and its top table; no file at the default place is an empty one."""
    file = named or DEFAULT_FILE
    try:
        table = yaml.safe_load((folder / file).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if named is not None:
            raise ConfigError(f"the configuration file {file} does not exist") from error
        return str(file), {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is no valid YAML: {' '.join(str(error).split())}") from error
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{file} must hold sections such as `signals:`, was a {type(table).__name__}")
    return str(file), table or {}


def _from_variables(variables: Mapping[str, str], source: str) -> dict[str, object]:
    """Pick our names alone: an unrelated variable that is called as a section cannot disturb us."""
    given = {name: variables.get(name.env, "").strip() for name in NAMES.values()}
    return {name.key: _decoded(name, text, source) for name, text in given.items() if text}


def _decoded(name: Name, text: str, source: str) -> object:
    """A list may be written as JSON, and must be where its items are tables; the rest is checked as text."""
    if name.is_list and (name.of_tables or text.startswith("[")):
        try:
            return json.loads(text)
        except ValueError as error:
            raise ConfigError(f"{name.env} ({source}) should be a JSON list: {error}") from error
    return text


def _from_yaml(table: Mapping[str, object], variables: Mapping[str, str], file: str) -> dict[str, object]:
    return dict(_flat(table, "", variables, file))


def _flat(
    table: Mapping[str, object], above: str, variables: Mapping[str, str], file: str
) -> Iterator[tuple[str, object]]:
    for raw_key, raw_value in table.items():
        key, value = f"{above}{raw_key}", _resolved(raw_value, variables)
        if key not in NAMES and not _is_section(key):
            raise ConfigError(_unknown(key, file))
        if value is None or value == "":
            continue  # not set: what lies below holds
        if key in NAMES:
            yield key, value
        elif isinstance(value, dict):
            yield from _flat(value, f"{key}.", variables, file)
        else:
            raise ConfigError(f"{key} ({file}) is a section and should hold keys, was {_short(value)}")


def _is_section(key: str) -> bool:
    return any(known.startswith(f"{key}.") for known in NAMES)


def _unknown(key: str, file: str) -> str:
    near = difflib.get_close_matches(key, NAMES, n=1)
    return f"{key} ({file}) is no setting" + (f"; did you mean {near[0]}?" if near else "")


def _resolved(value: object, variables: Mapping[str, str]) -> object:
    """Put variables in for `${NAME}`; unset = empty."""
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: variables.get(match[1], ""), value)
    if isinstance(value, list):
        return [_resolved(item, variables) for item in value]
    return value


def _nested(values: Mapping[str, object]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for key, value in values.items():
        *path, last = key.split(".")
        table = tree
        for part in path:
            inner = table.setdefault(part, {})
            assert isinstance(inner, dict)  # a section's name is never a setting's
            table = inner
        table[last] = value
    return tree


def _dig(data: object, key: str) -> object:
    for part in key.split("."):
        assert isinstance(data, dict)  # the dump has the shape of the names
        data = data[part]
    return data


def _complaints(error: ValidationError, values: Mapping[str, object], sources: Mapping[str, str]) -> Iterator[str]:
    """Say each fault with its key as the user wrote it, the bound, and the value unless it is secret."""
    for fault in error.errors(include_url=False, include_context=False):
        path = ".".join(str(part) for part in fault["loc"])
        key = next((known for known in NAMES if path == known or path.startswith(f"{known}.")), path)
        message = fault["msg"].removeprefix("Input ").removeprefix("Value error, ").removeprefix("String ")
        if key not in values:  # a rule between the keys of a section
            yield f"{path}: {message}"
            continue
        name, source = NAMES[key], sources[key]
        shown = name.env if source in ("environment", ".env") else path
        yield f"{shown} ({source}) {message}, was {_short(name.show(values[key]))}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
