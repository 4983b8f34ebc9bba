"""ClusterVerification: what a cluster gives back, held against the records that were sent there.

Strategy: each partition of the rescue is read in offset order, and beside it the partition that the offset map names, as a
consumer with `read_committed` would see it. Without a map the same offsets are expected, as after loading segments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from kafka_salvage.errors import RequestError
from kafka_salvage.export.replay.comparing import Comparing, Counts, Part
from kafka_salvage.export.replay.config import ClientSettings
from kafka_salvage.export.replay.offset_map import OffsetMap, Place, Runs
from kafka_salvage.export.replay.planning import DIVERGENT, own_name
from kafka_salvage.export.replay.reading import Reader
from kafka_salvage.export.replay.supply import Supply, SupplyLine
from kafka_salvage.export.replay.target import Target
from kafka_salvage.plan.plan import TRANSACTION_CODES, Transaction
from kafka_salvage.progress import Progress
from kafka_salvage.scan.records import RecordTable

SCHEMA = "kafka-salvage.cluster-verification/1"
LOSS_CODE, OTHERS_CODE = 3, 6
_ALL = 1 << 62
_USUAL = np.array([code in (Transaction.NONE, Transaction.COMMITTED) for code in TRANSACTION_CODES], np.bool_)


@dataclass(frozen=True, slots=True)
class PartitionCheck:
    """One partition.

    Attributes:
        topic, partition: in the rescue.
        new_topic, new_partition: in the cluster.
        counts: of records.
        before, behind: offsets of the cluster before and behind ours: other records, or markers.
        reason: why nothing could be compared; empty when it could.
    """

    topic: str
    partition: int
    new_topic: str
    new_partition: int
    counts: Counts
    before: int = 0
    behind: int = 0
    reason: str = ""

    @property
    def whole(self) -> bool:
        """Every record is there, and the same."""
        return not (self.reason or self.counts.differing or self.counts.missing or self.counts.not_sent)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "topic": self.topic,
            "partition": self.partition,
            "new_topic": self.new_topic,
            "new_partition": self.new_partition,
            "records": self.counts.to_dict(),
            "offsets_before": self.before,
            "offsets_behind": self.behind,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class ClusterVerification:
    """What consuming a cluster back came to.

    Attributes:
        source: what was compared with.
        address, cluster: of the cluster; its id is None when it does not tell.
        partitions: sorted by topic and number.
        strange: partitions of the offset map that the rescue does not have.
        notes: of the client's settings.
    """

    source: str
    address: str
    cluster: str | None
    partitions: tuple[PartitionCheck, ...]
    strange: tuple[Place, ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"ClusterVerification({self.source}, {len(self.partitions)} partitions, exit code {self.exit_code})"

    def total(self, name: str) -> int:
        """A count over all partitions."""
        return sum(getattr(p.counts, name) for p in self.partitions)

    @property
    def exit_code(self) -> int:
        """0 every record is there once and the same; 3 one is missing or differs; 6 there are others between ours."""
        if self.strange or not all(p.whole for p in self.partitions):
            return LOSS_CODE
        return OTHERS_CODE if self.total("unexpected") else 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the same for the same rescue and cluster."""
        return {
            "schema": SCHEMA,
            "exit_code": self.exit_code,
            "source": self.source,
            "cluster_id": self.cluster,
            "partitions": [p.to_dict() for p in self.partitions],
            "strange": [{"topic": topic, "partition": partition} for topic, partition in self.strange],
        }


