"""The latest record of each key: found in bounded memory, and named where a newer one may be lost."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kafka_salvage
from kafka_salvage.errors import RequestError
from kafka_salvage.export.doubts import DoubtWriter
from kafka_salvage.export.key_hashes import LONGEST, KeyHasher
from kafka_salvage.export.latest import DOUBTED, LATEST, NOT, UNDECIDED, Latest
from kafka_salvage.export.lines import lines_of
from kafka_salvage.export.receipt import Shortfall
from kafka_salvage.export.sink import RecordChunk
from kafka_salvage.plan.plan import PartitionPlan
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.records import RecordTable
from tests.export.scenes import Piece, Scene, tree
from tests.support import metadata as write
from tests.support.bases import FIXTURES
from tests.support.build import Build

PROFILES = FIXTURES / "cluster" / "broker-1" / "profiles-0"

Pair = tuple[bytes | None, bytes | None]


@dataclass(frozen=True)
class Write:
    """A batch of records, or (without) the end of a transaction; ``producer`` -1 is none."""

    pairs: tuple[Pair, ...] = ()
    producer: int = -1
    commit: bool = True
    lost: bool = False


def lay(root: Path, writes: Sequence[Write], name: str = "t-0") -> dict[bytes, tuple[int | None, int | None]]:
    """Writes a partition; returns of each key the offset of the latest value that counts, and of the latest undecided one."""
    data, at, hurt = b"", 0, []
    counted: dict[bytes, int] = {}
    pending: dict[int, dict[bytes, int]] = {}
    for one in writes:
        if one.pairs:
            part = write.batch(at, list(one.pairs), producer=one.producer)
            keys = {key: at + place for place, (key, _) in enumerate(one.pairs) if key is not None}
        else:
            part = write.marker(at, commit=one.commit, producer=one.producer)
            keys = {}
        if one.lost:
            hurt.append(len(data) + len(part) - 1)
            pending.update({number: {} for number in pending})  # tests with losses do not use transactions
        elif one.producer < 0:
            counted.update(keys)
        elif one.pairs:
            pending.setdefault(one.producer, {}).update(keys)
        else:
            ended = pending.pop(one.producer, {})
            for key, offset in ended.items() if one.commit else ():
                counted[key] = max(offset, counted.get(key, -1))
        data += part
        at += len(one.pairs) or 1
    damaged = bytearray(data)
    for place in hurt:
        damaged[place] ^= 1
    write.partition(root, name, bytes(damaged))
    undecided = {key: offset for keys in pending.values() for key, offset in keys.items()}
    for keys in pending.values():
        for key, offset in keys.items():
            undecided[key] = max(undecided[key], offset)
    return {key: (counted.get(key), undecided.get(key)) for key in counted.keys() | undecided.keys()}


def rows(out: Path) -> dict[bytes, dict[str, Any]]:
    """Lines of JSONL by key; each key once."""
    found: dict[bytes, dict[str, Any]] = {}
    for path in sorted(out.rglob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            key = base64.b64decode(row["key"])
            assert key not in found
            found[key] = row
    return found


def salvaged(root: Path, out: Path, **flags: Any) -> tuple[dict[bytes, dict[str, Any]], dict[bytes, dict[str, Any]]]:
    """The latest records, and the doubtful keys."""
    kafka_salvage.salvage([root], out=out, formats=["jsonl"], latest_per_key=True, **flags)
    assert kafka_salvage.verify(out).exit_code == 0
    return rows(out / "jsonl"), rows(out / "doubtful-keys")


def line_at(root: Path) -> tuple[Any, PartitionPlan]:
    report = kafka_salvage.check(root, deep=True)
    (line,) = lines_of(report.plan)
    return line, line.partition_plan


keys = st.sampled_from([b"a", b"b", b"c", b"", b"a" * 17, b"b" * 300, None])
pairs = st.lists(st.tuples(keys, st.sampled_from([b"1", b"", None])), min_size=1, max_size=4).map(tuple)
writes = st.builds(Write, pairs, st.sampled_from([-1, -1, 7, 8])) | st.builds(
    Write, st.just(()), st.sampled_from([7, 8]), st.booleans()
)


@given(st.lists(writes, max_size=14), st.integers(1, 6))
@settings(max_examples=40)
def test_the_latest_of_each_key_whatever_the_size_of_a_run(
    tmp_path_factory: pytest.TempPathFactory, some: list[Write], run: int
) -> None:
    root = tmp_path_factory.mktemp("latest")
    truth = lay(root, [*some, Write(((b"last", b"x"),))])
    line, _ = line_at(root)
    shortfalls: list[Shortfall] = []
    latest = Latest(line, Limits(), shortfalls, run=run)
    end = sum(len(one.pairs) or 1 for one in some) + 1
    codes = latest.codes(np.arange(end))
    latest.close()
    expected = np.full(end, NOT, np.int8)
    for counted, undecided in truth.values():
        if counted is None:
            assert undecided is not None
            expected[undecided] = UNDECIDED
        else:
            expected[counted] = LATEST if undecided is None or undecided < counted else DOUBTED
    assert codes.tolist() == expected.tolist()
    assert shortfalls == []
    assert latest.without_key == sum(key is None for one in some for key, _ in one.pairs if not aborted(some, one))


def aborted(some: list[Write], one: Write) -> bool:
    """Whether a batch's transaction ended with an abort."""
    at = next(place for place, each in enumerate(some) if each is one)
    ends = [each for each in some[at:] if not each.pairs and each.producer == one.producer]
    return one.producer >= 0 and bool(ends) and not ends[0].commit


