"""Messages of magic 0 and 1, plain or as compressed wrappers.

Strategy: `read_message` is given bytes that begin at a message's offset field; `decode_wrapper` an intact wrapper message.
Both return values and a sentence on what is wrong; they never raise. With ``strict`` they do what Kafka does, which looks
at less: it neither checks that lengths add up, nor inner CRCs, nor that the last inner message is whole.

Source: `LegacyRecord.java`, `AbstractLegacyRecordBatch.java`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from kafka_salvage.wire import attributes as bits
from kafka_salvage.wire.batch_v2 import wrap64
from kafka_salvage.wire.checksum import crc32
from kafka_salvage.wire.layout import Field, Layout

if TYPE_CHECKING:
    from kafka_salvage.wire.compression.registry import CodecError

_HEAD = (
    Field("offset", "int64", "offset of the message; of a wrapper, of the last message inside", "≥ 0 on disk"),
    Field("message_size", "int32", "bytes that follow this field"),
    Field("crc", "uint32", "CRC-32 of everything from `magic` on"),
    Field("magic", "int8", ""),
    Field("attributes", "int8", "see the table of bits"),
)
_BODY = (
    Field("key_length", "int32", "bytes of the key", "negative: null"),
    Field("key", "bytes", "null in a wrapper"),
    Field("value_length", "int32", "bytes of the value", "negative: null; never in a wrapper"),
    Field("value", "bytes", "in a wrapper: compressed messages, one after another"),
)
LAYOUT_V0 = Layout("message_v0", "Message, magic 0", _HEAD + _BODY, "`LegacyRecord.java`")
LAYOUT_V1 = Layout(
    "message_v1",
    "Message, magic 1",
    (
        *_HEAD,
        Field("timestamp", "int64", "ms; of a wrapper the largest inside, or the append time", "≥ 0, or -1"),
        *_BODY,
    ),
    "`LegacyRecord.java`",
)
LAYOUT = LAYOUT_V1

LOG_OVERHEAD = LAYOUT_V0.offset_of("crc")
CRC_AT = LAYOUT_V0.offset_of("crc")
CRC_COVERS_FROM = LAYOUT_V0.offset_of("magic")
MAGIC_AT = LAYOUT_V0.offset_of("magic")
ATTRIBUTES_AT = LAYOUT_V0.offset_of("attributes")
TIMESTAMP_AT = LAYOUT_V1.offset_of("timestamp")
KEY_LENGTH_AT_V0 = LAYOUT_V0.offset_of("key_length")
KEY_LENGTH_AT_V1 = LAYOUT_V1.offset_of("key_length")
HEADER_SIZE_V0 = KEY_LENGTH_AT_V0
HEADER_SIZE_V1 = KEY_LENGTH_AT_V1
MIN_SIZE_V0 = LAYOUT_V0.size + 4 - LOG_OVERHEAD
"""Smallest message_size in magic 0 (14): both lengths, no bytes."""
MIN_SIZE_V1 = LAYOUT_V1.size + 4 - LOG_OVERHEAD
"""Smallest message_size in magic 1 (22)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it is stored.

    Attributes:
        offset: the offset field (inside a v1 wrapper a relative one).
        size: bytes in all, the 12 before the CRC included.
        crc: as stored. magic, attributes: as stored.
        timestamp: ms; -1 in magic 0.
        key, value: None is null.
        problem: why key or value could not be read; None if they could.
    """

    offset: int
    size: int
    crc: int
    magic: int
    attributes: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    problem: str | None = None

    @property
    def codec(self) -> int:
        """Codec id; other than 0 in a wrapper."""
        return bits.codec_of(self.attributes)

    @property
    def timestamp_type(self) -> bits.TimestampType:
        """What its own attributes say about its timestamp."""
        return bits.timestamp_type_of(self.attributes, self.magic)


@dataclass(frozen=True, slots=True)
class Inner:
    """One message of a wrapper, as a consumer sees it.

    Attributes:
        offset: absolute.
        timestamp: LogAppendTime rule applied.
        timestamp_type: the wrapper's.
        message: as it is stored inside.
    """

    offset: int
    timestamp: int
    timestamp_type: bits.TimestampType
    message: Message


@dataclass(frozen=True, slots=True)
class Wrapper:
    """What a wrapper came to.

    Attributes:
        messages: in order; empty when there is a problem.
        problem: why it could not be decoded; None if it could.
        failure: the codec's exception, when that is the problem.
        notes: what was unusual, one sentence each.
    """

    messages: tuple[Inner, ...] = ()
    problem: str | None = None
    failure: CodecError | None = None
    notes: tuple[str, ...] = field(default=())


def read_message(data: Any, position: int = 0, *, strict: bool = False) -> Message | str:
    """The message at ``position``; a sentence when not even its header is there."""
    left = len(data) - position
    if left < LAYOUT_V0.struct.size:
        return f"{left} bytes are fewer than a message header has"
    offset, length, crc, magic, attributes = LAYOUT_V0.struct.unpack_from(data, position)[:5]
    if length < MIN_SIZE_V0:
        return f"message size {length} is less than the smallest message has"
    size = length + LOG_OVERHEAD
    if size > left:
        return f"message size {length} reaches {size - left} bytes past the end"
    raw = bytes(memoryview(data)[position : position + size])
    timestamp, start = -1, KEY_LENGTH_AT_V0
    if magic != 0:
        if length < MIN_SIZE_V1:
            problem = f"message size {length} is less than a message of magic {magic} has"
            return Message(offset, size, crc, magic, attributes, -1, None, None, problem)
        timestamp, start = int.from_bytes(raw[TIMESTAMP_AT:KEY_LENGTH_AT_V1], "big", signed=True), KEY_LENGTH_AT_V1
    key, value, wrong = _key_and_value(raw, start, strict)
    if wrong is None and not strict and magic not in (0, 1):
        wrong = f"magic {magic} is no message format"
    return Message(offset, size, crc, magic, attributes, timestamp, key, value, wrong)


def message_bytes(message: Message) -> bytes:
    """The message's bytes, with a CRC that fits."""
    body = b"" if message.magic == 0 else message.timestamp.to_bytes(8, "big", signed=True)
    for part in (message.key, message.value):
        body += (-1 if part is None else len(part)).to_bytes(4, "big", signed=True) + (part or b"")
    body = message.magic.to_bytes(1, "big", signed=True) + message.attributes.to_bytes(1, "big", signed=True) + body
    head = message.offset.to_bytes(8, "big", signed=True) + (len(body) + 4).to_bytes(4, "big")
    return head + crc32(body).to_bytes(4, "big") + body


