"""SinkTests: what every sink must do; a sink's test inherits this and names the sink."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from kafka_salvage.plan.plan import Transaction
from kafka_salvage.plan.policy import Include, Isolation, Policy, Selection
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.replica import State
from tests.export.scenes import Piece, Scene, tree
from tests.support.build import GZIP, LZ4, SNAPPY, ZSTD, Build


class SinkTests(ABC):
    """Inherit, set `format`, and give `offsets`: data offsets that a tree's outputs hold, by file."""

    format: str

    @abstractmethod
    def offsets(self, out: Path) -> dict[str, list[int]]:
        """File -> data offsets that it holds."""

    def all_offsets(self, out: Path) -> list[int]:
        return [offset for offsets in self.offsets(out).values() for offset in offsets]

    def scene(self, tmp_path: Path) -> Scene:
        build = Build(base=5)
        for codec in (GZIP, SNAPPY, LZ4, ZSTD, 0):
            build.v2(7, codec=codec)
        data, infos = build.done()
        second = Build(base=40).v2(3, epoch=1).v2(4, keep=(1, 3), epoch=1)
        more, more_infos = second.done()
        pieces = [Piece(data, infos, base=0), Piece(more, more_infos, base=40)]
        return Scene(tmp_path / "src").add(pieces).add(pieces, topic="clicks", partition=3)

    def test_every_data_record_comes_out_once_in_order(self, tmp_path: Path) -> None:
        self.scene(tmp_path).write(tmp_path / "out", formats=(self.format,))
        expected = [*range(5, 43), 44, 46]
        assert list(self.offsets(tmp_path / "out").values()) == [expected, expected]

    def test_two_runs_give_the_same_bytes(self, tmp_path: Path) -> None:
        scene = self.scene(tmp_path)
        scene.write(tmp_path / "a", formats=(self.format,))
        scene.write(tmp_path / "b", formats=(self.format,), jobs=3)
        assert tree(tmp_path / "a") == tree(tmp_path / "b")

    def test_partitions_in_any_order_give_the_same_bytes(self, tmp_path: Path) -> None:
        scene = self.scene(tmp_path)
        scene.write(tmp_path / "a", formats=(self.format,))
        scene.partitions.reverse()
        scene.write(tmp_path / "b", formats=(self.format,))
        assert tree(tmp_path / "a") == tree(tmp_path / "b")

    def test_the_receipt_tells_size_sum_and_records_of_every_file(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        receipt = self.scene(tmp_path).write(out, formats=(self.format,))
        for file in receipt.files:
            data = (out / file.path).read_bytes()
            assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert receipt.records == len(self.all_offsets(out)) == 80
        listed = {file.path for file in receipt.files} | {"manifest.json", "SHA256SUMS"}
        assert listed == set(tree(out))

    def test_sha256sum_agrees(self, tmp_path: Path) -> None:
        if shutil.which("sha256sum") is None:
            pytest.skip("no sha256sum here")
        out = tmp_path / "out"
        self.scene(tmp_path).write(out, formats=(self.format,))
        subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=out, check=True, stdout=subprocess.DEVNULL)
        named = {line.split("  ", 1)[1] for line in (out / "SHA256SUMS").read_text().splitlines()}
        assert named == set(tree(out)) - {"SHA256SUMS"}

    def test_evidence_is_not_touched(self, tmp_path: Path) -> None:
        scene = self.scene(tmp_path)
        before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in scene.root.rglob("*") if p.is_file()}
        scene.write(tmp_path / "out", formats=(self.format,))
        assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in scene.root.rglob("*") if p.is_file()}

    def test_topics_that_are_not_selected_are_left_out(self, tmp_path: Path) -> None:
        policy = Policy(selection=Selection(topics=frozenset({"clicks"})))
        self.scene(tmp_path).write(tmp_path / "out", policy, formats=(self.format,))
        assert len(self.all_offsets(tmp_path / "out")) == 40

    def test_internal_topics_need_the_flag(self, tmp_path: Path) -> None:
        data, infos = Build().v2(3).done()
        scene = Scene(tmp_path / "src").add([Piece(data, infos)], topic="__consumer_offsets")
        scene.write(tmp_path / "a", formats=(self.format,))
        assert self.all_offsets(tmp_path / "a") == []
        scene.write(tmp_path / "b", Policy(selection=Selection(internal=True)), formats=(self.format,))
        assert self.all_offsets(tmp_path / "b") == [0, 1, 2]

    def test_read_committed_gives_only_decided_good_records(self, tmp_path: Path) -> None:
        build = Build()
        for label in Transaction:
            attributes = 0 if label is Transaction.NONE else 0x10
            build.v2(2, producer_id=7 + build.next_offset, producer_epoch=0, base_sequence=0, attributes=attributes)
        data, infos = build.done()
        labels = {info.base_offset: label for info, label in zip(infos, Transaction, strict=True)}
        scene = Scene(tmp_path / "src").add([Piece(data, infos)], labels=labels)
        scene.write(tmp_path / "out", Policy(isolation=Isolation.READ_COMMITTED), formats=(self.format,))
        assert self.all_offsets(tmp_path / "out") == [0, 1, 2, 3]

    def test_suspect_steps_come_out_when_the_plan_has_them(self, tmp_path: Path) -> None:
        data, infos = Build().v2(3).v2(3).v2(3).done()
        piece = Piece(data, infos, verdicts={infos[1].start: Verdict.SUSPECT})
        Scene(tmp_path / "a").add([piece]).write(tmp_path / "b", formats=(self.format,))
        assert self.all_offsets(tmp_path / "b") == [0, 1, 2, 6, 7, 8]
        scene = Scene(tmp_path / "a").add([piece], include=frozenset({Verdict.SUSPECT}))
        scene.write(tmp_path / "c", Policy(include=frozenset({Include.SUSPECT})), formats=(self.format,))
        assert self.all_offsets(tmp_path / "c") == list(range(9))

    def test_a_stray_partition_is_written_apart(self, tmp_path: Path) -> None:
        data, infos = Build().v2(3).done()
        scene = (
            Scene(tmp_path / "src")
            .add([Piece(data, infos)])
            .add([Piece(data, infos)], state=State.STRAY, directory="orders-0.0123456789abcdef0123456789abcdef-stray")
        )
        scene.write(tmp_path / "out", formats=(self.format,))
        roots = {path.split("/")[0] for path in self.offsets(tmp_path / "out")}
        assert roots == {"incarnations", self.format}
        apart = [path for path in self.offsets(tmp_path / "out") if path.startswith("incarnations")]
        assert apart[0].startswith("incarnations/broker-1/orders-0.0123456789abcdef0123456789abcdef-stray/")

    @pytest.mark.parametrize("topic", [".", "..", "a/b", "ä", "a b", "\udcff", "x" * 300, "%2E", "a\nb", "-rf"])
    def test_any_topic_name_gives_one_safe_directory(self, tmp_path: Path, topic: str) -> None:
        data, infos = Build().v2(3).done()
        out = tmp_path / "out"
        Scene(tmp_path / "src").add([Piece(data, infos)], topic=topic, directory="d-0").write(
            out, formats=(self.format,)
        )
        assert self.all_offsets(out) == [0, 1, 2]
        assert {path.name for path in tmp_path.iterdir()} == {"src", "out"}
        for path in out.rglob("*"):
            assert path.resolve().is_relative_to(out.resolve())
            assert all(c.isalnum() or c in "._-%~" for c in path.name)
            assert path.name.isascii()
