import pytest

from market_scraper.connectors.onchain.address import file, join, root

CBBI = "/cbbi/data/latest.json"
METRICS = "/v4/timeseries/asset-metrics"


@pytest.mark.parametrize(
    ("base", "resource", "address"),
    [
        ("http://h", CBBI, "http://h/cbbi/data/latest.json"),
        ("http://h/", CBBI, "http://h/cbbi/data/latest.json"),
        ("http://h/cbbi/data/latest.json", CBBI, "http://h/cbbi/data/latest.json"),
        ("http://h/cbbi/data/", CBBI, "http://h/cbbi/data/latest.json"),
        ("http://h:81/mirror/cbbi", CBBI, "http://h:81/mirror/cbbi/data/latest.json"),
        ("http://h/v4", METRICS, "http://h/v4/timeseries/asset-metrics"),
        ("http://h/proxy/v4/", METRICS, "http://h/proxy/v4/timeseries/asset-metrics"),
        ("http://h/v4/timeseries/asset-metrics", METRICS, "http://h/v4/timeseries/asset-metrics"),
        ("http://h/v44", METRICS, "http://h/v44/v4/timeseries/asset-metrics"),  # half a name is another name
        ("http://h/fng", "/fng/", "http://h/fng/"),
        ("http://h/fng/", "/fng/", "http://h/fng/"),
        ("http://user:key@[::1]:8000/a?x=1#y", "/fng/", "http://user:key@[::1]:8000/a/fng/"),
        ("http://h/data/data", "/data/x", "http://h/data/data/x"),
    ],
)
def test_what_base_and_resource_share_is_not_repeated(base: str, resource: str, address: str) -> None:
    assert join(base, resource) == address


@pytest.mark.parametrize(
    "base", ["http://h/x", "http://h/x/stats", "http://h/x/charts", "http://h/x/charts/hash-rate/"]
)
def test_a_base_that_names_one_of_several_resources_is_the_root_of_all(base: str) -> None:
    assert root(base, "/stats", "/charts/difficulty", "/charts/hash-rate") == "http://h/x"


@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("http://h/copies/cbbi.json", "http://h/copies/cbbi.json"),
        ("http://h/latest.JSON?key=a%2Cb", "http://h/latest.JSON?key=a%2Cb"),
        ("http://h/cbbi/data/latest.json", "http://h/cbbi/data/latest.json"),
        ("http://h/json", "http://h/json/cbbi/data/latest.json"),
        ("http://h/btc.csv", "http://h/btc.csv/cbbi/data/latest.json"),
        ("http://h?x=a.json", "http://h/cbbi/data/latest.json"),
    ],
)
def test_a_base_that_names_a_file_of_that_kind_is_the_file_itself(base: str, address: str) -> None:
    assert file(base, CBBI) == address