def test_keys_below_a_loss_are_listed_and_those_behind_it_are_not(tmp_path: Path) -> None:
    some = [Write(((b"a", b"1"), (b"b", b"1"))), Write(((b"c", b"1"),), lost=True), Write(((b"b", None),))]
    lay(tmp_path / "in", some)
    found, doubtful = salvaged(tmp_path / "in", tmp_path / "out")
    assert {key: (row["offset"], row["value"]) for key, row in found.items()} == {b"a": (0, "MQ=="), b"b": (3, None)}
    assert doubtful == {
        b"a": {
            "topic": "t",
            "partition": 0,
            "key": "YQ==",
            "offset": 0,
            "tombstone": False,
            "undecided": False,
            "lost": {"start": 2, "stop": 3, "status": "lost", "ranges": 1},
        }
    }
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["partitions"][0]["outputs"]["latest"] == {
        "keys": 2,
        "tombstones": 1,
        "doubtful": 1,
        "records_without_key": 0,
        "path": "doubtful-keys/t/0.jsonl",
    }


def test_what_no_transaction_committed_is_no_value(tmp_path: Path) -> None:
    """Aborted records are passed over; open ones are named; in both isolations."""
    some = [
        Write(((b"a", b"1"), (b"b", b"1"))),
        Write(((b"a", b"2"),), 7), Write((), 7, commit=False),
        Write(((b"b", b"2"), (b"c", b"2")), 8),
    ]  # fmt: skip
    lay(tmp_path / "in", some)
    for isolation in ("read_uncommitted", "read_committed"):
        found, doubtful = salvaged(tmp_path / "in", tmp_path / isolation, isolation=isolation)
        assert {key: row["offset"] for key, row in found.items()} == {b"a": 0, b"b": 1}
        told = {key: (row["offset"], row["tombstone"], row["undecided"], row["lost"]) for key, row in doubtful.items()}
        assert told == {b"b": (1, False, True, None), b"c": (None, None, True, None)}


def test_filters_select_output_and_never_bring_back_something_older(tmp_path: Path) -> None:
    lay(tmp_path / "in", [Write(((b"a", b"1"), (b"b", b"1"))), Write(((b"a", b"2"),))])
    found, _ = salvaged(tmp_path / "in", tmp_path / "out", to_offset=2)
    assert list(found) == [b"b"]


