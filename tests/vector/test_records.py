"""Tests of the record kernel: written and read back, damaged, and compared with an obvious decoder."""

from __future__ import annotations

import random
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.vector.columns import (
    ANSWER_FAULT,
    ANSWER_FIRST,
    ANSWER_INNER_FIRST,
    ANSWER_INNER_LAST,
    ANSWER_LAST,
    ANSWER_RECORD,
    JOB_WIDTH,
    KIND_MESSAGE,
    KIND_SET_V0,
    KIND_SET_V1,
    KIND_SKIP,
    KIND_V2,
    Fault,
)
from kafka_salvage.vector.records import decode_columns
from tests.support.build import Rec, legacy_message, v2_record, zigzag
from tests.vector.scalar import Bad, Record, decode_set, decode_v2

BASE, TIME, APPEND = 1_000_000_007, 1_700_000_000_000, 1_800_000_000_000

blob = st.one_of(st.none(), st.binary(max_size=20), st.binary(min_size=60, max_size=200))
header = st.tuples(st.binary(max_size=10), st.one_of(st.none(), st.binary(max_size=70)))
record = st.builds(
    Rec,
    st.just(0),
    st.integers(-(1 << 40), 1 << 40).map(lambda t: TIME + t),
    blob,
    blob,
    st.lists(header, max_size=3).map(tuple),
)


def job(kind: int, start: int, stop: int, **more: int) -> list[int]:
    given_ = {
        "offset": BASE,
        "span": 0,
        "time": TIME,
        "append": 0,
        "type": 0,
        "sequence": -1,
        "count": 0,
        "attributes": 0,
    }
    given_ |= more
    names = ("offset", "span", "time", "append", "type", "sequence", "count", "attributes")
    return [kind, start, stop, *(given_[k] for k in names)]


def records_of(data: bytes, jobs: list[list[int]]) -> tuple[dict[int, list[Record]], np.ndarray[Any, Any], Any]:
    columns, answers = decode_columns(np.frombuffer(data, np.uint8), np.array(jobs, np.int64).reshape(-1, JOB_WIDTH))
    c = columns.filled()
    out: dict[int, list[Record]] = {}

    def cut(start: int, size: int) -> bytes | None:
        return None if size < 0 else data[start : start + size]

    for i in range(columns.records):
        headers = []
        for h in range(c["header_first"][i], c["header_first"][i + 1]):
            name = cut(c["header_key_start"][h], c["header_key_size"][h])
            assert name is not None
            headers.append((name, cut(c["header_value_start"][h], c["header_value_size"][h])))
        key, value = cut(c["key_start"][i], c["key_size"][i]), cut(c["value_start"][i], c["value_size"][i])
        row = (int(c["offset"][i]), int(c["timestamp"][i]), int(c["timestamp_type"][i]), key, value, tuple(headers))
        out.setdefault(int(c["batch"][i]), []).append(row)
    return out, answers, c


def payload_of(records: list[Rec], gaps: list[int]) -> tuple[bytes, int]:
    """Payload and last offset delta; each record skips as many offsets as ``gaps`` say."""
    delta, parts = -1, []
    for one, gap in zip(records, gaps, strict=True):
        delta += 1 + gap
        parts.append(v2_record(Rec(BASE + delta, one.timestamp, one.key, one.value, one.headers), BASE, TIME))
    return b"".join(parts), max(delta, 0)


def expected_v2(payload: bytes, span: int, append: int | None, count: int) -> list[Record] | None:
    try:
        return decode_v2(payload, BASE, span, TIME, append, count)
    except Bad:
        return None


@st.composite
def batches(draw: Any) -> tuple[bytes, int, int, bool]:
    records = draw(st.lists(record, max_size=8))
    gaps = [draw(st.integers(0, 3)) for _ in records]
    payload, span = payload_of(records, gaps)
    return payload, span, len(records), draw(st.booleans())


