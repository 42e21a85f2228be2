"""Short names that queries need, and what several collections share."""

from collections.abc import Mapping
from typing import Any

from market_scraper.storage.shapes import Field, Kind

Document = dict[str, Any]
Stored = Mapping[str, Any]

TIME = "t"
KNOWN_AT = "k"
TRADER = "eth"
COIN = "coin"
SYMBOL = "symbol"
TID = "tid"
VERSION = "ver"
WATERMARK = "mark"
EPOCH = "epoch"
SCORE = "score"
TRACKED = "on"
ID = "id"
RECOMMENDATION = "rec"
CONFIDENCE = "conf"
CONTRIBUTIONS = "why"
KEY = "key"
VALUE = "value"
SOURCE = "src"
DIGEST = "digest"
METRIC = "metric"
REVISION = "rev"
PART = "part"
PARTS = "parts"
FULL = "full"
COUNT = "n"
ROWS = "rows"

KNOWN_AT_FIELD = Field(KNOWN_AT, Kind.TIME, "when we could know it")
