"""Two servers on one file."""

from pathlib import Path

from market_scraper.app.alone import alone_on
from tests.e2e.system import command, upstreams


async def test_a_second_server_on_one_file_is_refused_in_one_line(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    env = upstreams("http://127.0.0.1:9") | {"STORAGE__PATH": str(store)}
    with alone_on(store):
        said = await command("server", "--port", "0", env=env)
    assert said.code == 2  # a setting is wrong
    assert [line.split(" works on ")[0] for line in said.error.splitlines()][-1].startswith("error: another server")
    assert str(store) in said.error
    assert "Traceback" not in said.error
