"""Confirmed: batches that one copy alone could not place, believed because another copy shows where batches begin.

Replicas are copies byte by byte: behind a batch that both believe, the same batches have the same sizes. So believed batches
of another copy, and the headers of its damaged ones, are a map of what is damaged here (section 8 of the contract, rule 3 (i)):

1. A damaged stretch is gone through by that map, from the believed batch before it on. Where a batch must begin, and one with
   the offset that must stand there begins and its CRC holds, it is believed.
2. A batch in damaged bytes is believed, wherever it lies there, when its header, to the bit but for the leader epoch, stands on
   another copy where a batch must begin: at the start of the file, behind a believed batch, or where the length of such a
   damaged header leads. The header holds the CRC: it is that very batch.
3. A batch that touches one of these is believed when their offsets follow on.
4. A batch that begins where one must begin, but some offsets later than it should (those before it were cut out of this copy), is
   believed when a batch of another copy ends right before it, and one of another copy, or a file, begins right behind it or
   nothing does.

On compacted topics no offset must stand anywhere: there rule 1 holds for batches that another copy has, and rule 4 for none.
No batch inside a payload can stand there. That the other copy's payload is damaged does not matter.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter

import numpy as np

from kafka_salvage.errors import SourceError
from kafka_salvage.plan.believing import believe
from kafka_salvage.plan.cursors import chunks
from kafka_salvage.plan.edges import Edges, open_patched
from kafka_salvage.plan.strands import Spans, Strand, spans_of
from kafka_salvage.plan.timeline import UNBOUNDED
from kafka_salvage.regions.runs import ReplicaSurvey, SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.walk import walk
from kafka_salvage.source.source import Source

_HEADER_V2, _HEADER_LEGACY, _LEAST = 61, 18, 14
_BELIEVED = frozenset({Verdict.INTACT, Verdict.REPAIRED, Verdict.DUPLICATE, Verdict.UNDECODABLE})
_HARMED = frozenset({Verdict.DAMAGED, Verdict.SUSPECT, Verdict.FOREIGN})
_MOST_CLAIMS = 64
"""Damaged headers that are followed from one to the next."""
_WINDOW, _HEADERS = 4 << 20, 4 << 10
"""Bytes read at a time, and those for headers that follow on one another."""
_SEGMENT = attrgetter("segment")
_MOST_STEPS = 1 << 16
"""Batches that are looked for in one damaged stretch."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Harmed bytes of one file, and what must stand where they begin.

    Attributes:
        segment: number of the segment in its survey.
        start, stop: bytes.
        expected: offset behind the believed batch before it, or the file's base.
        bound: first offset of the believed batch behind it.
    """

    segment: int
    start: int
    stop: int
    expected: int
    bound: int


@dataclass(slots=True)
class _Map:
    """What a copy shows of where batches begin.

    Attributes:
        sizes: base offset -> (bytes, offset behind).
        headers: placed headers of damaged batches, but for their epochs.
        ends: offsets behind believed batches.
        begins: first offsets of believed batches and of files.
        top: behind all that is believed.
        dense: offsets follow on, on every copy.
    """

    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    headers: set[bytes] = field(default_factory=set)
    ends: set[int] = field(default_factory=set)
    begins: set[int] = field(default_factory=set)
    top: int = UNBOUNDED
    dense: bool = True


class _Headers:
    """Headers by the base offset that they name."""

    def __init__(self, headers: set[bytes]) -> None:
        self._headers = sorted(headers, key=_base_of)
        self._bases = [_base_of(header) for header in self._headers]

    def between(self, low: int, high: int) -> set[bytes]:
        """Those whose base offset lies in ``[low, high)``."""
        return set(self._headers[bisect_left(self._bases, low) : bisect_left(self._bases, high)])


def _base_of(header: bytes) -> int:
    return int.from_bytes(header[:8], "big", signed=True)


def confirm(strands: Sequence[Strand], edges: Edges, *, compacted: bool = False) -> list[ReplicaSurvey]:
    """The copies, with those batches believed that another copy confirms.

    Args:
        strands: copies of one incarnation.
        edges: reads batches again.
        compacted: gaps mean nothing.

    Raises:
        SourceError: a file that must be read again cannot be opened any more.
    """
    harmed = [list(_stretches(strand)) for strand in strands]
    if not any(harmed):
        return [strand.survey for strand in strands]
    asked = spans_of((stretch.expected, stretch.bound) for stretches in harmed for stretch in stretches)
    maps = [_headers(strand, stretches, asked) for strand, stretches in zip(strands, harmed, strict=True)]
    made = []
    for at, strand in enumerate(strands):
        if not harmed[at]:
            made.append(strand.survey)
            continue
        wanted = spans_of((stretch.expected, stretch.bound) for stretch in harmed[at])
        others = [place for place in range(len(strands)) if place != at]
        known = _Map(top=max(each.end for each in strands), dense=not compacted)
        for place in others:
            known.sizes.update(maps[place].sizes)
            known.headers |= maps[place].headers
        believed = _sizes([strands[place] for place in others], wanted, edges)
        known.sizes.update(believed)
        known.ends.update(following for _, following in believed.values())
        known.begins.update(believed)
        known.begins.update(s.segment.base_offset for each in strands for s in each.segments if s.segment.base_offset)
        made.append(_confirmed(strand, harmed[at], known))
    return made


def _stretches(strand: Strand) -> Iterator[_Stretch]:
    """Harmed bytes of a copy's own files; regions that touch are one stretch."""
    bases = sorted(segment.segment.base_offset or 0 for segment in strand.segments)
    for number, segment in enumerate(strand.survey.segments):
        if segment.segment.state is not strand.survey.replica.state or segment.segment.base_offset is None:
            continue
        start: int | None = None
        for region in (*segment.regions, None):
            if region is not None and region.verdict in _HARMED:
                start = region.start if start is None else start
            elif start is not None:
                stop = segment.regions.size if region is None else region.start
                yield _Stretch(number, start, stop, _before(segment, start), _behind(segment, stop, bases))
                start = None


