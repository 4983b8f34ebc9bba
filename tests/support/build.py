"""Build: a second writer of Kafka segments, for tests; shares no code with the package under test.

Content is computable from the offset: `record_for` says what lies at an offset, so that a test needs no stored truth.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import crcmod.predefined

from tests.support.encodings import (
    CODECS,
    GZIP,
    LEGACY_CODECS,
    LZ4,
    NONE,
    SNAPPY,
    ZSTD,
    compress,
    sized,
    sized32,
    xerial,
    zigzag,
)

__all__ = [
    "CODECS", "EPOCH_MS", "GZIP", "LEGACY_CODECS", "LZ4", "NONE", "SNAPPY", "ZSTD", "BatchInfo", "Build", "Rec", "compress", "crc32c",
    "index_entries", "legacy_message", "marker", "record_for", "segment", "segment_name", "v2_batch", "v2_header_and",
    "v2_record", "wrapper", "xerial", "zigzag",
]  # fmt: skip

EPOCH_MS = 1_700_000_000_000

crc32c = crcmod.predefined.mkPredefinedCrcFun("crc-32c")


@dataclass(frozen=True, slots=True)
class Rec:
    """One record as a test means it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class BatchInfo:
    """Where a batch stands and what it holds."""

    start: int
    stop: int
    magic: int
    base_offset: int
    last_offset: int
    codec: int
    epoch: int
    records: tuple[Rec, ...]
    control: bool = False
    producer_id: int = -1

    @property
    def size(self) -> int:
        return self.stop - self.start


