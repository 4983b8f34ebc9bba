"""Record kernel: many batches to columns of records in one call.

Strategy: the kernel takes bare addresses only, so there is one specialisation, and a tiny batch costs no more than its bytes.
Every position is checked before it becomes an address; nothing outside ``[data, data + size)`` is read. A batch gives all of
its records or none. Algorithm, for each job:

1. refuse a range that does not lie in the data;
2. walk its records, checking lengths, counts and offsets, and write one row of each column per record;
3. where something does not fit, take the rows back, put fault, record and place into the answer, go on with the next job;
4. where the header columns are full, stop before the job and ask for more room.
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
    AT_BATCH,
    AT_HEADER_FIRST,
    AT_HEADER_KEY_SIZE,
    AT_HEADER_KEY_START,
    AT_HEADER_VALUE_SIZE,
    AT_HEADER_VALUE_START,
    AT_KEY_SIZE,
    AT_KEY_START,
    AT_OFFSET,
    AT_SEQUENCE,
    AT_TIMESTAMP,
    AT_TYPE,
    AT_VALUE_SIZE,
    AT_VALUE_START,
    I64,
    JOB_APPEND_TIME,
    JOB_COUNT,
    JOB_KIND,
    JOB_OFFSET,
    JOB_SEQUENCE,
    JOB_SPAN,
    JOB_START,
    JOB_STOP,
    JOB_TIME,
    JOB_TYPE,
    JOB_WIDTH,
    KIND_MESSAGE,
    KIND_SKIP,
    KIND_V2,
    SMALLEST_MESSAGE,
    SMALLEST_RECORD,
    U8,
    Fault,
    RecordColumns,
)
from kafka_salvage.vector.legacy import column, decode_message, decode_set, store_fault
from kafka_salvage.vector.pointers import address_of, load_i64, store_32, store_64
from kafka_salvage.vector.varint import near_varint, near_varlong, varint, varlong

FULL = -1
"""What a batch decoder answers when the header columns cannot take it."""
NEAR = 64
"""Bytes behind a record within which its fields are read without a bound at each byte: more than all its integers take."""
MAX_SEQUENCE = 0x7FFF_FFFF
NONE = int(Fault.NONE)
RANGE = int(Fault.RANGE)
COUNT_IMPOSSIBLE = int(Fault.COUNT_IMPOSSIBLE)
RECORDS_MISSING = int(Fault.RECORDS_MISSING)
BYTES_LEFT = int(Fault.BYTES_LEFT)
INTEGER = int(Fault.INTEGER)
RECORD_LENGTH = int(Fault.RECORD_LENGTH)
RECORD_LEFT = int(Fault.RECORD_LEFT)
OFFSET_DELTA = int(Fault.OFFSET_DELTA)
KEY_LENGTH = int(Fault.KEY_LENGTH)
VALUE_LENGTH = int(Fault.VALUE_LENGTH)
HEADER_COUNT = int(Fault.HEADER_COUNT)
HEADER_KEY_LENGTH = int(Fault.HEADER_KEY_LENGTH)
HEADER_VALUE_LENGTH = int(Fault.HEADER_VALUE_LENGTH)


@inner
def _headers(
    table: int, data: int, place: int, edge: int, count: int, row: int, answer: int, start: int, index: int
) -> int:
    """Reads ``count`` headers from ``place``; the next address, or 0 with the fault stored in the answer."""
    key_start, key_size = column(table, AT_HEADER_KEY_START), column(table, AT_HEADER_KEY_SIZE)
    value_start, value_size = column(table, AT_HEADER_VALUE_START), column(table, AT_HEADER_VALUE_SIZE)
    for _ in range(count):
        size, after = varint(place, edge)
        if after == 0 or size < 0 or size > edge - after:
            fault = INTEGER if after == 0 else HEADER_KEY_LENGTH
            store_64(answer + 8 * ANSWER_FAULT, store_fault(answer, index, fault, place - start, edge - after, size))
            return 0
        store_64(key_start + 8 * row, after - data)
        store_32(key_size + 4 * row, size)
        place = after + size
        size, after = varint(place, edge)
        if after == 0 or size > edge - after:
            fault = INTEGER if after == 0 else HEADER_VALUE_LENGTH
            store_64(answer + 8 * ANSWER_FAULT, store_fault(answer, index, fault, place - start, edge - after, size))
            return 0
        store_64(value_start + 8 * row, after - data)
        store_32(value_size + 4 * row, max(size, -1))
        place = after + max(size, 0)
        row += 1
    return place


Fields = tuple[int, int, int, int, int, int, int, int, int]


@inner
def bad(fault: int, place: int, want: int, have: int) -> Fields:
    """A fault in the form of fields."""
    return fault, place, want, have, 0, 0, 0, 0, 0


@outlined
def exact_fields(body: int, edge: int, previous: int, span: int) -> Fields:
    """The fields of one record between ``body`` and ``edge``, up to its headers; no byte from ``edge`` on is read.

    Returns:
        (0, time delta, offset delta, key, key size, value, value size, headers, next address), or (fault, place, want, have, …).
    """
    time_delta, after_time = varlong(body + 1, edge)
    if after_time == 0:
        return bad(INTEGER, body + 1, 0, 0)
    delta, after_delta = varint(after_time, edge)
    if after_delta == 0:
        return bad(INTEGER, after_time, 0, 0)
    if delta <= previous or delta > span:
        return bad(OFFSET_DELTA, after_time, previous, delta)
    key_size, key = varint(after_delta, edge)
    if key == 0 or key_size > edge - key:
        return bad(INTEGER if key == 0 else KEY_LENGTH, after_delta, edge - key, key_size)
    after_key = key + max(key_size, 0)
    value_size, value = varint(after_key, edge)
    if value == 0 or value_size > edge - value:
        return bad(INTEGER if value == 0 else VALUE_LENGTH, after_key, edge - value, value_size)
    after_value = value + max(value_size, 0)
    headers, end = varint(after_value, edge)
    if end == 0 or headers < 0 or headers * 2 > edge - end:
        return bad(INTEGER if end == 0 else HEADER_COUNT, after_value, edge - end, headers)
    return NONE, time_delta, delta, key, key_size, value, value_size, headers, end


@inner
def near_fields(body: int, edge: int, previous: int, span: int) -> Fields:
    """The same where `NEAR` bytes behind ``edge`` may be read: without a bound at each byte. Any fault is told as `RANGE`."""
    time_delta, place = near_varlong(body + 1)
    if place == 0:
        return bad(RANGE, 0, 0, 0)
    delta, place = near_varint(place)
    key_size, key = near_varint(place)
    if delta <= previous or delta > span or key_size > edge - key:
        return bad(RANGE, 0, 0, 0)
    value_size, value = near_varint(key + max(key_size, 0))
    if value_size > edge - value:
        return bad(RANGE, 0, 0, 0)
    headers, end = near_varint(value + max(value_size, 0))
    if headers < 0 or headers * 2 > edge - end:
        return bad(RANGE, 0, 0, 0)
    return NONE, time_delta, delta, key, key_size, value, value_size, headers, end


@inner
def _same(columns: int, first: int, row: int, number: int, stamp_type: int) -> None:
    """Batch and timestamp type of rows ``[first, row)``, several to a store; up to seven rows behind are spoilt."""
    place, stop = column(columns, AT_BATCH) + 4 * first, column(columns, AT_BATCH) + 4 * row
    while place < stop:
        store_64(place, number << 32 | number)
        place += 8
    place, stop = column(columns, AT_TYPE) + first, column(columns, AT_TYPE) + row
    types = 0x0101010101010101 if stamp_type else 0
    while place < stop:
        store_64(place, types)
        place += 8


@inner
def _sequences(columns: int, first: int, row: int, base: int, offset: int) -> None:
    """Producer sequences of rows ``[first, row)``: the first plus the offset delta, around to 0 behind the largest."""
    place, stop = column(columns, AT_SEQUENCE) + 4 * first, column(columns, AT_SEQUENCE) + 4 * row
    if base < 0:
        while place < stop:
            store_64(place, -1)
            place += 8
        return
    away = column(columns, AT_OFFSET) + 8 * first
    while place < stop:
        value = base + load_i64(away) - offset
        store_32(place, value if value <= MAX_SEQUENCE else value - MAX_SEQUENCE - 1)
        place += 4
        away += 8


@inner
def _decode_v2(
    data: int, limit: int, job: int, number: int, answer: int, table: int, row: int, header: int, header_room: int
) -> tuple[int, int, int]:
    """One v2 payload: (fault or `FULL`, rows, header rows); the totals hold only when there is no fault."""
    start, stop = data + load_i64(job + 8 * JOB_START), data + load_i64(job + 8 * JOB_STOP)
    base, span = load_i64(job + 8 * JOB_OFFSET), load_i64(job + 8 * JOB_SPAN)
    time, stamp_type = load_i64(job + 8 * JOB_TIME), load_i64(job + 8 * JOB_TYPE)
    append_time, count = load_i64(job + 8 * JOB_APPEND_TIME), load_i64(job + 8 * JOB_COUNT)
    c_offset, c_time, c_first = column(table, AT_OFFSET), column(table, AT_TIMESTAMP), column(table, AT_HEADER_FIRST)
    c_key, c_key_size = column(table, AT_KEY_START), column(table, AT_KEY_SIZE)
    c_value, c_value_size = column(table, AT_VALUE_START), column(table, AT_VALUE_SIZE)
    if count < 0 or count * SMALLEST_RECORD > stop - start:
        return store_fault(answer, 0, COUNT_IMPOSSIBLE, 0, count, stop - start), row, header
    place, previous, first, near = start, -1, row, data + limit - NEAR
    for index in range(count):
        if place == stop:
            return store_fault(answer, index, RECORDS_MISSING, place - start, count, index), row, header
        size, body = near_varint(place) if place <= near else varint(place, stop)
        edge = body + size
        if body == 0 or size < SMALLEST_RECORD - 1 or edge > stop:
            return length_fault(answer, index, place, start, stop), row, header
        fault, delay, delta, key, key_size, value, value_size, headers, end = bad(RANGE, 0, 0, 0)
        if edge <= near:
            fault, delay, delta, key, key_size, value, value_size, headers, end = near_fields(
                body, edge, previous, span
            )
        if fault:
            fault, delay, delta, key, key_size, value, value_size, headers, end = exact_fields(
                body, edge, previous, span
            )
            if fault:
                return store_fault(answer, index, fault, delay - start, delta, key), row, header
        if headers:
            if header + headers > header_room:
                return FULL, row, header
            end = _headers(table, data, end, edge, headers, header, answer, start, index)
            if end == 0:
                return load_i64(answer + 8 * ANSWER_FAULT), row, header
            header += headers
        if end != edge:
            return store_fault(answer, index, RECORD_LEFT, end - start, 0, edge - end), row, header
        previous = delta
        store_64(c_offset + 8 * row, base + delta)
        store_64(c_time + 8 * row, append_time if stamp_type == 1 else time + delay)
        store_64(c_key + 8 * row, key - data)
        store_32(c_key_size + 4 * row, max(key_size, -1))
        store_64(c_value + 8 * row, value - data)
        store_32(c_value_size + 4 * row, max(value_size, -1))
        row += 1
        store_64(c_first + 8 * row, header)
        place = edge
    if place != stop:
        return store_fault(answer, count, BYTES_LEFT, place - start, count, stop - place), row, header
    _same(table, first, row, number, stamp_type)
    _sequences(table, first, row, load_i64(job + 8 * JOB_SEQUENCE), base)
    store_64(answer + 8 * ANSWER_RECORD, count)
    return NONE, row, header


@outlined
def length_fault(answer: int, index: int, place: int, start: int, stop: int) -> int:
    """What is wrong with a record's length, read again byte by byte."""
    size, body = varint(place, stop)
    if body == 0:
        return store_fault(answer, index, INTEGER, place - start, 0, 0)
    return store_fault(answer, index, RECORD_LENGTH, place - start, stop - body, size)


