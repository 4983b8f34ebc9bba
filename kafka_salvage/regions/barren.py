"""Barren: the map of a file in which no batch is believed."""

from __future__ import annotations

from kafka_salvage.regions.check_header import longest_zeros, tail_offsets
from kafka_salvage.regions.context import Place, SegmentContext
from kafka_salvage.regions.ground import Ground
from kafka_salvage.regions.judged import Judged
from kafka_salvage.regions.map import Region, RegionMap
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.walk import Stop


def map_without_batches(
    ground: Ground, place: Place, fact: Stop, context: SegmentContext, base: int | None, judged: Judged
) -> RegionMap | None:
    """The map of a file in which no batch is believed, if it is no damaged segment; None if it is one.

    A sane header at the beginning, or zeros only, make a damaged or blank segment; anything else is foreign.
    """
    from kafka_salvage.wire.foreign import HEAD_SIZE, identify

    size = ground.size
    if size == 0:
        return RegionMap(0, ())
    if ground.data_stop == 0:
        return None
    what = identify(ground.source.read(0, min(size, HEAD_SIZE)).tobytes(), size)
    if what is None and (
        ground.sane(0) or ground.source.unreadable or longest_zeros(ground.source, 0, min(size, 16)) == (0, 16)
    ):
        return None
    slug = what.slug if what is not None else "unknown"
    sentence = f"the file {what.sentence}" if what is not None else "the file holds no batch and no sane header"
    detail = {"format": slug, "command": what.command} if what is not None else {"format": slug}
    lost, is_open = None, False
    if what is None and base is not None:  # nobody else's file: what its name promises was here
        lost, is_open = tail_offsets(None, base, size, context.next_base, reaches=False)
        lost = lost if lost.size else None
    finding = place.finding("foreign-format", 0, size, sentence, lost, **detail)
    judged.findings.append(finding)
    return RegionMap(size, [Region(0, size, Verdict.FOREIGN, offsets=lost, open_ended=is_open, findings=(finding,))])
