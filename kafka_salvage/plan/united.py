"""United: one line made of several copies, each offset once, and what was left of those copies that lost.

Steps:

1. The copy that gives most offsets of the line is laid first (the preferred one in any case; ties go by name); it decides
   where segments roll.
2. The others fill what it lacks with whole batches, in the same order: first everything that is intact, then what is
   repaired.
3. What a copy has behind its fork, and what is ambiguous, is set aside, copy by copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from kafka_salvage.plan.disputes import Compared, excluded_spans
from kafka_salvage.plan.edges import Edges, blocks_of
from kafka_salvage.plan.lineage import Lineage
from kafka_salvage.plan.piece import Piece
from kafka_salvage.plan.strands import Spans, Strand, both, clipped, minus, parted, size_of, spans_of, union
from kafka_salvage.plan.timeline import UNBOUNDED, cut, pieces_from_batches
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import BatchTable


def source_order(strands: Sequence[Strand], lineage: Lineage, preferred: Sequence[bool]) -> list[int]:
    """Strands by how much of the line they hold."""
    given = [size_of(both(strand.covered(), lineage.kept(at))) for at, strand in enumerate(strands)]
    return sorted(range(len(strands)), key=lambda at: (not preferred[at], -given[at], at))


def unite(strands: Sequence[Strand], lineage: Lineage, order: Sequence[int], edges: Edges) -> list[Piece]:
    """The line, in offset order.

    Args:
        strands: copies of one incarnation.
        lineage: what may be taken from which.
        order: who is asked first.
        edges: reads batches again where a stretch is cut.

    Raises:
        SourceError: a file that must be read again cannot be opened any more.
    """
    kept = [lineage.kept(at) for at in range(len(strands))]
    covers = [both(strand.covered(), kept[at]) for at, strand in enumerate(strands)]
    offered: list[list[Piece]] = []
    for at, strand in enumerate(strands):
        others = union(cover for place, cover in enumerate(covers) if place != at)
        offered.append([part for piece in strand.pieces for part in parted(piece, others)])
    line: list[Piece] = []
    for verdict in (Verdict.INTACT, Verdict.REPAIRED):
        for at in order:
            line = lay(line, [piece for piece in offered[at] if piece.verdict is verdict], kept[at], edges)
    return line


def lay(line: Sequence[Piece], offered: Iterable[Piece], allowed: Spans, edges: Edges) -> list[Piece]:
    """The line with those whole batches added that lie in ``allowed`` and where nothing stands yet.

    Args:
        line: in offset order, disjoint.
        offered: in offset order, disjoint.
        allowed: offsets.
        edges: reads batches again where a stretch is cut.
    """
    taken = spans_of((piece.first, piece.next) for piece in line)
    low, high = minus(allowed, taken)
    added: list[Piece] = []
    for piece in offered:
        at = int(np.searchsorted(high, piece.first, side="right"))
        if at >= len(low) or int(low[at]) >= piece.next:
            continue
        to = int(np.searchsorted(low, piece.next))
        ranges = list(zip(low[at:to].tolist(), high[at:to].tolist(), strict=True))
        added += cut(piece, ranges, edges)
    return sorted([*line, *added], key=lambda piece: piece.first) if added else list(line)


def touching(pieces: Iterable[Piece], spans: Spans, edges: Edges) -> list[Piece]:
    """Whole batches that hold an offset in one of the spans, or lie around it."""
    found: list[Piece] = []
    for piece in pieces:
        at = int(np.searchsorted(spans[1], piece.first, side="right"))
        if at >= len(spans[0]) or int(spans[0][at]) >= piece.next:
            continue
        if int(spans[0][at]) <= piece.first and piece.next <= int(spans[1][at]):
            found.append(piece)
            continue
        rows = []
        for table in blocks_of(edges, piece.segment, piece.start, piece.stop):
            ahead = np.searchsorted(spans[1], table.base_offset, side="right")
            reach = np.append(spans[0], UNBOUNDED)[ahead] <= table.last_offset
            rows.append(table.take(reach))
        table = BatchTable.concat(rows)
        found += pieces_from_batches(piece, table)
    return found


def set_aside(strand: Strand, at: int, found: Compared, lineage: Lineage, edges: Edges) -> list[Piece]:
    """What a copy has behind its fork, its side of what is ambiguous, and forms of batches that alone hold some records."""
    everything = (np.array([-UNBOUNDED]), np.array([UNBOUNDED]))
    beyond = clipped(everything, lineage.cuts[at], UNBOUNDED)
    mixed = both(spans_of(found.mixed), excluded_spans(found, at))
    return touching(strand.pieces, union([beyond, lineage.ambiguous, mixed]), edges)
