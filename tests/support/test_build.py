"""The tests' own writer gives the bytes that Kafka's classes accepted (vectors of the format reference)."""

from __future__ import annotations

from tests.support import build

T = 1_500_000_000_000


def test_v1_message() -> None:
    data = build.legacy_message(0, b"k", b"v", magic=1, timestamp=T)
    assert data.hex() == "000000000000000000000018bf070c1c01000000015d3ef79800000000016b0000000176"


def test_v0_message_with_null_value() -> None:
    assert build.legacy_message(7, b"k", None, magic=0).hex() == (
        "00000000000000070000000f908204f60000000000016bffffffff"
    )


def test_v2_batch() -> None:
    assert build.v2_batch(0, [build.Rec(0, T, b"k", b"v")]).hex() == (
        "00000000000000000000003a0000000002ddf15e0a0000000000000000015d3ef798000000015d3ef79800"
        "ffffffffffffffffffffffffffff0000000110000000026b027600"
    )


def test_v2_headers_and_negative_time_delta() -> None:
    records = [
        build.Rec(100, T, None, b"a", ((b"h", b"x"), (b"n", None), (b"e", b""))),
        build.Rec(101, T + 5, b"", None),
        build.Rec(102, T - 3, b"k", b""),
    ]
    assert build.v2_batch(100, records, epoch=7).hex() == (
        "00000000000000640000005200000007023e93c09f0000000000020000015d3ef798000000015d3ef79805"
        "ffffffffffffffffffffffffffff00000003220000000102610602680278026e010265000c000a020001000e000504026b0000"
    )


def test_v2_compacted_with_holes() -> None:
    records = [build.Rec(21, T, b"a", b"1"), build.Rec(24, T + 2, b"b", b"2")]
    assert build.v2_batch(20, records, last_offset_delta=9).hex() == (
        "00000000000000140000004300000000021ffe3ba00000000000090000015d3ef798000000015d3ef79802"
        "ffffffffffffffffffffffffffff00000002100000020261023100100004080262023200"
    )
