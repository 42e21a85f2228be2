"""What the positions collector tells of its work, as metrics: names and meanings in `schemas.ledger_figures`."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from market_scraper.domain.values import Symbol
from market_scraper.schemas.ledger_figures import COIN, COMPONENT, Figure

PREFIX = "market_scraper_"
Detail = Mapping[str, float | int | str | None]
Family = CounterMetricFamily | GaugeMetricFamily


def ledger_families(detail: Detail, symbols: Sequence[Symbol]) -> Iterator[Family]:
    """Give every figure that has a metric and a value now."""
    families: dict[str, Family] = {}
    for figure in COMPONENT:
        _add(families, figure, detail.get(figure.name), {})
    for symbol in symbols:
        for figure in COIN:
            _add(families, figure, detail.get(f"{symbol}_{figure.name}"), {"symbol": symbol})
    yield from families.values()


def _add(families: dict[str, Family], figure: Figure, value: float | int | str | None, labels: dict[str, str]) -> None:
    if not figure.metric or value is None or isinstance(value, str):
        return
    if figure.label is not None:
        labels = labels | dict([figure.label])
    family = families.get(figure.metric)
    if family is None:
        kind = CounterMetricFamily if figure.rises else GaugeMetricFamily
        # Where several figures are one metric, its label says which this is: no one's words speak for all.
        says = figure.says if figure.label is None else f"By {figure.label[0]}, see docs/architecture/connectors.md"
        family = families[figure.metric] = kind(PREFIX + figure.metric, says, labels=list(labels))
    family.add_metric(list(labels.values()), value)
