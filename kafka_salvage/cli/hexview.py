"""Hex view: the first bytes of a damaged region, as far as they are structure; what may be payload is masked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from kafka_salvage.cli.exits import safe
from kafka_salvage.errors import SourceError
from kafka_salvage.regions.map import Region
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.source.opening import open_source
from kafka_salvage.wire import batch_legacy, batch_v2
from kafka_salvage.wire.layout import Layout

ROW = 16
MASK = "··"
SHOWN = frozenset({Verdict.DAMAGED, Verdict.SUSPECT, Verdict.UNDECODABLE, Verdict.FOREIGN, Verdict.REPAIRED})
_LAYOUTS: dict[int, Layout] = {0: batch_legacy.LAYOUT_V0, 1: batch_legacy.LAYOUT_V1, 2: batch_v2.LAYOUT}
_UNSURE = batch_v2.MAGIC_AT + 1


def heads(segments: Iterator[SegmentSurvey], most: int) -> Iterator[str]:
    """Lines for the first ``most`` regions that are not intact, in order of their files."""
    shown = 0
    for segment in segments:
        for region in segment.regions:
            if region.verdict in SHOWN and region.size:
                if shown == most:
                    return
                shown += 1
                yield from _head(segment, region)


def _head(segment: SegmentSurvey, region: Region) -> Iterator[str]:
    file = segment.segment.file
    yield f"{safe(file.path)} at {region.start}: {region.verdict}, {region.size} bytes"
    try:
        with closing(open_source(file.real, file.path)) as source:
            data = bytes(source.read(region.start, min(region.stop, region.start + 4 * ROW)))
    except SourceError as error:
        yield f"  {safe(error.message)}"
        return
    yield from view(data, region.start)


def view(data: bytes, position: int) -> Iterator[str]:
    """Rows of bytes, and the fields that stand there if a batch begins here.

    Args:
        data: first bytes of the region, at most four rows of them are shown.
        position: of the first byte in its file.
    """
    data = data[: 4 * ROW]
    magic = data[batch_v2.MAGIC_AT] if len(data) >= _UNSURE else -1
    layout = _LAYOUTS.get(magic)
    known = layout.size if layout else _UNSURE
    for start in range(0, len(data), ROW):
        row = data[start : start + ROW]
        cells = [f"{byte:02x}" if start + at < known else MASK for at, byte in enumerate(row)]
        halves = " ".join(cells[:8]), " ".join(cells[8:])
        yield f"  {position + start:08x}  {halves[0]}  {halves[1]}".rstrip()
    if layout and len(data) >= layout.size:
        values = layout.struct.unpack_from(data, 0)
        yield "  " + ", ".join(f"{name} {value}" for name, value in zip(layout.offsets, values, strict=True))