@given(st.lists(batches(), min_size=1, max_size=6))
def test_what_was_written_is_read(many: list[tuple[bytes, int, int, bool]]) -> None:
    data, jobs = b"<", []
    for payload, span, count, append in many:
        more = {"span": span, "count": count, "type": int(append), "append": APPEND}
        jobs.append(job(KIND_V2, len(data), len(data) + len(payload), **more))
        data += payload + b"|"
    got, answers, _ = records_of(data, jobs)
    for index, (payload, span, count, append) in enumerate(many):
        wanted = decode_v2(payload, BASE, span, TIME, APPEND if append else None, count)
        assert answers[index, ANSWER_FAULT] == Fault.NONE
        assert got.get(index, []) == wanted
        assert answers[index, ANSWER_RECORD] == count
        edges = (wanted[0][0], wanted[-1][0]) if wanted else (-1, -1)
        assert (answers[index, ANSWER_FIRST], answers[index, ANSWER_LAST]) == edges


@st.composite
def damaged(draw: Any) -> tuple[bytes, int, int]:
    """A payload, last delta and count of which something may be wrong."""
    payload, span, count, _ = draw(batches())
    raw = bytearray(payload)
    how = draw(st.sampled_from(("byte", "bit", "cut", "append", "insert", "drop", "count", "span", "long")))
    if how == "count":
        return payload, span, draw(st.integers(-2, count + 3))
    if how == "span":
        return payload, max(0, span - draw(st.integers(0, 3))), count
    if how == "append":
        return payload + draw(st.binary(min_size=1, max_size=8)), span, count
    if not raw:
        return payload, span, count
    at = draw(st.integers(0, len(raw) - 1))
    if how == "byte":
        raw[at] = draw(st.sampled_from((0, 1, 2, 126, 127, 128, 254, 255)))
    elif how == "bit":
        raw[at] ^= 1 << draw(st.integers(0, 7))
    elif how == "cut":
        del raw[at:]
    elif how == "insert":
        raw.insert(at, draw(st.integers(0, 255)))
    elif how == "long":
        raw[at : at + 1] = b"\xff" * draw(st.integers(3, 10)) + bytes([draw(st.integers(0, 15))])
    else:
        del raw[at]
    return bytes(raw), span, count


@given(st.lists(damaged(), min_size=1, max_size=5))
def test_the_kernel_agrees_with_the_obvious_decoder(many: list[tuple[bytes, int, int]]) -> None:
    data, jobs = b"", []
    for payload, span, count in many:
        jobs.append(job(KIND_V2, len(data), len(data) + len(payload), span=span, count=count))
        data += payload
    got, answers, _ = records_of(data, jobs)
    for index, (payload, span, count) in enumerate(many):
        wanted = expected_v2(payload, span, None, count)
        assert (answers[index, ANSWER_FAULT] == Fault.NONE) == (wanted is not None)
        assert got.get(index, []) == (wanted or [])


