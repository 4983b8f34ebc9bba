"""Side files against bytes put together by hand from the format's description."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest

from kafka_salvage.scan import sidecars
from kafka_salvage.scan.evidence import EvidenceFile
from kafka_salvage.source.files import FileSource
from kafka_salvage.source.source import U8
from kafka_salvage.wire.filenames import FileKind, parse_file_name
from tests.support.faulty import FaultySource


def _file(place: Path, data: bytes) -> EvidenceFile:
    place.write_bytes(data)
    return EvidenceFile("s", place.name, place, len(data), parse_file_name(place.name).kind)


def test_an_offset_index_gives_absolute_offsets_without_its_padding(tmp_path: Path) -> None:
    data = struct.pack(">iiii", 9, 4100, 21, 8300) + bytes(80)
    side = sidecars.load_offset_index(_file(tmp_path / f"{1000:020d}.index", data), 1000)
    assert side.value is not None
    assert side.value.offset.tolist() == [1009, 1021]
    assert side.value.position.tolist() == [4100, 8300]
    assert (side.value.slots, side.value.padding, len(side.value)) == (12, 80, 2)
    assert side.facts == ()


def test_a_sparse_index_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / f"{0:020d}.index"
    with place.open("wb") as writer:
        writer.write(struct.pack(">ii", 9, 4100))
        writer.truncate(1 << 30)
    read: list[int] = []
    real = FileSource.read

    def spy(self: FileSource, start: int, stop: int) -> U8:
        data = real(self, start, stop)
        read.append(len(data))
        return data

    monkeypatch.setattr(FileSource, "read", spy)
    file = EvidenceFile("s", place.name, place, 1 << 30, FileKind.OFFSET_INDEX)
    begun = time.monotonic()
    side = sidecars.load_offset_index(file, 0)
    assert time.monotonic() - begun < 1
    assert side.value is not None
    assert (side.value.offset.tolist(), side.value.position.tolist()) == ([9], [4100])
    assert side.value.slots == (1 << 30) // 8
    assert sum(read) <= 1 << 20
    assert side.facts == ()


def test_an_index_that_does_not_rise_keeps_what_is_before(tmp_path: Path) -> None:
    data = struct.pack(">iiiiii", 9, 4100, 21, 8300, 20, 9000)
    side = sidecars.load_offset_index(_file(tmp_path / f"{0:020d}.index", data), 0)
    assert side.value is not None
    assert side.value.offset.tolist() == [9, 21]
    assert [fact.code for fact in side.facts] == ["index-disagrees"]


def test_a_time_index(tmp_path: Path) -> None:
    data = struct.pack(">qiqi", 1_700_000_000_000, 5, 1_700_000_000_009, 9) + bytes(120)
    side = sidecars.load_time_index(_file(tmp_path / f"{50:020d}.timeindex", data), 50)
    assert side.value is not None
    assert side.value.timestamp.tolist() == [1_700_000_000_000, 1_700_000_000_009]
    assert side.value.offset.tolist() == [55, 59]
    assert side.facts == ()
    torn = sidecars.load_time_index(_file(tmp_path / f"{50:020d}.timeindex", data[:30]), 50)
    assert [fact.code for fact in torn.facts] == ["time-index-disagrees"]


def test_a_transaction_index(tmp_path: Path) -> None:
    data = struct.pack(">hqqqq", 0, 7, 10, 20, 11)
    side = sidecars.load_txn_index(_file(tmp_path / f"{0:020d}.txnindex", data))
    assert side.value is not None
    (entry,) = side.value
    assert (entry.producer_id, entry.first_offset, entry.last_offset, entry.last_stable_offset) == (7, 10, 20, 11)
    wrong = sidecars.load_txn_index(_file(tmp_path / f"{0:020d}.txnindex", data + data))
    assert len(wrong.value or ()) == 1
    assert [fact.code for fact in wrong.facts] == ["txn-index-disagrees"]


def test_the_empty_snapshot_and_a_damaged_one(tmp_path: Path) -> None:
    empty = bytes.fromhex("00 01 48 67 4B C7 00 00 00 00")
    side = sidecars.load_snapshot(_file(tmp_path / f"{5:020d}.snapshot", empty))
    assert (side.value and side.value.entries, side.facts) == ((), ())
    side = sidecars.load_snapshot(_file(tmp_path / f"{5:020d}.snapshot", empty[:-1] + b"\1"))
    assert [fact.code for fact in side.facts] == ["snapshot-corrupt"]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"0\n2\norders 0 17\na-b-1 12 9223372036854775807\n", {("orders", 0): 17, ("a-b-1", 12): 2**63 - 1}),
        (b"0\r\n1\r\norders 0 17\r\n", {("orders", 0): 17}),
        (b"", {}),
        (b"0\n", {}),
        (b"0\n2\norders 0 17\n", None),
        (b"1\n0\n", None),
        (b"0\n1\norders 0\n", None),
        (bytes(120), None),
        (b"0\n1\n\xff\xfe 0 1\n", None),
    ],
)
def test_checkpoints_are_taken_or_refused_as_a_broker_does(
    tmp_path: Path, data: bytes, lines: dict[tuple[str, int], int] | None
) -> None:
    side = sidecars.offset_checkpoint(_file(tmp_path / "replication-offset-checkpoint", data))
    assert side.value == lines
    assert [fact.code for fact in side.facts] == ([] if lines is not None else ["checkpoint-corrupt"])


def test_epochs_evict_earlier_lines(tmp_path: Path) -> None:
    side = sidecars.epoch_checkpoint(_file(tmp_path / "leader-epoch-checkpoint", b"0\n3\n0 0\n5 7\n3 2\n"))
    assert side.value == ((0, 0), (3, 2))


def test_ids(tmp_path: Path) -> None:
    metadata = _file(tmp_path / "partition.metadata", b"version: 0\ntopic_id: 0TSzvqsDR4Go-seIA4cW9w")
    assert sidecars.topic_id(metadata).value == "0TSzvqsDR4Go-seIA4cW9w"
    text = b"#\n#Mon\ncluster.id=abc\nversion=1\nnode.id=3\ndirectory.id=OOADb2Nt1HYwuH0vQN-INQ\n"
    found = sidecars.meta_properties(_file(tmp_path / "meta.properties", text)).value
    assert found is not None
    assert (found.cluster_id, found.node_id, found.directory_id) == ("abc", 3, "OOADb2Nt1HYwuH0vQN-INQ")
    half = sidecars.meta_properties(_file(tmp_path / "meta.properties", b"version=1\ncluster.id=abc\n"))
    assert half.value is not None
    assert half.value.cluster_id == "abc"
    assert [fact.code for fact in half.facts] == ["checkpoint-corrupt"]


def test_what_is_gone_or_unreadable_is_a_fact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = EvidenceFile("s", "partition.metadata", tmp_path / "none", 0, FileKind.PARTITION_METADATA)
    assert [fact.code for fact in sidecars.topic_id(gone).facts] == ["unreadable"]
    file = _file(tmp_path / f"{0:020d}.index", struct.pack(">ii", 9, 4100) * 100)
    monkeypatch.setattr(sidecars, "open_source", lambda path, name: FaultySource(path, [(0, 8)]))
    side = sidecars.load_offset_index(file, 0)
    assert side.value is None
    assert [(fact.code, fact.detail) for fact in side.facts] == [("unreadable", {"ranges": [[0, 512]]})]


def test_an_enormous_checkpoint_is_refused_without_reading_it(tmp_path: Path) -> None:
    place = tmp_path / "replication-offset-checkpoint"
    with place.open("wb") as writer:
        writer.truncate(10 << 30)
    file = EvidenceFile("s", place.name, place, 10 << 30, FileKind.OFFSET_CHECKPOINT)
    assert [fact.code for fact in sidecars.offset_checkpoint(file).facts] == ["checkpoint-corrupt"]
