"""SegmentSink: batches byte for byte, and what a broker needs of the directory around them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crc32c as crc32c_package
import pytest

from kafka_salvage.errors import RequestError
from kafka_salvage.plan.plan import Transaction
from kafka_salvage.plan.policy import Include, Policy, Selection, Undecided
from kafka_salvage.regions.runs import Patch
from kafka_salvage.regions.verdict import Verdict
from tests.export.scenes import Piece, Scene, tree
from tests.export.sink_tests import SinkTests
from tests.support.build import EPOCH_MS, GZIP, ZSTD, BatchInfo, Build, Rec, crc32c, v2_batch

ORDERS = "segments/orders-0"


def batches(data: bytes) -> Iterator[bytes]:
    """Whole batches of a segment, by their lengths."""
    at = 0
    while at < len(data):
        size = 12 + struct.unpack_from(">i", data, at + 8)[0]
        yield data[at : at + size]
        at += size
    assert at == len(data)


def base_offset(batch: bytes) -> int:
    return int(struct.unpack_from(">q", batch)[0])


def last_offset(batch: bytes) -> int:
    return base_offset(batch) + (int(struct.unpack_from(">i", batch, 23)[0]) if batch[16] == 2 else 0)


class TestSegments(SinkTests):
    format = "segments"

    def offsets(self, out: Path) -> dict[str, list[int]]:
        """Offsets of records, read with the obvious decoder of the test (uncompressed size does not matter here)."""
        found: dict[str, list[int]] = {}
        for path in sorted(out.glob("**/segments*/*/*.log")):
            name = path.parent.relative_to(out).as_posix()
            for batch in batches(path.read_bytes()):
                if not batch[22] & 0x20:
                    found.setdefault(name, []).extend(_record_offsets(batch))
        return found

    def test_sources_of_any_order_in_the_two_formats_together(self, tmp_path: Path) -> None:
        scene = self.scene(tmp_path)
        scene.write(tmp_path / "a", formats=("segments", "jsonl"))
        scene.write(tmp_path / "b", formats=("jsonl", "segments"))
        assert tree(tmp_path / "a") == tree(tmp_path / "b")


def _record_offsets(batch: bytes) -> list[int]:
    from kafka_salvage.scan.records import decode
    from kafka_salvage.scan.walk import walk
    from kafka_salvage.source.memory import MemorySource

    source = MemorySource(batch)
    tables = [block.batches for block in walk(source)]
    return [int(o) for table in tables for decoded in decode(source, table) for o in decoded.table.offset]


def logs(out: Path, directory: str = ORDERS) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / directory).glob("*.log"))}


def test_intact_segments_are_copied_whole_under_their_names(tmp_path: Path) -> None:
    first, infos = Build(base=10).v2(5, codec=ZSTD, headers=True).wrapper(4, magic=1, codec=GZIP).legacy(magic=0).done()
    second, more = Build(base=30).v2(5).done()
    pieces = [Piece(first, infos, base=7), Piece(second, more, base=25)]
    Scene(tmp_path / "src").add(pieces).write(tmp_path / "out")
    assert logs(tmp_path / "out") == {f"{7:020d}.log": first, f"{25:020d}.log": second}
    assert sorted(p.name for p in (tmp_path / "out" / ORDERS).iterdir()) == [
        f"{7:020d}.log",
        f"{25:020d}.log",
        "leader-epoch-checkpoint",
    ]


def test_damage_leaves_a_hole_and_nothing_else(tmp_path: Path) -> None:
    data, infos = Build().v2(5).v2(5).v2(5).v2(5).done()
    kept = [info for place, info in enumerate(infos) if place != 2]
    receipt = Scene(tmp_path / "src").add([Piece(data, kept)], lost=(10, 15)).write(tmp_path / "out")
    expected = b"".join(data[info.start : info.stop] for info in kept)
    assert logs(tmp_path / "out") == {f"{0:020d}.log": expected}
    (gap,) = receipt.to_dict()["partitions"][0]["gaps"]
    assert (gap["start"], gap["stop"], gap["status"]) == (10, 15, "lost")


def test_repaired_bytes_go_out_repaired(tmp_path: Path) -> None:
    data, infos = Build().v2(5).v2(5).v2(5).done()
    at = infos[1].start
    broken = data[:at] + b"\x01" + data[at + 1 :]
    piece = Piece(broken, infos, {at: Verdict.REPAIRED}, (Patch(at, b"\x01", data[at : at + 1]),))
    Scene(tmp_path / "src").add([piece]).write(tmp_path / "out")
    assert logs(tmp_path / "out") == {f"{0:020d}.log": data}


@pytest.mark.parametrize(("name", "base"), [(90, 90), (100, 100), (101, 100), (None, 100)])
def test_the_first_base_is_the_lower_of_name_and_first_offset(tmp_path: Path, name: int | None, base: int) -> None:
    data, infos = Build(base=100).v2(5).done()
    file = "misnamed.log" if name is None else None
    Scene(tmp_path / "src").add([Piece(data, infos, base=name, name=file)]).write(tmp_path / "out")
    assert list(logs(tmp_path / "out")) == [f"{base:020d}.log"]


def test_rolls_where_bytes_would_pass_the_limit(tmp_path: Path) -> None:
    data, infos = Build().v2(5).v2(5).v2(5).v2(5).done()
    limit = max(infos[1].stop, infos[3].stop - infos[1].stop) + 10
    Scene(tmp_path / "src").add([Piece(data, infos)]).write(tmp_path / "out", segment_limit=limit)
    made = logs(tmp_path / "out")
    assert b"".join(made.values()) == data
    assert list(made) == [f"{0:020d}.log", f"{10:020d}.log"]
    assert all(len(content) <= limit for content in made.values())


@pytest.mark.parametrize("name", [0, 4000])
def test_rolls_where_relative_offsets_would_pass_the_limit(tmp_path: Path, name: int) -> None:
    build = Build(base=5000).v2(5).gap(3_000_000).v2(5).gap(3_000_000 - 10).v2(5)
    data, infos = build.done()
    Scene(tmp_path / "src").add([Piece(data, infos, base=name)]).write(tmp_path / "out", segment_limit=3_000_000)
    made = logs(tmp_path / "out")
    assert b"".join(made.values()) == data
    assert list(made) == [f"{base:020d}.log" for base in (name, infos[1].base_offset)]
    for file, content in made.items():
        assert all(last_offset(batch) - int(file[:20]) <= 3_000_000 for batch in batches(content))


def test_a_name_far_below_the_first_offset_is_not_used(tmp_path: Path) -> None:
    data, infos = Build(base=5_000_000_000).v2(5).done()
    Scene(tmp_path / "src").add([Piece(data, infos, base=0)]).write(tmp_path / "out")
    assert list(logs(tmp_path / "out")) == [f"{5_000_000_000:020d}.log"]


def test_a_batch_that_overlaps_the_one_before_is_left_out(tmp_path: Path) -> None:
    first, infos = Build().v2(10).done()
    second, more = Build(base=8).v2(4).v2(4).done()
    pieces = [Piece(first, infos, base=0), Piece(second, more, base=8)]
    receipt = Scene(tmp_path / "src").add(pieces).write(tmp_path / "out")
    assert logs(tmp_path / "out") == {f"{0:020d}.log": first + second[more[1].start :]}
    assert receipt.to_dict()["partitions"][0]["outputs"]["segments"]["overlapping_batches_left_out"] == 1


def test_the_epoch_checkpoint_follows_the_batches(tmp_path: Path) -> None:
    build = Build().legacy(magic=1).v2(5, epoch=2).v2(5, epoch=2).v2(5, epoch=1).v2(5, epoch=7)
    data, infos = build.done()
    receipt = Scene(tmp_path / "src").add([Piece(data, infos)]).write(tmp_path / "out")
    checkpoint = (tmp_path / "out" / ORDERS / "leader-epoch-checkpoint").read_text()
    assert checkpoint == "0\n2\n2 1\n7 16\n"
    notes = receipt.to_dict()["partitions"][0]["outputs"]["segments"]
    assert notes["checkpoints"]["leader-epoch-checkpoint"] == [[2, 1], [7, 16]]


def test_leader_epoch_is_rewritten_and_nothing_else(tmp_path: Path) -> None:
    build = Build().legacy(magic=1).v2(5, epoch=2).v2(5, epoch=3, codec=GZIP).wrapper(3, magic=0, codec=GZIP)
    data, infos = build.v2(5, epoch=9).done()
    receipt = Scene(tmp_path / "src").add([Piece(data, infos)]).write(tmp_path / "out", Policy(leader_epoch=0))
    expected = bytearray(data)
    for info in infos:
        if info.magic == 2:
            expected[info.start + 12 : info.start + 16] = bytes(4)
    assert logs(tmp_path / "out") == {f"{0:020d}.log": bytes(expected)}
    assert (tmp_path / "out" / ORDERS / "leader-epoch-checkpoint").read_text() == "0\n1\n0 1\n"
    assert receipt.to_dict()["partitions"][0]["outputs"]["segments"]["rewritten"] == {"leader_epoch_batches": 3}


def test_leader_epoch_in_pieces_larger_than_the_copy_buffer(tmp_path: Path) -> None:
    big = Rec(5, EPOCH_MS, None, bytes(range(256)) * 12_000)
    build = Build().v2(5, epoch=4)
    build.add(v2_batch(5, [big], epoch=4), magic=2, first=5, last=5, records=[big], epoch=4).v2(5, epoch=4)
    data, infos = build.done()
    Scene(tmp_path / "src").add([Piece(data, infos)]).write(tmp_path / "out", Policy(leader_epoch=258))
    expected = bytearray(data)
    for info in infos:
        expected[info.start + 12 : info.start + 16] = b"\x00\x00\x01\x02"
    assert logs(tmp_path / "out") == {f"{0:020d}.log": bytes(expected)}


def test_partition_metadata_only_from_the_topic_id(tmp_path: Path) -> None:
    data, infos = Build().v2(5).done()
    scene = Scene(tmp_path / "src").add([Piece(data, infos)]).add([Piece(data, infos)], topic="other")
    scene.write(tmp_path / "out", Policy(topic_ids={"orders": "AbCdEfGhIjKlMnOpQrStUw"}))
    made = {path: content for path, content in tree(tmp_path / "out").items() if path.endswith("partition.metadata")}
    assert made == {f"{ORDERS}/partition.metadata": b"version: 0\ntopic_id: AbCdEfGhIjKlMnOpQrStUw"}


@pytest.mark.parametrize("wrong", ["", "short", "A" * 22, "../../../../etc/passwd"])
def test_impossible_topic_ids_are_refused(tmp_path: Path, wrong: str) -> None:
    data, infos = Build().v2(5).done()
    scene = Scene(tmp_path / "src").add([Piece(data, infos)])
    with pytest.raises(RequestError, match="topic id"):
        scene.write(tmp_path / "out", Policy(topic_ids={"orders": wrong}))
    assert not (tmp_path / "out").exists()


def undecided_scene(tmp_path: Path) -> tuple[Scene, bytes, list[BatchInfo]]:
    """A committed, an unknown, an aborted and an open transaction, each with the markers that are left."""
    build = Build().v2(3)
    build.v2(3, producer_id=1, producer_epoch=0, base_sequence=0, attributes=0x10).marker(commit=True, producer_id=1)
    build.v2(3, producer_id=2, producer_epoch=5, base_sequence=7, attributes=0x10, codec=ZSTD)
    build.v2(3, producer_id=3, producer_epoch=0, base_sequence=0, attributes=0x10).marker(commit=False, producer_id=3)
    build.v2(3, producer_id=2, producer_epoch=5, base_sequence=10, attributes=0x10).marker(commit=True, producer_id=2)
    build.v2(3, producer_id=4, producer_epoch=0, base_sequence=0, attributes=0x10)
    data, infos = build.done()
    labels = {
        infos[1].base_offset: Transaction.COMMITTED,
        infos[3].base_offset: Transaction.UNKNOWN,
        infos[4].base_offset: Transaction.ABORTED,
        infos[6].base_offset: Transaction.COMMITTED,
        infos[8].base_offset: Transaction.OPEN,
    }
    return Scene(tmp_path / "src").add([Piece(data, infos)], labels=labels), data, infos


def test_undecided_batches_are_withheld(tmp_path: Path) -> None:
    scene, data, infos = undecided_scene(tmp_path)
    scene.write(tmp_path / "out")
    cut = [data[b.start : b.stop] for b in infos]
    assert logs(tmp_path / "out") == {f"{0:020d}.log": b"".join(cut[i] for i in (0, 1, 2, 4, 5, 6, 7))}
    aside = logs(tmp_path / "out", "segments-undecided/orders-0")
    assert aside == {f"{0:020d}.log": cut[3] + cut[8]}


def test_undecided_batches_are_kept_on_demand(tmp_path: Path) -> None:
    scene, data, _ = undecided_scene(tmp_path)
    scene.write(tmp_path / "out", Policy(undecided=Undecided.KEEP))
    assert logs(tmp_path / "out") == {f"{0:020d}.log": data}
    assert not (tmp_path / "out" / "segments-undecided").exists()


def stripped(batch: bytes) -> bytes:
    """What `--undecided strip` makes of a batch, by the format's own words."""
    changed = bytearray(batch)
    changed[22] &= ~0x10
    changed[43:57] = b"\xff" * 14
    changed[17:21] = struct.pack(">I", crc32c_package.crc32c(bytes(changed[21:])))
    assert crc32c(bytes(changed[21:])) == struct.unpack_from(">I", changed, 17)[0]
    return bytes(changed)