def _before(segment: SegmentSurvey, position: int) -> int:
    """Offset behind the believed batch that ends at or before a position, or the file's base."""
    at = int(np.searchsorted(segment.runs.stop, position, side="right")) - 1
    return (segment.segment.base_offset or 0) if at < 0 else int(segment.runs.next_offset[at])


def _behind(segment: SegmentSurvey, position: int, bases: Sequence[int]) -> int:
    """First offset of the believed batch behind a position, or of the next file."""
    at = int(np.searchsorted(segment.runs.start, position))
    if at < len(segment.runs):
        return int(segment.runs.first_offset[at])
    following = bisect_right(bases, segment.segment.base_offset or 0)
    return bases[following] if following < len(bases) else UNBOUNDED


def _sizes(strands: Sequence[Strand], wanted: Spans, edges: Edges) -> dict[int, tuple[int, int]]:
    """Sizes of believed batches of some copies."""
    found: dict[int, tuple[int, int]] = {}
    for chunk in chunks(strands, wanted, edges):
        for rows in chunk:
            table = rows.table
            columns = (table.base_offset.tolist(), table.size.tolist(), (table.last_offset + 1).tolist())
            found.update((base, (size, following)) for base, size, following in zip(*columns, strict=True))
    return found


def _headers(strand: Strand, stretches: Sequence[_Stretch], asked: Spans) -> _Map:
    """What the headers of damaged batches of a copy show of offsets that are asked for."""
    made = _Map()
    ranges = asked[0].tolist(), asked[1].tolist()
    for number, group in groupby(stretches, key=_SEGMENT):
        segment = strand.survey.segments[number]
        anchors = _anchors(segment)
        try:
            opened = open_patched(segment)
        except SourceError:
            continue
        with closing(opened) as source:
            for stretch in group:
                if stretch.start in anchors:
                    _follow(source, stretch, made, ranges)
    return made


def _anchors(segment: SegmentSurvey) -> set[int]:
    """Where a batch must begin: at the start of the file and right behind believed batches."""
    return {0, *segment.runs.stop.tolist()}


