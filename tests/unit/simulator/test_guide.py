"""The guide to the paper venue names every path and every fault that there is."""

from pathlib import Path
from typing import get_args

import msgspec

from market_scraper.cli.paper import ONCHAIN
from market_scraper.config.sections import Onchain
from market_scraper.simulator.faults import Fault
from market_scraper.simulator.onchain.faults import HOSTS
from tests.unit.simulator.onchain.asking import Asking

GUIDE = (Path(__file__).resolve().parents[3] / "docs" / "guides" / "simulator.md").read_text(encoding="utf-8")


def test_every_fault_and_host_is_in_the_guide() -> None:
    kinds = [str(kind.__struct_config__.tag) for kind in get_args(Fault)]
    assert len(kinds) > 30
    assert [kind for kind in kinds if f"`{kind}`" not in GUIDE] == []
    assert all(host in GUIDE for host in HOSTS)


def test_every_word_of_an_on_chain_fault_is_in_the_guide() -> None:
    for kind in get_args(Fault):
        config = msgspec.structs.fields(kind)
        tag = str(kind.__struct_config__.tag)
        if tag.startswith("onchain_"):
            line = next(line for line in GUIDE.splitlines() if line.startswith(f"| `{tag}`"))
            words = {field.name for field in config} - {"at_s", "for_s", "host"}
            assert {word for word in words if f"`{word}`" not in line} == set(), tag


def test_every_path_is_in_the_guide() -> None:
    fixed = [route.path.split("{")[0].rstrip("/") for route in Asking().hosts.routes()]
    assert [path for path in fixed if path not in GUIDE] == []


def test_every_on_chain_address_is_pointed_to_the_venue() -> None:
    assert {f"{host}_url" for host in ONCHAIN} == {name for name in Onchain.model_fields if name.endswith("_url")}
    assert all(host.upper() in GUIDE for host in ONCHAIN)
