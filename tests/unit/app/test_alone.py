"""One writer for one SQLite file."""

import os
from pathlib import Path

import pytest

from market_scraper.app.alone import alone_on
from market_scraper.domain.errors import ConfigError


def test_a_second_server_on_the_same_file_is_told_who_has_it(tmp_path: Path) -> None:
    store = tmp_path / "data" / "store.db"
    with alone_on(store), pytest.raises(ConfigError, match=f"process {os.getpid()}.*REDIS__URL"), alone_on(store):
        pass


def test_the_next_one_may_have_it_and_another_file_is_nobodys_business(tmp_path: Path) -> None:
    with alone_on(tmp_path / "store.db"), alone_on(tmp_path / "other.db"):
        pass
    with alone_on(tmp_path / "store.db"):
        pass


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="STORAGE__PATH: cannot write beside"), alone_on(tmp_path / "file" / "x.db"):
        pass
