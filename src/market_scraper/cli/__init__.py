"""The commands. Each imports what it needs when it runs, so that `--help` is there at once."""

import sys

import typer

from market_scraper.cli import (
    backfill,
    collectors,
    config,
    demo,
    doctor,
    gaps,
    health,
    server,
    signals,
    simulate,
    traders,
)
from market_scraper.domain.errors import ConfigError, InvalidInput, MarketScraperError

app = typer.Typer(
    name="market-scraper",
    help="What every ranked Hyperliquid trader holds, how sure we are, and what it says.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(server.server)
app.command()(demo.demo)
app.command()(simulate.simulate)
app.command()(health.health)
app.command()(config.config)
app.command()(doctor.doctor)
app.add_typer(collectors.group, name="collectors")
app.add_typer(traders.group, name="traders")
app.add_typer(signals.group, name="signals")
app.command()(backfill.backfill)
app.command()(gaps.gaps)


def main() -> None:
    """Run one command. Exit codes: 0 well, 1 failed or not well, 2 a wrong command line or configuration."""
    try:
        app()
    except (ConfigError, InvalidInput) as error:
        _end(error, 2)
    except MarketScraperError as error:
        _end(error, 1)


def _end(error: MarketScraperError, code: int) -> None:
    from market_scraper.config.masking import mask

    print(f"error: {mask(str(error))}", file=sys.stderr)
    sys.exit(code)
