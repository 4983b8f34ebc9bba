"""ParquetSink: columns against what the tests' own writer put there, read by four readers that are not ours."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kafka_salvage.errors import DestinationError
from kafka_salvage.export import parquet
from kafka_salvage.export.atomic import Stage, StagedFile
from kafka_salvage.plan.plan import Transaction
from kafka_salvage.plan.policy import Policy, Selection
from tests.export.scenes import Piece, Scene, tree
from tests.export.sink_tests import SinkTests
from tests.support.build import EPOCH_MS, GZIP, Build, Rec, v2_batch

FOLDER = "parquet/orders/0"
PART = f"{FOLDER}/part-00000.parquet"


class TestParquet(SinkTests):
    format = "parquet"

    def offsets(self, out: Path) -> dict[str, list[int]]:
        return {
            path.relative_to(out).as_posix(): pq.read_table(path)["offset"].to_pylist()
            for path in sorted(out.glob("**/parquet/*/*/*.parquet"))
        }


def written(tmp_path: Path, build: Build, policy: Policy | None = None, **kwargs: Any) -> Path:
    data, infos = build.done()
    scene = Scene(tmp_path / "src").add([Piece(data, infos, base=build.base)], **kwargs)
    scene.write(tmp_path / "out", policy, formats=("parquet",))
    return tmp_path / "out"


def small(monkeypatch: pytest.MonkeyPatch, **bounds: int) -> None:
    """Writers made from here on have small blocks and parts."""
    made = parquet.ParquetWriter.__init__

    def init(self: Any, line: Any, setting: Any) -> None:
        made(self, line, setting, **bounds)

    monkeypatch.setattr(parquet.ParquetWriter, "__init__", init)


def keyless(values: list[bytes], count: int) -> Build:
    """Batches of so many records without a key."""
    build = Build()
    for at in range(0, len(values), count):
        records = [Rec(at + i, EPOCH_MS, None, value) for i, value in enumerate(values[at : at + count])]
        build.add(v2_batch(at, records), magic=2, first=at, last=records[-1].offset, records=records)
    return build


def test_every_column_of_one_record(tmp_path: Path) -> None:
    record = Rec(17, EPOCH_MS, b"k", None, ((b"a", b"1"), (b"a", None), (b"\xff", b"2")))
    data = v2_batch(17, [record], producer_id=9, producer_epoch=3, base_sequence=5, attributes=0x10, epoch=4)
    build = Build(base=17).add(data, magic=2, first=17, last=17, records=[record], epoch=4, producer_id=9)
    out = written(tmp_path, build, labels={17: Transaction.ABORTED})
    (row,) = pq.read_table(out / PART).to_pylist()
    row["timestamp"] = round(row["timestamp"].timestamp() * 1000)
    assert row == {
        "key": b"k", "value": None, "topic": "orders", "partition": 0, "offset": 17, "timestamp": EPOCH_MS,
        "timestampType": 0,
        "headers": [{"key": "a", "value": b"1"}, {"key": "a", "value": None}, {"key": None, "value": b"2"}],
        "_salvage_timestamp_ms": EPOCH_MS, "_salvage_header_keys": [b"a", b"a", b"\xff"],
        "_salvage_source": "broker-1", "_salvage_file": "orders-0/00000000000000000017.log", "_salvage_position": 0,
        "_salvage_verdict": "intact", "_salvage_transaction": "aborted", "_salvage_leader_epoch": 4,
        "_salvage_producer_id": 9, "_salvage_producer_epoch": 3, "_salvage_sequence": 5,
    }  # fmt: skip


def test_types_are_as_promised(tmp_path: Path) -> None:
    schema = pq.read_schema(written(tmp_path, Build().v2(1)) / PART)
    header = pa.struct([("key", pa.string()), ("value", pa.binary())])
    assert [(name, kind) for name, kind in zip(schema.names, schema.types, strict=True)] == [
        ("key", pa.binary()), ("value", pa.binary()), ("topic", pa.string()), ("partition", pa.int32()),
        ("offset", pa.int64()), ("timestamp", pa.timestamp("ms", tz="UTC")), ("timestampType", pa.int32()),
        ("headers", pa.list_(pa.field("element", header))),
        ("_salvage_timestamp_ms", pa.int64()), ("_salvage_header_keys", pa.list_(pa.field("element", pa.binary()))),
        ("_salvage_source", pa.string()), ("_salvage_file", pa.string()), ("_salvage_position", pa.int64()),
        ("_salvage_verdict", pa.string()), ("_salvage_transaction", pa.string()), ("_salvage_leader_epoch", pa.int32()),
        ("_salvage_producer_id", pa.int64()), ("_salvage_producer_epoch", pa.int32()), ("_salvage_sequence", pa.int32()),
    ]  # fmt: skip


def test_null_is_not_empty_for_any_reader(tmp_path: Path) -> None:
    path = written(tmp_path, Build().v2(4, values=[b"", None, b"\x00", b"x"])) / PART
    expected = [b"", None, b"\x00", b"x"]
    assert pq.read_table(path)["value"].to_pylist() == expected
    rows = duckdb.execute('select value from read_parquet(?) order by "offset"', [str(path)]).fetchall()
    assert [row[0] for row in rows] == expected
    assert pl.read_parquet(path)["value"].to_list() == expected
    assert [None if value is pd.NA else value for value in pd.read_parquet(path)["value"]] == expected


def test_rows_are_cut_into_groups_by_their_bytes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, block=10_000)
    values = [b"v" * 100] * 60 + [b"w" * 20_000] + [b""] * 3
    whole, infos = keyless(values, 64).done()
    pieces, piece_infos = keyless(values, 4).done()
    Scene(tmp_path / "1").add([Piece(whole, infos)]).write(tmp_path / "a", formats=("parquet",))
    Scene(tmp_path / "2").add([Piece(pieces, piece_infos)]).write(tmp_path / "b", formats=("parquet",))
    groups = []
    for out in (tmp_path / "a", tmp_path / "b"):
        file = pq.ParquetFile(out / PART)
        groups.append([file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)])
        assert file.read()["value"].to_pylist() == values
    # 10,000 // (100 + 128) rows fit into a block; the large one has its own
    assert groups[0] == groups[1] == [43, 17, 1, 3]


def test_statistics_are_of_offsets_and_times_and_show_no_payload(tmp_path: Path) -> None:
    metadata = pq.ParquetFile(written(tmp_path, Build(base=5).v2(7)) / PART).metadata
    columns = {c.path_in_schema: c for c in (metadata.row_group(0).column(i) for i in range(metadata.num_columns))}
    assert {name for name, column in columns.items() if column.statistics is not None} == {
        "offset", "timestamp", "_salvage_timestamp_ms",
    }  # fmt: skip
    assert (columns["offset"].statistics.min, columns["offset"].statistics.max) == (5, 11)
    assert columns["_salvage_timestamp_ms"].statistics.max == max(
        r.timestamp for r in Build(base=5).v2(7).infos[0].records
    )
    assert {column.compression for column in columns.values()} == {"ZSTD"}


def test_parts_roll_at_their_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, block=2000, part=4000)
    out = written(tmp_path, Build().v2(60).v2(60))
    parts = sorted((out / FOLDER).iterdir())
    assert len(parts) > 1
    assert [path.name for path in parts] == [f"part-{number:05d}.parquet" for number in range(len(parts))]
    assert [o for path in parts for o in pq.read_table(path)["offset"].to_pylist()] == list(range(120))
    facts = [json.loads(pq.read_metadata(path).metadata[b"kafka_salvage"]) for path in parts]
    assert [f["offsets"][0] for f in facts] == [0, *(f["offsets"][1] for f in facts[:-1])]
    assert facts[-1]["offsets"][1] == 120


def test_a_part_that_has_enough_ends_with_its_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, block=2000, enough=1)
    first, infos = Build().v2(60).done()
    second, more = Build(base=60).v2(60).done()
    scene = Scene(tmp_path / "src").add([Piece(first, infos), Piece(second, more, base=60)])
    scene.write(tmp_path / "out", formats=("parquet",))
    parts = sorted((tmp_path / "out" / FOLDER).iterdir())
    facts = [json.loads(pq.read_metadata(path).metadata[b"kafka_salvage"]) for path in parts]
    assert [f["offsets"] for f in facts] == [[0, 60], [60, 120]]
    assert [[s["path"][-8:] for s in f["sources"]] for f in facts] == [["0000.log"], ["0060.log"]]
    assert [f["sources"][0]["size"] for f in facts] == [len(first), len(second)]


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    data, infos = Build(base=5).v2(7).done()
    Scene(tmp_path / "src").add([Piece(data, infos, base=5)]).write(tmp_path / "out", formats=("parquet",))
    facts = json.loads(pq.read_metadata(tmp_path / "out" / PART).metadata[b"kafka_salvage"])
    assert facts.pop("version").count(".") == 2
    assert facts == {
        "topic": "orders", "partition": 0, "kind": "main", "offsets": [5, 12],
        "sources": [{
            "source": "broker-1", "path": "orders-0/00000000000000000005.log", "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }],
    }  # fmt: skip


def test_readers_are_told_that_rows_are_sorted_by_offset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, block=2000)
    metadata = pq.ParquetFile(written(tmp_path, Build().v2(60).v2(60)) / PART).metadata
    assert metadata.num_row_groups > 1
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        (column,) = group.sorting_columns
        assert group.column(column.column_index).path_in_schema == "offset"
        assert (column.descending, column.nulls_first) == (False, False)


def test_blocks_written_behind_are_those_written_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, block=2000, part=9000)
    slow = written(tmp_path / "a", Build().v2(60).v2(60).v2(60))
    monkeypatch.setattr("kafka_salvage.export.parquet.Behind.do", lambda self, work: work())
    assert tree(slow) == tree(written(tmp_path / "b", Build().v2(60).v2(60).v2(60)))


def test_records_are_cut_by_offset(tmp_path: Path) -> None:
    policy = Policy(selection=Selection(from_offset=5, to_offset=13))
    out = written(tmp_path, Build().v2(10).v2(10, codec=GZIP), policy)
    assert pq.read_table(out / PART)["offset"].to_pylist() == list(range(5, 13))


def test_a_line_without_records_gives_no_file(tmp_path: Path) -> None:
    out = written(tmp_path, Build().v2(10), Policy(selection=Selection(from_offset=50)))
    assert not (out / "parquet").exists()


@pytest.mark.parametrize(("show", "value"), [(False, b"******"), (True, b"\x01\x0b\x00pwd")])
def test_credentials_in_cluster_metadata_are_masked(tmp_path: Path, show: bool, value: bytes) -> None:
    values = [b"\x01\x0b\x00pwd", b"\x01\x02\x00name"]
    policy = Policy(selection=Selection(internal=True), show_secrets=show)
    out = written(tmp_path, Build().v2(2, values=values), policy, topic="__cluster_metadata")
    table = pq.read_table(out / "parquet/__cluster_metadata/0/part-00000.parquet")
    assert table["value"].to_pylist() == [value, values[1]]


def test_a_disk_that_fills_up_leaves_nothing_and_no_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, block=2000)
    write, room = StagedFile.write, [3000]

    def full(self: StagedFile, data: Any) -> None:
        room[0] -= len(data) if self.path.endswith(".parquet") else 0
        if room[0] < 0:
            self.abort()
            raise DestinationError("no space left", target=self.path)
        write(self, data)

    monkeypatch.setattr(StagedFile, "write", full)
    data, infos = Build().v2(60).v2(60).done()
    with pytest.raises(DestinationError, match="no space left"):
        Scene(tmp_path / "src").add([Piece(data, infos)]).write(tmp_path / "out", formats=("parquet",))
    assert not (tmp_path / "out").exists()


def test_an_interrupted_run_goes_on_behind_its_last_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, block=2000, enough=1)
    pieces = []
    for base in (0, 60, 120, 180):
        data, infos = Build(base=base).v2(60).done()
        pieces.append(Piece(data, infos, base=base))
    scene = Scene(tmp_path / "src").add(pieces)
    choices: dict[str, Any] = {"formats": ("parquet", "segments"), "bookmark_bytes": 1}
    scene.write(tmp_path / "whole", **choices)
    create, made, room = Stage.create, [], [3]

    def limited(self: Stage, path: str, format_: str) -> StagedFile:
        if path.endswith(".parquet"):
            made.append(path)
            room[0] -= 1
            if room[0] < 0:
                raise KeyboardInterrupt
        return create(self, path, format_)

    monkeypatch.setattr(Stage, "create", limited)
    with pytest.raises(KeyboardInterrupt):
        scene.write(tmp_path / "out", **choices)
    made.clear()
    room[0] = 99
    scene.write(tmp_path / "out", resume=True, **choices)
    assert made == [f"{FOLDER}/part-00003.parquet"]
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_record_far_larger_than_a_block_has_a_part_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, block=2000, alone=5000)
    values = [b"a" * 100, b"b" * 3000, b"c" * 9000, b"d" * 100, b"e" * 9001, None]
    out = written(tmp_path, Build().v2(6, values=values))
    parts = sorted((out / FOLDER).iterdir())
    assert [pq.read_table(path)["value"].to_pylist() for path in parts] == [
        values[:2], values[2:3], values[3:4], values[4:5], values[5:],
    ]  # fmt: skip
    assert [pq.ParquetFile(path).metadata.row_group(0).column(1).compression for path in parts] == [
        "ZSTD", "UNCOMPRESSED", "ZSTD", "UNCOMPRESSED", "ZSTD",
    ]  # fmt: skip
    facts = [json.loads(pq.read_metadata(path).metadata[b"kafka_salvage"]) for path in parts]
    assert [fact["offsets"] for fact in facts] == [[0, 2], [2, 3], [3, 4], [4, 5], [5, 6]]
    sums = dict(line.split("  ")[::-1] for line in (out / "SHA256SUMS").read_text().splitlines())
    for path in parts:
        assert sums[path.relative_to(out).as_posix()] == hashlib.sha256(path.read_bytes()).hexdigest()
    rows = duckdb.execute('select value from read_parquet(?) order by "offset"', [f"{out / FOLDER}/*"]).fetchall()
    assert [row[0] for row in rows] == values


def test_a_disk_that_fills_up_under_a_large_record_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch, block=2000, alone=5000)
    opened = pa.OSFile
    monkeypatch.setattr(pa, "OSFile", lambda path, mode: opened("/dev/full", mode))
    data, infos = Build().v2(2, values=[b"a", b"b" * 9000]).done()
    with pytest.raises(DestinationError, match="full"):
        Scene(tmp_path / "src").add([Piece(data, infos)]).write(tmp_path / "out", formats=("parquet",))
    assert not (tmp_path / "out").exists()
