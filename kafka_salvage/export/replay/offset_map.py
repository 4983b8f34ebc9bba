"""OffsetMap: where each record of an old log stands on the new one, as runs.

A run is consecutive old offsets at consecutive new ones. Between runs are old offsets that were not sent (lost, compacted
away, markers) or new ones that are none of ours (markers of the transactions that we sent in).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from kafka_salvage.scan.batches import I64

Place = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True, slots=True, order=True)
class OffsetRun:
    """Old offsets ``[old_start, old_stop)`` at new offsets from ``new_start`` on, one for one.

    A run of no offsets says that a partition was replayed which had nothing to send: ``old_start`` is the end of the old
    log, ``new_start`` that of the new one.
    """

    topic: str
    partition: int
    old_start: int
    old_stop: int
    new_topic: str
    new_partition: int
    new_start: int

    @property
    def new_stop(self) -> int:
        """New offset behind the run."""
        return self.new_start + self.old_stop - self.old_start

    def __len__(self) -> int:
        return self.old_stop - self.old_start


class Fit(StrEnum):
    """How exactly a position was translated."""

    EXACT = "exact"
    HOLE = "hole"
    """The record there was not sent: this is the position of the next one that was."""
    END = "end"
    """It lies behind everything that was sent: this is the end."""


@dataclass(frozen=True, slots=True)
class Translation:
    """A position (next offset to read) on the new log, and how it came about."""

    topic: str
    partition: int
    offset: int
    fit: Fit


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """The runs of one old partition as columns, sorted; neither the old nor the new ranges overlap.

    Attributes:
        topic, partition: on the new cluster.
        old_start, old_stop: offsets ``[old_start, old_stop)`` on the old log.
        new_start: offset of the first one on the new log.
    """

    topic: str
    partition: int
    old_start: I64
    old_stop: I64
    new_start: I64

    def __post_init__(self) -> None:
        old, stop, new = self.old_start, self.old_stop, self.new_start
        if len({len(old), len(stop), len(new)}) != 1 or not len(old):
            raise ValueError("there is no run, or a column has another length")
        if (old < 0).any() or (new < 0).any():
            raise ValueError("an offset is below 0")
        if (stop < old).any() or (len(old) > 1 and (stop == old).any()):
            raise ValueError("a run ends before it begins")
        if (old[1:] < stop[:-1]).any():
            raise ValueError(f"old offset {int(old[1:][old[1:] < stop[:-1]][0])} is mapped twice")
        if (new[1:] < self.new_stop[:-1]).any():
            raise ValueError(f"old offset {int(old[1:][new[1:] < self.new_stop[:-1]][0])} is mapped backwards")

    def __len__(self) -> int:
        return len(self.old_start)

    @property
    def new_stop(self) -> I64:
        """New offset behind each run."""
        return self.new_start + (self.old_stop - self.old_start)

    @property
    def records(self) -> int:
        """How many offsets are mapped."""
        return int((self.old_stop - self.old_start).sum())

    def translate(self, offset: int) -> Translation:
        """The position of the record at ``offset``, or of the next one that was sent, or the end."""
        row = int(np.searchsorted(self.old_stop, offset, side="right"))
        if row == len(self):
            return Translation(
                self.topic,
                self.partition,
                int(self.new_stop[-1]),
                Fit.EXACT if offset == int(self.old_stop[-1]) else Fit.END,
            )
        inside = offset - int(self.old_start[row])
        fit = Fit.EXACT if inside >= 0 else Fit.HOLE
        return Translation(self.topic, self.partition, int(self.new_start[row]) + max(inside, 0), fit)

    def old_offsets(self, new: I64) -> I64:
        """The old offsets of records by their new ones; -1 where a new offset is none of ours."""
        row = np.searchsorted(self.new_start, new, side="right") - 1
        at = row.clip(min=0)
        ours = (row >= 0) & (new < self.new_stop[at])
        return np.where(ours, self.old_start[at] + (new - self.new_start[at]), -1)

    def new_offsets(self, old: I64) -> I64:
        """The new offsets of records by their old ones; -1 where an old offset was not sent."""
        row = np.searchsorted(self.old_start, old, side="right") - 1
        at = row.clip(min=0)
        sent = (row >= 0) & (old < self.old_stop[at])
        return np.where(sent, self.new_start[at] + (old - self.old_start[at]), -1)


class OffsetMap:
    """All runs of a replay, by old partition.

    Args:
        runs: old (topic, partition) -> its runs.
        cluster: id of the new cluster; None when it is not known.
    """

    def __init__(self, runs: Mapping[Place, Runs], cluster: str | None = None) -> None:
        self._runs = {place: runs[place] for place in sorted(runs)}
        self.cluster = cluster
        new = [(each.topic, each.partition) for each in self._runs.values()]
        self._targets = dict(zip(new, self._runs, strict=True))
        if len(self._targets) != len(new):
            twice = sorted({f"{topic}-{partition}" for topic, partition in new if new.count((topic, partition)) > 1})
            raise ValueError(f"two old partitions are mapped to {', '.join(twice[:3])}")

    @classmethod
    def of(cls, runs: Iterable[OffsetRun], cluster: str | None = None) -> OffsetMap:
        """From runs in any order; those that follow on are joined.

        Raises:
            ValueError: an offset is mapped twice or backwards, or a partition to several.
        """
        builder = OffsetMapBuilder()
        for run in sorted(runs):
            builder.add_run(run)
        return builder.map(cluster)

    def __repr__(self) -> str:
        return f"OffsetMap({len(self._runs)} partitions, {len(self)} runs, {self.records} records)"

    def __len__(self) -> int:
        return sum(len(each) for each in self._runs.values())

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, OffsetMap) and self.cluster == other.cluster and list(self.runs()) == list(other.runs())
        )

    __hash__ = None  # type: ignore[assignment] # a map is compared by its runs, and no key

    @property
    def records(self) -> int:
        """How many offsets are mapped."""
        return sum(each.records for each in self._runs.values())

    @property
    def partitions(self) -> Mapping[Place, Runs]:
        """Old (topic, partition) -> its runs, sorted."""
        return self._runs

    def runs(self) -> Iterator[OffsetRun]:
        """Every run, sorted by old topic, partition and offset."""
        for (topic, partition), each in self._runs.items():
            for start, stop, new in zip(
                each.old_start.tolist(), each.old_stop.tolist(), each.new_start.tolist(), strict=True
            ):
                yield OffsetRun(topic, partition, start, stop, each.topic, each.partition, new)

    def translate(self, topic: str, partition: int, offset: int) -> Translation | None:
        """A committed position (the next offset to read) on the new cluster; None when nothing of the partition was sent."""
        found = self._runs.get((topic, partition))
        return None if found is None else found.translate(offset)

    def source_of(self, new_topic: str, new_partition: int) -> Place | None:
        """The old partition whose records a new one holds."""
        return self._targets.get((new_topic, new_partition))


class OffsetMapBuilder:
    """Collects runs of one partition after another, or side by side; offsets of a partition come in rising order."""

    def __init__(self) -> None:
        self._parts: dict[Place, list[tuple[I64, I64, I64]]] = {}
        self._targets: dict[Place, Place] = {}

    def add(self, topic: str, partition: int, old: I64, new_topic: str, new_partition: int, new: I64) -> None:
        """Adds records by their old and new offsets, row by row.

        Raises:
            ValueError: the partition was mapped to another one before.
        """
        self._aim((topic, partition), (new_topic, new_partition))
        if not len(old):
            return
        breaks = np.flatnonzero((np.diff(old) != 1) | (np.diff(new) != 1)) + 1
        first = np.concatenate([np.zeros(1, np.int64), breaks])
        last = np.concatenate([breaks, np.full(1, len(old), np.int64)]) - 1
        self._parts[topic, partition].append((old[first], old[last] + 1, new[first]))

    def add_run(self, run: OffsetRun) -> None:
        """Adds one run. Raises: ValueError, as in `add`."""
        self._aim((run.topic, run.partition), (run.new_topic, run.new_partition))
        columns = (np.array([value], np.int64) for value in (run.old_start, run.old_stop, run.new_start))
        start, stop, new = columns
        self._parts[run.topic, run.partition].append((start, stop, new))

    def _aim(self, old: Place, new: Place) -> None:
        if self._targets.setdefault(old, new) != new:
            raise ValueError(f"{old[0]}-{old[1]} is mapped to several partitions")
        self._parts.setdefault(old, [])

    def map(self, cluster: str | None = None) -> OffsetMap:
        """The map. Raises: ValueError: an offset is mapped twice or backwards."""
        made = {place: _joined(self._targets[place], parts) for place, parts in self._parts.items() if parts}
        return OffsetMap(made, cluster)


def _joined(target: Place, parts: list[tuple[I64, I64, I64]]) -> Runs:
    """Runs of one partition, sorted; what follows on is one run, and empty runs count only alone."""
    start, stop, new = (np.concatenate([part[column] for part in parts]) for column in range(3))
    order = np.lexsort((stop, start))
    start, stop, new = start[order], stop[order], new[order]
    if (stop > start).any():
        kept = stop != start
        start, stop, new = start[kept], stop[kept], new[kept]
    else:
        start, stop, new = start[-1:], stop[-1:], new[-1:]
    follows = (start[1:] == stop[:-1]) & (new[1:] == new[:-1] + (stop[:-1] - start[:-1]))
    begins = np.concatenate([np.ones(1, np.bool_), ~follows])
    ends = np.concatenate([~follows, np.ones(1, np.bool_)])
    return Runs(target[0], target[1], start[begins], stop[ends], new[begins])