@pytest.mark.parametrize(
    ("payload", "more", "fault"),
    [
        (b"\x0c\0\0\0\x01\x01\0", {"count": 2}, Fault.COUNT_IMPOSSIBLE),
        (b"\x0c\0\0\0\x01\x01\0" + b"\x10\0\0\x02\x02k\x02v\0", {"count": 1}, Fault.BYTES_LEFT),
        (b"\x14\0\0\0\x02k\x06vvv\0" + b"", {"count": 0}, Fault.BYTES_LEFT),
        (b"\x1c\0\0\0\x08kkkk\x08vvvv\0", {"count": 2, "span": 5}, Fault.RECORDS_MISSING),
        (b"\x0c\0\0\0\x01\x01\0", {"count": -1}, Fault.COUNT_IMPOSSIBLE),
        (b"\x0e\0\0\0\x01\x01\0", {"count": 1}, Fault.RECORD_LENGTH),
        (b"\x0d\0\0\0\x01\x01\0", {"count": 1}, Fault.RECORD_LENGTH),
        (b"\x0e\0\0\0\x01\x01\0\0", {"count": 1}, Fault.RECORD_LEFT),
        (b"\x0c\0\0\x02\x01\x01\0", {"count": 1}, Fault.OFFSET_DELTA),
        (b"\x0c\0\0\x01\x01\x01\0", {"count": 1}, Fault.OFFSET_DELTA),
        (b"\x0c\0\0\0\x01\x01\0" * 2, {"count": 2, "span": 9}, Fault.OFFSET_DELTA),
        (b"\x0c\0\0\0\x06\x01\0", {"count": 1}, Fault.KEY_LENGTH),
        (b"\x0c\0\0\0\x01\x06\0", {"count": 1}, Fault.VALUE_LENGTH),
        (b"\x0c\0\0\0\x01\x01\x02", {"count": 1}, Fault.HEADER_COUNT),
        (b"\x0c\0\0\0\x01\x01\x01", {"count": 1}, Fault.HEADER_COUNT),
        (b"\x10\0\0\0\x01\x01\x02\x01\x01", {"count": 1}, Fault.HEADER_KEY_LENGTH),
        (b"\x10\0\0\0\x01\x01\x02\x04\x01", {"count": 1}, Fault.HEADER_KEY_LENGTH),
        (b"\x10\0\0\0\x01\x01\x02\0\x02", {"count": 1}, Fault.HEADER_VALUE_LENGTH),
        (b"\xff\xff\xff\xff\xff\0\0", {"count": 1}, Fault.INTEGER),
        (b"\x16\0\0\0\x01\x01\x80\x80\x80\x80\x80\0", {"count": 1}, Fault.INTEGER),
    ],
)
def test_each_fault_has_its_name(payload: bytes, more: dict[str, int], fault: Fault) -> None:
    got, answers, _ = records_of(payload, [job(KIND_V2, 0, len(payload), **more)])
    assert Fault(int(answers[0, ANSWER_FAULT])) is fault
    assert not got


def test_a_bad_batch_takes_nothing_from_its_neighbours() -> None:
    rich = Rec(BASE, TIME, b"k", b"v", ((b"h", b"1"), (b"h", None)))
    good = v2_record(rich, BASE, TIME)
    bad = good + v2_record(Rec(BASE + 1, TIME, b"k", b"v", ((b"h", b"1"),)), BASE, TIME) + b"\x09"
    data = good + bad + good
    a, b = len(good), len(good) + len(bad)
    jobs = [
        job(KIND_V2, 0, a, count=1),
        job(KIND_V2, a, b, count=2, span=1),
        job(KIND_SKIP, -5, 1 << 60),
        job(KIND_V2, b, len(data), count=1),
    ]
    got, answers, columns = records_of(data, jobs)
    assert sorted(got) == [0, 3]
    assert got[0] == got[3] == [(BASE, TIME, 0, b"k", b"v", ((b"h", b"1"), (b"h", None)))]
    assert columns["header_first"].tolist() == [0, 2, 4]
    assert answers[:, ANSWER_FAULT].astype(bool).tolist() == [False, True, False, False]


@pytest.mark.parametrize("bounds", [(-1, 5), (5, 4), (0, 8), (8, 9), (-(1 << 62), 1 << 62), (0, 1 << 62)])
@pytest.mark.parametrize("kind", [KIND_V2, KIND_MESSAGE, KIND_SET_V0, KIND_SET_V1])
def test_a_range_outside_the_data_is_refused(kind: int, bounds: tuple[int, int]) -> None:
    got, answers, _ = records_of(b"\x0c\0\0\0\x01\x01\0", [job(kind, *bounds, count=1)])
    assert Fault(int(answers[0, ANSWER_FAULT])) is Fault.RANGE
    assert not got