def test_undecided_batches_are_stripped_on_demand(tmp_path: Path) -> None:
    scene, data, infos = undecided_scene(tmp_path)
    receipt = scene.write(tmp_path / "out", Policy(undecided=Undecided.STRIP))
    cut = [data[b.start : b.stop] for b in infos]
    expected = [stripped(batch) if place in (3, 8) else batch for place, batch in enumerate(cut)]
    assert logs(tmp_path / "out") == {f"{0:020d}.log": b"".join(expected)}
    notes = receipt.to_dict()["partitions"][0]["outputs"]["segments"]
    assert notes["repaired_by_strip"] == [[b.base_offset, b.last_offset + 1] for b in (infos[3], infos[8])]


def test_a_large_batch_is_stripped_in_pieces_and_restamped(tmp_path: Path) -> None:
    big = Rec(0, EPOCH_MS, None, bytes(range(256)) * 12_000)
    batch = v2_batch(0, [big], epoch=4, producer_id=8, producer_epoch=0, base_sequence=0, attributes=0x10)
    data, infos = Build().add(batch, magic=2, first=0, last=0, records=[big], epoch=4).done()
    scene = Scene(tmp_path / "src").add([Piece(data, infos)], labels={0: Transaction.OPEN})
    scene.write(tmp_path / "out", Policy(undecided=Undecided.STRIP, leader_epoch=0))
    expected = bytearray(stripped(data))
    expected[12:16] = bytes(4)
    assert logs(tmp_path / "out") == {f"{0:020d}.log": bytes(expected)}


