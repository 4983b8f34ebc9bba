"""Oracle: what must survive a recipe, by arithmetic on the origins of bytes; knows nothing of the package under test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.support.build import BatchInfo
from tests.support.damage import OTHER, Damaged


@dataclass(frozen=True, slots=True)
class Survivor:
    """A batch none of whose bytes was changed, and where it stands now."""

    info: BatchInfo
    start: int

    @property
    def stop(self) -> int:
        return self.start + self.info.size


def survivors(damaged: Damaged, infos: Sequence[BatchInfo], others: Sequence[BatchInfo] = ()) -> list[Survivor]:
    """Every place where a whole original batch stands, in file order (a duplicated one stands at two places)."""
    found: list[Survivor] = []
    origin = damaged.origin
    for base, listed in ((0, infos), (OTHER, others)):
        for info in listed:
            size = info.size
            for at in np.flatnonzero(origin == base + info.start):
                piece = origin[at : at + size]
                if len(piece) == size and int(piece[-1]) == base + info.stop - 1 and bool(np.all(np.diff(piece) == 1)):
                    found.append(Survivor(info, int(at)))
    return sorted(found, key=lambda s: (s.start, s.stop))


def changed_ranges(damaged: Damaged, infos: Sequence[BatchInfo]) -> list[tuple[int, int]]:
    """Byte ranges that no surviving batch covers, in file order."""
    covered = np.zeros(len(damaged.data) + 1, np.bool_)
    for one in survivors(damaged, infos):
        covered[one.start : one.stop] = True
    covered[-1] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[True], covered]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def lost_offsets(damaged: Damaged, infos: Sequence[BatchInfo]) -> list[tuple[int, int]]:
    """Offsets of original batches that stand nowhere whole, joined, half-open."""
    kept = {s.info.base_offset for s in survivors(damaged, infos)}
    ranges: list[tuple[int, int]] = []
    for info in infos:
        if info.base_offset in kept:
            continue
        if ranges and ranges[-1][1] == info.base_offset:
            ranges[-1] = (ranges[-1][0], info.last_offset + 1)
        else:
            ranges.append((info.base_offset, info.last_offset + 1))
    return ranges
