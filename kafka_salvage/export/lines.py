"""Line: one ordered stretch of output: a partition's main line, an older incarnation, or a losing branch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kafka_salvage.export.places import INTERNAL_TOPICS, encode, free_name, partition_directory
from kafka_salvage.plan.plan import PartitionPlan, Plan, Step, TransactionLabels
from kafka_salvage.plan.policy import Include
from kafka_salvage.scan.replica import State

MAIN, INCARNATIONS, DIVERGENT = "main", "incarnations", "divergent"


@dataclass(frozen=True, slots=True)
class Line:
    """What a writer is given besides batches and records.

    Attributes:
        root: folder below the output directory, with a ``/`` at its end; empty for the main line.
        kind: ``main``, ``incarnations`` or ``divergent``.
        log_start: offsets below are left out; None = none are.
        partition_plan: where the ledger and the findings are.
    """

    root: str
    kind: str
    topic: str
    partition: int
    state: State
    steps: Sequence[Step]
    labels: TransactionLabels
    log_start: int | None
    partition_plan: PartitionPlan

    @property
    def internal(self) -> bool:
        """Whether Kafka itself writes this topic."""
        return self.topic in INTERNAL_TOPICS

    @property
    def directory(self) -> str:
        """``<topic>-<partition>``, encoded."""
        return partition_directory(self.topic, self.partition)

    @property
    def bytes(self) -> int:
        """Bytes of evidence that its steps name."""
        return sum(step.stop - step.start for step in self.steps)


class _Places:
    """Hands out roots so that no two lines share a directory."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def main(self, topic: str, partition: int) -> bool:
        """Takes the main place of a partition; False when it is taken."""
        key = f"/{partition_directory(topic, partition)}"
        if key in self._taken:
            return False
        self._taken.add(key)
        return True

    def apart(self, directory: str, *parts: str) -> str:
        """A root below which nothing of that partition lies yet."""
        roots = {key.partition("//")[0] for key in self._taken if key.endswith(f"//{directory}")}
        root = free_name("/".join(parts), roots)
        self._taken.add(f"{root}//{directory}")
        return f"{root}/"


def _origin(partition: PartitionPlan) -> tuple[str, str]:
    """Source and original directory name that a partition's main line comes from."""
    if partition.replicas:
        replica = partition.replicas[0].replica
        return replica.source, replica.path.rpartition("/")[2] or partition_directory(replica.topic, replica.partition)
    return "unknown", partition_directory(partition.topic, partition.partition)


def _apart(places: _Places, partition: PartitionPlan, *parts: str) -> str:
    return places.apart(partition_directory(partition.topic, partition.partition), *parts)


def _main(partition: PartitionPlan, trimmed: bool, places: _Places) -> Line:
    kind, root = MAIN, ""
    if partition.state not in (State.LIVE, State.LEFTOVER, State.DELETED_SEGMENT) or not places.main(
        partition.topic, partition.partition
    ):
        source, directory = _origin(partition)
        kind, root = INCARNATIONS, _apart(places, partition, INCARNATIONS, encode(source), encode(directory))
    return Line(
        root,
        kind,
        partition.topic,
        partition.partition,
        partition.state,
        partition.steps,
        partition.labels,
        None if trimmed else partition.log_start,
        partition,
    )


def _branches(partition: PartitionPlan, places: _Places) -> Iterator[Line]:
    for branch in partition.branches:
        if not branch.steps:
            continue
        parts = [branch.kind, encode(branch.source)]
        if branch.kind == INCARNATIONS:
            parts.append(encode(branch.directory))
        root = _apart(places, partition, *parts)
        yield Line(
            root,
            branch.kind,
            partition.topic,
            partition.partition,
            branch.state,
            branch.steps,
            branch.labels,
            None,
            partition,
        )


def _rank(partition: PartitionPlan) -> tuple[bool, str, int, str, str, tuple[str, str]]:
    """Live partitions take their places first; ties go by names, never by the order of the plan."""
    cluster, topic_id = partition.cluster_id or "", partition.topic_id or ""
    return (
        partition.state is not State.LIVE,
        partition.topic,
        partition.partition,
        cluster,
        topic_id,
        _origin(partition),
    )


def lines_of(plan: Plan) -> tuple[Line, ...]:
    """Every line that a salvage writes, live partitions first, sorted by name.

    Partitions that are not selected, internal topics without ``--internal`` and lines without steps are left out.
    """
    selection = plan.policy.selection
    trimmed = Include.TRIMMED in plan.policy.include
    places = _Places()
    wanted = [
        p
        for p in plan.partitions
        if selection.wants(p.topic, p.partition) and (selection.internal or p.topic not in INTERNAL_TOPICS)
    ]
    wanted.sort(key=_rank)
    lines: list[Line] = []
    for partition in wanted:
        if partition.steps:
            lines.append(_main(partition, trimmed, places))
        lines.extend(_branches(partition, places))
    return tuple(lines)