def test_a_compacted_topic_of_a_real_broker(tmp_path: Path) -> None:
    truth: dict[str, dict[str, Any]] = {}
    with gzip.open(FIXTURES / "cluster" / "truth" / "profiles.jsonl.gz", "rt") as stream:
        for row in map(json.loads, stream):
            if (row["topic"], row["partition"]) == ("profiles", 0):
                truth[row["key"]] = row
    out = tmp_path / "out"
    kafka_salvage.salvage([PROFILES], out=out, formats=["jsonl", "parquet", "arrow"], latest_per_key=True)
    found = rows(out / "jsonl")
    assert {(row["key"], row["offset"], row["value"]) for row in found.values()} == {
        (row["key"], row["offset"], row["value"]) for row in truth.values()
    }
    assert any(row["value"] is None for row in truth.values())
    offsets = sorted(row["offset"] for row in truth.values())
    assert pq.read_table(out / "parquet" / "profiles" / "0")["offset"].to_pylist() == offsets
    with pa.memory_map(str(out / "arrow" / "profiles" / "0.arrow")) as source:
        assert pa.ipc.open_file(source).read_all()["offset"].to_pylist() == offsets
    assert kafka_salvage.verify(out).exit_code == 0
    tables = list(kafka_salvage.records(PROFILES, latest_per_key=True))
    assert [int(offset) for table in tables for offset in table.offset] == offsets


def test_segments_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="segments"):
        kafka_salvage.salvage([PROFILES], out=tmp_path / "out", latest_per_key=True)
    assert not (tmp_path / "out").exists()


def drawn(root: Path) -> Scene:
    """A partition of four segments whose last offsets are lost."""
    made, pieces, offset = Scene(root), [], 0
    for _ in range(4):
        data, infos = Build(base=offset).v2(20).v2(20).done()
        pieces.append(Piece(data + b"torn", infos, base=offset))
        offset = infos[-1].last_offset + 1
    return made.add(pieces, lost=(offset, offset + 5))


@pytest.mark.parametrize("after", [1, 3])
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    options: dict[str, Any] = {"formats": ("jsonl",), "latest_per_key": True, "bookmark_bytes": 1}
    drawn(tmp_path / "src").write(tmp_path / "whole", **options)
    expected = tree(tmp_path / "whole")
    assert expected["doubtful-keys/orders/0.jsonl"].count(b"\n") == expected["jsonl/orders/0.jsonl"].count(b"\n") > 100
    left, real = [after], DoubtWriter.take

    def interrupted(self: DoubtWriter, chunk: RecordChunk) -> RecordChunk:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(self, chunk)

    with monkeypatch.context() as patch:
        patch.setattr(DoubtWriter, "take", interrupted)
        with pytest.raises(KeyboardInterrupt):
            drawn(tmp_path / "src").write(tmp_path / "out", **options)
    drawn(tmp_path / "src").write(tmp_path / "out", resume=True, **options)
    assert tree(tmp_path / "out") == expected
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        path.name for path in (tmp_path / "whole").iterdir()
    }


@given(st.lists(st.binary(max_size=LONGEST + 40), min_size=1, max_size=30))
def test_keys_hash_alike_exactly_when_they_are_alike(some: list[bytes]) -> None:
    hasher = KeyHasher()
    first, second = hasher.hashes(table_of(some))
    seen: dict[tuple[int, int], bytes] = {}
    for key, pair in zip(some, zip(first.tolist(), second.tolist(), strict=True), strict=True):
        assert seen.setdefault(pair, key) == key
    assert len(seen) == len(set(some))


def table_of(some: list[bytes]) -> RecordTable:
    """A table with these keys."""
    empty = RecordTable.empty()
    sizes = np.array([len(key) for key in some], np.int32)
    columns: dict[str, Any] = {
        name: np.zeros(len(some), getattr(empty, name).dtype) for name in ("batch", "offset", "timestamp")
    }
    for name in ("timestamp_type", "sequence", "value_start", "value_size"):
        columns[name] = np.zeros(len(some), getattr(empty, name).dtype)
    return RecordTable(
        batches=empty.batches,
        data=np.frombuffer(b"".join(some), np.uint8),
        key_start=np.cumsum(sizes, dtype=np.int64) - sizes,
        key_size=sizes,
        header_first=np.zeros(len(some) + 1, np.int64),
        header_key_start=empty.header_key_start,
        header_key_size=empty.header_key_size,
        header_value_start=empty.header_value_start,
        header_value_size=empty.header_value_size,
        **columns,
    )
