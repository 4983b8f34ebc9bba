"""Metadata: a second writer of Kafka's own records and of ZooKeeper's files, for tests; shares no code with the package."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.support import build
from tests.support.build import EPOCH_MS, Rec, segment_name, v2_batch

CLUSTER = "JFMHcmjwovmihf4xFbMYXA"
Pair = tuple[bytes | None, bytes | None]


def string(text: str) -> bytes:
    """A string of a version that is not flexible."""
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def commit_key(group: str, topic: str, partition: int, version: int = 1) -> bytes:
    """Key of an offset commit."""
    return struct.pack(">h", version) + string(group) + string(topic) + struct.pack(">i", partition)


def commit_value(
    offset: int, metadata: str = "", *, version: int = 3, time: int = EPOCH_MS, epoch: int = -1, expire: int = -1
) -> bytes:
    """Value of an offset commit."""
    if version == 4:
        data = metadata.encode()
        text = bytes([len(data) + 1]) + data
        return struct.pack(">hqi", 4, offset, epoch) + text + struct.pack(">q", time) + b"\0"
    made = struct.pack(">hq", version, offset)
    made += struct.pack(">i", epoch) if version == 3 else b""
    made += string(metadata) + struct.pack(">q", time)
    return made + (struct.pack(">q", expire) if version == 1 else b"")


def batch(base: int, pairs: Sequence[Pair], *, producer: int = -1, control: bool = False, epoch: int = 0) -> bytes:
    """A v2 batch of keys and values; of a transaction when a producer is named."""
    records = [Rec(base + i, EPOCH_MS + base + i, key, value) for i, (key, value) in enumerate(pairs)]
    attributes = (0x10 if producer >= 0 else 0) | (0x20 if control else 0)
    return v2_batch(
        base,
        records,
        epoch=epoch,
        attributes=attributes,
        producer_id=producer,
        producer_epoch=0 if producer >= 0 else -1,
    )


def marker(base: int, *, commit: bool, producer: int) -> bytes:
    """The end of a transaction."""
    return build.marker(base, commit=commit, producer_id=producer)


def partition(root: Path, name: str, data: bytes, base: int = 0, topic_id: str | None = None) -> Path:
    """A partition directory with one segment."""
    place = root / name
    place.mkdir(parents=True, exist_ok=True)
    (place / segment_name(base)).write_bytes(data)
    (place / segment_name(base, "index")).write_bytes(b"")
    if topic_id is not None:
        (place / "partition.metadata").write_text(f"version: 0\ntopic_id: {topic_id}")
    return place


def log_dir(root: Path, node: int = 1, cluster: str = CLUSTER) -> Path:
    """The identity of a log dir."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "meta.properties").write_text(f"#\n#date\nversion=1\ncluster.id={cluster}\nnode.id={node}\n")
    return root


def uvarint(value: int) -> bytes:
    """An unsigned varint."""
    out = b""
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def compact(text: str | None) -> bytes:
    """A string of a flexible version."""
    if text is None:
        return b"\0"
    data = text.encode()
    return uvarint(len(data) + 1) + data


def numbers(values: Sequence[int]) -> bytes:
    """An array of int32."""
    return uvarint(len(values) + 1) + b"".join(struct.pack(">i", value) for value in values)


def frame(kind: int, body: bytes, version: int = 0) -> bytes:
    """A record of the metadata log; ``body`` without its tagged section."""
    return uvarint(1) + uvarint(kind) + uvarint(version) + body


def uuid(number: int) -> bytes:
    """An id."""
    return struct.pack(">qq", 77, number)


def uuid_text(number: int) -> str:
    """The same as Kafka shows it."""
    return base64.urlsafe_b64encode(uuid(number)).decode().rstrip("=")


def topic_record(name: str, number: int) -> bytes:
    """A topic is made."""
    return frame(2, compact(name) + uuid(number) + b"\0")