def compute_crc(message: Any) -> int:
    """CRC-32 over what the stored CRC covers, of one whole message."""
    return crc32(memoryview(message)[CRC_COVERS_FROM:])


def decode_wrapper(wrapper: Message, limit: int, *, strict: bool = False) -> Wrapper:
    """The messages inside a wrapper, with absolute offsets and the timestamps that a consumer sees.

    Args:
        wrapper: an intact message whose codec is not 0.
        limit: most bytes of inflated payload.
        strict: look at exactly what Kafka looks at.
    """
    from kafka_salvage.wire.compression.registry import CodecError, inflate  # looking at a header needs no codec

    if wrapper.magic not in (0, 1):
        return Wrapper(problem=f"a wrapper of magic {wrapper.magic}")
    if wrapper.value is None:
        return Wrapper(problem="the compressed message has no value")
    try:
        inflated = inflate(wrapper.codec, wrapper.value, limit, magic=wrapper.magic, strict=strict)
    except CodecError as error:
        return Wrapper(problem=error.sentence, failure=error)
    notes = inflated.notes
    inner, problem, wrong = _inner_messages(inflated.data, strict)
    if problem is None and not inner:
        problem = "the compressed message holds no messages"
    if problem is not None:
        return Wrapper(problem=problem, notes=notes)
    if wrong:
        notes += (f"the CRC of {wrong} of {len(inner)} messages inside does not fit",)
    base = 0
    if wrapper.magic == 1 and wrapper.offset != 0:
        base = wrapper.offset - inner[-1].offset
        if base < 0:
            problem = (
                f"offset {wrapper.offset} of the compressed message is below {inner[-1].offset}, the last one inside"
            )
    if problem is None and not strict:
        problem = _order_problem(inner)
    if problem is not None:
        return Wrapper(problem=problem, notes=notes)
    kind = wrapper.timestamp_type
    return Wrapper(
        tuple(
            Inner(
                wrap64(base + message.offset),
                _timestamp(wrapper, message),
                kind if message.magic else bits.TimestampType.NONE,
                message,
            )
            for message in inner
        ),
        notes=notes,
    )


def _inner_messages(data: bytes, strict: bool) -> tuple[list[Message], str | None, int]:
    """Messages, what stopped them, how many inner CRCs do not fit."""
    messages: list[Message] = []
    position, wrong = 0, 0
    while position < len(data):
        left = len(data) - position
        length = int.from_bytes(data[position + 8 : position + 12], "big", signed=True)
        if left < LOG_OVERHEAD or (length >= MIN_SIZE_V0 and length > left - LOG_OVERHEAD):
            # Kafka takes a message that is cut for the end of the set
            return messages, None if strict else f"the set ends inside message {len(messages)}", wrong
        message = read_message(data, position, strict=strict)
        if isinstance(message, str):
            return messages, f"message {len(messages)} inside: {message}", wrong
        problem = message.problem or ("it is compressed itself" if message.codec else None)
        if problem is not None:
            return messages, f"message {len(messages)} inside: {problem}", wrong
        wrong += message.crc != compute_crc(memoryview(data)[position : position + message.size])
        messages.append(message)
        position += message.size
    return messages, None, wrong


def _order_problem(inner: list[Message]) -> str | None:
    if any(after.offset <= before.offset for before, after in pairwise(inner)):
        return "the offsets of the messages inside do not rise"
    return None


def _timestamp(wrapper: Message, message: Message) -> int:
    if message.magic == 0:
        return -1
    return wrapper.timestamp if wrapper.timestamp_type is bits.TimestampType.LOG_APPEND else message.timestamp


def _key_and_value(raw: bytes, start: int, strict: bool) -> tuple[bytes | None, bytes | None, str | None]:
    key_size = int.from_bytes(raw[start : start + 4], "big", signed=True)
    place = start + 4 + max(key_size, 0)
    if place + 4 > len(raw):
        return None, None, f"its key of {key_size} bytes does not fit"
    key = None if key_size < 0 else raw[start + 4 : place]
    value_size = int.from_bytes(raw[place : place + 4], "big", signed=True)
    stop = place + 4 + max(value_size, 0)
    if stop > len(raw):
        return None, None, f"its value of {value_size} bytes does not fit"
    if stop != len(raw) and not strict:
        return None, None, f"{len(raw) - stop} bytes are left behind its value"
    return key, (None if value_size < 0 else raw[place + 4 : stop]), None
