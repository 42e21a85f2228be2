"""Prints, answers and markets for the collectors' tests; times are venue milliseconds around the FakeClock's start."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from market_scraper.domain.market import Market, Print
from market_scraper.domain.positions import AccountSnapshot, SnapshotPosition
from market_scraper.domain.values import Address, Symbol
from market_scraper.ports.sources import PrintsHeard
from tests.facts import BTC, ETH, address

T0 = 1_700_000_000_000
ANN, BOB, CAT = address(1), address(2), address(3)
NOBODY, NOBODY_ELSE = address(98), address(99)  # the parties of prints that do not matter

NO_OTHERS: Mapping[Symbol, int] = MappingProxyType({})


def market(symbol: Symbol = BTC, *, dex: str = "", is_delisted: bool = False) -> Market:
    return Market(symbol=symbol, sz_decimals=5, max_leverage=40, dex=dex, is_delisted=is_delisted)


def print_(t_ms: int, buyer: Address = NOBODY, seller: Address = NOBODY_ELSE, lots: int = 1, *, tid: int = 0) -> Print:
    return Print(t_ms, tid or t_ms, lots, 60_000.0, buyer, seller)


def replay(*times: int, symbol: Symbol = BTC) -> PrintsHeard:
    return PrintsHeard(symbol, tuple(print_(t_ms) for t_ms in times), replay=True)


def live(*prints: Print | int, symbol: Symbol = BTC) -> PrintsHeard:
    return PrintsHeard(symbol, tuple(print_(p) if isinstance(p, int) else p for p in prints), replay=False)


def answer(
    trader: Address,
    time_ms: int,
    lots: int | None = 0,
    *,
    symbol: Symbol = BTC,
    dex: str = "",
    others: Mapping[Symbol, int] = NO_OTHERS,
) -> AccountSnapshot:
    """An account with `lots` of `symbol`; `others` are lots of further coins."""
    held: Sequence[tuple[Symbol, int | None]] = [(symbol, lots), *others.items()]
    return AccountSnapshot(
        trader=trader,
        dex=dex,
        time_ms=time_ms,
        account_value=1_000.0,
        positions=tuple(
            SnapshotPosition(symbol=s, lots=n, entry_px=60_000.0, leverage=5, liquidation_px=None)
            for s, n in held
            if n != 0
        ),
    )


__all__ = ["ANN", "BOB", "BTC", "CAT", "ETH", "NOBODY", "NOBODY_ELSE", "T0", "address"]
__all__ += ["answer", "live", "market", "print_", "replay"]
