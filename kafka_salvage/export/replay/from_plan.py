"""Supply from a plan: damaged paths, through the very decisions that a salvage follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from kafka_salvage.errors import SourceError
from kafka_salvage.export.lines import DIVERGENT, MAIN, Line, lines_of
from kafka_salvage.export.places import INTERNAL_TOPICS, shown
from kafka_salvage.export.receipt import Shortfall
from kafka_salvage.export.replay.choices import ReplayChoices
from kafka_salvage.export.replay.supply import Piece, Supply, SupplyLine
from kafka_salvage.export.rows import chunk_records, line_batches
from kafka_salvage.export.selecting import RecordFilter
from kafka_salvage.plan.plan import Plan
from kafka_salvage.scan.limits import Limits


def line_pieces(line: Line, plan: Plan, limits: Limits) -> Iterator[Piece]:
    """The records of a line, with their labels.

    Raises:
        SourceError: bytes that were checked could not be read again.
    """
    wanted = RecordFilter(line, plan.policy)
    shortfalls: list[Shortfall] = []
    for chunk in line_batches(line, limits, shortfalls):
        for records in chunk_records(chunk, line.labels, wanted, limits, shortfalls):
            yield Piece(records.table, records.labels[records.table.batch])
        _refuse(shortfalls)
    _refuse(shortfalls)


def _refuse(shortfalls: list[Shortfall]) -> None:
    if shortfalls:
        first = shortfalls[0]
        raise SourceError(f"{first.path}: {first.reason}", source=first.source, where=(first.start, first.stop))


def plan_supply(plan: Plan, document: Mapping[str, Any], choices: ReplayChoices, limits: Limits, source: str) -> Supply:
    """What a plan gives to a replay.

    Args:
        plan: over the damaged paths.
        document: its report.
        choices: whether losing branches are wanted.
        limits: bounds of decompression.
        source: the paths, as text.
    """
    lines: list[SupplyLine] = []
    left = Counter[str]()
    for line in lines_of(plan):
        if line.topic in INTERNAL_TOPICS:
            continue
        branch = None
        if line.kind == DIVERGENT:
            branch = line.root.rstrip("/").rpartition("/")[2]
        if line.kind == MAIN or (line.kind == DIVERGENT and "divergent" in choices.include):
            lines.append(_line(line, plan, limits, branch))
        else:
            left[line.kind] += 1
    internal = sum(1 for p in plan.partitions if p.topic in INTERNAL_TOPICS and p.steps)
    return Supply(source, document, tuple(lines), tuple(notes_of(left, internal)))


def _line(line: Line, plan: Plan, limits: Limits, branch: str | None) -> SupplyLine:
    return SupplyLine(shown(line.topic), line.partition, branch, lambda: line_pieces(line, plan, limits))


def notes_of(left: Mapping[str, int], internal: int) -> Iterator[str]:
    """What is not sent besides records: lines left out by kind, and partitions of Kafka's own topics."""
    branches = left.get(DIVERGENT, 0)
    if branches:
        yield (
            f"not sent: {branches} losing branch{'' if branches == 1 else 'es'} of partitions "
            "(--include divergent sends each to a topic of its own)"
        )
    others = sum(left.values()) - branches
    if others:
        one = others == 1
        yield (
            f"not sent: {others} older or deleted incarnation{'' if one else 's'} of partitions; "
            f"replay {'its directory by itself' if one else 'their directories by themselves'}"
        )
    if internal:
        yield (
            f"not sent: {internal} partition{'' if internal == 1 else 's'} of Kafka's own topics, which a cluster writes "
            "itself (positions of groups: --groups)"
        )
