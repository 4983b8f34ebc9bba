"""Positions: what groups committed, clamped to what was recovered of the partitions they read."""

from __future__ import annotations

import csv
import io
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka_salvage.metadata.consumer_offsets import TOPIC, Commit, Committed, Group, Hole, Offsets, holes_of, living
from kafka_salvage.plan.plan import PartitionPlan, Status
from kafka_salvage.wire.consumer_offsets import partition_of

SCHEMA = "kafka-salvage.groups/1"

_GIVEN = frozenset({Status.RECOVERED, Status.REPAIRED})
_INTACT, _LOSS, _COVERED = 0, 3, 6
"""Exit codes, as everywhere."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What was recovered of one partition.

    Attributes:
        log_start: first offset readers may see.
        end: offset behind the last record that was recovered.
        given: recovered ranges, sorted, disjoint.
        holes: offsets that no copy gives.
    """

    log_start: int
    end: int
    given: tuple[tuple[int, int], ...]
    holes: tuple[Hole, ...]

    @classmethod
    def of(cls, plan: PartitionPlan) -> Extent:
        """From the plan of a partition."""
        spans = plan.ledger
        given = [(s.offsets.start, s.offsets.stop) for s in spans if s.status in _GIVEN]
        gone = [s.offsets.stop for s in spans if s.status in (Status.ABSENT, Status.TRIMMED)]
        end = given[-1][1] if given else max(gone, default=plan.log_start)
        return cls(plan.log_start, max(end, plan.log_start), tuple(given), tuple(holes_of(plan)))

    def clamp(self, offset: int) -> tuple[int, str]:
        """The offset to go on from, and why it is another one (empty when it is not)."""
        if offset < self.log_start:
            return self.log_start, f"{offset} lies below the log start"
        hole = next((hole for hole in self.holes if hole[0] <= offset < hole[1]), None)
        if hole is not None and offset < self.end:
            at = bisect_right(self.given, (offset, 1 << 63))
            following = self.given[at][0] if at < len(self.given) else self.end
            return following, f"{offset} lies in the range {hole[0]}..{hole[1] - 1}, which is {hole[2]}"
        if offset > self.end:
            because = f", {hole[0]}..{hole[1] - 1} are {hole[2]}" if hole is not None else ""
            return self.end, f"{offset} lies above the recovered end{because}"
        return offset, ""


@dataclass(frozen=True, slots=True)
class Position:
    """The position of one group in one partition.

    Attributes:
        offset: where to go on, clamped to what was recovered; None when only a pending transaction committed one.
        committed: the latest commit that counts.
        certainty: ``certain``, or ``may-be-newer``.
        notes: why it was moved, and why it may be newer; one sentence each.
        moved: it is another one than was committed, because of what is lost.
        known: a copy of the partition is among the sources.
        expired: its time was over, by the newest commit that was read.
    """

    group: str
    topic: str
    partition: int
    offset: int | None
    committed: Commit | None
    pending: tuple[Commit, ...]
    certainty: str
    notes: tuple[str, ...]
    moved: bool = False
    known: bool = True
    expired: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        made: dict[str, Any] = {
            "topic": _text(self.topic),
            "partition": self.partition,
            "offset": self.offset,
            "certainty": self.certainty,
            "notes": [_text(note) for note in self.notes],
            "moved": self.moved,
            "expired": self.expired,
            "target_known": self.known,
            "pending": [_commit(each) for each in self.pending],
        }
        return {**made, "committed": _commit(self.committed) if self.committed else None}


