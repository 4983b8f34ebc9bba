"""Witness: what the other copies say of bytes that one copy cannot judge by itself (section 8 of the contract, rules 3 and 4).

1. Suspect batches that another copy holds as believed ones, with the same bytes, are `duplicate`: at the same offsets, or, where
   their own say nothing, at those between which they stand. Two copies that are both suspect prove nothing: a batch inside a
   payload lies on every copy.
2. Zeros at the end of a file are not `blank` when another copy of the same history goes on behind its last batch.
3. Gaps that one copy alone could not explain are no finding when another shows that the topic is compacted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from kafka_salvage.plan.compare import IDENTITY
from kafka_salvage.plan.cursors import chunks
from kafka_salvage.plan.edges import Edges
from kafka_salvage.plan.gaps import GAP_CODES
from kafka_salvage.plan.lineage import Lineage
from kafka_salvage.plan.strands import Strand, spans_of
from kafka_salvage.plan.timeline import UNBOUNDED
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.map import Region, RegionMap
from kafka_salvage.regions.runs import Compaction, ReplicaSurvey, SegmentSurvey
from kafka_salvage.regions.verdict import Finding, Verdict
from kafka_salvage.scan.batches import BatchTable

_Key = tuple[int, ...]


def corroborate(strands: Sequence[Strand], lineage: Lineage, compaction: Compaction, edges: Edges) -> list[Strand]:
    """The copies, with what the others know of them said in their maps.

    Args:
        strands: copies of one incarnation.
        lineage: whose history is whose.
        compaction: what is known of the partition.
        edges: reads batches again.

    Raises:
        SourceError: a file that must be read again cannot be opened any more.
    """
    claims = [_claims(strand, edges) for strand in strands]
    known = [_known(strands, at, claims[at], edges) for at in range(len(strands))]
    made = []
    for at, strand in enumerate(strands):
        changed: dict[int, SegmentSurvey] = {}
        for segment in strand.segments:
            new = _with_duplicates(segment, claims[at].get(id(segment), {}), known[at])
            new = _without_gaps(new, compaction, strand.survey.compaction)
            changed[id(segment)] = new
        _zeros(strands, at, lineage, changed)
        made.append(_reseated(strand, changed, compaction))
    return made


_Claims = dict[int, dict[int, BatchTable]]
"""Segment -> start of a suspect region -> its batches."""


def _claims(strand: Strand, edges: Edges) -> _Claims:
    found: _Claims = {}
    for segment in strand.segments:
        for region in segment.regions:
            if region.verdict is Verdict.SUSPECT and region.offsets is not None:
                table = edges(segment, region.start, region.stop)
                if len(table):
                    found.setdefault(id(segment), {})[region.start] = table
    return found


def _known(strands: Sequence[Strand], at: int, claims: _Claims, edges: Edges) -> set[_Key]:
    """Contents of the claimed batches that another copy believes, where they are said to lie."""
    tables = [table for held in claims.values() for table in held.values()]
    if not tables:
        return set()
    asked = {key for table in tables for key in _keys(table)}
    said = [
        (int(low), min(max(int(high), int(low)), UNBOUNDED - 1) + 1)
        for table in tables
        for low, high in zip(table.base_offset, table.last_offset, strict=True)
    ]
    named = [
        (region.offsets.start, region.offsets.stop)
        for segment in strands[at].segments
        for region in segment.regions
        if region.offsets is not None and region.start in claims.get(id(segment), {})
    ]
    others = [strand for place, strand in enumerate(strands) if place != at]
    wanted = spans_of([*said, *named])
    return {key for rows in chunks(others, wanted, edges) for each in rows for key in _keys(each.table)} & asked


def _keys(table: BatchTable) -> list[_Key]:
    """What is covered by the CRC of each batch, and its size."""
    return list(zip(*(getattr(table, name).tolist() for name in IDENTITY), strict=True))


def _with_duplicates(segment: SegmentSurvey, claims: Mapping[int, BatchTable], known: set[_Key]) -> SegmentSurvey:
    if not any(key in known for table in claims.values() for key in _keys(table)):
        return segment
    regions: list[Region] = []
    for region in segment.regions:
        table = claims.get(region.start)
        regions += [region] if table is None or region.verdict is not Verdict.SUSPECT else _parts(region, table, known)
    return replace(segment, regions=RegionMap(segment.regions.size, _joined(regions)))


def _parts(region: Region, table: BatchTable, known: set[_Key]) -> list[Region]:
    """A suspect region with its known batches told apart."""
    held = [key in known for key in _keys(table)]
    whole = int(table.position[0]) == region.start and int(table.stop[-1]) == region.stop
    touch = bool(np.all(table.position[1:] == table.stop[:-1]))
    if not whole or not touch or not any(held):
        return [region]
    edges = [0, *(at for at in range(1, len(held)) if held[at] != held[at - 1]), len(held)]
    parts = []
    for low, high in pairwise(edges):
        part = table.take(slice(low, high))
        records = int(np.maximum(part.record_count, 0).sum())
        where = OffsetRange(int(part.base_offset.min()), int(part.last_offset.max()) + 1)
        verdict = Verdict.DUPLICATE if held[low] else Verdict.SUSPECT
        start, stop = int(part.position[0]), int(part.stop[-1])
        parts.append(Region(start, stop, verdict, len(part), records, where, findings=region.findings))
    return parts


def _joined(regions: Sequence[Region]) -> list[Region]:
    """Neighbours that both are duplicates become one."""
    made: list[Region] = []
    for region in regions:
        last = made[-1] if made else None
        if last is not None and last.verdict is region.verdict is Verdict.DUPLICATE:
            named = [r.offsets for r in (last, region) if r.offsets is not None]
            where = OffsetRange(min(o.start for o in named), max(o.stop for o in named)) if named else None
            findings = tuple({id(f): f for f in (*last.findings, *region.findings)}.values())
            made[-1] = Region(
                last.start,
                region.stop,
                region.verdict,
                last.batches + region.batches,
                last.records + region.records,
                where,
                findings=findings,
            )
        else:
            made.append(region)
    return made


def _without_gaps(segment: SegmentSurvey, compaction: Compaction, own: Compaction) -> SegmentSurvey:
    if not compaction.compacted or own.compacted:
        return segment
    return replace(segment, findings=tuple(f for f in segment.findings if f.code != "offset-gap"))


def _zeros(strands: Sequence[Strand], at: int, lineage: Lineage, changed: dict[int, SegmentSurvey]) -> None:
    """Rule 2, for the last segment of a copy, in place."""
    strand = strands[at]
    if not strand.pieces or lineage.cuts[at] < UNBOUNDED:
        return
    last = strand.pieces[-1].segment
    regions = changed[id(last)].regions.regions
    if last is not strand.segments[-1] or not regions or regions[-1].verdict is not Verdict.BLANK:
        return
    reach = {
        each.name: min(each.end, cut)
        for place, (each, cut) in enumerate(zip(strands, lineage.cuts, strict=True))
        if place != at
    }
    further = max(reach, key=lambda name: (reach[name], name))
    if reach[further] <= strand.end:
        return
    blank, file = regions[-1], last.segment.file
    where = OffsetRange(strand.end, reach[further])
    message = f"zeros where {further} has offsets {where.start}..{where.stop - 1}"
    finding = Finding("zero-fill", file.source, file.path, blank.start, blank.stop, where, message)
    region = replace(blank, verdict=Verdict.DAMAGED, offsets=where, findings=(*blank.findings, finding))
    segment = changed[id(last)]
    changed[id(last)] = replace(
        segment,
        regions=RegionMap(segment.regions.size, (*regions[:-1], region)),
        findings=(*segment.findings, finding),
    )


def _reseated(strand: Strand, changed: Mapping[int, SegmentSurvey], compaction: Compaction) -> Strand:
    """The strand on its changed maps."""
    survey = strand.survey
    findings = survey.findings
    if compaction.compacted and not survey.compaction.compacted:
        findings = tuple(f for f in findings if f.code not in GAP_CODES)
    if all(changed[id(s)] is s for s in strand.segments) and findings == survey.findings:
        return strand
    new: ReplicaSurvey = replace(
        survey, segments=tuple(changed.get(id(s), s) for s in survey.segments), findings=findings
    )
    pieces = tuple(replace(p, survey=new, segment=changed[id(p.segment)]) for p in strand.pieces)
    rejected = tuple(replace(p, survey=new, segment=changed[id(p.segment)]) for p in strand.rejected)
    segments = tuple(changed[id(s)] for s in strand.segments)
    return replace(strand, survey=new, segments=segments, pieces=pieces, rejected=rejected)
