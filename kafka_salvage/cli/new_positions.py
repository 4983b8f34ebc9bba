"""Lines about positions of groups in another cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from kafka_salvage.cli import exits
from kafka_salvage.cli.words import number, plural

if TYPE_CHECKING:
    from kafka_salvage.export.replay.group_target import GroupCommit
    from kafka_salvage.export.replay.positions import NewPosition, NewPositions

_HEAD = ("Topic", "Partition", "Old position", "New topic", "New position", "Certainty")
_COMMIT_HEAD = ("New topic", "Partition", "Stands at", "Goes to", "Action")


def lines(found: NewPositions) -> Iterator[str]:
    """The text: a verdict, a table per group, and what is not known."""
    placed, all_of_them = len(found.placed), len(found.positions)
    groups = len({p.group for p in found.positions})
    unsure = sum(1 for p in found.positions if not p.certain)
    moved = sum(1 for p in found.positions if p.moved)
    tail = f"; {number(all_of_them - placed)} without a place there" if all_of_them > placed else ""
    tail += f"; {number(moved)} moved because records are lost" if moved else ""
    tail += f"; {number(unsure)} may be newer than what is here" if unsure else ""
    where = f" {exits.safe(found.cluster)}" if found.cluster else ""
    yield f"{plural(placed, 'position')} of {plural(groups, 'group')} in the new cluster{where}{tail}."
    for name, positions in groupby(found.positions, lambda p: p.group):
        yield ""
        yield exits.safe(name)
        yield from _positions(list(positions))
    for name, note in sorted(found.unfound.items()):
        yield ""
        yield f"{exits.safe(name)}: no position is here{f'; {exits.safe(note)}' if note else ''}."


def _positions(positions: list[NewPosition]) -> Iterator[str]:
    rows = [
        (
            exits.safe(p.topic),
            str(p.partition),
            str(p.old_offset),
            exits.safe(p.new_topic or "-"),
            "-" if p.new_offset is None else str(p.new_offset),
            "certain" if p.certain else "may-be-newer",
        )
        for p in positions
    ]
    yield from _table(_HEAD, rows, [p.notes for p in positions], right={1, 2, 4})


def commit_lines(found: GroupCommit) -> Iterator[str]:
    """The text of what committing would do, or did."""
    wanted, done = found.wanted, sum(1 for line in found.lines if line.done)
    if found.executed:
        before = f"; {number(done - found.committed)} stood there already" if done > found.committed else ""
        yield f"Committed: {plural(found.committed, 'position')}{before}."
    else:
        yield f"Would commit {plural(len(wanted), 'position')}; {number(done)} stand there already."
    for name, group in groupby(found.lines, lambda line: line.position.group):
        listed = list(group)
        state = found.active.get(name)
        yield ""
        yield f"{exits.safe(name)}{f' ({state}: has members at work, and is refused)' if state else ''}"
        rows = []
        for line in listed:
            action = "stands there" if line.done else "commit" if line in wanted else "refused" if state else "stays"
            rows.append(
                (
                    exits.safe(line.position.new_topic or ""),
                    str(line.position.new_partition),
                    "-" if line.present is None else str(line.present),
                    str(line.position.new_offset),
                    action,
                )
            )
        yield from _table(_COMMIT_HEAD, rows, [line.position.notes for line in listed], right={1, 2, 3})
    missing = [p for p in found.positions.positions if p.new_offset is None]
    if missing:
        yield ""
        yield f"{plural(len(missing), 'position')} without a place in the new cluster:"
        for p in missing[:10]:
            yield f"  {exits.safe(p.group)}: {exits.safe(p.topic)}-{p.partition} at {p.old_offset}"
    for note in found.notes:
        yield f"Note: {exits.safe(note)}"
    kept = len(found.kept)
    if kept:
        yield ""
        one = kept == 1
        yield (
            f"{plural(kept, 'position')} {'differs' if one else 'differ'} from what the group{'' if one else 's'} "
            f"{'has' if one else 'have'} in the cluster, and {'stays: --force sets it' if one else 'stay: --force sets them'} back."
        )


def _table(
    head: tuple[str, ...], rows: Sequence[tuple[str, ...]], notes: Sequence[tuple[str, ...]], right: set[int]
) -> Iterator[str]:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def cells(row: tuple[str, ...]) -> str:
        aligned = (
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(aligned).rstrip()

    yield f"  {cells(head)}"
    for row, said in zip(rows, notes, strict=True):
        yield f"  {cells(row)}"
        for note in said:
            yield f"    {exits.safe(note)}"
