"""Checking kernel: whether the records of batches parse, without writing a column.

Strategy: the record kernel's twin: the same fields, checks and faults in the same order, but nothing is kept of a record
except what a check needs: how many there are, the first and last offset, and the type of a control batch. A large payload,
once it was checked, can be cut into ranges of records that are decoded one after another.
"""

from __future__ import annotations

import numpy as np

from kafka_salvage.vector.arena import lease_matrix
from kafka_salvage.vector.cache import inner, kernel, outlined
from kafka_salvage.vector.columns import (
    ANSWER_CONTROL,
    ANSWER_FAULT,
    ANSWER_FIRST,
    ANSWER_INNER_FIRST,
    ANSWER_INNER_LAST,
    ANSWER_LAST,
    ANSWER_RECORD,
    ANSWER_WIDTH,
    I64,
    JOB_ATTRIBUTES,
    JOB_COUNT,
    JOB_KIND,
    JOB_OFFSET,
    JOB_SPAN,
    JOB_START,
    JOB_STOP,
    JOB_WIDTH,
    KIND_MESSAGE,
    KIND_SET_V1,
    KIND_SKIP,
    KIND_V2,
    SMALLEST_RECORD,
    U8,
)
from kafka_salvage.vector.crc import zlib_of
from kafka_salvage.vector.legacy import (
    MESSAGE_CRC,
    MESSAGE_LEFT,
    MESSAGE_NESTED,
    SET_ANCHOR,
    SET_EMPTY,
    SET_OFFSETS,
    anchor,
    message,
    store_fault,
)
from kafka_salvage.vector.pointers import (
    address_of,
    load_be16,
    load_be32,
    load_be64,
    load_beu32,
    load_i64,
    load_u8,
    store_64,
)
from kafka_salvage.vector.records import (
    BYTES_LEFT,
    COUNT_IMPOSSIBLE,
    HEADER_KEY_LENGTH,
    HEADER_VALUE_LENGTH,
    INTEGER,
    NEAR,
    NONE,
    RANGE,
    RECORD_LEFT,
    RECORDS_MISSING,
    bad,
    blank_answer,
    exact_fields,
    length_fault,
    near_fields,
)
from kafka_salvage.vector.varint import near_varint, varint

CONTROL = 0x20


@outlined
def _headers(place: int, edge: int, count: int, answer: int, start: int, index: int) -> int:
    """Reads past ``count`` headers; the next address, or 0 with the fault stored in the answer."""
    for _ in range(count):
        size, after = varint(place, edge)
        if after == 0 or size < 0 or size > edge - after:
            fault = INTEGER if after == 0 else HEADER_KEY_LENGTH
            store_64(answer + 8 * ANSWER_FAULT, store_fault(answer, index, fault, place - start, edge - after, size))
            return 0
        place = after + size
        size, after = varint(place, edge)
        if after == 0 or size > edge - after:
            fault = INTEGER if after == 0 else HEADER_VALUE_LENGTH
            store_64(answer + 8 * ANSWER_FAULT, store_fault(answer, index, fault, place - start, edge - after, size))
            return 0
        place = after + max(size, 0)
    return place


