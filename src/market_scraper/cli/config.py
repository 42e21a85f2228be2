"""`config`: the settings as they are."""

from market_scraper.cli.options import ConfigFile, Json


def config(file: ConfigFile = None, as_json: Json = False) -> None:
    """Print every effective setting and where it came from; secrets are masked.

    \b
    Example: market-scraper config
             market-scraper config --json | jq '.[] | select(.source != "default")'
    """
    from market_scraper.cli.printing import print_json, print_table
    from market_scraper.config import read

    found = read(file=file).effective()
    if as_json:
        print_json([{"key": it.key, "env": it.env, "value": it.value, "source": it.source} for it in found])
    else:
        print_table(["setting", "value", "from"], [(it.key, it.value, it.source) for it in found])
