"""Recorded Coin Metrics tables as the provider's CSV or API gives them; only names and wrapping are changed."""

import csv
import gzip
import io
from pathlib import Path

from tests.unit.connectors.onchain.coin_metrics_host import api_page

OLD, NEW = "coinmetrics_btc_20191011.csv.gz", "coinmetrics_btc_2020_2026.csv.gz"
HASH_RATE, SOME_DAYS = "btc_hashrate_2009_2026.csv.gz", "btc_active_addresses_fees_tx.csv"

NAMES = {"hashrate": "HashRate", "active_addresses": "AdrActCnt", "tx_count": "TxCnt", "fees_btc": "FeeTotNtv"}
"""What recorders called the provider's columns."""

FILES = (OLD, NEW, HASH_RATE, SOME_DAYS)


def csv_file(recordings: Path, name: str) -> bytes:
    """The file with the provider's column names."""
    head, _, rest = _text(recordings, name).partition("\n")
    header = ",".join(NAMES.get(cell.strip(), cell.strip()) for cell in head.split(","))
    return f"{header}\n{rest}".encode()


def page(recordings: Path, name: str) -> bytes:
    """The same rows as the API gives them: text, nine fractional digits, null where there is no value."""
    rows = csv.DictReader(io.StringIO(csv_file(recordings, name).decode()))
    return api_page(
        [
            {key: cell or None for key, cell in row.items() if key not in ("date", "time", "asset")}
            | {"time": row.get("time") or row["date"]}
            for row in rows
        ]
    )


def _text(recordings: Path, name: str) -> str:
    raw = (recordings / "onchain" / name).read_bytes()
    return (gzip.decompress(raw) if name.endswith(".gz") else raw).decode()
