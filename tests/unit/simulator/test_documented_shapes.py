"""Frames and answers of which there is no recording, against the examples of the fact sheet (sections 2 and 4.3)."""

import json
from typing import Any

import pytest

from market_scraper.simulator.lateness import TIDY
from market_scraper.simulator.options import VenueOptions
from market_scraper.simulator.venue import Venue
from tests.fakes import FakeClock
from tests.unit.simulator.test_recorded_shapes import assert_same, shape_of

CONTEXT = (
    '{"funding":"0.0000125","openInterest":"28611.12","prevDayPx":"83697.0","dayNtlVlm":"1169046000.29",'
    '"dayBaseVlm":"13967.1","premium":"0.00031774","oraclePx":"83650.0","markPx":"83655.0","midPx":"83655.5",'
    '"impactPxs":["83655.0","83656.0"]}'
)
FRAMES = {
    "candle": '{"channel":"candle","data":{"t":1757000040000,"T":1757000099999,"s":"BTC","i":"1m","o":"83650.0",'
    '"c":"83661.0","h":"83670.0","l":"83640.0","v":"12.34567","n":187}}',
    "bbo": '{"channel":"bbo","data":{"coin":"BTC","time":1757000041234,"bbo":[{"px":"83655.0","sz":"1.2","n":4},'
    '{"px":"83656.0","sz":"0.7","n":2}]}}',
    "activeAssetCtx": '{"channel":"activeAssetCtx","data":{"coin":"BTC","ctx":' + CONTEXT + "}}",
    "allMids": '{"channel":"allMids","data":{"mids":{"BTC":"83655.5","ETH":"2681.65","@107":"91.257"}}}',
}
ANSWERS: dict[str, tuple[dict[str, object], str]] = {
    "exchangeStatus": ({}, '{"time":1757000000000,"specialStatuses":null}'),
    "spotMeta": (
        {},
        '{"universe":[{"name":"@107","tokens":[150,0],"index":107,"isCanonical":false}],"tokens":[{"name":"HYPE",'
        '"szDecimals":2,"weiDecimals":8,"index":150,"tokenId":"0xab","isCanonical":false,"evmContract":null,'
        '"fullName":"Hyperliquid","deployerTradingFeeShare":"0.0"}]}',
    ),
    "perpDexs": (
        {},
        '[null,{"name":"xyz","fullName":"XYZ","deployer":"0x8888888888888888888888888888888888888888",'
        '"oracleUpdater":null,"feeRecipient":null,"assetToStreamingOiCap":[["xyz:TSLA","100000.0"]],"subDeployers":[],'
        '"deployerFeeScale":"1.0","lastDeployerFeeScaleChangeTime":"2025-11-23T17:21:40.39",'
        '"assetToFundingMultiplier":[],"assetToFundingInterestRate":[]}]',
    ),
    "userRateLimit": (
        {},
        '{"cumVlm":"2854574.59","nRequestsUsed":2890,"nRequestsCap":2864574,"nRequestsSurplus":0}',
    ),
    "portfolio": (
        {},
        '[["day",{"accountValueHistory":[[1757000000000,"1.5"]],"pnlHistory":[[1757000000000,"1.5"]],"vlm":"0.0"}]]',
    ),
    "meta": (
        {"dex": "xyz"},
        '{"universe":[{"name":"BTC","szDecimals":5,"maxLeverage":40,"marginTableId":56}],'
        '"marginTables":[[56,{"description":"tiered 40x","marginTiers":[{"lowerBound":"0.0","maxLeverage":40}]}]],'
        '"collateralToken":0}',
    ),
}
VAULT_KEYS = [
    "name",
    "vaultAddress",
    "leader",
    "description",
    "portfolio",
    "apr",
    "followerState",
    "leaderFraction",
    "leaderCommission",
    "followers",
    "maxDistributable",
    "maxWithdrawable",
    "isClosed",
    "relationship",
    "allowDeposits",
    "alwaysCloseOnWithdraw",
]


@pytest.fixture(scope="module")
def venue() -> Venue:
    return Venue(VenueOptions(traders=200, history_days=2, untidy=TIDY), FakeClock())


@pytest.mark.parametrize("channel", FRAMES)
def test_frames_look_as_documented(venue: Venue, channel: str) -> None:
    ip = f"10.0.0.{list(FRAMES).index(channel)}"
    assert venue.refuse_socket(ip) is None
    seat = venue.attach(ip)
    wanted = {"type": channel, "coin": "BTC", "interval": "1m"}
    seat.session.hear(json.dumps({"method": "subscribe", "subscription": wanted}), venue.now_s())
    ours = [json.loads(outgoing.text) for outgoing in seat.link.take_due(venue.now_ms())]
    maps = frozenset({"$.data.mids"})
    documented = shape_of([json.loads(FRAMES[channel])], maps)
    assert_same(shape_of([frame for frame in ours if frame["channel"] == channel], maps), documented)


@pytest.mark.parametrize("kind", ANSWERS)
def test_answers_look_as_documented(venue: Venue, kind: str) -> None:
    more, example = ANSWERS[kind]
    user = next(person.user for person in venue.world.people() if person.kind == "noise")
    answer: Any = json.loads(venue.ask(f"10.1.0.{len(kind)}", {"type": kind, "user": user} | more).body)
    assert_same(
        shape_of([answer]),
        shape_of([json.loads(example)]),
        also={"$.tokens[].tokenId": {"cloid"}, "$.marginTables[][].description": {"text"}},
    )


def test_contexts_stand_in_the_order_of_the_universe_and_nulls_only_where_documented(venue: Venue) -> None:
    meta, contexts = json.loads(venue.ask("10.2.0.1", {"type": "metaAndAssetCtxs"}).body)
    assert len(meta["universe"]) == len(contexts)
    nullable = {"$.midPx": {"null"}, "$.premium": {"null"}, "$.impactPxs": {"null"}}
    assert_same(shape_of(contexts), shape_of([json.loads(CONTEXT)]), also=nullable)
    place = [asset["name"] for asset in meta["universe"]].index("LOOM")
    assert meta["universe"][place]["isDelisted"] is True
    assert contexts[place]["midPx"] is None


def test_a_vault_has_all_its_keys(venue: Venue) -> None:
    vault = next(person.user for person in venue.world.people() if person.kind == "vault")
    details = json.loads(venue.ask("10.2.0.2", {"type": "vaultDetails", "vaultAddress": vault}).body)
    assert set(details) == set(VAULT_KEYS)
    assert venue.ask("10.2.0.3", {"type": "vaultDetails", "vaultAddress": "0x" + "0" * 40}).body == b"null"