def _follow(source: Source, stretch: _Stretch, made: _Map, asked: tuple[list[int], list[int]]) -> None:
    """Headers from the start of a stretch on, each where the length of the one before leads."""
    position, expected = stretch.start, stretch.expected
    window, start = b"", position
    for _ in range(_MOST_CLAIMS):
        if not start <= position <= start + len(window) - _HEADER_V2:
            start, window = position, source.read(position, min(position + _HEADERS, source.size)).tobytes()
        head = window[position - start : position - start + _HEADER_V2]
        if len(head) < _HEADER_LEGACY:
            return
        base, size, following = _claims(head)
        at = bisect_right(asked[0], base) - 1
        wanted = at >= 0 and base < asked[1][at]
        if wanted:
            made.headers.add(_identity(head))
        if size < _LEAST + 12 or base != expected or following <= base:
            return
        if wanted:
            made.sizes[base] = size, following
        position, expected = position + size, following


def _claims(head: bytes) -> tuple[int, int, int]:
    """Base offset, bytes and next offset that a header names; a next offset of 0 when it names none."""
    base, length = int.from_bytes(head[:8], "big", signed=True), int.from_bytes(head[8:12], "big", signed=True)
    if head[16] != 2:
        return base, 12 + length, base + 1 if head[16] < 2 and not head[17] & 7 else 0
    return base, 12 + length, base + int.from_bytes(head[23:27], "big", signed=True) + 1 if len(head) >= 27 else 0


def _identity(head: bytes) -> bytes:
    """A header but for its leader epoch."""
    return head[:12] + head[16:_HEADER_V2] if head[16] == 2 else head[:_HEADER_LEGACY]


def _confirmed(strand: Strand, stretches: Sequence[_Stretch], known: _Map) -> ReplicaSurvey:
    """The copy with what the map confirms."""
    found: dict[int, list[BatchTable]] = {}
    headers = _Headers(known.headers)
    for number, group in groupby(stretches, key=_SEGMENT):
        segment = strand.survey.segments[number]
        anchors = _anchors(segment)
        suspects = [(region.start, region.stop) for region in segment.regions.of((Verdict.SUSPECT,))]
        try:
            opened = open_patched(segment)
        except SourceError:
            continue
        with closing(opened) as source:
            for stretch in group:
                here = suspects[bisect_left(suspects, (stretch.start,)) : bisect_left(suspects, (stretch.stop,))]
                tables = {int(table.position[0]): table for table in _by_header(source, here, stretch, headers)}
                if stretch.start in anchors:
                    tables.update((int(table.position[0]), table) for table in _by_map(source, stretch, known))
                    if known.dense:
                        tables.update((int(table.position[0]), table) for table in _by_fit(source, stretch, known))
                tables = {
                    at: t for at, t in tables.items() if int(t.base_offset[0]) <= int(t.last_offset[0]) < UNBOUNDED
                }
                if tables:
                    found.setdefault(number, []).extend(_disjoint(tables))
    if not found:
        return strand.survey
    segments = tuple(
        believe(segment, BatchTable.concat(found[number])) if number in found else segment
        for number, segment in enumerate(strand.survey.segments)
    )
    return replace(strand.survey, segments=segments)


def _disjoint(tables: Mapping[int, BatchTable]) -> Iterator[BatchTable]:
    """Batches in file order; of those that overlap the first."""
    end = -1
    for position in sorted(tables):
        if position >= end:
            yield tables[position]
            end = int(tables[position].stop[0])


def _by_map(source: Source, stretch: _Stretch, known: _Map) -> Iterator[BatchTable]:
    """Rule 1: batches at the places where the map says that they begin."""
    position, expected = stretch.start, stretch.expected
    for _ in range(_MOST_STEPS):
        if position >= stretch.stop:
            return
        table = _batch_at(source, position, stretch.stop)
        stands = (
            table is not None and int(table.base_offset[0]) == expected and (known.dense or expected in known.sizes)
        )
        if table is not None and stands and int(table.last_offset[0]) < stretch.bound:
            yield table
            position, expected = int(table.stop[0]), int(table.last_offset[0]) + 1
        elif expected in known.sizes:
            size, expected = known.sizes[expected]
            position += size
        else:
            return


