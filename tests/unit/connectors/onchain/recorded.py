"""Recordings as bytes of the sources' own shapes: those that were kept in another shape are wrapped anew."""

import csv
import gzip
import io
import json
from datetime import UTC, date, datetime
from pathlib import Path

RECORDED_AT_MS = 1_790_000_000_000
"""2026-09-21: after everything that is recorded."""


def day_ms(text: str) -> int:
    """00:00 UTC of `2026-08-18`."""
    return int(datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC).timestamp()) * 1000


def cbbi_files(recordings: Path) -> list[Path]:
    """All recorded files, oldest first."""
    return sorted((recordings / "cbbi").glob("latest_*.json.gz"))


def cbbi_file(recordings: Path, stamp: str) -> bytes:
    """One of them, as the host sends it."""
    return gzip.decompress((recordings / "cbbi" / f"latest_{stamp}.json.gz").read_bytes())


def fear_greed_csv(recordings: Path) -> bytes:
    """The table of 2018 to 2025 as an answer of `/fng/?limit=0`; its stamps stay at 05:30 UTC."""
    text = gzip.decompress((recordings / "fear_greed" / "fng_2018_20250502.csv.gz").read_bytes()).decode()
    return fear_greed_answer(
        [{key: row[name] for key, name in _CSV_KEYS.items()} for row in csv.DictReader(io.StringIO(text))]
    )


def fear_greed_dashboard(recordings: Path) -> bytes:
    """The arrays of 2018 to 2026 as an answer of `/fng/?limit=0`. They have no labels."""
    held = json.loads(gzip.decompress((recordings / "fear_greed" / "fng_dashboard_20260822.json.gz").read_bytes()))
    return fear_greed_answer(
        [
            {"value": str(value), "timestamp": str(day_ms(day) // 1000)}
            for day, value in zip(held["dates"], held["fng_index"], strict=True)
        ]
    )


def fear_greed_answer(rows: list[dict[str, str]]) -> bytes:
    """Rows, oldest first, as the host answers: newest first, with the seconds until the next one."""
    newest_first = rows[::-1]
    newest_first[0] = newest_first[0] | {"time_until_update": "25675"}
    return json.dumps({"name": "Fear and Greed Index", "data": newest_first, "metadata": {"error": None}}).encode()


def hash_rate_chart(recordings: Path) -> bytes:
    """The exported chart (milliseconds, TH/s) as `/charts/hash-rate` answers (seconds)."""
    held = json.loads((recordings / "onchain" / "blockchain_info_hash_rate.json").read_bytes())
    return chart([(point["x"] // 1000, point["y"]) for point in held["hash-rate"]], unit="Hash Rate TH/s")


def chart(points: list[tuple[float, object]], *, unit: str = "", status: str = "ok") -> bytes:
    """A chart's answer."""
    values = [{"x": x, "y": y} for x, y in points]
    return json.dumps({"status": status, "unit": unit, "period": "day", "values": values}).encode()


_CSV_KEYS = {"value": "value", "value_classification": "classification", "timestamp": "timestamp"}
