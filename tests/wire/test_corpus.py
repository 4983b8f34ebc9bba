"""The scalar readers on data directories of real brokers, against what was written."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kafka_salvage.wire.checkpoints import read_checkpoint
from kafka_salvage.wire.decode import BatchValue, decode_batch
from kafka_salvage.wire.epoch_checkpoint import read_epoch_checkpoint
from kafka_salvage.wire.filenames import FileKind, Suffix, parse_directory_name, parse_file_name
from kafka_salvage.wire.foreign import identify
from kafka_salvage.wire.meta_properties import read_meta_properties
from kafka_salvage.wire.offset_index import read_offset_index
from kafka_salvage.wire.partition_metadata import read_partition_metadata
from kafka_salvage.wire.producer_snapshot import read_producer_snapshot
from kafka_salvage.wire.quorum_state import read_quorum_state
from kafka_salvage.wire.time_index import read_time_index
from kafka_salvage.wire.txn_index import read_txn_index
from tests.support.corpus import scene

pytestmark = pytest.mark.corpus

READERS: dict[FileKind, Any] = {
    FileKind.OFFSET_INDEX: read_offset_index,
    FileKind.TIME_INDEX: read_time_index,
    FileKind.TXN_INDEX: read_txn_index,
    FileKind.PRODUCER_SNAPSHOT: read_producer_snapshot,
    FileKind.EPOCH_CHECKPOINT: read_epoch_checkpoint,
    FileKind.OFFSET_CHECKPOINT: read_checkpoint,
    FileKind.PARTITION_METADATA: read_partition_metadata,
    FileKind.META_PROPERTIES: read_meta_properties,
    FileKind.QUORUM_STATE: read_quorum_state,
}


def truths(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def live_segments(root: Path, topics: set[str]) -> Iterator[tuple[str, int, Path]]:
    for directory in sorted(root.rglob("*-*")):
        name = parse_directory_name(directory.name)
        if name is None or name.suffix or name.topic not in topics:
            continue
        for path in sorted(directory.iterdir()):
            file = parse_file_name(path.name)
            if file.kind is FileKind.SEGMENT and file.suffix is Suffix.NONE:
                yield name.topic, name.partition, path


def batches(data: bytes) -> Iterator[BatchValue]:
    """Batches up to the first that is none (a torn tail)."""
    position = 0
    while position < len(data):
        batch = decode_batch(data, position)
        if not isinstance(batch, BatchValue) or not batch.crc_valid:
            return
        assert batch.problem is None, (position, batch.problem)
        yield batch
        position += batch.size


def found_records(root: Path, topics: set[str]) -> dict[tuple[str, int, int], tuple[Any, ...]]:
    found: dict[tuple[str, int, int], tuple[Any, ...]] = {}
    for topic, partition, path in live_segments(root, topics):
        for batch in batches(path.read_bytes()):
            for record in batch.records:
                headers = [[key.decode(), text(value)] for key, value in record.headers]
                found[topic, partition, record.offset] = (
                    record.timestamp,
                    text(record.key),
                    text(record.value),
                    headers,
                )
    return found


@pytest.mark.parametrize(
    ("archive", "name", "broker", "truth"),
    [
        ("old-1", "v0", "broker-0", "records.jsonl.gz"),
        ("old-1", "v09", "broker-0", "records.jsonl.gz"),
        ("old-1", "v1", "broker-0", "records.jsonl.gz"),
        ("old-1", "mixed", "broker-0", "records.jsonl.gz"),
        ("modern-1", "cluster", "broker-1", "clicks-gzip.jsonl.gz"),
        ("modern-1", "cluster", "broker-1", "clicks-lz4.jsonl.gz"),
        ("modern-1", "cluster", "broker-1", "clicks-snappy.jsonl.gz"),
        ("modern-1", "cluster", "broker-1", "clicks-zstd.jsonl.gz"),
        ("modern-1", "cluster", "broker-1", "audit.events_v1.jsonl.gz"),
        ("modern-1", "cluster", "broker-1", "profiles.jsonl.gz"),
    ],
)
def test_records_are_those_a_consumer_read(archive: str, name: str, broker: str, truth: str) -> None:
    root = scene(archive, name)
    expected = list(truths(root / "truth" / truth))
    found = found_records(root / broker, {record["topic"] for record in expected})
    assert expected
    for record in expected:
        wanted = (record["timestamp"], record["key"], record["value"], record["headers"])
        assert found[record["topic"], record["partition"], record["offset"]] == wanted


@pytest.mark.parametrize(
    ("archive", "name"), [("old-1", "v0"), ("old-1", "v1"), ("modern-1", "cluster"), ("modern-1", "jbod")]
)
def test_side_files_read_without_a_problem(archive: str, name: str) -> None:
    read = 0
    for path in sorted(scene(archive, name).rglob("*")):
        reader = READERS.get(parse_file_name(path.name).kind)
        if path.is_file() and reader is not None:
            read += 1
            assert reader(path.read_bytes()).problem is None, path
    assert read > 10


@pytest.mark.parametrize(("archive", "name"), [("old-1", "v1"), ("modern-1", "cluster")])
def test_no_segment_looks_foreign(archive: str, name: str) -> None:
    for path in scene(archive, name).rglob("*.log"):
        with path.open("rb") as file:
            assert identify(file.read(1 << 17), path.stat().st_size) is None, path
