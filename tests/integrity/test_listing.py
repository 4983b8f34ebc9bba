"""The listing against segments that the test wrote, real brokers' files with truth, and damage."""

from __future__ import annotations

import base64
import json
import os
import random
import struct
from pathlib import Path
from typing import Any

import pytest

from kafka_salvage.errors import RequestError
from kafka_salvage.integrity import listing
from kafka_salvage.integrity.listing import show
from kafka_salvage.plan.policy import Selection
from tests.support import build
from tests.support.build import GZIP, ZSTD, Build
from tests.support.faulty import FaultySource
from tests.support.truth import by_offset

CLEAN = Path(__file__).resolve().parents[2] / "fixtures" / "clean"


def _write(tmp_path: Path, data: bytes, name: str = "00000000000000000000.log", directory: str = "t-0") -> Path:
    place = tmp_path / directory / name
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(data)
    return place


def _of(rows: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["type"] == kind]


def _decoded(row: dict[str, Any]) -> tuple[Any, ...]:
    def raw(text: str | None) -> bytes | None:
        return None if text is None else base64.b64decode(text)

    headers = tuple((h["key"].encode(), raw(h["value"])) for h in row["headers"])
    return row["offset"], row["timestamp"], raw(row["key"]), raw(row["value"]), headers


def test_batches_and_records_of_a_segment(tmp_path: Path) -> None:
    made = Build(base=100)
    made.v2(5, headers=True, producer_id=9, producer_epoch=2, base_sequence=2**31 - 3, epoch=4)
    made.v2(4, codec=ZSTD, keep=(0, 2), attributes=0x10).marker(commit=False, producer_id=9, producer_epoch=2)
    data, infos = made.done()
    place = _write(tmp_path, data, "00000000000000000100.log")
    rows = list(show(place, records=True))
    assert [row["type"] for row in (rows[0], rows[-1])] == ["file", "end"]
    assert rows[0] == {"type": "file", "file": str(place), "kind": "segment", "size": len(data)}
    assert rows[-1] == {"type": "end", "file": str(place), "whole": True, "damaged": 0, "problems": 0}
    first, second, third = _of(rows, "batch")
    assert first == {
        "type": "batch",
        "file": str(place),
        "baseOffset": 100,
        "lastOffset": 104,
        "count": 5,
        "baseSequence": 2**31 - 3,
        "lastSequence": 1,
        "producerId": 9,
        "producerEpoch": 2,
        "partitionLeaderEpoch": 4,
        "isTransactional": False,
        "isControl": False,
        "deleteHorizonMs": None,
        "position": 0,
        "timestampType": "CreateTime",
        "baseTimestamp": build.EPOCH_MS + 300,
        "timestamp": build.EPOCH_MS + 312,
        "size": infos[0].size,
        "magic": 2,
        "attributes": 0,
        "compresscodec": "none",
        "crc": struct.unpack(">I", data[17:21])[0],
        "isvalid": True,
    }
    assert (second["lastOffset"], second["count"], second["compresscodec"]) == (108, 2, "zstd")
    assert (third["isControl"], third["isTransactional"], third["position"]) == (True, True, infos[2].start)
    records = _of(rows, "record")
    wanted = [r for info in infos[:2] for r in info.records]
    assert [_decoded(row) for row in records[:-1]] == [
        (r.offset, r.timestamp, r.key, r.value, r.headers) for r in wanted
    ]
    assert records[-1]["control"] == {"type": "ABORT", "typeId": 0, "version": 0, "coordinatorEpoch": 0}
    json.dumps(rows)


def test_a_delete_horizon_is_not_taken_for_a_timestamp(tmp_path: Path) -> None:
    records = [build.record_for(0)]
    data = build.v2_batch(0, records, attributes=0x40, base_timestamp=build.EPOCH_MS + 77)
    (row,) = _of(list(show(_write(tmp_path, data))), "batch")
    assert row["deleteHorizonMs"] == build.EPOCH_MS + 77


