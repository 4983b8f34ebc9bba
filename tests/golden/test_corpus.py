"""Every broker of every scene of the corpus, salvaged and compared with what a consumer read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

import kafka_salvage
from tests.support.corpus import scene
from tests.support.truth import Key, by_offset, content, digest, exported, lines

pytestmark = pytest.mark.corpus


@dataclass(frozen=True)
class Case:
    """One broker's copy.

    Attributes:
        optional: truth files whose records may be there, and need not.
        code: 6 where the output leans on `-stray` directories.
    """

    archive: str
    scene: str
    broker: str
    must: tuple[str, ...]
    optional: tuple[str, ...] = ()
    code: int = 0

    @property
    def name(self) -> str:
        return f"{self.scene}-{self.broker}".replace("/", "-")


_CLUSTER_MUST = (
    "a-b-1", "audit.events_v1", "clicks-gzip", "clicks-lz4", "clicks-snappy", "clicks-zstd", "gone", "orders", "payments",
    "profiles", "trimmed", "trimmed-late",
)  # fmt: skip
_CLUSTER_MAY = ("orders.burst", "profiles.history")

CASES = [
    *(Case("modern-1", "cluster", f"broker-{n}", _CLUSTER_MUST, _CLUSTER_MAY) for n in (1, 2, 3)),
    Case("modern-1", "eaten", "before", ("events", "other")),
    Case("modern-1", "jbod", "broker-1", ("metrics", "readings", "moving", "doomed.stray"), code=6),
    Case("modern-1", "jbod", "broker-2", ("readings",)),
    Case("modern-1", "unclean", "broker-1", ("ledger.common", "ledger.branch-a")),
    Case("modern-1", "unclean", "broker-2", ("ledger",)),
    Case("old-1", "v0", "broker-0", ("records",), ("removed",)),
    Case("old-1", "v09", "broker-0", ("records",), ("removed",)),
    Case("old-1", "v1", "broker-0", ("records", "deleted"), ("removed",)),
    Case("old-1", "mixed", "broker-0", ("records",), ("removed",)),
    Case("old-1", "zk28", "broker-0", ("records", "deleted"), ("removed",)),
    Case("old-1", "zk28", "broker-1", ("records", "deleted"), ("removed",)),
    Case("old-1", "zk39", "broker-0", ("records",), ("removed",)),
]


def _unacknowledged(truth: Path) -> set[object]:
    path = truth / "orders.unacked.jsonl.gz"
    return {content(line) for line in lines(path)} if path.exists() else set()


def _lies_here(broker: Path, topic: str) -> bool:
    return any(path.stat().st_size for path in broker.rglob(f"{topic}-[0-9]*/*.log"))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_record_that_a_consumer_read_comes_out_and_no_other(case: Case, tmp_path: Path) -> None:
    root = scene(case.archive, case.scene)
    before = digest(root / case.broker)
    receipt = kafka_salvage.salvage(root / case.broker, out=tmp_path / "out", formats=["segments", "jsonl"])

    found = exported(tmp_path / "out")
    apart = exported(tmp_path / "out", "incarnations")  # partitions that exist in another state only
    assert not found.keys() & apart.keys()
    found |= apart
    truth = root / "truth"
    must = by_offset(truth / f"{name}.jsonl.gz" for name in case.must)
    may = by_offset(truth / f"{name}.jsonl.gz" for name in case.optional)
    unacknowledged = _unacknowledged(truth)
    ends: dict[tuple[str, int], int] = {}
    for topic, partition, offset in found:
        ends[topic, partition] = max(ends.get((topic, partition), -1), offset)

    def reached(key: Key) -> bool:  # a replica may lag behind what the cluster acknowledged
        return key[2] <= ends.get(key[:2], -1)

    lost = sorted(key for key in must if reached(key) and key not in found)
    wrong = sorted(key for key in must if key in found and found[key] != must[key])
    invented = sorted(
        key for key in found if key not in must and may.get(key) != found[key] and found[key] not in unacknowledged
    )
    assert (lost[:5], wrong[:5], invented[:5]) == ([], [], [])
    present = {key[:2] for key in must if key[:2] in ends}
    assert {key[0] for key in present} == {key[0] for key in must if _lies_here(root / case.broker, key[0])}
    lagging = [key for key in must if key[:2] in present and not reached(key)]
    assert len(lagging) <= 200, "only the tail of a replica may be behind"
    assert receipt.exit_code == case.code
    assert receipt.report.to_dict()["summary"]["offsets"]["lost"] == 0
    assert digest(root / case.broker) == before