@inner
def _check_v2(data: int, limit: int, job: int, answer: int) -> int:
    """One v2 payload: its fault."""
    start, stop = data + load_i64(job + 8 * JOB_START), data + load_i64(job + 8 * JOB_STOP)
    span, count = load_i64(job + 8 * JOB_SPAN), load_i64(job + 8 * JOB_COUNT)
    if count < 0 or count * SMALLEST_RECORD > stop - start:
        return store_fault(answer, 0, COUNT_IMPOSSIBLE, 0, count, stop - start)
    control = load_i64(job + 8 * JOB_ATTRIBUTES) & CONTROL
    place, previous, first, near, kind = start, -1, -1, data + limit - NEAR, -1
    for index in range(count):
        if place == stop:
            return store_fault(answer, index, RECORDS_MISSING, place - start, count, index)
        size, body = near_varint(place) if place <= near else varint(place, stop)
        edge = body + size
        if body == 0 or size < SMALLEST_RECORD - 1 or edge > stop:
            return length_fault(answer, index, place, start, stop)
        fault, delay, delta, key, key_size, _, _, headers, end = bad(RANGE, 0, 0, 0)
        if edge <= near:
            fault, delay, delta, key, key_size, _, _, headers, end = near_fields(body, edge, previous, span)
        if fault:
            fault, delay, delta, key, key_size, _, _, headers, end = exact_fields(body, edge, previous, span)
            if fault:
                return store_fault(answer, index, fault, delay - start, delta, key)
        if headers:
            end = _headers(end, edge, headers, answer, start, index)
            if end == 0:
                return load_i64(answer + 8 * ANSWER_FAULT)
        if end != edge:
            return store_fault(answer, index, RECORD_LEFT, end - start, 0, edge - end)
        if control and kind < 0 and key_size >= 4:
            kind = load_be16(key + 2) & 0xFFFF
        if first < 0:
            first = delta
        previous = delta
        place = edge
    if place != stop:
        return store_fault(answer, count, BYTES_LEFT, place - start, count, stop - place)
    store_64(answer + 8 * ANSWER_RECORD, count)
    if count:
        store_64(answer + 8 * ANSWER_FIRST, load_i64(job + 8 * JOB_OFFSET) + first)
        store_64(answer + 8 * ANSWER_LAST, load_i64(job + 8 * JOB_OFFSET) + previous)
    store_64(answer + 8 * ANSWER_CONTROL, kind)
    return NONE


@outlined
def _check_message(data: int, job: int, answer: int) -> int:
    """One plain message whose CRC was checked before: its fault."""
    start, stop = data + load_i64(job + 8 * JOB_START), data + load_i64(job + 8 * JOB_STOP)
    fault, key, key_size, value, _value_size, _time, end = message(start, stop)
    if fault:
        return store_fault(answer, 0, fault, key - start, key_size, value)
    if end != stop:
        return store_fault(answer, 0, MESSAGE_LEFT, end - start, 0, stop - end)
    store_64(answer + 8 * ANSWER_RECORD, 1)
    store_64(answer + 8 * ANSWER_FIRST, load_i64(job + 8 * JOB_OFFSET))
    store_64(answer + 8 * ANSWER_LAST, load_i64(job + 8 * JOB_OFFSET))
    return NONE


@outlined
def _check_set(data: int, job: int, answer: int) -> int:
    """The inner messages of an inflated wrapper, CRCs verified: their fault."""
    start, stop = data + load_i64(job + 8 * JOB_START), data + load_i64(job + 8 * JOB_STOP)
    kind, wrapper = load_i64(job + 8 * JOB_KIND), load_i64(job + 8 * JOB_OFFSET)
    index, place, previous, first = 0, start, -1, -1
    while place < stop:
        fault, key, key_size, value, _value_size, _time, end = message(place, stop)
        if fault:
            return store_fault(answer, index, fault, key - start, key_size, value)
        stored, computed = load_beu32(place + 12), zlib_of(place + 16, end - place - 16)
        if stored != computed:
            return store_fault(answer, index, MESSAGE_CRC, place - start, stored, computed)
        if load_u8(place + 17) & 7:
            return store_fault(answer, index, MESSAGE_NESTED, place + 17 - start, 0, load_u8(place + 17) & 7)
        offset = load_be64(place)
        if offset <= previous:
            return store_fault(answer, index, SET_OFFSETS, place - start, previous, offset)
        if index == 0:
            first = offset
        index, place, previous = index + 1, end, offset
    if index == 0:
        return store_fault(answer, 0, SET_EMPTY, 0, 1, 0)
    move = anchor(kind, wrapper, previous)
    if move < 0:
        return store_fault(answer, index, SET_ANCHOR, 0, previous, wrapper)
    store_64(answer + 8 * ANSWER_RECORD, index)
    store_64(answer + 8 * ANSWER_FIRST, first + move)
    store_64(answer + 8 * ANSWER_LAST, previous + move)
    store_64(answer + 8 * ANSWER_INNER_FIRST, first)
    store_64(answer + 8 * ANSWER_INNER_LAST, previous)
    return NONE


