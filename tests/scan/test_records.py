"""Tests of decoding batches to record tables, on segments that the tests write themselves."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from kafka_salvage.ranges import ByteRange
from kafka_salvage.scan import records as records_room
from kafka_salvage.scan.batches import COLUMNS, BatchTable
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.records import Decoded, Outcome, Validated, decode, validate
from kafka_salvage.source.memory import MemorySource
from kafka_salvage.source.patched import PatchedSource
from kafka_salvage.source.source import U8
from tests.scan.headers import header_table
from tests.support.build import (
    GZIP,
    LZ4,
    NONE,
    SNAPPY,
    ZSTD,
    Build,
    Rec,
    compress,
    legacy_message,
    record_for,
    v2_batch,
    v2_header_and,
    v2_record,
)


def whole(data: bytes, batches: BatchTable | None = None, **more: Any) -> list[Decoded]:
    return list(decode(MemorySource(data), header_table(data) if batches is None else batches, **more))


def one(data: bytes, **more: Any) -> Decoded:
    made = whole(data, **more)
    assert len(made) == 1
    return made[0]


def plain(made: list[Decoded]) -> list[tuple[Any, ...]]:
    return [
        (r["offset"], r["timestamp"], r["key"], r["value"], tuple(r["headers"]))
        for d in made
        for r in d.table.to_pylist()
    ]


def agrees(data: bytes, **more: Any) -> list[Validated]:
    """What `validate` says, which must be what `decode` says."""
    batches = header_table(data)
    seen, made = list(validate(MemorySource(data), batches, **more)), list(decode(MemorySource(data), batches, **more))
    assert [v.outcome.tolist() for v in seen] == [d.outcome.tolist() for d in made]
    for one_, other in zip(seen, made, strict=True):
        assert one_.detail == other.detail
        assert one_.inner_first.tolist() == other.inner_first.tolist()
        assert one_.inner_last.tolist() == other.inner_last.tolist()
        for name in COLUMNS:
            assert getattr(one_.batches, name).tolist() == getattr(other.table.batches, name).tolist()
    return seen


def meant(records: list[Rec]) -> list[tuple[Any, ...]]:
    return [(r.offset, r.timestamp, r.key, r.value, r.headers) for r in records]


def mixed() -> Build:
    build = Build(base=500)
    for codec in (NONE, NONE, GZIP, NONE, SNAPPY, LZ4, ZSTD):
        build.v2(12, codec=codec, headers=True)
        build.v2(5, codec=codec, keep=(1, 4))
        build.v2(3, keep=())
        build.gap(4)
    for magic in (0, 1):
        for codec in (GZIP, SNAPPY, LZ4):
            build.legacy(magic=magic).wrapper(7, magic=magic, codec=codec).wrapper(
                6, magic=magic, codec=codec, keep=(0, 2, 5)
            )
            build.legacy(magic=magic)
    return build


@pytest.mark.parametrize("chunk", [1, 100, 700, 5000, 8 << 20])
def test_all_codecs_and_magics_come_out_in_order_whatever_the_piece(chunk: int) -> None:
    data, infos = mixed().done()
    made = whole(data, chunk=chunk)
    assert plain(made) == [row for info in infos for row in meant(list(info.records))]
    assert all((d.outcome == Outcome.OK).all() and not d.detail for d in made)
    table = BatchTable.concat(d.table.batches for d in made)
    assert table.position.tolist() == [i.start for i in infos]
    assert table.base_offset.tolist() == [i.base_offset for i in infos]
    assert table.last_offset.tolist() == [i.last_offset for i in infos]
    assert table.record_count.tolist() == [len(i.records) for i in infos]
    if chunk == 1:
        assert len(made) == len(infos)
    for d in made:
        assert len(d.table.data) <= max(chunk, 4096) + 4096
        owner = d.table.batches.position[d.table.batch]
        assert (np.diff(owner) >= 0).all()


def test_timestamp_types_follow_the_magic() -> None:
    build = Build()
    build.legacy(magic=0).wrapper(3, magic=0, codec=GZIP).legacy(magic=1).wrapper(3, magic=1, codec=GZIP)
    build.wrapper(3, magic=1, codec=GZIP, append_time=77).v2(2).v2(2, attributes=0x08)
    table = one(build.done()[0]).table
    assert table.timestamp_type.tolist() == [-1] * 4 + [0] * 4 + [1] * 3 + [0] * 2 + [1] * 2
    assert table.timestamp[:4].tolist() == [-1] * 4
    assert table.timestamp[8:11].tolist() == [77] * 3
    assert table.timestamp[13:].tolist() == [record_for(14).timestamp] * 2  # the batch's maximum for both


def test_batches_may_lie_apart_and_the_file_is_read_no_further() -> None:
    data, infos = mixed().done()
    batches = header_table(data).take(slice(1, None, 3))
    assert plain(whole(data, batches)) == [row for info in infos[1::3] for row in meant(list(info.records))]


def test_plain_batches_that_touch_share_the_buffer_they_were_read_into() -> None:
    data, _ = Build().v2(9).v2(9).v2(9).done()
    table = one(data).table
    assert table.data.tobytes() == data
    assert table.row(11)["value"] == record_for(11).value


@pytest.mark.parametrize("raw", [False, True])
def test_snappy_in_both_framings(raw: bool) -> None:
    records = [record_for(i) for i in range(30)]
    assert plain([one(v2_batch(0, records, codec=SNAPPY, raw_snappy=raw))]) == meant(records)


def test_control_batches_are_decoded_and_can_be_told() -> None:
    data, _ = Build().v2(2, producer_id=9, producer_epoch=0).marker(commit=True, producer_id=9).done()
    table = one(data).table
    assert table.batches.is_control[table.batch].tolist() == [False, False, True]
    assert table.row(2)["key"] == struct.pack(">hh", 0, 1)


def inner(offsets: list[int], *, magic: int) -> bytes:
    return b"".join(legacy_message(o, b"k%d" % o, b"v", magic=magic, timestamp=1000 + o) for o in offsets)


def wrapped(offset: int, payload: bytes, *, magic: int = 1, codec: int = GZIP) -> bytes:
    value = compress(codec, payload, magic=magic)
    return legacy_message(offset, None, value, magic=magic, timestamp=5, attributes=codec)


@pytest.mark.parametrize(
    ("offset", "stored", "magic", "absolute"),
    [
        (19, [0, 1, 13, 15, 18], 1, [1, 2, 14, 16, 19]),
        (12, [10, 11, 12], 1, [10, 11, 12]),
        (12, [0, 1], 1, [11, 12]),
        (0, [0, 1, 2], 1, [0, 1, 2]),
        (0, [5, 6], 1, [5, 6]),
        (12, [10, 12], 0, [10, 12]),
        (99, [10, 12], 0, [10, 12]),
    ],
)
def test_where_inner_offsets_stand(offset: int, stored: list[int], magic: int, absolute: list[int]) -> None:
    made = one(wrapped(offset, inner(stored, magic=magic), magic=magic))
    assert made.table.offset.tolist() == absolute
    assert (made.inner_first.tolist(), made.inner_last.tolist()) == ([stored[0]], [stored[-1]])
    batches = made.table.batches
    assert (int(batches.base_offset[0]), int(batches.last_offset[0])) == (absolute[0], absolute[-1])
    assert int(batches.record_count[0]) == len(stored)
    assert int(batches.offset[0]) == offset


def test_a_v0_message_in_a_v1_wrapper_has_no_time() -> None:
    payload = inner([0], magic=0) + inner([1], magic=1)
    value = compress(GZIP, payload, magic=1)
    made = one(legacy_message(11, None, value, magic=1, timestamp=5, attributes=GZIP | 8))
    assert made.table.offset.tolist() == [10, 11]
    assert made.table.timestamp.tolist() == [-1, 5]
    assert made.table.timestamp_type.tolist() == [-1, 1]


def broken_inner_crc() -> bytes:
    payload = bytearray(inner([0, 1], magic=1))
    payload[-1] ^= 1
    return wrapped(5, bytes(payload))


def broken_gzip() -> bytes:
    records = [record_for(i) for i in range(40)]
    payload = compress(GZIP, b"".join(v2_record(r, 0, r.timestamp) for r in records))
    return v2_header_and(payload[:-30], 0, attributes=GZIP, last_offset_delta=39, count=40)


BOMB = zlib.compress(b"\0" * (4 << 20), wbits=31)
RECORD = v2_record(Rec(0, 0, b"k", b"v"), 0, 0)


@pytest.mark.parametrize(
    ("batch", "outcome", "words"),
    [
        (broken_gzip, Outcome.INFLATE_FAILED, ""),
        (lambda: v2_header_and(BOMB, 0, attributes=GZIP), Outcome.INFLATE_LIMIT, "1048576 bytes"),
        (lambda: v2_header_and(RECORD, 0, attributes=5), Outcome.UNKNOWN_CODEC, "5"),
        (lambda: v2_header_and(RECORD, 0, count=2, last_offset_delta=1), Outcome.COUNT_MISMATCH, "counts 2"),
        (lambda: v2_header_and(RECORD * 2, 0, count=1), Outcome.COUNT_MISMATCH, "9 bytes are left"),
        (lambda: v2_header_and(RECORD, 0, count=0x7FFFFFFF), Outcome.COUNT_MISMATCH, "2147483647"),
        (lambda: v2_header_and(RECORD, 0, count=-5), Outcome.COUNT_MISMATCH, "-5"),
        (
            lambda: v2_header_and(RECORD * 2, 0, count=2, last_offset_delta=1),
            Outcome.RECORD_MALFORMED,
            "offset delta 0",
        ),
        (lambda: v2_header_and(RECORD[:-1] + b"\x04", 0), Outcome.RECORD_MALFORMED, "2 headers"),
        (lambda: v2_header_and(b"", 0, attributes=GZIP), Outcome.INFLATE_FAILED, ""),
        (broken_inner_crc, Outcome.RECORD_MALFORMED, "stored crc"),
        (lambda: wrapped(5, wrapped(5, inner([0], magic=1))), Outcome.RECORD_MALFORMED, "compressed itself"),
        (lambda: wrapped(5, b""), Outcome.RECORD_MALFORMED, "no messages"),
        (lambda: wrapped(5, inner([0, 9], magic=1)), Outcome.RECORD_MALFORMED, "last inner offset 9"),
        (lambda: wrapped(5, inner([3, 3], magic=1)), Outcome.RECORD_MALFORMED, "offset 3 follows 3"),
        (lambda: wrapped(5, inner([0], magic=1)[:-1]), Outcome.RECORD_MALFORMED, ""),
        (lambda: legacy_message(5, None, b"", magic=1, attributes=GZIP), Outcome.RECORD_MALFORMED, "no value"),
        (lambda: legacy_message(5, None, None, magic=0, attributes=GZIP), Outcome.RECORD_MALFORMED, "no value"),
        (lambda: legacy_message(5, None, b"zz", magic=1, attributes=ZSTD), Outcome.UNKNOWN_CODEC, "zstd"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_a_bad_batch_gives_nothing_says_why_and_stops_nobody(
    batch: Callable[[], bytes], outcome: Outcome, words: str, chunk: int
) -> None:
    records = [record_for(i, headers=True) for i in range(9)]
    before, after = v2_batch(0, records[:4]), v2_batch(4, records[4:], codec=LZ4)
    data = before + batch() + after
    limits = Limits(ratio=1, floor=1 << 20, cap=1 << 20)
    made = whole(data, limits=limits, chunk=chunk)
    agrees(data, limits=limits, chunk=chunk)
    assert plain(made) == meant(records)
    outcomes = [o for d in made for o in d.outcome.tolist()]
    assert outcomes == [Outcome.OK, outcome, Outcome.OK]
    details = [d.detail[row] for d in made for row in d.detail]
    assert len(details) == 1
    assert words in details[0]
    wrappers = [int(n) for d in made for n in d.inner_first]
    assert wrappers == [-1, -1, -1]


class _NoCalls:
    table = np.zeros(16, np.int64)


def without_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the packages export no functions: payloads go through their Python interfaces."""
    from kafka_salvage.vector import libraries

    monkeypatch.setattr(libraries, "calls", _NoCalls)