@dataclass(frozen=True, slots=True)
class GroupPositions:
    """What the verb `groups` says.

    Attributes:
        positions: sorted by group, topic and partition.
        offsets: what was read.
        absent: numbers of partitions of `__consumer_offsets` of which no copy is among the sources.
        unfound: groups that were asked for and have no record -> where it would be, and why it may be lost (or "").
    """

    positions: tuple[Position, ...]
    offsets: Offsets
    absent: tuple[int, ...] = ()
    unfound: Mapping[str, str] = field(default_factory=dict)

    @property
    def groups(self) -> tuple[Group, ...]:
        """Groups that have a position, by name."""
        names = dict.fromkeys(position.group for position in self.positions)
        return tuple(self.offsets.groups.get(name, Group(name)) for name in names)

    @property
    def exit_code(self) -> int:
        """3: positions or groups may be lost, or a position was moved because records are; 6: damage that took none."""
        holes = any(each.holes for each in self.offsets.coordinators.values())
        if holes or self.absent or any(p.moved or p.certainty != "certain" for p in self.positions):
            return _LOSS
        sound = all(each.sound and not each.unread for each in self.offsets.coordinators.values())
        return _INTACT if sound and not self.offsets.notes else _COVERED

    def to_csv(self) -> str:
        """Lines ``group,topic,partition,offset`` without a header, as `kafka-consumer-groups --from-file` reads."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        for each in self.positions:
            if each.offset is not None:
                writer.writerow([_text(each.group), _text(each.topic), each.partition, each.offset])
        return out.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "schema": SCHEMA,
            "summary": {
                "exit_code": self.exit_code,
                "groups": len(self.groups),
                "positions": sum(1 for p in self.positions if p.offset is not None),
                "moved": sum(1 for p in self.positions if p.moved),
                "may_be_newer": sum(1 for p in self.positions if p.certainty != "certain"),
            },
            "groups": [self._group(group) for group in self.groups],
            "unfound": [{"group": _text(name), "note": _text(note)} for name, note in sorted(self.unfound.items())],
            "coordinator": {
                "partitions": [
                    {
                        "partition": each.partition,
                        "sources": [_text(source) for source in each.sources],
                        "records": each.records,
                        "unread": each.unread,
                        "sound": each.sound,
                        "holes": [{"start": low, "stop": high, "status": status} for low, high, status in each.holes],
                    }
                    for each in self.offsets.coordinators.values()
                ],
                "absent": list(self.absent),
                "notes": [_text(note) for note in self.offsets.notes],
            },
        }

    def _group(self, group: Group) -> dict[str, Any]:
        return {
            "group": _text(group.name),
            "type": group.type,
            "protocol_type": None if group.protocol_type is None else _text(group.protocol_type),
            "protocol": None if group.protocol is None else _text(group.protocol),
            "generation": group.generation,
            "members": [
                {"member_id": _text(member), "client_id": _text(client), "client_host": _text(host)}
                for member, client, host in group.members
            ],
            "positions": [p.to_dict() for p in self.positions if p.group == group.name],
        }


def clamped(offsets: Offsets, plans: Iterable[PartitionPlan]) -> Iterator[Position]:
    """Positions with the offsets to go on from.

    Args:
        offsets: what was committed.
        plans: of the partitions that groups read.
    """
    extents = {target: Extent.of(plan) for target, plan in living(plans).items()}
    for each in offsets.positions:
        yield _position(each, extents.get((each.topic, each.partition)), offsets.newest)


def unfound_of(offsets: Offsets, asked: Iterable[str], partitions: int, absent: Sequence[int]) -> dict[str, str]:
    """Groups that were asked for and have no position, each with where it would be and what is lost there."""
    there = {position.group for position in offsets.positions}
    found = {}
    for name in asked:
        if name in there:
            continue
        home = partition_of(name, partitions) if partitions > 0 else 0
        holes = offsets.coordinators[home].holes if home in offsets.coordinators else ()
        note = ""
        if home in absent or home not in offsets.coordinators:
            note = f"its positions would be in {TOPIC}-{home}, of which no copy is among the sources"
        elif holes:
            note = f"its positions would be in {TOPIC}-{home}, of which offsets {holes[0][0]}..{holes[0][1] - 1} are {holes[0][2]}"
        found[name] = note
    return found


def _position(each: Committed, extent: Extent | None, newest: int) -> Position:
    commit, notes = each.commit, list[str]()
    offset = commit.offset if commit else None
    moved = expired = False
    if commit is not None and offset is not None:
        if extent is None:
            notes.append(f"no copy of {each.topic}-{each.partition} is among the sources")
        else:
            offset, why = extent.clamp(offset)
            if why:
                notes.append(f"{why}: moved to {offset}")
                moved = commit.offset is not None and commit.offset >= extent.log_start
        expired = 0 <= commit.expire_timestamp < newest
        if expired:
            notes.append("it had expired by the time of the newest commit that is here")
    notes += [
        f"a transaction that is {p.transaction} commits {p.offset} (producer {p.producer_id})" for p in each.pending
    ]
    return Position(
        group=each.group,
        topic=each.topic,
        partition=each.partition,
        offset=offset,
        committed=commit,
        pending=each.pending,
        certainty="may-be-newer" if each.doubts else "certain",
        notes=(*notes, *each.doubts),
        moved=moved,
        known=extent is not None,
        expired=expired,
    )


def _commit(commit: Commit) -> dict[str, Any]:
    return {
        "offset": commit.offset,
        "leader_epoch": commit.leader_epoch,
        "metadata": _text(commit.metadata),
        "commit_timestamp": commit.commit_timestamp,
        "expire_timestamp": commit.expire_timestamp,
        "transaction": str(commit.transaction),
        "producer_id": commit.producer_id,
        "record": {"partition": commit.coordinator, "offset": commit.at},
    }


def _text(value: str) -> str:
    """Text as Java reads it: bytes that are no UTF-8 are replaced."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
