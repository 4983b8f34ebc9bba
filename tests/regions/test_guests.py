"""Batches stored inside the payload of others are never emitted, whatever field of their host is damaged."""

from __future__ import annotations

import pytest

from kafka_salvage.regions.context import SegmentContext
from tests.support.build import EPOCH_MS, BatchInfo, Build, Rec, legacy_message, record_for, v2_batch
from tests.support.damage import damage
from tests.support.judging import codes, invented, not_recovered, survey_bytes

DAMAGE = (
    "field 4 crc ^5",
    "field 4 length ^256",
    "field 4 length 0x7fffffff",
    "field 4 length 0",
    "field 4 length +20",
    "field 4 length +100",
    "field 4 length =-1",
    "field 4 magic 5",
    "field 4 base_offset 0",
    "field 4 base_offset +77",
    "field 3 length +300",
    "zero b4 b4+12",
    "zero b4 b4+17",
    "zero b4 b4+24",
    "zero b3+10 b4+13",
    "xor b4+17 01",
    "xor b4+30 04",
    "delete b4 b4+5",
    "delete b4+8 b4+20",
    "cut b4.stop-1",
    "cut b4.stop-3",
)


def guests(magic: int, offset: int, count: int) -> bytes:
    out = b""
    for _ in range(count):
        if magic == 2:
            out += v2_batch(offset, [Rec(offset + i, EPOCH_MS, b"k", b"guest") for i in range(2)])
            offset += 2
        else:
            out += legacy_message(offset, b"k", b"guest", magic=magic, timestamp=EPOCH_MS if magic else -1)
            offset += 1
    return out


def with_host(host: int, value_of_next: int, guest: int, count: int, base: int) -> tuple[bytes, list[BatchInfo]]:
    build = Build(base=base)
    for turn in range(9):
        if turn == 4:
            at = build.next_offset
            value = guests(guest, at + value_of_next, count)
            if host == 2:
                records = [record_for(at), Rec(at + 1, EPOCH_MS, b"h", value)]
                build.add(v2_batch(at, records), magic=2, first=at, last=at + 1, records=records, epoch=0)
            else:
                build.legacy(magic=host, key=b"h", value=value, own=True)
        elif host == 2:
            build.v2(5)
        else:
            build.legacy(magic=host)
    return build.done()


@pytest.mark.parametrize("host", [0, 1, 2])
@pytest.mark.parametrize("guest", [0, 1, 2])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("fit", [0, 1, 1000])
def test_no_guest_gets_out_and_no_neighbour_is_lost(host: int, guest: int, count: int, fit: int) -> None:
    data, infos = with_host(host, fit, guest, count, 500)
    for recipe in DAMAGE:
        damaged = damage(data, infos, recipe)
        survey = survey_bytes(damaged.data, base=500, context=SegmentContext(compacted=False))
        assert invented(data, infos, damaged.data, survey) == [], recipe
        assert not_recovered(damaged, infos, survey) == [], recipe


def test_a_guest_is_named() -> None:
    data, infos = with_host(2, 0, 2, 1, 0)
    damaged = damage(data, infos, "field 4 crc ^5")
    assert "embedded-batch" in codes(survey_bytes(damaged.data, context=SegmentContext(compacted=False)))


def test_a_whole_host_hides_its_guests() -> None:
    data, _ = with_host(1, 0, 1, 3, 0)
    survey = survey_bytes(data, context=SegmentContext(compacted=False))
    assert survey.findings == ()
    assert len(survey.regions) == 1


@pytest.mark.parametrize("magic", [0, 1])
def test_inner_messages_of_a_damaged_wrapper_stay_inside(magic: int) -> None:
    """Incompressible inner messages lie in the payload as they are: each has its own CRC."""
    build = Build(size=900)
    for _ in range(5):
        build.wrapper(4, magic=magic, codec=2)
    data, infos = build.done()
    for recipe in ("zero b2 b2+40", "scramble b2 b2+60 1", "xor b2+50 01", "delete b2 b2+50"):
        damaged = damage(data, infos, recipe)
        survey = survey_bytes(damaged.data, context=SegmentContext(compacted=False))
        assert invented(data, infos, damaged.data, survey) == [], recipe
        assert not_recovered(damaged, infos, survey) == [], recipe
