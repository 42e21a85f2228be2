"""What the driver makes of a document's bytes."""

import bson
import msgspec

from market_scraper.storage.mongo.wire import OPTIONS

LARGE = 2**41 + 1


def test_numbers_of_64_bits_come_back_as_plain_ones_that_every_encoder_takes() -> None:
    document = {"tid": LARGE, "small": 7, "gaps": [[LARGE, LARGE + 1]], "detail": {"seq": LARGE}}
    read = bson.decode(bson.encode(document), codec_options=OPTIONS)
    assert read == document
    assert {type(read["tid"]), type(read["gaps"][0][0]), type(read["detail"]["seq"])} == {int}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(read)) == document