def _by_fit(source: Source, stretch: _Stretch, known: _Map) -> Iterator[BatchTable]:
    """Rule 4: batches that touch what is believed, and fill exactly what other copies leave."""
    position, expected, waiting = stretch.start, stretch.expected, list[BatchTable]()
    for _ in range(_MOST_STEPS):
        table = _batch_at(source, position, stretch.stop)
        if table is None:
            return
        first, following = int(table.base_offset[0]), int(table.last_offset[0]) + 1
        if first < expected or following > stretch.bound:
            return
        if first > expected and first not in known.ends:
            return
        waiting.append(table)
        if following in known.begins or following == stretch.bound or following >= known.top:
            yield from waiting
            waiting.clear()
        position, expected = int(table.stop[0]), following


def _batch_at(source: Source, position: int, stop: int) -> BatchTable | None:
    """The batch that begins there and ends before ``stop``, if its CRC holds; no wrappers, whose offsets lie inside."""
    head = source.read(position, min(position + _HEADER_V2, stop)).tobytes()
    if len(head) < _HEADER_LEGACY:
        return None
    size = _claims(head)[1]
    if not _LEAST + 12 <= size <= stop - position:
        return None
    for block in walk(source, position, position + size):
        table = block.batches
        if len(table) == 1 and int(table.stop[0]) == position + size and not bool(table.is_wrapper[0]):
            return table
    return None


def _by_header(
    source: Source, suspects: Sequence[tuple[int, int]], stretch: _Stretch, headers: _Headers
) -> Iterator[BatchTable]:
    """Rules 2 and 3: batches whose headers another copy confirms, and those that touch them; suspect regions apart."""
    wanted = headers.between(stretch.expected, stretch.bound)
    if not wanted:
        return
    for position in _found(source, stretch, {h[:12] for h in wanted}):
        table = _batch_at(source, position, stretch.stop)
        if table is not None and _head(source, position) in wanted:
            yield table
            yield from _onwards(source, table, stretch)
    for start, stop in suspects:
        table = BatchTable.concat(block.batches for block in walk(source, start, stop))
        if len(table) and not bool(table.is_wrapper.any()) and int(table.stop[-1]) == stop:
            held = [_head(source, position) in wanted for position in table.position.tolist()]
            held = _spread(held, (table.base_offset[1:] == table.last_offset[:-1] + 1).tolist())
            yield from (table.take(slice(at, at + 1)) for at, true in enumerate(held) if true)


def _head(source: Source, position: int) -> bytes:
    return _identity(source.read(position, min(position + _HEADER_V2, source.size)).tobytes())


def _found(source: Source, stretch: _Stretch, prefixes: set[bytes]) -> Iterator[int]:
    """Positions in a stretch where one of some first twelve bytes of a header stands, ascending."""
    for at in range(stretch.start, stretch.stop, _WINDOW):
        data = source.read(at, min(at + _WINDOW + 11, stretch.stop)).tobytes()
        places = set()
        for prefix in prefixes:
            place = data.find(prefix)
            while place >= 0:
                places.add(at + place)
                place = data.find(prefix, place + 1)
        yield from sorted(places)


def _onwards(source: Source, table: BatchTable, stretch: _Stretch) -> Iterator[BatchTable]:
    """Batches that touch and follow on."""
    for _ in range(_MOST_STEPS):
        expected = int(table.last_offset[0]) + 1
        following = _batch_at(source, int(table.stop[0]), stretch.stop)
        if following is None or int(following.base_offset[0]) != expected:
            return
        if int(following.last_offset[0]) >= stretch.bound:
            return
        yield following
        table = following


def _spread(held: list[bool], follows: Sequence[bool]) -> list[bool]:
    """Belief goes on to neighbours that touch and follow on, both ways."""
    for at in range(1, len(held)):
        held[at] = held[at] or (held[at - 1] and follows[at - 1])
    for at in range(len(held) - 2, -1, -1):
        held[at] = held[at] or (held[at + 1] and follows[at])
    return held