def test_a_plain_batch_inside_its_producers_open_transaction_loses_its_producer(tmp_path: Path) -> None:
    """A broker stops at such a batch (InvalidTxnStateException)."""
    build = Build().v2(2, producer_id=6, producer_epoch=0, base_sequence=0, attributes=0x10)
    build.v2(2, producer_id=6, producer_epoch=0, base_sequence=2).v2(2, producer_id=7, producer_epoch=0)
    build.marker(commit=True, producer_id=6).v2(2, producer_id=6, producer_epoch=0, base_sequence=4)
    data, infos = build.done()
    scene = Scene(tmp_path / "src").add([Piece(data, infos)], labels={0: Transaction.UNKNOWN})
    scene.write(tmp_path / "kept", Policy(undecided=Undecided.KEEP))
    cut = [data[b.start : b.stop] for b in infos]
    expected = cut[0] + stripped(cut[1]) + b"".join(cut[2:])
    assert logs(tmp_path / "kept") == {f"{0:020d}.log": expected}
    scene.write(tmp_path / "withheld")
    assert logs(tmp_path / "withheld") == {f"{0:020d}.log": b"".join(cut[1:])}


def test_control_batches_that_stop_a_broker_are_put_aside(tmp_path: Path) -> None:
    foreign = v2_batch(3, [Rec(3, 0, struct.pack(">hh", 0, 4), b"")], attributes=0x20, producer_id=9)
    kraft = v2_batch(4, [Rec(4, 0, struct.pack(">hh", 0, 4), b"")], attributes=0x20)
    build = Build().v2(3)
    build.add(foreign, magic=2, first=3, last=3, records=(), epoch=0, control=True)
    build.add(kraft, magic=2, first=4, last=4, records=(), epoch=0, control=True)
    build.marker(commit=True, producer_id=1)
    data, infos = build.done()
    Scene(tmp_path / "src").add([Piece(data, infos)]).write(tmp_path / "out")
    at = infos[1]
    assert logs(tmp_path / "out") == {f"{0:020d}.log": data[: at.start] + data[at.stop :]}
    assert logs(tmp_path / "out", "segments-undecided/orders-0") == {f"{0:020d}.log": foreign}