def partition_record(topic: int, partition: int, replicas: Sequence[int], leader: int, epoch: int = 0) -> bytes:
    """A partition is made."""
    body = struct.pack(">i", partition) + uuid(topic) + numbers(replicas) * 2 + numbers([]) * 2
    return frame(3, body + struct.pack(">iii", leader, epoch, 0) + b"\0")


def leader_change(topic: int, partition: int, leader: int) -> bytes:
    """A partition gets another leader."""
    return frame(5, struct.pack(">i", partition) + uuid(topic) + b"\x01\x01\x04" + struct.pack(">i", leader))


def config_record(topic: str, name: str, value: str | None) -> bytes:
    """A config of a topic is set or removed."""
    return frame(4, b"\x02" + compact(topic) + compact(name) + compact(value) + b"\0")


def remove_topic(number: int) -> bytes:
    """A topic is removed."""
    return frame(9, uuid(number) + b"\0")


BEGIN, END, ABORT, NO_OP = frame(23, b"\0"), frame(24, b"\0"), frame(25, b"\0"), frame(20, b"\0")


def metadata_log(values: Iterable[bytes], base: int = 0) -> bytes:
    """A metadata log with one record in each batch."""
    return b"".join(batch(base + at, [(None, value)]) for at, value in enumerate(values))


def snapshot(values: Sequence[bytes], *, footer: bool = True, epoch: int = 1) -> bytes:
    """A KRaft snapshot."""
    header = batch(0, [(struct.pack(">hh", 0, 3), struct.pack(">hq", 0, EPOCH_MS) + b"\0")], control=True, epoch=epoch)
    body = batch(1, [(None, value) for value in values], epoch=epoch)
    end = batch(1 + len(values), [(struct.pack(">hh", 0, 4), struct.pack(">h", 0) + b"\0")], control=True, epoch=epoch)
    return header + body + (end if footer else b"")


def _buffer(data: bytes | None) -> bytes:
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def zookeeper_snapshot(nodes: Mapping[str, bytes | None], zxid: int = 1) -> bytes:
    """A snapshot of a tree; every node as if made by one transaction."""
    data = b"ZKSN" + struct.pack(">iq", 2, -1) + struct.pack(">i", 0) + struct.pack(">i", 0)
    stat = struct.pack(">qqqqiiiqq", zxid, zxid, EPOCH_MS, EPOCH_MS, 0, 0, 0, 0, zxid)
    for path, content in {"": b"", **nodes}.items():
        data += _buffer(path.encode()) + _buffer(content) + struct.pack(">q", -1) + stat
    data += _buffer(b"/")
    return data + struct.pack(">q", zlib.adler32(data)) + _buffer(b"/")


def zookeeper_entry(zxid: int, kind: int, body: bytes, client: int = 5) -> bytes:
    """One entry of a transaction log."""
    data = struct.pack(">qiqqi", client, 1, zxid, EPOCH_MS + zxid, kind) + body
    return struct.pack(">qi", zlib.adler32(data), len(data)) + data + b"B"


def zookeeper_create(zxid: int, path: str, data: bytes | None, *, ephemeral: bool = False, client: int = 5) -> bytes:
    """An entry that makes a node."""
    acl = struct.pack(">ii", 1, 31) + _buffer(b"world") + _buffer(b"anyone")
    body = _buffer(path.encode()) + _buffer(data) + acl + struct.pack(">?i", ephemeral, 1)
    return zookeeper_entry(zxid, 1, body, client)


def zookeeper_set(zxid: int, path: str, data: bytes, version: int = 1) -> bytes:
    """An entry that changes a node."""
    return zookeeper_entry(zxid, 5, _buffer(path.encode()) + _buffer(data) + struct.pack(">i", version))


def zookeeper_delete(zxid: int, path: str) -> bytes:
    """An entry that removes a node."""
    return zookeeper_entry(zxid, 2, _buffer(path.encode()))


def zookeeper_log(entries: Iterable[bytes], zeros: int = 4096) -> bytes:
    """A transaction log, preallocated."""
    return b"ZKLG" + struct.pack(">iq", 2, 0) + b"".join(entries) + bytes(zeros)
