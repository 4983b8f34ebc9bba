"""Parting: stretches parted into their batches by the notes of a walk, without reading them again.

An index that names every batch of a stretch tells, with what was noted of its entries, where each batch lies and which offsets
it has; what the batches of a stretch share is known, too. What differs and was not noted does not matter as long as the rules
say the same of all of them: their times, which count as the stretch's, their codecs, sequences and CRCs. The CRC is read where
another row claims one of the offsets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kafka_salvage.regions.judged import INTACT, Judged
from kafka_salvage.regions.unfolding import overlapping
from kafka_salvage.scan.ahead import Notes
from kafka_salvage.scan.batches import I64, BatchTable, Bool
from kafka_salvage.source.source import Source

_CRC_AT = 12, 12, 17
"""Where the CRC stands, by magic."""


@dataclass(frozen=True, slots=True, eq=False)
class Parted:
    """Rows, each of one batch.

    Attributes:
        table: they.
        made: those that were made of a stretch.
    """

    table: BatchTable
    made: Bool

    def hold(self, judged: Judged) -> bool:
        """Whether the rules say of them what they would say of the batches as they lie in the file."""
        rows, table = self.made, judged.table
        untouched = (judged.verdict == INTACT) & (table.base_offset == self.table.base_offset)
        return bool((untouched & (table.leader_epoch == self.table.leader_epoch))[rows].all())


def part(table: BatchTable, counts: I64, notes: Notes, source: Source) -> Parted | None:
    """The batches of a walk; None where the notes do not name each of them.

    Args:
        table: rows.
        counts: batches of each.
        notes: for each entry of the index, where the first batch at or behind its position begins, and the last offset
            before it.
        source: the file.
    """
    places, before = notes
    cuts = np.flatnonzero(np.append(places[1:] != places[:-1], True))
    places, before = places[cuts], before[cuts]
    row = np.searchsorted(table.position, places, side="right") - 1
    inner = (row >= 0) & (places > table.position[row]) & (places < table.stop[row])
    places, before, row = places[inner], before[inner], row[inner]
    if not len(table) or source.unreadable or bool((np.bincount(row, minlength=len(table)) + 1 != counts).any()):
        return None
    position = np.sort(np.concatenate([table.position, places]))
    home = np.searchsorted(table.position, position, side="right") - 1
    first = table.base_offset[home]
    first[np.searchsorted(position, places)] = before + 1
    behind = np.append(home[1:] == home[:-1], False)
    made = (counts > 1)[home]
    last = table.last_offset[home]
    last[behind] = first[1:][behind[:-1]] - 1
    stop = table.stop[home]
    stop[behind] = position[1:][behind[:-1]]
    rows = table.take(home).replace(position=position, size=stop - position, base_offset=first, last_offset=last)
    rows = rows.replace(
        offset=np.where(made, first, rows.offset),
        record_count=np.where(made, last - first + 1, rows.record_count).astype(np.int32),
        crc=np.where(made, 0, rows.crc).astype(np.uint32),
    )
    claimed = made & overlapping(first, np.maximum(first, last))
    for at in np.flatnonzero(claimed).tolist():
        start = int(position[at]) + _CRC_AT[int(rows.magic[at])]
        rows.crc[at] = int.from_bytes(source.read(start, start + 4).tobytes(), "big")
    return Parted(rows, made)
