"""What the venue says of its markets as such: universes, margin tables, dexes, spot pairs."""

from market_scraper.simulator.shapes import Json
from market_scraper.simulator.world import World
from market_scraper.simulator.world.markets import MARGIN_TIERS, SPOT_MIDS, Market

_TOKENS: tuple[tuple[str, int, int, int, str], ...] = (
    # name, szDecimals, weiDecimals, index, full name
    ("USDC", 8, 8, 0, "USD Coin"),
    ("PURR", 0, 5, 1, "Purr"),
    ("HFUN", 2, 8, 2, "Hypurr Fun"),
    ("HYPE", 2, 8, 150, "Hyperliquid"),
    ("UBTC", 5, 10, 197, "Unit Bitcoin"),
)
_PAIRS: dict[str, tuple[int, int]] = {"PURR/USDC": (1, 0), "@1": (2, 1), "@107": (150, 107), "@142": (197, 142)}
"""spot pair -> (token index, pair index); only the first pair has a name of its own"""


def _listed(market: Market, *, delisted: bool) -> Json:
    shape: Json = {
        "szDecimals": market.sz_decimals,
        "name": market.coin,
        "maxLeverage": market.max_leverage,
        "marginTableId": market.margin_table_id,
    }
    return shape | {"isDelisted": True} if delisted else shape


def meta(world: World, dex: str, at_ms: int) -> Json:
    """One dex's `meta`; a market's place is its asset index, delisted ones keep theirs."""
    markets = world.markets_of(dex)
    tables = sorted({market.margin_table_id for market in markets})
    return {
        "universe": [_listed(market, delisted=world.is_delisted(market.coin, at_ms)) for market in markets],
        "marginTables": [
            [
                table,
                {
                    "description": f"tiered {MARGIN_TIERS[table][0][1]}x" if len(MARGIN_TIERS[table]) > 1 else "",
                    "marginTiers": [
                        {"lowerBound": f"{bound:.1f}", "maxLeverage": leverage}
                        for bound, leverage in MARGIN_TIERS[table]
                    ],
                },
            ]
            for table in tables
        ],
        "collateralToken": 0,
    }


def perp_dexs(world: World) -> list[object]:
    """`perpDexs`: null stands for the main dex."""
    return [None] + [
        {
            "name": dex,
            "fullName": dex.upper(),
            "deployer": "0x" + dex.encode().hex().rjust(40, "8"),
            "oracleUpdater": None,
            "feeRecipient": None,
            "assetToStreamingOiCap": [[market.coin, "100000.0"] for market in world.markets_of(dex)],
            "subDeployers": [],
            "deployerFeeScale": "1.0",
            "lastDeployerFeeScaleChangeTime": "1970-01-01T00:00:00",
            "assetToFundingMultiplier": [],
            "assetToFundingInterestRate": [],
        }
        for dex in world.dexes
        if dex
    ]


def spot_meta() -> Json:
    """`spotMeta`."""
    return {
        "universe": [
            {
                "tokens": [_PAIRS[pair][0], 0],
                "name": pair,
                "index": _PAIRS[pair][1],
                "isCanonical": pair == "PURR/USDC",
            }
            for pair in sorted(SPOT_MIDS, key=lambda pair: _PAIRS[pair][1])
        ],
        "tokens": [
            {
                "name": name,
                "szDecimals": sz_decimals,
                "weiDecimals": wei_decimals,
                "index": index,
                "tokenId": "0x" + f"{index:032x}",
                "isCanonical": name in ("USDC", "PURR"),
                "evmContract": None,
                "fullName": full_name,
                "deployerTradingFeeShare": "0.0",
            }
            for name, sz_decimals, wei_decimals, index, full_name in _TOKENS
        ],
    }
