"""Situations that the tool is for, with several copies, told from what a consumer of the live cluster read."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import kafka_salvage
from tests.support import cut_copies
from tests.support.build import segment_name
from tests.support.checkpoints import forget_partition
from tests.support.corpus import scene
from tests.support.cut import CLEAN
from tests.support.truth import Content, Key, by_offset, exported

TRUTH = CLEAN / "cluster" / "truth"


def rescued(out: Path, paths: Iterable[Path], **flags: Any) -> dict[str, Any]:
    """Salvages as JSON Lines; the report."""
    return kafka_salvage.salvage([str(p) for p in paths], out=out, formats=["jsonl"], **flags).report.to_dict()


def read(directory: Path, *names: str) -> dict[Key, Content]:
    return by_offset(directory / f"{name}.jsonl.gz" for name in names)


def test_a_restart_ate_one_copy_another_has_holes_and_the_third_is_behind(tmp_path: Path) -> None:
    """Scenario S1, with nothing lost: all that the consumer read comes out, once, and each copy alone had less."""
    one, two, three = cut_copies.lay(tmp_path / "in")
    log = one / "orders-0"
    (log / segment_name(799)).write_bytes((log / segment_name(799)).read_bytes()[:30_000])
    for base in (1016, 1240):
        (log / segment_name(base)).unlink()
    for base, at in ((614, 20_850), (250, 30_000)):
        path = two / "orders-0" / segment_name(base)
        data = bytearray(path.read_bytes())
        data[at : at + 40] = bytes(40)
        path.write_bytes(bytes(data))
    for base in (799, 1016, 1240):
        (three / "orders-0" / segment_name(base)).unlink()
    report = rescued(tmp_path / "out", (one, two, three), topic="orders")
    assert exported(tmp_path / "out") == read(TRUTH, "orders")
    assert report["summary"]["exit_code"] == 6
    assert report["summary"]["offsets"]["lost"] == report["summary"]["offsets"]["missing"] == 0
    (partition,) = [p for p in report["partitions"] if p["selected"]]
    assert {span["source"] for span in partition["offsets"]} == {"broker-1", "broker-2"}
    again = rescued(tmp_path / "again", (three, one, two), topic="orders")
    assert again == report


def test_two_clusters_are_never_mixed_unless_ids_mean_nothing(tmp_path: Path) -> None:
    """Scenario S5: a volume of another cluster among the others."""
    one, two, three = cut_copies.lay(tmp_path / "in")
    properties = three / "meta.properties"
    lines = [line for line in properties.read_text().splitlines() if not line.startswith("cluster.id")]
    properties.write_text("\n".join([*lines, "cluster.id=zzzzzzzzzzzzzzzzzzzzzz"]) + "\n")
    for path in (one, two):
        (path / "payments-1" / segment_name(164)).unlink()
    (two / "lost+found").mkdir()
    (two / ".lock").write_bytes(b"")
    report = rescued(tmp_path / "out", (one, two, three), topic="payments")
    assert "cluster-mismatch" in {finding["code"] for finding in report["findings"]}
    assert report["summary"]["exit_code"] == 4
    assert 3 in report["summary"]["conditions"]
    assert set(exported(tmp_path / "out")) < set(read(TRUTH, "payments"))
    chosen = rescued(tmp_path / "chosen", (one, two, three), topic="payments", prefer="broker-1")
    assert chosen["summary"]["exit_code"] == 3
    assert exported(tmp_path / "chosen") == exported(tmp_path / "out")
    same = rescued(tmp_path / "same", (one, two, three), topic="payments", same_cluster=True)
    assert exported(tmp_path / "same") == read(TRUTH, "payments")
    assert same["summary"]["exit_code"] == 6


def test_a_topic_that_was_deleted_and_made_again_on_every_broker(tmp_path: Path) -> None:
    """Scenario S6: the old incarnation is named, and salvaged when it is asked for, never merged."""
    homes = cut_copies.lay(tmp_path / "in")
    for home in homes:
        old, new = home / f"payments-1.{'0' * 32}-delete", home / "payments-1"
        shutil.copytree(new, old)
        forget_partition(home, "payments", 1)
        (new / "partition.metadata").write_text("version: 0\ntopic_id: aaaaaaaaaaaaaaaaaaaaaa\n")
        for path in new.glob("*"):
            if path.name.split(".")[0].isdigit() and int(path.name.split(".")[0]) > 0:
                path.unlink()
    report = rescued(tmp_path / "out", homes, topic="payments")
    assert report["summary"]["exit_code"] == 0
    assert any("--include deleted-topics" in hint for hint in report["hints"])
    few = exported(tmp_path / "out")
    assert max(offset for _, _, offset in few) < 2
    rescued(tmp_path / "all", homes, topic="payments", include=["deleted-topics"])
    assert exported(tmp_path / "all") == few
    (folder,) = (tmp_path / "all" / "incarnations").glob("broker-*")
    assert exported(folder, next(folder.iterdir()).name) == read(TRUTH, "payments")


@pytest.mark.corpus
class TestUncleanElection:
    """Scenario S4 on real brokers: 2,000 records in common, then 340 of epoch 0, and 100 of epoch 2."""

    def brokers(self) -> list[Path]:
        return [scene("modern-1", "unclean") / f"broker-{n}" for n in (1, 2)]

    def truth(self, branch: str) -> dict[Key, Content]:
        return read(scene("modern-1", "unclean") / "truth", "ledger.common", f"ledger.branch-{branch}")

    @pytest.mark.parametrize(
        ("prefer", "winner", "loser", "apart"), [(None, "b", "a", "broker-1"), ("broker-1", "a", "b", "broker-2")]
    )
    def test_one_side_is_the_line_and_the_other_is_kept_apart(
        self, tmp_path: Path, prefer: str | None, winner: str, loser: str, apart: str
    ) -> None:
        report = rescued(tmp_path / "out", self.brokers(), topic="ledger", prefer=prefer)
        assert exported(tmp_path / "out") == self.truth(winner)
        branch = read(scene("modern-1", "unclean") / "truth", f"ledger.branch-{loser}")
        assert exported(tmp_path / "out", f"divergent/{apart}") == branch
        (fork,) = [f for f in report["findings"] if f["code"] == "replica-diverges"]
        assert fork["detail"]["fork"] == 2000
        assert {fork["detail"]["epoch"], fork["detail"]["winning_epoch"]} == {0, 2}
        assert report["summary"]["exit_code"] == 6
        backwards = rescued(tmp_path / "back", reversed(self.brokers()), topic="ledger", prefer=prefer)
        assert backwards == report