def test_header_columns_grow_as_they_must() -> None:
    one = Rec(BASE, TIME, None, None, tuple((b"%d" % i, None) for i in range(3000)))
    payload = v2_record(one, BASE, TIME)
    jobs = [job(KIND_V2, i * len(payload), (i + 1) * len(payload), count=1) for i in range(5)]
    got, _, columns = records_of(payload * 5, jobs)
    assert all(got[i][0][5] == one.headers for i in range(5))
    assert columns["header_first"].tolist() == [0, 3000, 6000, 9000, 12000, 15000]


def test_sequences_wrap_to_zero() -> None:
    payload, span = payload_of([Rec(0, TIME, None, None)] * 4, [0, 0, 0, 0])
    _, _, columns = records_of(
        payload * 2,
        [
            job(KIND_V2, 0, len(payload), span=span, count=4, sequence=2147483646),
            job(KIND_V2, len(payload), 2 * len(payload), span=span, count=4, sequence=-1),
        ],
    )
    assert columns["sequence"].tolist() == [2147483646, 2147483647, 0, 1, -1, -1, -1, -1]


def test_integers_longer_than_needed_are_read_and_high_bits_ignored() -> None:
    body = b"\0" + b"\x80\x80\0" + b"\x80\0" + b"\x82\0k" + b"\x82\x80\x80\x80\x70v" + b"\x80\0"
    payload = zigzag(len(body)) + body
    got, _, _ = records_of(payload, [job(KIND_V2, 0, len(payload), count=1)])
    assert got[0] == [(BASE, TIME, 0, b"k", b"v", ())]


def test_timestamps_wrap_as_int64() -> None:
    body = b"\0" + zigzag(1) + zigzag(0) + b"\x01\x01\0"
    payload = zigzag(len(body)) + body
    got, _, _ = records_of(payload, [job(KIND_V2, 0, len(payload), count=1, time=(1 << 63) - 1)])
    assert got[0][0][1] == -(1 << 63)
    lowest = zigzag(0)[:0] + b"\xff" * 9 + b"\x01"
    body = b"\0" + lowest + zigzag(0) + b"\x01\x01\0"
    payload = zigzag(len(body)) + body
    got, _, _ = records_of(payload, [job(KIND_V2, 0, len(payload), count=1, time=0)])
    assert got[0][0][1] == -(1 << 63)


@st.composite
def sets(draw: Any) -> tuple[bytes, int, int]:
    """Inner messages, perhaps damaged, the wrapper's magic and offset."""
    magic = draw(st.integers(0, 1))
    offset = draw(st.sampled_from((0, 5))) if magic == 0 else 0
    parts = []
    for _ in range(draw(st.integers(0, 5))):
        inner_magic = draw(st.sampled_from((magic, magic, magic, 0, 1)))
        parts.append(
            legacy_message(
                offset,
                draw(blob),
                draw(blob),
                magic=inner_magic,
                timestamp=TIME,
                attributes=0x08 * draw(st.integers(0, 1)),
            )
        )
        offset += draw(st.sampled_from((1, 1, 1, 4)))
    raw = bytearray(b"".join(parts))
    how = draw(st.sampled_from(("whole", "whole", "bit", "cut", "append", "resum")))
    at = draw(st.integers(0, max(0, len(raw) - 1)))
    if how == "bit" and raw:
        raw[at] ^= 1 << draw(st.integers(0, 7))
    elif how == "resum" and parts:
        at = 16 + at % (len(parts[0]) - 16)
        raw[at] ^= 1 << draw(st.integers(0, 7))
        raw[12:16] = struct.pack(">I", zlib.crc32(raw[16 : len(parts[0])]))
    elif how == "cut":
        del raw[at:]
    elif how == "append":
        raw += draw(st.binary(min_size=1, max_size=30))
    return bytes(raw), magic, draw(st.sampled_from((0, 3, 1000)))