@pytest.mark.parametrize("chunk", [1, 700, 8 << 20])
def test_without_functions_it_is_slower_but_the_same(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data, infos = mixed().done()
    without_functions(monkeypatch)
    made = whole(data, chunk=chunk)
    assert plain(made) == [row for info in infos for row in meant(list(info.records))]
    assert sum(len(d.outcome) for d in made) == len(infos)


def test_a_large_payload_of_the_slow_way_is_a_piece_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [Rec(i, 5, None, bytes(3000)) for i in range(4)]
    data = v2_batch(0, records[:1]) + v2_batch(1, records[1:3], codec=GZIP) + v2_batch(3, records[3:])
    without_functions(monkeypatch)
    made = whole(data, chunk=2500)
    assert plain(made) == meant(records)
    assert [len(d.table) for d in made] == [1, 2, 1]


def test_a_missing_codec_is_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    without_functions(monkeypatch)
    made = one(Build().v2(3).v2(3, codec=ZSTD).done()[0])
    assert made.outcome.tolist() == [Outcome.OK, Outcome.CODEC_MISSING]
    assert "zstandard" in made.detail[1]
    assert made.table.offset.tolist() == [0, 1, 2]


def test_rows_that_do_not_lie_in_the_file_allocate_nothing() -> None:
    data, _ = Build().v2(3).v2(3).v2(3).done()
    rows = [header_table(data).row(i) for i in range(3)]
    rows[1]["size"] = 1 << 60
    rows.append(rows[0] | {"position": len(data) - 5})
    rows.append(rows[0] | {"position": -5})
    rows.append(rows[0] | {"size": -7})
    rows.append(rows[1] | {"size": (1 << 63) - 1})
    rows.append(rows[0] | {"size": 30})
    rows.append(rows[0] | {"size": 30, "attributes": 1})
    made = whole(data, BatchTable.from_rows(rows))
    assert [o for d in made for o in d.outcome.tolist()] == [0, 4, 0, 4, 4, 4, 4, 4, 4]
    assert [r[0] for r in plain(made)] == [0, 1, 2, 6, 7, 8]


class _Failing(MemorySource):
    """Cannot read some of its bytes any more; gives zeros there."""

    bad = ByteRange(0, 0)

    @property
    def unreadable(self) -> tuple[ByteRange, ...]:
        return (self.bad,)


def test_bytes_that_can_no_longer_be_read_give_no_records() -> None:
    data, infos = Build().v2(3).v2(3).v2(3).done()
    source = _Failing(data)
    source.bad = ByteRange(infos[1].stop - 1, infos[1].stop)
    made = list(decode(source, header_table(data)))
    assert [r[0] for r in plain(made)] == [0, 1, 2, 6, 7, 8]
    assert "could not be read" in made[0].detail[1]


class _Shrunken(MemorySource):
    """Says it is as large as it was."""

    @property
    def size(self) -> int:
        return len(self._data) + 40

    def read_into(self, position: int, buffer: U8) -> int:
        left = self._data[position : position + len(buffer)]
        buffer[: len(left)] = left
        return len(left)


def test_a_file_that_shrank_loses_its_last_batch_only() -> None:
    data, _ = Build().v2(3).v2(3).done()
    made = list(decode(_Shrunken(data[:-40]), header_table(data)))
    assert [r[0] for r in plain(made)] == [0, 1, 2]
    assert "shrank" in made[0].detail[1]


def test_patches_are_seen() -> None:
    data, infos = Build().v2(3).v2(3).done()
    wrong = bytearray(data)
    at = infos[1].start + 61
    wrong[at : at + 3] = b"\xff\xff\xff"
    source = PatchedSource(MemorySource(bytes(wrong)), [(at, data[at : at + 3])])
    assert plain(list(decode(source, header_table(data)))) == meant([r for i in infos for r in i.records])


@pytest.mark.parametrize("chunk", [1, 900, 8 << 20])
def test_validating_says_the_same_without_records(chunk: int) -> None:
    data, infos = mixed().done()
    seen = agrees(data, chunk=chunk)
    assert sum(len(v.outcome) for v in seen) == len(infos)
    assert all((v.control_type == -1).all() for v in seen)
    assert not list(validate(MemorySource(b""), BatchTable.empty()))


def test_validating_tells_control_types() -> None:
    build = Build().v2(2, producer_id=9, producer_epoch=0).marker(commit=True, producer_id=9)
    data, _ = build.v2(1, producer_id=9, producer_epoch=0).marker(commit=False, producer_id=9).done()
    assert agrees(data)[0].control_type.tolist() == [-1, 1, -1, 0]


@pytest.mark.parametrize("most", [1, 4, 100])
def test_a_batch_of_many_records_comes_in_ranges(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data, infos = mixed().done()
    monkeypatch.setattr(records_room, "MOST_ROWS", most)
    made = whole(data, chunk=1)
    assert plain(made) == [row for info in infos for row in meant(list(info.records))]
    assert all(len(d.table) <= most for d in made)
    firsts = [d for d in made if not d.continues]
    assert [int(d.table.batches.position[0]) for d in firsts] == [i.start for i in infos]
    assert [int(d.table.batches.record_count[0]) for d in firsts] == [len(i.records) for i in infos]
    for before, after in pairwise(made):
        if after.continues:
            assert after.table.batches.position.tolist() == before.table.batches.position.tolist()


@pytest.mark.parametrize("bad", [broken_inner_crc, broken_gzip, lambda: v2_header_and(RECORD * 9, 0, count=8)])
def test_of_a_large_batch_that_is_bad_nothing_comes(bad: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_room, "MOST_ROWS", 1)
    made = whole(bad(), chunk=1)
    assert [len(d.table) for d in made] == [0]
    assert (made[0].outcome != Outcome.OK).all()
    assert list(made[0].detail) == [0]


def test_a_plain_batch_above_the_limit_is_not_read() -> None:
    data, _ = Build().v2(3).v2(40).v2(3).done()
    limits = Limits(cap=1000)
    made = agrees(data, limits=limits)
    assert [o for v in made for o in v.outcome.tolist()] == [Outcome.OK, Outcome.INFLATE_LIMIT, Outcome.OK]
