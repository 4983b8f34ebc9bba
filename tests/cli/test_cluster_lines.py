"""What `verify --bootstrap-server` says, and which flags it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from kafka_salvage.cli.cluster_lines import lines
from kafka_salvage.cli.main import run
from kafka_salvage.export.replay.comparing import Counts, Difference
from kafka_salvage.export.replay.consuming import ClusterVerification, PartitionCheck


def test_all_is_well() -> None:
    whole = PartitionCheck("t", 0, "t", 0, Counts(equal=1200, left_out=1, retimed=2), behind=3)
    found = ClusterVerification("rescue", "h:9092", "c", (whole,), notes=("acks was not used",))
    assert list(lines(found, 0)) == [
        "AGREES: 1,200 records of 1 partition are at h:9092, each once and the same.",
        "  Note: acks was not used",
        "  1 record of open, unknown or aborted transactions was not replayed.",
        "  2 records had no timestamp and were given one.",
        "  Other offsets in these partitions: 0 before ours, 3 behind (records of others, or markers).",
    ]
    assert found.exit_code == 0


def test_what_differs_is_named() -> None:
    differences = [Difference(5, 9, "key, value"), Difference(6, None, "not sent"), Difference(7, 11, "missing")]
    counts = Counts(equal=10, differing=1, missing=1, not_sent=4, unexpected=1, differences=differences)
    bad = PartitionCheck("t", 0, "new", 0, counts)
    nothing = PartitionCheck("u", 1, "u", 1, Counts(not_sent=8), reason="the cluster has no such partition")
    found = ClusterVerification("rescue", "h:1", None, (bad, nothing), (("v", 2),))
    assert found.exit_code == 3
    assert list(lines(found, 0)) == [
        "DISAGREES: 2 of 2 partitions at h:1; 10 records there and the same; 1 different; 1 missing; 12 not sent; "
        "1 of others between.",
        "",
        "t-0 -> new-0: 1 different, 1 missing, 4 not sent, 1 of others between",
        "  offset 5, 9 there: another key and value",
        "  offset 6: not in the offset map",
        "  offset 7: not at 11, where the offset map has it",
        "  … and 4 more",
        "",
        "u-1: the cluster has no such partition; 8 records should be there",
        "v-2 is in the offset map, and not in the rescue.",
        "",
        "The same replay command sends what is missing; what differs needs a topic of its own (--topic-map).",
    ]


def test_others_between_ours_are_exit_6() -> None:
    counts = Counts(equal=3, unexpected=1, differences=[Difference(None, 4, "unexpected")])
    found = ClusterVerification("rescue", "h:1", None, (PartitionCheck("t", 0, "t", 0, counts),))
    assert found.exit_code == 6
    said = "OTHERS: 1 of 1 partition at h:1; 3 records there and the same; 1 of others between."
    assert next(iter(lines(found, 0))) == said


@pytest.mark.parametrize(
    "flags", [["--offset-map", "M"], ["--command-config", "M"], ["--topic", "t"], ["--partition", "0"]]
)
def test_flags_of_a_cluster_need_one(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "M").touch()
    assert run(["verify", str(tmp_path), *flags]) == 2
    assert "need --bootstrap-server" in capsys.readouterr().err
