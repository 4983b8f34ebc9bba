"""Tests of the checking kernel: it says of every payload what the record kernel says, and cuts where records end."""

from __future__ import annotations

import random
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.vector.checking import check, cut
from kafka_salvage.vector.columns import (
    ANSWER_CONTROL,
    ANSWER_FAULT,
    ANSWER_RECORD,
    ANSWER_WIDTH,
    JOB_WIDTH,
    KIND_MESSAGE,
    KIND_SET_V0,
    KIND_SET_V1,
    KIND_SKIP,
    KIND_V2,
    Fault,
)
from kafka_salvage.vector.records import decode_columns
from tests.support.build import Rec, legacy_message, v2_record
from tests.vector.test_records import BASE, TIME, batches, damaged, job, payload_of, records_of

PAD = b"\xff" * 80
"""Behind the payloads, so that their records are read the near way."""


def both(data: bytes, jobs: list[list[int]]) -> Any:
    matrix = np.array(jobs, np.int64).reshape(-1, JOB_WIDTH)
    array = np.frombuffer(data, np.uint8)
    answers = check(array, matrix)
    _, decoded = decode_columns(array, matrix)
    told = [n for n in range(ANSWER_WIDTH) if n != ANSWER_CONTROL]
    assert answers[:, told].tolist() == decoded[:, told].tolist()
    return answers


@given(st.lists(st.one_of(batches().map(lambda b: b[:3]), damaged()), min_size=1, max_size=5), st.booleans())
def test_it_says_what_the_record_kernel_says(many: list[tuple[bytes, int, int]], padded: bool) -> None:
    data, jobs = b"", []
    for payload, span, count in many:
        jobs.append(job(KIND_V2, len(data), len(data) + len(payload), span=span, count=count))
        data += payload
    both(data + PAD if padded else data, jobs)


def test_of_messages_and_sets_too() -> None:
    rng = random.Random(4)
    faults = set()
    for turn in range(2000):
        magic = turn % 2
        whole = [legacy_message(3 * i, b"k", b"v" * i, magic=magic, timestamp=i) for i in range(4)]
        kind = (KIND_MESSAGE, (KIND_SET_V0, KIND_SET_V1)[magic])[turn % 3 > 0]
        raw = bytearray(whole[1] if kind == KIND_MESSAGE else b"".join(whole))
        if turn % 5:
            at = rng.randrange(len(raw))
            raw[at] = rng.choice((0, 1, 127, 255))
            if rng.random() < 0.3:
                del raw[rng.randrange(len(raw)) :]
        jobs = [job(kind, 0, len(raw), offset=rng.choice((0, 8, 9, 30))), job(KIND_SKIP, 0, 0), job(kind, 5, 1 << 40)]
        answers = both(bytes(raw), jobs)
        assert answers[2, ANSWER_FAULT] == Fault.RANGE
        faults.add(int(answers[0, ANSWER_FAULT]))
    assert len(faults) > 8


def test_the_type_of_control_batches() -> None:
    def batch(keys: list[bytes | None]) -> bytes:
        return payload_of([Rec(BASE + i, TIME, key, b"") for i, key in enumerate(keys)], [0] * len(keys))[0]

    wanted = []
    data, jobs = b"", []
    cases: list[tuple[list[bytes | None], int, int]] = [
        ([struct.pack(">hh", 0, 1)], 0x20, 1),
        ([struct.pack(">hh", 0, 0)], 0x20, 0),
        ([struct.pack(">hh", 0, 1)], 0, -1),
        ([b"abc", None], 0x20, -1),
        ([b"ab", struct.pack(">hh", 9, 5), struct.pack(">hh", 0, 6)], 0x30, 5),
        ([struct.pack(">hh", 0, -1)], 0x20, 0xFFFF),
    ]
    for keys, attributes, kind in cases:
        payload = batch(keys)
        more = {"span": len(keys) - 1, "count": len(keys), "attributes": attributes}
        jobs.append(job(KIND_V2, len(data), len(data) + len(payload), **more))
        data += payload
        wanted.append(kind)
    assert both(data, jobs)[:, ANSWER_CONTROL].tolist() == wanted


@pytest.mark.parametrize("every", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("kind", [KIND_V2, KIND_SET_V0, KIND_SET_V1])
def test_a_job_cut_in_ranges_gives_the_same_records(kind: int, every: int) -> None:
    if kind == KIND_V2:
        rows = [Rec(BASE + 2 * i, TIME + i, b"k%d" % i, b"v" * i, ((b"h", b"%d" % i),) * (i % 3)) for i in range(20)]
        payload, span = b"".join(v2_record(r, BASE, TIME) for r in rows), 38
    else:
        magic = int(kind == KIND_SET_V1)
        rows = [Rec(2 * i, 5 + i, b"k", b"v" * i) for i in range(20)]
        payload, span = b"".join(legacy_message(r.offset, r.key, r.value, magic=magic, timestamp=5) for r in rows), 0
    data = b"<" + payload + b">"
    one = job(kind, 1, len(data) - 1, span=span, count=20, sequence=2**31 - 15, offset=BASE)
    array = np.frombuffer(data, np.uint8)
    answer = check(array, np.array([one]))[0]
    assert (int(answer[ANSWER_FAULT]), int(answer[ANSWER_RECORD])) == (0, 20)
    parts = cut(array, np.array(one), answer, every)
    assert len(parts) == -(-20 // every)
    whole, _, columns = records_of(data, [one])
    pieces, answers, cut_columns = records_of(data, parts.tolist())
    assert not answers[:, ANSWER_FAULT].any()
    assert [row for n in sorted(pieces) for row in pieces[n]] == whole[0]
    assert cut_columns["sequence"].tolist() == columns["sequence"].tolist()


def test_wrong_shapes_are_refused() -> None:
    data = np.zeros(8, np.uint8)
    with pytest.raises(ValueError, match="fields"):
        check(data, np.zeros((1, 3), np.int64))
    with pytest.raises(ValueError, match="contiguous"):
        check(data[::2], np.zeros((1, JOB_WIDTH), np.int64))
    assert check(data, np.zeros((0, JOB_WIDTH), np.int64)).shape == (0, ANSWER_WIDTH)