def test_batches_are_cut_at_their_edges(tmp_path: Path) -> None:
    data, infos = Build().v2(10).v2(10).wrapper(10, magic=1, codec=GZIP).v2(10).done()
    scene = Scene(tmp_path / "src").add([Piece(data, infos)])
    for low, high, kept in ((12, 25, (1, 2)), (29, 30, (2,)), (30, 31, (3,)), (20, 21, (2,)), (0, 20, (0, 1))):
        out = tmp_path / f"{low}-{high}"
        scene.write(out, Policy(selection=Selection(from_offset=low, to_offset=high)))
        assert b"".join(logs(out).values()) == b"".join(data[infos[i].start : infos[i].stop] for i in kept)


def test_batches_are_cut_by_time(tmp_path: Path) -> None:
    data, infos = Build().v2(10).v2(10).v2(10).done()
    policy = Policy(selection=Selection(from_timestamp=EPOCH_MS + 3 * 12, to_timestamp=EPOCH_MS + 3 * 15))
    Scene(tmp_path / "src").add([Piece(data, infos)]).write(tmp_path / "out", policy)
    assert b"".join(logs(tmp_path / "out").values()) == data[infos[1].start : infos[1].stop]


def test_the_marker_of_a_selected_transaction_is_kept(tmp_path: Path) -> None:
    """Without it the loaded partition would hold the transaction open for ever."""
    build = Build().v2(2, producer_id=1, producer_epoch=0, base_sequence=0, attributes=0x10)
    build.v2(2, producer_id=2, producer_epoch=0, base_sequence=0, attributes=0x10).v2(5)
    build.marker(commit=True, producer_id=2).marker(commit=True, producer_id=1).marker(commit=True, producer_id=1)
    data, infos = build.done()
    labels = {0: Transaction.COMMITTED, 2: Transaction.COMMITTED}
    scene = Scene(tmp_path / "src").add([Piece(data, infos)], labels=labels)
    scene.write(tmp_path / "out", Policy(selection=Selection(to_offset=2)))
    assert b"".join(logs(tmp_path / "out").values()) == b"".join(data[infos[i].start : infos[i].stop] for i in (0, 4))


