"""Hex view: the first bytes of a damaged region, as far as they are structure; what may be payload is masked.

What is a sane batch header is shown whole. Of anything else only the fields that say why are shown, the length and the
magic, which the finding names as well; and nothing at all of a file that is no segment, and behind bytes of which nobody
knows where their batch ended: payload may stand there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from kafka_salvage.cli.exits import safe
from kafka_salvage.errors import SourceError
from kafka_salvage.regions.map import Region
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.source.opening import open_source
from kafka_salvage.source.source import Source
from kafka_salvage.wire import batch_legacy, batch_v2
from kafka_salvage.wire.layout import FIXED, Layout

ROW = 16
MASK = "··"
SHOWN = frozenset({Verdict.DAMAGED, Verdict.SUSPECT, Verdict.UNDECODABLE, Verdict.REPAIRED})
_BELIEVED = frozenset({Verdict.INTACT, Verdict.REPAIRED, Verdict.DUPLICATE, Verdict.BLANK})
_LAYOUTS: dict[int, Layout] = {0: batch_legacy.LAYOUT_V0, 1: batch_legacy.LAYOUT_V1, 2: batch_v2.LAYOUT}
_LENGTH_AT, _MAGIC_AT = 8, batch_v2.MAGIC_AT
_TELLING = frozenset({*range(_LENGTH_AT, _LENGTH_AT + 4), _MAGIC_AT})
_LOWEST = {
    "offset": 0, "attributes": 0, "key_length": -1, "base_offset": 0, "partition_leader_epoch": -1, "last_offset_delta": 0,
    "producer_id": -1, "producer_epoch": -1, "base_sequence": -1, "records_count": 0,
}  # fmt: skip
"""The lowest value that Kafka writes."""
_HIGHEST = {"attributes": 0x7F}


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of one region.

    Attributes:
        source, path: the segment's file.
        start, stop: bytes of the region.
        verdict: of the region.
        cells: one per byte, two hex digits or `MASK`; at most four rows.
        fields: (name, first byte, bytes, value) where a sane header stands.
        problem: why there are no bytes; "" if there are.
    """

    source: str
    path: str
    start: int
    stop: int
    verdict: str
    cells: tuple[str, ...] = ()
    fields: tuple[tuple[str, int, int, int], ...] = ()
    problem: str = ""


def heads(segments: Iterator[SegmentSurvey], most: int) -> Iterator[str]:
    """Lines for the first ``most`` regions that are not intact, in order of their files."""
    for head in views(segments, most, most):
        yield f"{safe(head.path)} at {head.start}: {head.verdict}, {head.stop - head.start} bytes"
        yield from [f"  {safe(head.problem)}"] if head.problem else _lines(head)


def views(segments: Iterator[SegmentSurvey], most: int, per_segment: int) -> Iterator[Head]:
    """Beginnings of regions that are not intact, in order of their files.

    Args:
        segments: of a report.
        most: of all of them.
        per_segment: of one segment.
    """
    for segment in segments:
        chosen = list(islice(_worth(segment), min(per_segment, most)))
        most -= len(chosen)
        if chosen:
            yield from _heads(segment, chosen)


def _worth(segment: SegmentSurvey) -> Iterator[Region]:
    before: Region | None = None
    for region in segment.regions:
        proved = region.verdict is not Verdict.DAMAGED  # its CRC holds
        if region.verdict in SHOWN and (proved or before is None or before.verdict in _BELIEVED):
            yield region
        before = region


def _heads(segment: SegmentSurvey, regions: list[Region]) -> Iterator[Head]:
    file = segment.segment.file

    def head(region: Region, data: bytes = b"", problem: str = "") -> Head:
        cells, fields = _dissected(data)
        place = file.source, file.path, region.start, region.stop
        return Head(*place, str(region.verdict), cells, fields, problem)

    try:
        with closing(open_source(file.real, file.path)) as source:
            yield from [head(region, _first_bytes(source, region)) for region in regions]
    except SourceError as error:
        yield head(regions[0], problem=error.message)


def _first_bytes(source: Source, region: Region) -> bytes:
    return bytes(source.read(region.start, min(region.stop, region.start + 4 * ROW)))


def view(data: bytes, position: int) -> Iterator[str]:
    """Rows of bytes, and the fields that stand there if a batch begins here.

    Args:
        data: first bytes of the region, at most four rows of them are shown.
        position: of the first byte in its file.
    """
    cells, fields = _dissected(data)
    yield from _lines(Head("", "", position, position + len(data), "", cells, fields))


def _lines(head: Head) -> Iterator[str]:
    for start in range(0, len(head.cells), ROW):
        row = head.cells[start : start + ROW]
        halves = " ".join(row[:8]), " ".join(row[8:])
        yield f"  {head.start + start:08x}  {halves[0]}  {halves[1]}".rstrip()
    if head.fields:
        yield "  " + ", ".join(f"{name} {value}" for name, _, _, value in head.fields)


def _dissected(data: bytes) -> tuple[tuple[str, ...], tuple[tuple[str, int, int, int], ...]]:
    """Cells and fields of the first bytes of a region."""
    data = data[: 4 * ROW]
    layout = _LAYOUTS.get(data[_MAGIC_AT]) if len(data) > _MAGIC_AT else None
    sane = layout is not None and _is_sane(layout, data)
    shown = range(layout.size) if sane and layout else _TELLING
    cells = tuple(f"{byte:02x}" if at in shown else MASK for at, byte in enumerate(data))
    if layout is None or not sane or len(data) < layout.size:
        return cells, ()
    values = layout.struct.unpack_from(data, 0)
    widths = [FIXED[part.type][2] for part in layout.fields[: len(values)]]
    return cells, tuple(
        (name, at, width, int(value))
        for (name, at), width, value in zip(layout.offsets.items(), widths, values, strict=True)
    )


def _is_sane(layout: Layout, data: bytes) -> bool:
    """Whether a header stands here: of the fields that have a lower bound, at most one is below it."""
    below = 0
    for part in layout.fields:
        at, low = layout.offsets.get(part.name), _LOWEST.get(part.name)
        if at is None or low is None or at + FIXED[part.type][2] > len(data):
            continue
        value = int.from_bytes(data[at : at + FIXED[part.type][2]], "big", signed=True)
        below += value < low or value > _HIGHEST.get(part.name, value)
    return below <= 1
