"""NewPosition: where a group goes on in another cluster, from its position in the old one and an offset map."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kafka_salvage.export.replay.offset_map import Fit, OffsetMap
from kafka_salvage.metadata.positions import GroupPositions, Position

SCHEMA = "kafka-salvage.new-positions/1"
_INTACT, _LOSS = 0, 3
"""Exit codes, as everywhere."""


@dataclass(frozen=True, slots=True)
class NewPosition:
    """The position of one group in one partition of another cluster.

    Attributes:
        group: its name.
        topic, partition, old_offset: where it stands in the old cluster, clamped to what was recovered.
        new_topic, new_partition, new_offset: the same in the new one; None when nothing of the partition was sent.
        metadata: what the group committed with it.
        certain: the latest commit is known.
        moved: it is not the same logical position: records that were to be read next are not there.
        notes: one sentence each.
    """

    group: str
    topic: str
    partition: int
    old_offset: int
    new_topic: str | None
    new_partition: int | None
    new_offset: int | None
    metadata: str = ""
    certain: bool = True
    moved: bool = False
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "group": _text(self.group),
            "topic": _text(self.topic),
            "partition": self.partition,
            "old_offset": self.old_offset,
            "new_topic": self.new_topic,
            "new_partition": self.new_partition,
            "new_offset": self.new_offset,
            "certain": self.certain,
            "moved": self.moved,
            "notes": [_text(note) for note in self.notes],
        }


@dataclass(frozen=True, slots=True)
class NewPositions:
    """Positions in another cluster.

    Attributes:
        positions: sorted by group, old topic and old partition.
        cluster: id of the cluster that the map is for; None when it is not known.
        unplaced: positions that are only those of transactions nobody knows the end of.
        coordinator_exit: exit code that the reading of the old positions came to.
    """

    positions: tuple[NewPosition, ...]
    cluster: str | None = None
    unplaced: int = 0
    coordinator_exit: int = 0
    unfound: Mapping[str, str] = field(default_factory=dict)

    @property
    def placed(self) -> tuple[NewPosition, ...]:
        """Those that can be committed."""
        return tuple(p for p in self.positions if p.new_offset is not None)

    @property
    def exit_code(self) -> int:
        """3: a position has no place, was moved because records are not there, or may be newer; else as it was read."""
        if any(p.new_offset is None or p.moved for p in self.positions):
            return _LOSS
        return self.coordinator_exit

    def to_csv(self) -> str:
        """Lines ``group,topic,partition,offset`` without a header, as `kafka-consumer-groups --from-file` reads."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        for each in self.placed:
            writer.writerow([_text(each.group), each.new_topic, each.new_partition, each.new_offset])
        return out.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "schema": SCHEMA,
            "summary": {
                "exit_code": self.exit_code,
                "groups": len({p.group for p in self.positions}),
                "positions": len(self.placed),
                "without_place": len(self.positions) - len(self.placed),
                "moved": sum(1 for p in self.positions if p.moved),
                "may_be_newer": sum(1 for p in self.positions if not p.certain),
            },
            "cluster_id": self.cluster,
            "positions": [p.to_dict() for p in self.positions],
            "unfound": [{"group": _text(name), "note": _text(note)} for name, note in sorted(self.unfound.items())],
        }


def translated(found: GroupPositions, offset_map: OffsetMap) -> NewPositions:
    """Positions in the cluster that an offset map is for.

    Args:
        found: what was recovered of the old cluster.
        offset_map: what a replay wrote.
    """
    made = tuple(_translated(each, offset_map) for each in found.positions if each.offset is not None)
    return NewPositions(made, offset_map.cluster, len(found.positions) - len(made), found.exit_code, found.unfound)


def _translated(each: Position, offset_map: OffsetMap) -> NewPosition:
    offset = each.offset if each.offset is not None else 0
    made = offset_map.translate(each.topic, each.partition, offset)
    notes, moved = list(each.notes), each.moved
    if made is None:
        notes.append(f"nothing of {each.topic}-{each.partition} is in the offset map")
    elif made.fit is Fit.HOLE:
        notes.append(f"the record at {offset} was not sent: the next one that was is at {made.offset}")
    elif made.fit is Fit.END:
        notes.append(f"no record was sent from {offset} on: {made.offset} is the end of what was")
    return NewPosition(
        group=each.group,
        topic=each.topic,
        partition=each.partition,
        old_offset=offset,
        new_topic=None if made is None else made.topic,
        new_partition=None if made is None else made.partition,
        new_offset=None if made is None else made.offset,
        metadata="" if each.committed is None else each.committed.metadata,
        certain=each.certainty == "certain",
        moved=moved,
        notes=tuple(notes),
    )


def only_groups(found: NewPositions, groups: Iterable[str]) -> NewPositions:
    """The positions of some groups; all of them without a name."""
    wanted = set(groups)
    if not wanted:
        return found
    kept = tuple(p for p in found.positions if p.group in wanted)
    return NewPositions(kept, found.cluster, found.unplaced, found.coordinator_exit, found.unfound)


def _text(value: str) -> str:
    """Text as Java reads it: bytes that are no UTF-8 are replaced."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