def verify_cluster(
    supply: Supply,
    settings: ClientSettings,
    offset_map: OffsetMap | None = None,
    *,
    wanted: Callable[[str, int], bool] = lambda topic, partition: True,
    jobs: int = 1,
    progress: Progress | None = None,
) -> ClusterVerification:
    """Consumes a cluster back and compares every record.

    Args:
        supply: the records of the rescue.
        settings: how to reach the cluster.
        offset_map: of the replay; without one the same offsets are expected.
        wanted: whether a partition of the rescue was asked for; others of the offset map are not looked at.
        jobs: partitions at a time.
        progress: is told records.

    Raises:
        RequestError: the offset map is of another cluster.
        DestinationError: the cluster cannot be reached, or refuses.
        SourceError: the rescue cannot be read.
    """
    sent = {} if offset_map is None else offset_map.partitions
    lines = [line for line in supply.lines if line.branch is None or _place(line) in sent]
    runs = {_place(line): _runs(line, offset_map) for line in lines}
    topics = {each.topic for each in runs.values() if each is not None}
    described = Target(settings).describe(topics)
    if (
        offset_map is not None
        and offset_map.cluster is not None
        and described.cluster_id not in (None, offset_map.cluster)
    ):
        raise RequestError(
            f"the offset map is of cluster {offset_map.cluster}, and {settings.bootstrap} is cluster {described.cluster_id}",
            advice="Give the map of the replay into this cluster.",
        )
    there = {name: topic.partitions for name, topic in described.topics.items()}
    watch = progress or Progress()
    watch.stage("consume", 0)

    def check(line: SupplyLine) -> PartitionCheck:
        found = runs[_place(line)]
        if found is None:
            return _unread(line, line.topic, line.partition, "the offset map has nothing of it")
        if found.partition >= there.get(found.topic, 0):
            return _unread(line, found.topic, found.partition, "the cluster has no such partition")
        return _compared(line, found, settings, watch, usual=offset_map is None)

    with ThreadPoolExecutor(max(1, jobs), thread_name_prefix="consume") as pool:
        made = list(pool.map(check, lines))
    strange = tuple(p for p in sent if p not in runs and wanted(p[0].partition(DIVERGENT)[0], p[1]))
    made.sort(key=lambda p: (p.topic, p.partition))
    return ClusterVerification(
        supply.source, settings.bootstrap, described.cluster_id, tuple(made), strange, settings.notes
    )


def _place(line: SupplyLine) -> Place:
    """Where an offset map has a line."""
    return own_name(line.topic, line.branch), line.partition


def _runs(line: SupplyLine, offset_map: OffsetMap | None) -> Runs | None:
    if offset_map is not None:
        return offset_map.partitions.get(_place(line))
    start, stop = np.zeros(1, np.int64), np.full(1, _ALL, np.int64)
    return Runs(line.topic, line.partition, start, stop, start)


def _parts(line: SupplyLine) -> Iterator[Part]:
    for piece in line.read():
        yield piece.table, _USUAL[piece.labels]


def _unread(line: SupplyLine, topic: str, partition: int, reason: str) -> PartitionCheck:
    """A partition that the cluster has nothing of; what it should have is counted."""
    counts = Counts()
    for _, usual in _parts(line):
        counts.not_sent += int(usual.sum())
        counts.left_out += int((~usual).sum())
    if not counts.not_sent:
        reason = ""
    return PartitionCheck(line.topic, line.partition, topic, partition, counts, reason=reason)


def _compared(
    line: SupplyLine, runs: Runs, settings: ClientSettings, progress: Progress, *, usual: bool
) -> PartitionCheck:
    with closing(Reader(settings)) as reader:
        low, high = reader.bounds(runs.topic, runs.partition)
        first, last = int(runs.new_start[0]), min(int(runs.new_stop[-1]), high)
        counts = Comparing(runs, usual=usual).compare(
            _parts(line), _told(reader, runs, max(low, first), last, progress, f"{line.topic}-{line.partition}")
        )
    return PartitionCheck(
        _place(line)[0],
        line.partition,
        runs.topic,
        runs.partition,
        counts,
        before=max(0, first - low) if not usual else 0,
        behind=max(0, high - last),
    )


def _told(reader: Reader, runs: Runs, start: int, stop: int, progress: Progress, name: str) -> Iterator[RecordTable]:
    for table in reader.read(runs.topic, runs.partition, start, stop):
        progress.advance(len(table), name)
        yield table
