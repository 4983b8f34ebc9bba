"""Astray: batches of compacted topics whose base offset the other copies contradict.

Where gaps mean nothing, a base offset that was damaged may fit as well as the true one. But replicas that are compacted each by
itself never move a batch. So where one copy has a batch at an offset at which no other has it, and more of the others have its
very bytes at another one, it stands at a wrong offset here: a `duplicate`. A repaired offset counts less than any that was not
touched; where a batch follows on densely in its own copy, that speaks for its offset. A tie decides nothing.

Each copy was compacted by itself, so that the bytes may differ: then the same records do, at the same distances.

Only offsets are read that some copy has and some copy lacks, and those at which copies turned out to conflict.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from kafka_salvage.plan.believing import disbelieve
from kafka_salvage.plan.cursors import Rows, chunks
from kafka_salvage.plan.disputes import Contents
from kafka_salvage.plan.edges import Edges
from kafka_salvage.plan.strands import EMPTY, Spans, Strand, both, minus, union
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.runs import ReplicaSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import I64, BatchTable

_CONTENT = ("crc", "size", "record_count", "magic", "producer_id", "base_sequence", "max_timestamp")
_LIKENESS = ("record_count", "magic", "producer_id", "base_sequence", "max_timestamp")
"""What a compaction that removes no record of a batch leaves as it was; the number of its offsets, too."""
_COLUMNS = ("digest", "likeness", "base", "piece", "position", "size", "strand")
_Columns = dict[str, I64]


def lead_back(
    strands: Sequence[Strand], edges: Edges, contents: Contents, conflicts: Spans = EMPTY
) -> list[ReplicaSurvey]:
    """The copies without batches that the others prove to stand at a wrong offset.

    Args:
        strands: copies of one incarnation of a compacted topic.
        edges: reads batches again.
        contents: decodes batches of which copies hold different forms.
        conflicts: offsets at which copies have batches that contradict each other.

    Raises:
        SourceError: a file that must be read again cannot be opened any more.
    """
    surveys = [strand.survey for strand in strands]
    covers = [strand.covered() for strand in strands]
    odd = union([minus(union(covers), reduce(both, covers)), conflicts])
    if not len(odd[0]):
        return surveys
    parts = [_columns(chunk) for chunk in chunks(strands, odd, edges)]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in _COLUMNS} if parts else {}
    for key in ("digest", "likeness"):
        for rows in _same(columns, key):
            found = {name: columns[name][rows] for name in _COLUMNS}
            true = _true_base(strands, found)
            if true is None or (key == "likeness" and not _same_records(strands, found, edges, contents)):
                continue
            for at in np.flatnonzero(found["base"] != true).tolist():
                where = int(found["strand"][at])
                segment = strands[where].pieces[int(found["piece"][at])].segment
                surveys[where] = _without(
                    surveys[where], segment.segment.file.path, int(found["position"][at]), true, edges
                )
    return surveys


def _same_records(strands: Sequence[Strand], found: Mapping[str, I64], edges: Edges, contents: Contents) -> bool:
    """Whether rows hold the same records at the same distances from their base offsets."""
    forms = []
    for base, number, piece, position, size in zip(
        *(found[name].tolist() for name in ("base", "strand", "piece", "position", "size")), strict=True
    ):
        segment = strands[number].pieces[piece].segment
        told = contents(segment, edges(segment, position, position + size))
        forms.append({offset - base: said for offset, said in told.items()})
    return bool(forms[0]) and all(form == forms[0] for form in forms[1:])


def _columns(chunk: Sequence[Rows]) -> _Columns:
    made: dict[str, list[I64]] = {name: [np.empty(0, np.int64)] for name in _COLUMNS}
    for number, rows in enumerate(chunk):
        table = rows.table
        made["digest"].append(_digest(table, _CONTENT))
        made["likeness"].append(_digest(table, _LIKENESS) ^ (table.last_offset - table.base_offset))
        made["base"].append(table.base_offset)
        made["piece"].append(rows.piece)
        made["position"].append(table.position)
        made["size"].append(table.size.astype(np.int64))
        made["strand"].append(np.full(len(table), number, np.int64))
    return {name: np.concatenate(parts) for name, parts in made.items()}


def _digest(table: BatchTable, names: Iterable[str]) -> I64:
    digest = np.zeros(len(table), np.uint64)
    for name in names:
        digest = (digest ^ getattr(table, name).astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        digest ^= digest >> np.uint64(29)
    return digest.view(np.int64)


def _same(columns: Mapping[str, I64], key: str) -> list[I64]:
    """Rows that hold the same at several offsets, group by group."""
    if not columns or len(columns[key]) < 2:
        return []
    order = np.lexsort((columns["base"], columns[key]))
    digest, base = columns[key][order], columns["base"][order]
    tail = np.append(np.flatnonzero(digest[1:] != digest[:-1]) + 1, len(digest))
    head = np.concatenate([[0], tail[:-1]])
    moved = base[tail - 1] != base[head]
    return [order[a:b] for a, b in zip(head[moved].tolist(), tail[moved].tolist(), strict=True)]


def _true_base(strands: Sequence[Strand], found: Mapping[str, I64]) -> int | None:
    """The base offset that has most votes; None when it is not one alone, or when a copy has the bytes twice."""
    if len(np.unique(found["strand"])) < len(found["strand"]):
        return None
    votes: dict[int, int] = defaultdict(int)
    for base, number, piece in zip(*(found[name].tolist() for name in ("base", "strand", "piece")), strict=True):
        strand = strands[number]
        votes[base] += 4 if strand.pieces[piece].verdict is Verdict.INTACT else 2
        votes[base] += strand.epoch_at(base - 1) is not None
    ranked = sorted(votes, key=lambda base: (-votes[base], base))
    return ranked[0] if votes[ranked[0]] > votes[ranked[1]] else None


def _without(survey: ReplicaSurvey, path: str, position: int, true: int, edges: Edges) -> ReplicaSurvey:
    """The copy with the batch at a position no longer believed; unchanged where it goes on densely with its neighbours."""
    for number, segment in enumerate(survey.segments):
        row = np.flatnonzero(segment.runs.start == position)
        if segment.segment.file.path != path or len(row) != 1 or int(segment.runs.batches[row[0]]) != 1:
            continue
        table = edges(segment, position, int(segment.runs.stop[row[0]]))
        base, size = int(table.base_offset[0]), int(table.last_offset[0] - table.base_offset[0]) + 1
        message = f"This batch says base offset {base}; other copies have its very bytes at {true}"
        made = disbelieve(segment, table, OffsetRange(true, true + size), "offset-overlap", message)
        return replace(
            survey, segments=tuple(made if at == number else each for at, each in enumerate(survey.segments))
        )
    return survey
