"""Names of files and directories, as Kafka builds and parses them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.wire.filenames import (
    DirectorySuffix,
    FileKind,
    FileName,
    PartitionDirectoryName,
    Suffix,
    is_topic_name,
    parse_directory_name,
    parse_file_name,
    parse_snapshot_epoch,
    segment_name,
)

HEX = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orders-0", ("orders", 0, "", "")),
        ("a-b-12-7", ("a-b-12", 7, "", "")),
        ("-0", None),
        ("--0", ("-", 0, "", "")),
        ("orders", None),
        ("orders-", None),
        ("orders-x", None),
        ("orders-1_0", None),
        ("orders-2147483647", ("orders", 2147483647, "", "")),
        ("orders-2147483648", None),
        ("orders-٣", ("orders", 3, "", "")),
        (f"orders-3.{HEX}-delete", ("orders", 3, "delete", HEX)),
        (f"audit.events_v1-0.{HEX}-stray", ("audit.events_v1", 0, "stray", HEX)),
        (f"a-b-1.{HEX}-future", ("a-b", 1, "future", HEX)),
        ("orders-delete", None),
        ("orders-0-delete", None),
        (f"orders.{HEX}-delete", None),
        (f"orders 1-0.{HEX}-delete", None),
        ("__cluster_metadata-0", ("__cluster_metadata", 0, "", "")),
        ("@metadata-0", ("@metadata", 0, "", "")),
        ("lost+found", None),
        ("remote-log-index-cache", None),
        ("orders-0\n", None),
        ("", None),
    ],
)
def test_directory_names(name: str, expected: tuple[str, int, str, str] | None) -> None:
    parsed = parse_directory_name(name)
    if expected is None:
        assert parsed is None
    else:
        topic, partition, suffix, unique_id = expected
        assert parsed == PartitionDirectoryName(topic, partition, DirectorySuffix(suffix), unique_id)


@pytest.mark.parametrize(
    ("name", "kind", "base", "suffix"),
    [
        ("00000000000000004096.log", FileKind.SEGMENT, 4096, Suffix.NONE),
        ("00000000000000000000.log.deleted", FileKind.SEGMENT, 0, Suffix.DELETED),
        ("00000000000000000000.index.cleaned", FileKind.OFFSET_INDEX, 0, Suffix.CLEANED),
        ("00000000000000000012.timeindex.swap", FileKind.TIME_INDEX, 12, Suffix.SWAP),
        ("00000000000000000012.txnindex", FileKind.TXN_INDEX, 12, Suffix.NONE),
        ("00000000000000000012.snapshot.deleted", FileKind.PRODUCER_SNAPSHOT, 12, Suffix.DELETED),
        ("7.log", FileKind.SEGMENT, 7, Suffix.NONE),
        ("٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٤٢.log", FileKind.SEGMENT, 42, Suffix.NONE),
        ("9223372036854775807.log", FileKind.SEGMENT, 2**63 - 1, Suffix.NONE),
        ("9223372036854775808.log", FileKind.SEGMENT, None, Suffix.NONE),
        ("-5.log", FileKind.SEGMENT, None, Suffix.NONE),
        ("segment.log", FileKind.SEGMENT, None, Suffix.NONE),
        (".log", FileKind.UNKNOWN, None, Suffix.NONE),
        ("00000000000000000005_AAAAAAAAAAAAAAAAAAAAAQ.index", FileKind.OFFSET_INDEX, 5, Suffix.NONE),
        ("00000000000000001234-0000000005.checkpoint", FileKind.METADATA_SNAPSHOT, 1234, Suffix.NONE),
        ("00000000000000001234-0000000005.checkpoint.deleted", FileKind.METADATA_SNAPSHOT, 1234, Suffix.DELETED),
        ("00000000000000001234-0000000005-81.checkpoint.part", FileKind.METADATA_SNAPSHOT, 1234, Suffix.PART),
        ("00000000000000001234-0000000005.checkpoint.part", FileKind.UNKNOWN, None, Suffix.NONE),
        ("1234.checkpoint", FileKind.UNKNOWN, None, Suffix.NONE),
        ("bootstrap.checkpoint", FileKind.METADATA_SNAPSHOT, None, Suffix.NONE),
        ("leader-epoch-checkpoint", FileKind.EPOCH_CHECKPOINT, None, Suffix.NONE),
        ("leader-epoch-checkpoint.tmp", FileKind.EPOCH_CHECKPOINT, None, Suffix.TMP),
        ("recovery-point-offset-checkpoint", FileKind.OFFSET_CHECKPOINT, None, Suffix.NONE),
        ("replication-offset-checkpoint", FileKind.OFFSET_CHECKPOINT, None, Suffix.NONE),
        ("log-start-offset-checkpoint", FileKind.OFFSET_CHECKPOINT, None, Suffix.NONE),
        ("cleaner-offset-checkpoint.tmp", FileKind.OFFSET_CHECKPOINT, None, Suffix.TMP),
        ("partition.metadata", FileKind.PARTITION_METADATA, None, Suffix.NONE),
        ("meta.properties", FileKind.META_PROPERTIES, None, Suffix.NONE),
        (".kafka_cleanshutdown", FileKind.CLEAN_SHUTDOWN, None, Suffix.NONE),
        ("quorum-state", FileKind.QUORUM_STATE, None, Suffix.NONE),
        (".lock", FileKind.LOCK, None, Suffix.NONE),
        ("00000000000000000000.log.gz", FileKind.ARCHIVE, None, Suffix.NONE),
        ("broker-1.qcow2", FileKind.ARCHIVE, None, Suffix.NONE),
        ("README", FileKind.UNKNOWN, None, Suffix.NONE),
        ("", FileKind.UNKNOWN, None, Suffix.NONE),
    ],
)
def test_file_names(name: str, kind: FileKind, base: int | None, suffix: Suffix) -> None:
    assert parse_file_name(name) == FileName(kind, base, suffix)


def test_snapshot_epoch() -> None:
    assert parse_snapshot_epoch("00000000000000001234-0000000005.checkpoint") == 5
    assert parse_snapshot_epoch("00000000000000001234-0000000005-81.checkpoint.part") == 5
    assert parse_snapshot_epoch("bootstrap.checkpoint") is None


def test_topic_names() -> None:
    assert is_topic_name("a" * 249)
    assert not is_topic_name("a" * 250)
    assert not any(map(is_topic_name, ("", ".", "..", "a b", "a/b", "é", "a\n")))


@given(st.integers(0, 2**63 - 1))
def test_a_segment_name_reads_back(base: int) -> None:
    name = segment_name(base)
    assert len(name) == 24
    assert parse_file_name(name).base_offset == base


@given(st.text())
def test_no_name_raises(name: str) -> None:
    parse_file_name(name)
    parse_directory_name(name)
    parse_file_name(name + ".log")