def test_a_trimmed_partition_gets_its_checkpoint_line(tmp_path: Path) -> None:
    data, infos = Build().v2(10).v2(10).v2(10).done()
    scene = Scene(tmp_path / "src").add([Piece(data, infos)], log_start=13)
    receipt = scene.write(tmp_path / "out")
    assert logs(tmp_path / "out") == {f"{0:020d}.log": data[infos[1].start :]}
    notes = receipt.to_dict()["partitions"][0]["outputs"]["segments"]
    assert notes["checkpoints"]["log-start-offset-checkpoint"] == "orders 0 13"
    scene.write(tmp_path / "all", Policy(include=frozenset({Include.TRIMMED})))
    assert logs(tmp_path / "all") == {f"{0:020d}.log": data}


@pytest.mark.parametrize(("topic", "directory"), [("__consumer_offsets", "segments-internal/__consumer_offsets-0")])
def test_internal_topics_have_a_folder_of_their_own(tmp_path: Path, topic: str, directory: str) -> None:
    data, infos = Build().v2(3).done()
    policy = Policy(selection=Selection(internal=True))
    Scene(tmp_path / "src").add([Piece(data, infos)], topic=topic).write(tmp_path / "out", policy)
    assert logs(tmp_path / "out", directory) == {f"{0:020d}.log": data}
    assert not (tmp_path / "out" / "segments").exists()


def test_cluster_metadata_is_never_a_loadable_segment(tmp_path: Path) -> None:
    data, infos = Build().v2(3).done()
    policy = Policy(selection=Selection(internal=True))
    Scene(tmp_path / "src").add([Piece(data, infos)], topic="__cluster_metadata").write(tmp_path / "out", policy)
    assert [path for path in tree(tmp_path / "out") if path.endswith(".log")] == []


def test_branches_lie_apart(tmp_path: Path) -> None:
    from kafka_salvage.plan.plan import Branch
    from kafka_salvage.scan.replica import State
    from tests.export.scenes import FixedLabels, steps_of, survey_of

    data, infos = Build().v2(3).done()
    other, others = Build().v2(3, epoch=1).done()
    root = tmp_path / "src"
    lost = steps_of(survey_of(root, "broker-1", "orders-0x", Piece(other, others)))
    branches = tuple(
        Branch(kind, "b/2", "orders-0", State.LIVE, lost, FixedLabels()) for kind in ("divergent", "incarnations")
    )
    Scene(root).add([Piece(data, infos)], branches=branches).write(tmp_path / "out", formats=("segments", "jsonl"))
    made: Any = {path: content for path, content in tree(tmp_path / "out").items() if path.endswith((".log", "jsonl"))}
    assert sorted(made) == [
        "divergent/b%2F2/jsonl/orders/0.jsonl",
        f"divergent/b%2F2/segments/orders-0/{0:020d}.log",
        "incarnations/b%2F2/orders-0/jsonl/orders/0.jsonl",
        f"incarnations/b%2F2/orders-0/segments/orders-0/{0:020d}.log",
        "jsonl/orders/0.jsonl",
        f"{ORDERS}/{0:020d}.log",
    ]
    assert made[f"divergent/b%2F2/segments/orders-0/{0:020d}.log"] == other