@inner
def blank_answer(answer: int) -> None:
    """An answer about which nothing is known yet."""
    for field in range(ANSWER_WIDTH):
        store_64(answer + 8 * field, 0)
    store_64(answer + 8 * ANSWER_FIRST, -1)
    store_64(answer + 8 * ANSWER_LAST, -1)
    store_64(answer + 8 * ANSWER_INNER_FIRST, -1)
    store_64(answer + 8 * ANSWER_INNER_LAST, -1)
    store_64(answer + 8 * ANSWER_CONTROL, -1)


@kernel
def decode_jobs(
    data: int, size: int, jobs: int, count: int, answers: int, table: int, header_room: int, state: int
) -> int:
    """Decodes jobs from ``state`` on; 0 when all are done, 1 when the header columns must grow first.

    Args:
        data: address of the bytes.
        size: how many.
        jobs: address of the matrix of jobs.
        count: how many.
        answers: address of the matrix of answers, one row for each job.
        table: address of the addresses of the columns, which have room for every record.
        header_room: rows of the header columns.
        state: int64[3]: next job, rows so far, header rows so far; updated.
    """
    number, row, header = load_i64(state), load_i64(state + 8), load_i64(state + 16)
    c_offset, c_first = column(table, AT_OFFSET), column(table, AT_HEADER_FIRST)
    status = 0
    store_64(c_first + 8 * row, header)
    while number < count:
        job, answer = jobs + 8 * JOB_WIDTH * number, answers + 8 * ANSWER_WIDTH * number
        kind = load_i64(job + 8 * JOB_KIND)
        start, stop = load_i64(job + 8 * JOB_START), load_i64(job + 8 * JOB_STOP)
        blank_answer(answer)
        fault, new_row, new_header = NONE, row, header
        if kind == KIND_SKIP:
            pass
        elif start < 0 or stop < start or stop > size:
            fault = store_fault(answer, 0, RANGE, 0, size, stop)
        elif kind == KIND_V2:
            fault, new_row, new_header = _decode_v2(data, size, job, number, answer, table, row, header, header_room)
        elif kind == KIND_MESSAGE:
            fault, new_row = decode_message(data, job, number, answer, table, row, header)
        else:
            fault, new_row = decode_set(data, job, number, answer, table, row, header)
        if fault == FULL:
            status = 1
            break
        store_64(answer + 8 * ANSWER_FAULT, fault)
        if fault == NONE and new_row > row:
            store_64(answer + 8 * ANSWER_FIRST, load_i64(c_offset + 8 * row))
            store_64(answer + 8 * ANSWER_LAST, load_i64(c_offset + 8 * (new_row - 1)))
            row, header = new_row, new_header
        number += 1
    store_64(c_first + 8 * row, header)
    store_64(state, number)
    store_64(state + 8, row)
    store_64(state + 16, header)
    return status


