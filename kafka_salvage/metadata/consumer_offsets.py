"""Consumer offsets: what groups committed, from `__consumer_offsets` over all copies.

The latest commit of a key counts, in the order of the log; a transactional one only when its transaction committed. A
later tombstone takes the position away. What lies in ranges that are lost may be newer: that is said of each position.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kafka_salvage.metadata.reading import tables_of
from kafka_salvage.plan.plan import TRANSACTION_CODES, PartitionPlan, Transaction
from kafka_salvage.plan.transactions import HOLES
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import I64
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.records import RecordTable
from kafka_salvage.scan.replica import State
from kafka_salvage.wire.consumer_offsets import GROUP_METADATA_KEY, OFFSET_COMMIT_KEYS, read_key, read_value

TOPIC = "__consumer_offsets"

Target = tuple[str, int]
Hole = tuple[int, int, str]
"""Offsets ``[start, stop)`` that no copy gives, and their status."""

_UNDECIDED = frozenset({Transaction.OPEN, Transaction.UNKNOWN})
_CONSUMER_KEY, _MEMBER_KEY, _SHARE_KEY, _STREAMS_KEY = 3, 5, 11, 17
_TYPES = {GROUP_METADATA_KEY: "classic", _CONSUMER_KEY: "consumer", _SHARE_KEY: "share", _STREAMS_KEY: "streams"}
_SOUND = frozenset({Verdict.INTACT, Verdict.BLANK, Verdict.DUPLICATE})


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit of one key.

    Attributes:
        offset: next offset to read; None for a tombstone.
        leader_epoch: -1 when not known.
        metadata: the person's own text.
        commit_timestamp: ms, -1 when not known.
        expire_timestamp: ms, -1 for none.
        at: log offset of its record in `__consumer_offsets`.
        coordinator: partition of `__consumer_offsets`.
        producer_id: of a transactional commit, else -1.
        transaction: fate of its transaction.
    """

    offset: int | None
    leader_epoch: int
    metadata: str
    commit_timestamp: int
    expire_timestamp: int
    at: int
    coordinator: int
    producer_id: int
    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Committed:
    """The position of a group in one partition.

    Attributes:
        commit: the latest that counts.
        pending: later commits of transactions that are open, or whose fate is not known, in log order.
        doubts: why a newer commit (or a deletion) may have been there, one sentence each; empty when it is certain.
    """

    group: str
    topic: str
    partition: int
    commit: Commit | None
    pending: tuple[Commit, ...]
    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """What is known of a group besides its positions.

    Attributes:
        type: ``classic``, ``consumer``, ``share`` or ``streams``; None when only commits are there.
        members: (member id, client id, client host), sorted.
    """

    name: str
    type: str | None = None
    protocol_type: str | None = None
    protocol: str | None = None
    generation: int | None = None
    members: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Coordinator:
    """One partition of `__consumer_offsets`.

    Attributes:
        sources: where copies are, sorted.
        records: data records that were read.
        holes: what no copy gives.
        sound: every byte of the live files is as Kafka wrote it.
        unread: records that were not understood.
    """

    partition: int
    sources: tuple[str, ...]
    records: int
    holes: tuple[Hole, ...]
    sound: bool
    unread: int


@dataclass(frozen=True, slots=True)
class Offsets:
    """All that `__consumer_offsets` says.

    Attributes:
        positions: sorted by group, topic and partition; those whose latest record is a tombstone are left out.
        groups: by name.
        coordinators: by partition.
        newest: latest time of any commit that was read, -1 without any.
        notes: files that could not be read again, batches that do not decode.
    """

    positions: tuple[Committed, ...]
    groups: dict[str, Group]
    coordinators: dict[int, Coordinator]
    newest: int
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Key:
    """Commits of one (group, topic, partition) in one coordinator partition."""

    latest: Commit | None = None
    undecided: dict[int, Commit] = field(default_factory=dict)

    def add(self, commit: Commit) -> None:
        """Takes one record in."""
        if commit.transaction in _UNDECIDED:
            self.undecided[commit.at] = commit
        elif commit.transaction is not Transaction.ABORTED and (self.latest is None or commit.at > self.latest.at):
            self.latest = commit

    def pending(self) -> tuple[Commit, ...]:
        """Undecided commits behind the latest that counts."""
        floor = self.latest.at if self.latest else -1
        return tuple(self.undecided[at] for at in sorted(self.undecided) if at > floor)


