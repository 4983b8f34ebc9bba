"""Sentences: what a record kernel's answer means, in words for a finding."""

from __future__ import annotations

from collections.abc import Sequence

from kafka_salvage.vector.columns import ANSWER_FAULT, ANSWER_HAVE, ANSWER_PLACE, ANSWER_RECORD, ANSWER_WANT, Fault

_SENTENCES: dict[Fault, str] = {
    Fault.RANGE: "the batch does not lie in the bytes that were read",
    Fault.COUNT_IMPOSSIBLE: "the header counts {want} records, which {have} bytes of payload cannot hold",
    Fault.RECORDS_MISSING: "the header counts {want} records, the payload ends after {have}",
    Fault.BYTES_LEFT: "{have} bytes are left after the {want} records that the header counts",
    Fault.INTEGER: "record {record}: the integer at byte {place} of the payload is cut off or too long",
    Fault.RECORD_LENGTH: "record {record}: its length at byte {place} of the payload is {have}, {want} bytes are left",
    Fault.RECORD_LEFT: "record {record}: {have} bytes are left behind its last field at byte {place} of the payload",
    Fault.OFFSET_DELTA: "record {record}: offset delta {have} follows {want} or lies behind the batch's last one",
    Fault.KEY_LENGTH: "record {record}: the key length at byte {place} of the payload is {have}, {want} bytes are left",
    Fault.VALUE_LENGTH: "record {record}: the value length at byte {place} of the payload is {have}, {want} are left",
    Fault.HEADER_COUNT: "record {record}: {have} headers at byte {place} of the payload, {want} bytes are left",
    Fault.HEADER_KEY_LENGTH: "record {record}: a header key at byte {place} of the payload has length {have}, {want} are left",
    Fault.HEADER_VALUE_LENGTH: "record {record}: a header value at byte {place} of the payload has length {have}, {want} are left",
    Fault.MESSAGE_CUT: "message {record} at byte {place}: {have} bytes are left, the smallest message has {want}",
    Fault.MESSAGE_SIZE: "message {record}: its size at byte {place} is {have}, {want} bytes are left",
    Fault.MESSAGE_MAGIC: "message {record}: magic {have} at byte {place}",
    Fault.MESSAGE_NESTED: "inner message {record} is compressed itself (codec {have} at byte {place} of the payload)",
    Fault.MESSAGE_CRC: "inner message {record} at byte {place} of the payload: stored crc = {want}, computed crc = {have}",
    Fault.MESSAGE_LEFT: "message {record}: {have} bytes are left behind its value at byte {place}",
    Fault.SET_EMPTY: "the compressed message holds no messages",
    Fault.SET_OFFSETS: "inner message {record}: stored offset {have} follows {want}",
    Fault.SET_ANCHOR: "the last inner offset {want} is above the offset {have} of the compressed message",
}


def sentence(answer: Sequence[int]) -> str:
    """One sentence for an answer whose fault is not `Fault.NONE`.

    Args:
        answer: one row of answers as the kernel filled it.
    """
    return _SENTENCES[Fault(int(answer[ANSWER_FAULT]))].format(
        record=int(answer[ANSWER_RECORD]),
        place=int(answer[ANSWER_PLACE]),
        want=int(answer[ANSWER_WANT]),
        have=int(answer[ANSWER_HAVE]),
    )