def test_old_messages_and_wrappers(tmp_path: Path) -> None:
    data, infos = Build().legacy(magic=0).wrapper(4, magic=1, codec=GZIP).done()
    place = _write(tmp_path, data)
    plain, wrapped = _of(list(show(place)), "batch")
    assert (plain["magic"], plain["lastOffset"], plain["count"], plain["timestampType"]) == (0, 0, 1, "NoTimestampType")
    assert (wrapped["baseOffset"], wrapped["lastOffset"], wrapped["count"]) == (None, 4, None)
    rows = list(show(place, records=True))
    assert (_of(rows, "batch")[1]["baseOffset"], _of(rows, "batch")[1]["count"]) == (1, 4)
    assert [row["offset"] for row in _of(rows, "record")] == [0, 1, 2, 3, 4]
    assert _of(rows, "record")[0]["timestamp"] is None
    wanted = [
        (r.offset, None if r.timestamp < 0 else r.timestamp, r.key, r.value, ()) for i in infos for r in i.records
    ]
    assert [_decoded(row) for row in _of(rows, "record")] == wanted


@pytest.mark.parametrize("scene", ["cluster", "v0", "v09", "v1", "mixed"])
def test_real_brokers_records_are_those_a_consumer_read(scene: str) -> None:
    truth = by_offset([p for p in (CLEAN / scene / "truth").glob("*.jsonl.gz") if p.name != "removed.jsonl.gz"])
    (broker,) = [p for p in (CLEAN / scene).iterdir() if p.name.startswith("broker-")]
    seen = 0
    for directory in sorted(p for p in broker.iterdir() if p.is_dir()):
        topic, _, number = directory.name.rpartition("-")
        segments = sorted(directory.glob("*.log"))
        rows = list(show(segments, records=True))
        assert all(row["whole"] for row in _of(rows, "end")), directory
        for row in _of(rows, "record"):
            if "control" in row or (topic, int(number), row["offset"]) not in truth:
                continue
            headers = tuple((h["key"], h["value"]) for h in row["headers"])
            found = (row["timestamp"], row["timestampType"], row["key"], row["value"], headers)
            assert found == truth[topic, int(number), row["offset"]], (directory, row["offset"])
            seen += 1
    assert seen > 100


def test_the_listing_goes_on_behind_damage(tmp_path: Path) -> None:
    data, infos = build.segment(6)
    damaged = bytearray(data)
    damaged[infos[1].start + 8 : infos[1].start + 12] = b"\x7f\xff\xff\xff"
    damaged[infos[4].stop - 1] ^= 1
    rows = list(show(_write(tmp_path, bytes(damaged))))
    assert [row["position"] for row in _of(rows, "batch")] == [infos[i].start for i in (0, 2, 3, 5)]
    first, second = _of(rows, "damaged")
    assert (first["start"], first["stop"], first["reason"]) == (infos[1].start, infos[1].stop, "length-past-end")
    assert first["claimedSize"] == 0x7FFFFFFF + 12
    assert (second["start"], second["stop"], second["reason"]) == (infos[4].start, infos[4].stop, "crc-mismatch")
    assert second["crc"] == struct.unpack(">I", data[infos[4].start + 17 : infos[4].start + 21])[0]
    assert second["crc"] != second["computedCrc"]
    assert rows[-1]["whole"] is False
    assert rows[-1]["damaged"] == infos[1].size + infos[4].size


def test_zeros_to_the_end_are_blank_and_zeros_before_data_are_damage(tmp_path: Path) -> None:
    data, infos = build.segment(4)
    rows = list(show(_write(tmp_path, data + bytes(300_000))))
    assert [(r["start"], r["stop"]) for r in _of(rows, "blank")] == [(len(data), len(data) + 300_000)]
    assert rows[-1]["whole"] is True
    holed = data[: infos[1].start] + bytes(infos[1].size) + data[infos[1].stop :]
    rows = list(show(_write(tmp_path, holed)))
    assert [(r["start"], r["stop"]) for r in _of(rows, "damaged")] == [(infos[1].start, infos[1].stop)]
    assert _of(rows, "blank") == []


def test_a_preallocated_file_is_not_read_through(tmp_path: Path) -> None:
    data, _ = build.segment(3)
    place = _write(tmp_path, data)
    os.truncate(place, 64 << 30)
    rows = list(show(place))
    assert [(r["start"], r["stop"]) for r in _of(rows, "blank")] == [(len(data), 64 << 30)]