def read_offsets(plans: Iterable[PartitionPlan], limits: Limits | None = None) -> Offsets:
    """Positions and groups.

    Args:
        plans: those of `__consumer_offsets`; others are passed over.
        limits: bounds on decompression.
    """
    found = living(plan for plan in plans if plan.topic == TOPIC)
    reader = _Reader(limits or Limits())
    coordinators = {partition: reader.partition(found[TOPIC, partition]) for _, partition in sorted(found)}
    return Offsets(
        positions=tuple(reader.positions(coordinators)),
        groups=dict(sorted(reader.groups().items())),
        coordinators=coordinators,
        newest=reader.newest,
        notes=tuple(dict.fromkeys(reader.notes)),
    )


def living(plans: Iterable[PartitionPlan]) -> dict[Target, PartitionPlan]:
    """Each partition by its name: the line that is written, not older ones or those of other clusters."""
    named: dict[Target, list[PartitionPlan]] = defaultdict(list)
    for plan in plans:
        named[plan.topic, plan.partition].append(plan)
    return {target: next((plan for plan in some if plan.steps), some[0]) for target, some in named.items()}


def holes_of(plan: PartitionPlan) -> list[Hole]:
    """What no copy gives."""
    spans = (span for span in plan.ledger if span.status in HOLES)
    return [(span.offsets.start, span.offsets.stop, str(span.status)) for span in spans]


