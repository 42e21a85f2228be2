"""Recorded frames come back byte for byte, to those who subscribed, at the distances at which they came."""

import gzip
import json
from pathlib import Path

import pytest
import zstandard

from market_scraper.simulator.playback import read_frames, subscription_of
from market_scraper.simulator.subscriptions import Subscription

TRADES = '{"channel":"trades", "data":[{"coin":"BTC","px":"63689.0"}]}'
LINES = "\n".join(
    [
        json.dumps({"file": "a header"}),
        json.dumps({"at_ms": 1_000, "socket": "tape-0", "frame": '{"channel":"pong"}'}),
        json.dumps({"at_ms": 2_000, "frame": TRADES}),
        json.dumps({"at_ms": 2_300, "frame": "not json"}),
        json.dumps({"at_ms": 2_500, "frame": {"channel": "bbo", "data": {"coin": "ETH", "time": 1, "bbo": []}}}),
        json.dumps({"at_ms": 2_400, "frame": {"channel": "allMids", "data": {"mids": {}}}}),
        "",
    ]
)


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_a_recording_is_read_whatever_it_is_packed_in(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"frames{suffix}"
    raw = LINES.encode()
    packed = {".jsonl": lambda: raw, ".jsonl.gz": lambda: gzip.compress(raw)}.get(
        suffix, lambda: zstandard.ZstdCompressor().compress(raw)
    )()
    file.write_bytes(packed)
    played = list(read_frames(file))
    assert [item.subscription for item in played] == [
        Subscription("trades", coin="BTC"),
        Subscription("bbo", coin="ETH"),
        Subscription("allMids"),
    ]
    assert played[0].frame.text == TRADES
    assert [item.offset_ms for item in played] == [0, 500, 500]  # receive times never fall


@pytest.mark.parametrize(
    ("frame", "subscription"),
    [
        ({"channel": "candle", "data": {"s": "BTC", "i": "1m"}}, Subscription("candle", coin="BTC", interval="1m")),
        ({"channel": "allMids", "data": {"mids": {}, "dex": "xyz"}}, Subscription("allMids", dex="xyz")),
        (
            {"channel": "clearinghouseState", "data": {"dex": "", "user": "0xAB", "clearinghouseState": {}}},
            Subscription("clearinghouseState", user="0xab"),
        ),
        ({"channel": "userFills", "data": {"user": "0xab", "fills": []}}, Subscription("userFills", user="0xab")),
        ({"channel": "subscriptionResponse", "data": {}}, None),
        ({"channel": "trades", "data": []}, None),
        (["no", "envelope"], None),
    ],
)
def test_each_frame_belongs_to_one_subscription(frame: object, subscription: Subscription | None) -> None:
    assert subscription_of(frame) == subscription
