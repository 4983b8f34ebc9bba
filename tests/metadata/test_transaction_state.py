"""What coordinators decided, from a real cluster and from records made by hand."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

import pytest

from kafka_salvage.metadata.transaction_state import TOPIC, TransactionalId, decisions_of, transactional_ids
from kafka_salvage.regions.survey import survey_replica
from kafka_salvage.scan.replica import take_inventory
from kafka_salvage.wire.transaction_state import TransactionStatus
from tests.support import metadata as write
from tests.support.corpus import scene

EMPTY, ONGOING, PREPARE_COMMIT, PREPARE_ABORT, COMMITTED, ABORTED, FENCE = 0, 1, 2, 3, 4, 5, 7


def ids(*paths: Path) -> dict[str, TransactionalId]:
    inventory = take_inventory(paths)
    surveys = [survey_replica(replica) for replica in inventory.replicas if replica.topic == TOPIC]
    return {one.transactional_id: one for one in transactional_ids(surveys)}


def key(name: str) -> bytes:
    return struct.pack(">h", 0) + write.string(name)


def value(
    producer: int, status: int, start: int, time: int, *, epoch: int = 0, partitions: tuple[int, ...] = ()
) -> bytes:
    listed = struct.pack(">i", len(partitions)) + b"".join(struct.pack(">i", p) for p in partitions)
    parts = struct.pack(">i", 1) + write.string("t") + listed if partitions else struct.pack(">i", -1)
    return struct.pack(">hqhib", 0, producer, epoch, 60000, status) + parts + struct.pack(">qq", time, start)


def lay(root: Path, *records: tuple[bytes, bytes | None], cluster: str = write.CLUSTER) -> Path:
    write.log_dir(root, cluster=cluster)
    write.partition(root, f"{TOPIC}-0", b"".join(write.batch(at, [record]) for at, record in enumerate(records)))
    return root


@pytest.mark.corpus
def test_a_real_cluster_tells_what_became_of_its_transactions() -> None:
    found = ids(scene("modern-1", "cluster"))
    assert {name: one.status for name, one in found.items()} == {
        "etl-1": TransactionStatus.COMPLETE_COMMIT,
        "pay-A": TransactionStatus.COMPLETE_ABORT,
        "pay-B": TransactionStatus.COMPLETE_COMMIT,
        "pay-OPEN": TransactionStatus.ONGOING,
        "pay-Z": TransactionStatus.COMPLETE_COMMIT,
    }
    (still_open,) = found["pay-OPEN"].decisions
    assert (still_open.outcome, still_open.producer_id) == ("open", 5012)
    assert still_open.partitions == frozenset({("payments", 0), ("payments", 1), ("__consumer_offsets", 2)})
    fenced, after = found["pay-Z"].decisions
    assert (fenced.outcome, fenced.epochs, after.outcome, after.epochs) == ("abort", (0, 1), "commit", (2, 2))
    assert Counter(d.outcome for d in found["etl-1"].decisions) == {"commit": 2, "abort": 1}


def test_states_of_one_transaction_are_one_decision(tmp_path: Path) -> None:
    one = ids(
        lay(
            tmp_path,
            (key("a"), value(7, EMPTY, -1, 1)),
            (key("a"), value(7, ONGOING, 10, 10, partitions=(0,))),
            (key("a"), value(7, ONGOING, 10, 11, partitions=(0, 1))),
            (key("a"), value(7, PREPARE_COMMIT, 10, 12, partitions=(0, 1))),
            (key("a"), value(7, COMMITTED, 10, 13)),
            (key("a"), value(7, ONGOING, 20, 20, partitions=(2,))),
            (key("a"), value(7, PREPARE_ABORT, 20, 21, epoch=1, partitions=(2,))),
        )
    )["a"]
    assert [(d.outcome, d.start, d.time, d.epochs, sorted(d.partitions or ())) for d in one.decisions] == [
        ("commit", 10, 13, (0, 0), [("t", 0), ("t", 1)]),
        ("abort", 20, 21, (0, 1), [("t", 2)]),
    ]


def test_an_end_alone_still_decides_but_names_no_partitions(tmp_path: Path) -> None:
    one = ids(lay(tmp_path, (key("a"), value(7, COMMITTED, 10, 13))))["a"]
    assert [(d.outcome, d.partitions) for d in one.decisions] == [("commit", None)]


def test_a_tombstone_is_told_and_keeps_what_was_decided(tmp_path: Path) -> None:
    one = ids(lay(tmp_path, (key("a"), value(7, COMMITTED, 10, 13)), (key("a"), None)))["a"]
    assert (one.expired, len(one.decisions), one.offset) == (True, 1, 1)


def test_records_that_are_not_understood_say_nothing(tmp_path: Path) -> None:
    found = ids(lay(tmp_path, (b"\0", b""), (key("a"), b"\0\x09"), (key("b"), value(7, 99, 1, 1))))
    assert set(found) == {"b"}
    assert (found["b"].status, found["b"].decisions) == (None, ())


def test_a_producer_id_of_two_clusters_decides_nothing(tmp_path: Path) -> None:
    lay(tmp_path / "x", (key("a"), value(7, COMMITTED, 10, 13)), cluster="A" * 22)
    lay(tmp_path / "y", (key("b"), value(7, ABORTED, 10, 13)), (key("c"), value(8, ABORTED, 1, 1)), cluster="B" * 22)
    assert set(decisions_of(ids(tmp_path).values())) == {8}