class _Reader:
    """Reads partition by partition."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._keys: dict[tuple[str, str, int], dict[int, _Key]] = defaultdict(dict)
        self._about: dict[tuple[str, int, str], tuple[int, dict[str, Any] | None]] = {}
        self.newest = -1
        self.notes: list[str] = []
        self._records = 0
        self._unread = 0

    def partition(self, plan: PartitionPlan) -> Coordinator:
        """Reads one partition."""
        self._records = self._unread = 0
        steps = ((step.survey, step.start, step.stop) for step in plan.line)
        for table in tables_of(steps, self._limits, self.notes):
            self._table(table, plan)
        files = [segment for survey in plan.replicas for segment in survey.segments]
        live = [segment for segment in files if segment.segment.state is State.LIVE]
        return Coordinator(
            partition=plan.partition,
            sources=tuple(sorted({survey.replica.source for survey in plan.replicas})),
            records=self._records,
            holes=tuple(holes_of(plan)),
            sound=all(region.verdict in _SOUND for segment in live for region in segment.regions),
            unread=self._unread,
        )

    def _table(self, table: RecordTable, plan: PartitionPlan) -> None:
        control = table.batches.is_control[table.batch]
        codes = plan.labels.lookup(table.batches)[table.batch]
        producers = np.where(table.batches.is_transactional, table.batches.producer_id, -1)[table.batch]
        counted = np.flatnonzero(~control & (table.offset >= plan.log_start))
        self._records += len(counted)
        for at in _last_of_keys(table, counted, producers):
            row = table.row(at)
            key = read_key(row["key"])
            if key.version in OFFSET_COMMIT_KEYS and key.problem is None:
                label = TRANSACTION_CODES[int(codes[at])]
                self._position(key.fields, row, plan.partition, int(producers[at]), label)
            elif key.problem is None:
                fields = None if row["value"] is None else read_value(key.version, row["value"]).fields
                about = key.fields.get("group", ""), key.version, key.fields.get("member", "")
                if about not in self._about or self._about[about][0] <= row["offset"]:
                    self._about[about] = row["offset"], fields
            elif key.version in (-1, *OFFSET_COMMIT_KEYS, GROUP_METADATA_KEY):
                self._unread += 1  # types of newer releases are none of ours; they say nothing of positions

    def _position(
        self, key: dict[str, Any], row: dict[str, Any], number: int, producer: int, label: Transaction
    ) -> None:
        value = read_value(OFFSET_COMMIT_KEYS[-1], row["value"])
        if value.problem is not None:
            self._unread += 1
            return
        commit = _commit(value.fields, row["offset"], number, producer, label)
        self.newest = max(self.newest, commit.commit_timestamp)
        name = (key["group"], key["topic"], key["partition"])
        self._keys[name].setdefault(number, _Key()).add(commit)

    def positions(self, coordinators: dict[int, Coordinator]) -> Iterator[Committed]:
        """Every position that is not deleted."""
        for (group, topic, partition), found in sorted(self._keys.items()):
            # the number of partitions may have been raised: then the newer commit is in another one
            number = max(found, key=lambda n: (_time(found[n].latest), n))
            key = found[number]
            commit = key.latest if key.latest is not None and key.latest.offset is not None else None
            pending = tuple(each for each in key.pending() if each.offset is not None)
            if commit is None and not pending:
                continue
            doubts = tuple(self._doubts(key, coordinators[number]))
            yield Committed(group, topic, partition, commit, pending, doubts)

    def _doubts(self, key: _Key, coordinator: Coordinator) -> Iterator[str]:
        at = key.latest.at if key.latest else -1
        name = f"{TOPIC}-{coordinator.partition}"
        behind = [hole for hole in coordinator.holes if hole[1] > at + 1]
        for low, high, status in behind[:1]:
            more = f" (and {len(behind) - 1} ranges more)" if len(behind) > 1 else ""
            yield f"offsets {low}..{high - 1} of {name} are {status}{more}: a newer commit may have been there"
        if key.pending() and any(each.transaction is Transaction.UNKNOWN for each in key.pending()):
            yield f"the end of a transaction that committed a newer offset is not in {name}"

    def groups(self) -> dict[str, Group]:
        """Groups with their latest state; those that only commit have none."""
        found = {name[0]: Group(name[0]) for name in self._keys}
        members: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
        for (name, version, member), (_, fields) in self._about.items():
            if fields is None:
                continue
            if version == _MEMBER_KEY:
                members[name].append((member, fields.get("client_id", ""), fields.get("client_host", "")))
            if version in _TYPES:
                found[name] = _group(name, version, fields)
        for name, listed in members.items():
            before = found.get(name, Group(name, "consumer"))
            found[name] = Group(name, before.type, None, None, before.generation, tuple(sorted(listed)))
        return found


def _last_of_keys(table: RecordTable, rows: I64, producers: I64) -> list[int]:
    """Of records outside of transactions only the last of each key in this table: those before it say nothing any more."""
    data = memoryview(table.data)  # type: ignore[arg-type] # an array of bytes is a buffer
    starts, sizes = table.key_start[rows].tolist(), table.key_size[rows].tolist()
    last: dict[bytes, int] = {}
    kept: list[int] = []
    for row, start, size, plain in zip(rows.tolist(), starts, sizes, (producers[rows] < 0).tolist(), strict=True):
        if plain:
            last[bytes(data[start : start + max(size, 0)])] = row
        else:
            kept.append(row)
    return sorted([*kept, *last.values()])


def _time(commit: Commit | None) -> int:
    return commit.commit_timestamp if commit is not None else -1


def _commit(fields: dict[str, Any], at: int, number: int, producer: int, label: Transaction) -> Commit:
    return Commit(
        offset=fields.get("offset"),
        leader_epoch=fields.get("leader_epoch", -1),
        metadata=fields.get("metadata", ""),
        commit_timestamp=fields.get("commit_timestamp", -1),
        expire_timestamp=fields.get("expire_timestamp", -1),
        at=at,
        coordinator=number,
        producer_id=producer,
        transaction=label,
    )


def _group(name: str, version: int, fields: dict[str, Any]) -> Group:
    listed = sorted((m["member_id"], m["client_id"], m["client_host"]) for m in fields.get("members", ()))
    return Group(
        name=name,
        type=_TYPES[version],
        protocol_type=fields.get("protocol_type"),
        protocol=fields.get("protocol"),
        generation=fields.get("generation", fields.get("epoch")),
        members=tuple(listed),
    )