@given(st.lists(sets(), min_size=1, max_size=4), st.booleans())
def test_inner_messages_as_the_obvious_decoder_reads_them(many: list[tuple[bytes, int, int]], append: bool) -> None:
    data, jobs = b"", []
    for raw, magic, offset in many:
        kind = KIND_SET_V1 if magic else KIND_SET_V0
        jobs.append(job(kind, len(data), len(data) + len(raw), offset=offset, time=APPEND, type=int(append)))
        data += raw
    got, answers, _ = records_of(data, jobs)
    for index, (raw, magic, offset) in enumerate(many):
        wanted: list[Record] | None
        try:
            wanted = decode_set(raw, offset, magic, APPEND, append)
        except Bad:
            wanted = None
        assert (answers[index, ANSWER_FAULT] == Fault.NONE) == (wanted is not None)
        assert got.get(index, []) == (wanted or [])
        if wanted:
            stored = struct.unpack_from(">q", raw)[0]
            assert answers[index, ANSWER_INNER_FIRST] == stored
            move = wanted[0][0] - stored
            assert answers[index, ANSWER_INNER_LAST] == wanted[-1][0] - move


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda m: m[:-1], Fault.MESSAGE_SIZE),
        (lambda m: m[:20], Fault.MESSAGE_CUT),
        (lambda m: m + b"\0" * 3, Fault.MESSAGE_CUT),
        (lambda m: m[:16] + b"\x02" + m[17:], Fault.MESSAGE_MAGIC),
        (lambda m: m[:-1] + b"!", Fault.MESSAGE_CRC),
        (lambda m: m[:12] + b"\0\0\0\0" + m[16:], Fault.MESSAGE_CRC),
        (lambda m: b"", Fault.SET_EMPTY),
        (lambda m: m + m, Fault.SET_OFFSETS),
        (lambda m: b"\x7f" + m[1:], Fault.SET_ANCHOR),
        (lambda m: legacy_message(0, None, b"x", magic=1, attributes=1), Fault.MESSAGE_NESTED),
        (lambda m: m[:26] + struct.pack(">i", 99) + m[30:], Fault.KEY_LENGTH),
        (lambda m: m[:31] + struct.pack(">i", 99) + m[35:], Fault.VALUE_LENGTH),
        (lambda m: m[:31] + struct.pack(">i", 0) + m[35:], Fault.MESSAGE_LEFT),
    ],
)
def test_each_fault_of_a_set_has_its_name(change: Any, fault: Fault) -> None:
    raw = change(legacy_message(3, b"k", b"v", magic=1, timestamp=TIME))
    got, answers, _ = records_of(raw, [job(KIND_SET_V1, 0, len(raw))])
    assert Fault(int(answers[0, ANSWER_FAULT])) is fault
    assert not got


def test_plain_messages_speak_for_themselves() -> None:
    v0 = legacy_message(1, b"", None, magic=0, attributes=0x08)
    v1 = legacy_message(2, None, b"", magic=1, timestamp=TIME, attributes=0x08)
    bad = v1[:-1]
    data = v0 + v1 + bad
    ends = [0, len(v0), len(v0) + len(v1), len(data)]
    jobs = [job(KIND_MESSAGE, ends[i], ends[i + 1], offset=70 + i) for i in range(3)]
    got, answers, _ = records_of(data, jobs)
    assert got == {0: [(70, -1, -1, b"", None, ())], 1: [(71, TIME, 1, None, b"", ())]}
    assert Fault(int(answers[2, ANSWER_FAULT])) is Fault.MESSAGE_SIZE


def test_random_bytes_never_hang_or_crash() -> None:
    rng = random.Random(3)
    for _ in range(200):
        raw = bytes(rng.choice((0, 2, 6, 12, 127, 128, 255)) for _ in range(rng.randrange(80)))
        jobs = [job(kind, 0, len(raw), span=1 << 30, count=rng.randrange(20)) for kind in (2, 0, 3, 4)]
        _, answers, _ = records_of(raw, jobs)
        assert len(answers) == 4