def test_a_bad_sector_is_named_and_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, infos = build.segment(12, size=200)
    place = _write(tmp_path, data)
    bad = infos[5].start + 100
    monkeypatch.setattr(listing, "open_source", lambda path: FaultySource(path, [(bad, bad + 1)]))
    rows = list(show(place))
    (row,) = _of(rows, "damaged")
    assert row["reason"] == "unreadable"
    assert row["start"] <= bad < row["stop"]
    lost = range(bad // 512 * 512, bad // 512 * 512 + 512)
    whole = [i.start for i in infos if i.stop <= lost.start or i.start >= lost.stop]
    assert [row["position"] for row in _of(rows, "batch")] == whole


def test_dense_damage_costs_little_more_than_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second batch is damaged, 3,000 times: each time a few KiB are read, and the search passes each byte once."""
    data, infos = build.segment(6000, per_batch=1)
    damaged = bytearray(data)
    for info in infos[1::2]:
        damaged[info.stop - 1] ^= 1
    place = _write(tmp_path, bytes(damaged))
    source = FaultySource(place, [])
    monkeypatch.setattr(listing, "open_source", lambda path: source)
    rows = list(show(place))
    assert len(_of(rows, "batch")) == 3000
    assert len(_of(rows, "damaged")) == 3000
    assert sum(size for _, size in source.calls) < 3000 * (10 << 10) + 10 * len(data)


@pytest.mark.parametrize(
    "data", [b"x" * 100_000, random.Random(5).randbytes(50_000), bytes(12) + b"\xff" * 30, b"\0" * 26, b"a"]
)
def test_it_always_ends(tmp_path: Path, data: bytes) -> None:
    rows = list(show(_write(tmp_path, data), records=True))
    assert _of(rows, "batch") == []
    assert rows[-1]["type"] == "end"
    covered = [*_of(rows, "damaged"), *_of(rows, "blank")]
    assert sum(row["size"] for row in covered) == len(data)


def test_records_that_do_not_come_out_are_a_problem_of_their_batch(tmp_path: Path) -> None:
    data = build.v2_header_and(
        b"no gzip stream",
        0,
        epoch=0,
        attributes=GZIP,
        last_offset_delta=4,
        base_timestamp=0,
        max_timestamp=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        count=5,
    )
    more = build.v2_batch(5, [build.record_for(5)])
    rows = list(show(_write(tmp_path, data + more), records=True))
    broken, good = _of(rows, "batch")
    assert broken["problem"] == "inflate-failed"
    assert broken["problemDetail"]
    assert "problem" not in good
    assert [row["offset"] for row in _of(rows, "record")] == [5]
    assert (rows[-1]["whole"], rows[-1]["problems"]) == (False, 1)


def _metadata(kind: int, body: bytes) -> bytes:
    return bytes((1, kind, 0)) + body


def test_credentials_in_the_metadata_log_are_masked(tmp_path: Path) -> None:
    def text(value: str) -> bytes:
        return bytes((len(value) + 1,)) + value.encode()

    scram = _metadata(11, text("alice") + b"\2" + text("salt") + text("stored") + text("server"))
    token = _metadata(10, text("owner"))
    password = _metadata(4, b"\4" + text("1") + text("ssl.keystore.password") + text("hunter2") + b"\0")
    policy = _metadata(4, b"\2" + text("t") + text("cleanup.policy") + text("compact") + b"\0")
    topic = _metadata(2, text("t") + bytes(16) + b"\0")
    data, _ = Build().v2(5, values=[scram, token, password, policy, topic]).done()
    for name in (f"{0:020d}.log", f"{5:020d}-{1:010d}.checkpoint"):
        place = _write(tmp_path, data, name, "__cluster_metadata-0")
        hidden = _of(list(show(place, records=True)), "record")
        assert [row["value"] is None and "masked" in row for row in hidden] == [True, True, True, False, False]
        shown = _of(list(show(place, records=True, show_secrets=True)), "record")
        assert [base64.b64decode(row["value"]) for row in shown] == [scram, token, password, policy, topic]
    elsewhere = _of(list(show(_write(tmp_path, data), records=True)), "record")
    assert not any("masked" in row for row in elsewhere)


def test_filters_select_batches_and_records(tmp_path: Path) -> None:
    data, infos = build.segment(4)
    place = _write(tmp_path, data)
    some = Selection(from_offset=15, to_offset=25)
    rows = list(show(place, records=True, selection=some))
    assert [row["offset"] for row in _of(rows, "record")] == list(range(15, 25))
    assert [row["position"] for row in _of(rows, "batch")] == [infos[1].start, infos[2].start]
    late = Selection(from_timestamp=infos[3].records[4].timestamp)
    rows = list(show(place, records=True, selection=late))
    assert [row["offset"] for row in _of(rows, "record")] == list(range(34, 40))
    with pytest.raises(RequestError, match="matches the filters"):
        list(show(place, selection=Selection(topics=frozenset({"other"}))))


def test_every_side_file_is_listed(tmp_path: Path) -> None:
    root = tmp_path / "t-3"
    root.mkdir()
    files = {
        f"{100:020d}.index": struct.pack(">ii", 9, 4100) + bytes(8),
        f"{100:020d}.timeindex": struct.pack(">qi", build.EPOCH_MS, 9),
        f"{100:020d}.txnindex": struct.pack(">hqqqq", 0, 7, 101, 120, 111),
        f"{100:020d}.snapshot": bytes.fromhex("00 01 48 67 4B C7 00 00 00 00"),
        "leader-epoch-checkpoint": b"0\n1\n3 100\n",
        "partition.metadata": b"version: 0\ntopic_id: 0TSzvqsDR4Go-seIA4cW9w",
        "meta.properties": b"version=1\ncluster.id=c\nnode.id=2\n",
        "replication-offset-checkpoint": b"0\n1\nt 3 17\n",
        ".kafka_cleanshutdown": b'{"version":0,"brokerEpoch":12}',
        "quorum-state": b'{"leaderId":3,"leaderEpoch":4,"votedId":-1,"currentVoters":[],"data_version":0}',
    }
    for name, data in files.items():
        (root / name).write_bytes(data)
    (root / "notes.txt").write_text("not shown")
    rows = list(show(root))
    assert {Path(row["file"]).name for row in rows} == set(files)
    assert all(row["whole"] for row in _of(rows, "end"))
    entries = {Path(row["file"]).name: row for row in _of(rows, "entry")}
    assert (entries[f"{100:020d}.index"]["offset"], entries[f"{100:020d}.index"]["position"]) == (109, 4100)
    assert (entries[f"{100:020d}.timeindex"]["timestamp"], entries[f"{100:020d}.timeindex"]["offset"]) == (
        build.EPOCH_MS,
        109,
    )
    aborted = entries[f"{100:020d}.txnindex"]
    assert (aborted["producerId"], aborted["firstOffset"], aborted["lastOffset"]) == (7, 101, 120)
    assert aborted["lastStableOffset"] == 111
    assert (entries["leader-epoch-checkpoint"]["epoch"], entries["leader-epoch-checkpoint"]["startOffset"]) == (3, 100)
    assert entries["partition.metadata"]["topicId"] == "0TSzvqsDR4Go-seIA4cW9w"
    assert {(r["key"], r["value"]) for r in _of(rows, "entry") if r["file"].endswith("meta.properties")} == {
        ("version", "1"),
        ("cluster.id", "c"),
        ("node.id", "2"),
    }
    line = entries["replication-offset-checkpoint"]
    assert (line["topic"], line["partition"], line["offset"]) == ("t", 3, 17)
    assert entries[".kafka_cleanshutdown"]["brokerEpoch"] == 12
    assert entries["quorum-state"]["leaderEpoch"] == 4
    json.dumps(rows)


def test_a_damaged_side_file_is_not_whole(tmp_path: Path) -> None:
    place = tmp_path / f"{0:020d}.snapshot"
    place.write_bytes(bytes.fromhex("00 01 48 67 4B C8 00 00 00 00"))
    rows = list(show(place))
    assert [row["code"] for row in _of(rows, "problem")] == ["snapshot-corrupt"]
    assert rows[-1]["whole"] is False


def test_a_file_that_cannot_be_opened_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = build.segment(1)
    shut = _write(tmp_path, data)
    free = _write(tmp_path, data, "00000000000000000010.log")
    real = os.open

    def guarded(path: object, *rest: int) -> int:
        if str(path) == str(shut):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", guarded)
    rows = list(show([free, shut]))
    assert [(row["type"], row["file"]) for row in rows[:2]] == [("file", str(shut)), ("unopened", str(shut))]
    assert rows[-1] == {"type": "end", "file": str(free), "whole": True, "damaged": 0, "problems": 0}


def test_the_order_of_paths_does_not_matter(tmp_path: Path) -> None:
    data, _ = build.segment(2)
    places = [_write(tmp_path, data, directory=f"{name}-0") for name in ("b", "a")]
    assert list(show(places)) == list(show(places[::-1])) == list(show([*places, *places]))


def test_paths_without_kafka_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    for path in (tmp_path, tmp_path / "notes.txt", tmp_path / "none"):
        with pytest.raises(RequestError):
            show(path)