@kernel
def check_jobs(data: int, size: int, jobs: int, count: int, answers: int) -> None:
    """Checks jobs.

    Args:
        data: address of the bytes.
        size: how many.
        jobs: address of the matrix of jobs.
        count: how many.
        answers: address of the matrix of answers, one row for each job.
    """
    for number in range(count):
        job, answer = jobs + 8 * JOB_WIDTH * number, answers + 8 * ANSWER_WIDTH * number
        kind = load_i64(job + 8 * JOB_KIND)
        start, stop = load_i64(job + 8 * JOB_START), load_i64(job + 8 * JOB_STOP)
        blank_answer(answer)
        fault = NONE
        if kind == KIND_SKIP:
            pass
        elif start < 0 or stop < start or stop > size:
            fault = store_fault(answer, 0, RANGE, 0, size, stop)
        elif kind == KIND_V2:
            fault = _check_v2(data, size, job, answer)
        elif kind == KIND_MESSAGE:
            fault = _check_message(data, job, answer)
        else:
            fault = _check_set(data, job, answer)
        store_64(answer + 8 * ANSWER_FAULT, fault)


@kernel
def _cut(data: int, start: int, stop: int, is_v2: int, every: int, cuts: int) -> int:
    """Writes position, records and last offset (of sets) at the end of each range of ``every`` records; how many ranges."""
    place, found, records, offset = data + start, 0, 0, 0
    while place < data + stop:
        if is_v2:
            size, body = varint(place, data + stop)
            place = body + size
        else:
            offset = load_be64(place)
            place += 12 + load_be32(place + 8)
        records += 1
        if records == every or place >= data + stop:
            store_64(cuts + 24 * found, place - data)
            store_64(cuts + 24 * found + 8, records)
            store_64(cuts + 24 * found + 16, offset)
            found, records = found + 1, 0
    return found


def check(data: U8, jobs: I64) -> I64:
    """One answer for each job, int64 (jobs, `ANSWER_WIDTH`).

    Args:
        data: bytes that the jobs' ranges point into.
        jobs: int64 matrix (jobs, `JOB_WIDTH`), C order.
    """
    jobs = np.ascontiguousarray(jobs, np.int64)
    if jobs.ndim != 2 or jobs.shape[1] != JOB_WIDTH:
        raise ValueError(f"jobs must have {JOB_WIDTH} fields, not {jobs.shape}")
    if not data.flags.c_contiguous:
        raise ValueError("data must be contiguous")
    answers, told = lease_matrix(len(jobs), ANSWER_WIDTH)
    check_jobs(address_of(data), len(data), address_of(jobs), len(jobs), told)
    return answers


def cut(data: U8, job: I64, answer: I64, every: int) -> I64:
    """A checked job as several, each of ``every`` records (the last one of fewer), that together give the same records.

    Args:
        data: bytes that the job points into.
        job: one row of jobs.
        answer: what `check` said of it; there is no fault.
        every: records in each.
    """
    is_v2 = int(job[JOB_KIND]) == KIND_V2
    cuts = np.empty((int(answer[ANSWER_RECORD]) // every + 1, 3), np.int64)
    start, stop = int(job[JOB_START]), int(job[JOB_STOP])
    found = cuts[: _cut(address_of(data), start, stop, is_v2, every, address_of(cuts))]
    jobs = np.repeat(job[None, :], len(found), axis=0)
    jobs[1:, JOB_START] = found[:-1, 0]
    jobs[:, JOB_STOP] = found[:, 0]
    jobs[:, JOB_COUNT] = found[:, 1]
    if int(job[JOB_KIND]) == KIND_SET_V1:
        # the anchor of each is where its own last offset goes, so that all move alike
        jobs[:, JOB_OFFSET] = found[:, 2] + int(answer[ANSWER_LAST]) - int(answer[ANSWER_INNER_LAST])
    return jobs
