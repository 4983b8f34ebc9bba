"""Index: the entries of an `.index`, as a walk takes notes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kafka_salvage.scan.batches import I64
from kafka_salvage.scan.evidence import SideFact
from kafka_salvage.scan.replica import SegmentFile
from kafka_salvage.scan.sidecars import load_offset_index


@dataclass(frozen=True, slots=True)
class Index:
    """Entries of an `.index`, sorted by position.

    Attributes:
        positions, offsets: absolute offsets.
        facts: what is wrong with the file itself.
    """

    positions: I64
    offsets: I64
    facts: tuple[SideFact, ...] = ()


def read_index(segment: SegmentFile) -> Index:
    """The `.index` of a segment; empty without."""
    nothing = np.empty(0, np.int64)
    if segment.index is None:
        return Index(nothing, nothing)
    side = load_offset_index(segment.index, segment.base_offset or 0)
    if side.value is None:
        return Index(nothing, nothing, side.facts)
    position = side.value.position
    if bool((position[1:] >= position[:-1]).all()):
        return Index(position, side.value.offset, side.facts)
    order = np.argsort(position, kind="stable")
    return Index(side.value.position[order], side.value.offset[order], side.facts)