def record_for(offset: int, *, size: int = 40, headers: bool = False, magic: int = 2) -> Rec:
    """The record at ``offset``: null and empty keys and values turn up at fixed places."""
    key: bytes | None = b"key-%d" % offset
    if offset % 11 == 3:
        key = None
    elif offset % 11 == 5:
        key = b""
    seed = hashlib.sha256(b"%d" % offset).digest()
    value: bytes | None = (seed * (size // len(seed) + 1))[: size + offset % 7]
    if offset % 13 == 4:
        value = None
    elif offset % 13 == 6:
        value = b""
    pairs: tuple[tuple[bytes, bytes | None], ...] = ()
    if headers and magic == 2:
        pairs = ((b"h", b"%d" % offset), (b"h", None), (b"", b""))[: offset % 4]
    timestamp = -1 if magic == 0 else EPOCH_MS + offset * 3
    return Rec(offset, timestamp, key, value, pairs)


def v2_record(record: Rec, base_offset: int, base_timestamp: int) -> bytes:
    """One record of a v2 batch."""
    body = b"\x00" + zigzag(record.timestamp - base_timestamp) + zigzag(record.offset - base_offset)
    body += sized(record.key) + sized(record.value) + zigzag(len(record.headers))
    body += b"".join(zigzag(len(k)) + k + sized(v) for k, v in record.headers)
    return zigzag(len(body)) + body


def v2_header_and(
    payload: bytes,
    base_offset: int,
    *,
    epoch: int = 0,
    magic: int = 2,
    attributes: int = 0,
    last_offset_delta: int = 0,
    base_timestamp: int = EPOCH_MS,
    max_timestamp: int = EPOCH_MS,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    count: int = 1,
) -> bytes:
    """A whole v2 batch around a payload that is taken as it is."""
    covered = struct.pack(
        ">hiqqqhii",
        attributes,
        last_offset_delta,
        base_timestamp,
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        count,
    )
    covered += payload
    head = struct.pack(">qiibI", base_offset, 9 + len(covered), epoch, magic, crc32c(covered))
    return head + covered


def v2_batch(
    base_offset: int,
    records: Sequence[Rec],
    *,
    codec: int = NONE,
    epoch: int = 0,
    attributes: int = 0,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    last_offset_delta: int | None = None,
    base_timestamp: int | None = None,
    max_timestamp: int | None = None,
    count: int | None = None,
    raw_snappy: bool = False,
) -> bytes:
    """A v2 batch; offsets of the records may leave holes (as compaction does), `last_offset_delta` may reach further."""
    first = base_timestamp if base_timestamp is not None else (records[0].timestamp if records else -1)
    latest = max_timestamp if max_timestamp is not None else max((r.timestamp for r in records), default=-1)
    delta = last_offset_delta if last_offset_delta is not None else (records[-1].offset - base_offset if records else 0)
    payload = b"".join(v2_record(r, base_offset, first) for r in records)
    return v2_header_and(
        compress(codec, payload, raw_snappy=raw_snappy) if records else b"",
        base_offset,
        epoch=epoch,
        attributes=attributes | (codec if records else 0),
        last_offset_delta=delta,
        base_timestamp=first,
        max_timestamp=latest,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=base_sequence,
        count=len(records) if count is None else count,
    )


def marker(offset: int, *, commit: bool, producer_id: int, producer_epoch: int = 0, epoch: int = 0) -> bytes:
    """A COMMIT or ABORT marker batch."""
    record = Rec(offset, EPOCH_MS + offset * 3, struct.pack(">hh", 0, int(commit)), struct.pack(">hi", 0, 0))
    return v2_batch(
        offset, [record], epoch=epoch, attributes=0x30, producer_id=producer_id, producer_epoch=producer_epoch
    )


def legacy_message(
    offset: int,
    key: bytes | None,
    value: bytes | None,
    *,
    magic: int,
    timestamp: int = -1,
    attributes: int = 0,
) -> bytes:
    """One v0 or v1 message (a wrapper when its attributes name a codec)."""
    covered = struct.pack(">bb", magic, attributes)
    if magic == 1:
        covered += struct.pack(">q", timestamp)
    covered += sized32(key) + sized32(value)
    return struct.pack(">qiI", offset, 4 + len(covered), zlib.crc32(covered)) + covered


def wrapper(
    records: Sequence[Rec],
    *,
    magic: int,
    codec: int,
    append_time: int | None = None,
    absolute: bool | None = None,
) -> bytes:
    """A compressed v0/v1 wrapper; its offset is that of the last record. v1 inner offsets are relative unless told."""
    first = records[0].offset
    keep = (magic == 0) if absolute is None else absolute
    inner = b"".join(
        legacy_message(r.offset if keep else r.offset - first, r.key, r.value, magic=magic, timestamp=r.timestamp)
        for r in records
    )
    latest = append_time if append_time is not None else max(r.timestamp for r in records)
    return legacy_message(
        records[-1].offset,
        None,
        compress(codec, inner, magic=magic),
        magic=magic,
        timestamp=latest,
        attributes=codec | (0x08 if append_time is not None and magic == 1 else 0),
    )


@dataclass
class Build:
    """Puts a segment together batch by batch.

    Usage: ``b = Build(base=100); b.v2(10); b.v2(10, codec=GZIP); b.legacy(magic=1); data, infos = b.done()``.
    """

    base: int = 0
    size: int = 40
    next_offset: int = field(init=False)
    parts: list[bytes] = field(default_factory=list)
    infos: list[BatchInfo] = field(default_factory=list)
    length: int = 0

    def __post_init__(self) -> None:
        self.next_offset = self.base

    def add(
        self,
        data: bytes,
        *,
        magic: int,
        first: int,
        last: int,
        records: Iterable[Rec],
        codec: int = NONE,
        epoch: int = -1,
        control: bool = False,
        producer_id: int = -1,
    ) -> Build:
        """Appends bytes that the caller made."""
        stop = self.length + len(data)
        self.infos.append(
            BatchInfo(self.length, stop, magic, first, last, codec, epoch, tuple(records), control, producer_id)
        )
        self.parts.append(data)
        self.length = stop
        self.next_offset = last + 1
        return self

    def v2(
        self,
        count: int = 10,
        *,
        codec: int = NONE,
        epoch: int = 0,
        keep: Sequence[int] | None = None,
        producer_id: int = -1,
        producer_epoch: int = -1,
        base_sequence: int = -1,
        attributes: int = 0,
        headers: bool = False,
        values: Sequence[bytes | None] | None = None,
    ) -> Build:
        """A v2 batch of ``count`` offsets; ``keep`` = deltas that compaction left (`()` makes an empty batch)."""
        base = self.next_offset
        records = [record_for(base + i, size=self.size, headers=headers) for i in range(count)]
        if values is not None:
            records = [Rec(r.offset, r.timestamp, r.key, v, r.headers) for r, v in zip(records, values, strict=True)]
        if keep is not None:
            records = [records[i] for i in keep]
        data = v2_batch(
            base,
            records,
            codec=codec,
            epoch=epoch,
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            base_sequence=base_sequence,
            attributes=attributes,
            last_offset_delta=count - 1,
        )
        return self.add(
            data,
            magic=2,
            first=base,
            last=base + count - 1,
            records=records,
            codec=codec,
            epoch=epoch,
            producer_id=producer_id,
        )

    def marker(self, *, commit: bool, producer_id: int, producer_epoch: int = 0, epoch: int = 0) -> Build:
        """A transaction marker."""
        at = self.next_offset
        data = marker(at, commit=commit, producer_id=producer_id, producer_epoch=producer_epoch, epoch=epoch)
        return self.add(
            data, magic=2, first=at, last=at, records=(), epoch=epoch, control=True, producer_id=producer_id
        )

    def legacy(self, *, magic: int, key: bytes | None = b"", value: bytes | None = b"", own: bool = False) -> Build:
        """A plain v0/v1 message; with ``own`` the given key and value instead of the computed ones."""
        at = self.next_offset
        r = record_for(at, size=self.size, magic=magic)
        if own:
            r = Rec(at, r.timestamp, key, value)
        data = legacy_message(at, r.key, r.value, magic=magic, timestamp=r.timestamp)
        return self.add(data, magic=magic, first=at, last=at, records=(r,))

    def wrapper(
        self,
        count: int = 5,
        *,
        magic: int,
        codec: int,
        keep: Sequence[int] | None = None,
        append_time: int | None = None,
    ) -> Build:
        """A compressed wrapper of ``count`` offsets (the last one is always kept)."""
        base = self.next_offset
        records = [
            record_for(base + i, size=self.size, magic=magic) for i in (keep if keep is not None else range(count))
        ]
        data = wrapper(records, magic=magic, codec=codec, append_time=append_time)
        first, last = records[0].offset, records[-1].offset
        return self.add(data, magic=magic, first=first, last=last, records=records, codec=codec)

    def gap(self, offsets: int) -> Build:
        """Leaves offsets out."""
        self.next_offset += offsets
        return self

    def done(self) -> tuple[bytes, list[BatchInfo]]:
        """The segment's bytes and what lies where."""
        return b"".join(self.parts), list(self.infos)


def segment(
    batches: int,
    *,
    base: int = 0,
    magic: int = 2,
    codec: int = NONE,
    per_batch: int = 10,
    size: int = 40,
    epoch: int = 0,
    headers: bool = False,
) -> tuple[bytes, list[BatchInfo]]:
    """A plain segment of ``batches`` equal batches (uncompressed magic 0/1: one message each)."""
    build = Build(base=base, size=size)
    for _ in range(batches):
        if magic == 2:
            build.v2(per_batch, codec=codec, epoch=epoch, headers=headers)
        elif codec == NONE:
            build.legacy(magic=magic)
        else:
            build.wrapper(per_batch, magic=magic, codec=codec)
    return build.done()


def index_entries(infos: Sequence[BatchInfo], base: int, every: int = 1) -> bytes:
    """An `.index` that names the last offset of every n-th batch but the first."""
    named = [b for i, b in enumerate(infos) if i and i % every == 0]
    return b"".join(struct.pack(">ii", b.last_offset - base, b.start) for b in named)


def segment_name(base: int, suffix: str = "log") -> str:
    """File name of a segment."""
    return f"{base:020d}.{suffix}"