@kernel
def count_rows(jobs: int, count: int, size: int) -> int:
    """The rows that jobs may come to."""
    rows = 0
    for number in range(count):
        job = jobs + 8 * JOB_WIDTH * number
        start, stop = load_i64(job + 8 * JOB_START), load_i64(job + 8 * JOB_STOP)
        kind = load_i64(job + 8 * JOB_KIND)
        if kind == KIND_SKIP or start < 0 or start > stop or stop > size:
            continue
        if kind == KIND_V2:
            rows += max(min(load_i64(job + 8 * JOB_COUNT), (stop - start) // SMALLEST_RECORD), 0)
        else:
            rows += 1 if kind == KIND_MESSAGE else (stop - start) // SMALLEST_MESSAGE
    return rows


def rows_needed(jobs: I64, size: int) -> int:
    """Upper bound of the records that jobs can give from ``size`` bytes of data, whatever their headers claim."""
    return int(count_rows(address_of(jobs), len(jobs), size))


def decode_columns(data: U8, jobs: I64, headers: int = 0) -> tuple[RecordColumns, I64]:
    """Records of all jobs as columns, and one answer for each job.

    Args:
        data: bytes that the jobs' ranges point into.
        jobs: int64 matrix (jobs, `JOB_WIDTH`), C order.
        headers: room for headers to begin with.

    Returns:
        The columns (their ``batch`` is the job's row) and the answers, int64 (jobs, `ANSWER_WIDTH`).
    """
    jobs = np.ascontiguousarray(jobs, np.int64)
    if jobs.ndim != 2 or jobs.shape[1] != JOB_WIDTH:
        raise ValueError(f"jobs must have {JOB_WIDTH} fields, not {jobs.shape}")
    if not data.flags.c_contiguous:
        raise ValueError("data must be contiguous")
    answers, told = lease_matrix(len(jobs), ANSWER_WIDTH)
    columns = RecordColumns(rows_needed(jobs, len(data)), headers)
    state = np.zeros(3, np.int64)
    while True:
        table = columns.addresses()
        room = columns.header_room
        more = decode_jobs(
            address_of(data), len(data), address_of(jobs), len(jobs), told, address_of(table), room,
            address_of(state),
        )  # fmt: skip
        columns.records, columns.headers = int(state[1]), int(state[2])
        if not more:
            return columns, answers
        columns.more_headers()
