"""OffsetIndex: `.index`, which offset lies at which position.

Source: `OffsetIndex.java`, `AbstractIndex.java`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kafka_salvage.wire.layout import Field, Layout

LAYOUT = Layout(
    "offset_index_entry",
    "`.index` entry",
    (
        Field("relative_offset", "int32", "offset minus the segment's base offset", "≥ 0, rising"),
        Field("position", "int32", "first byte of a batch in the segment", "> 0, rising"),
    ),
    "`OffsetIndex.java`",
    "The offset is the indexed batch's last one from 2.0 on, before that the first of the appended set. The active segment's "
    "file is preallocated: zeros behind the last entry are padding.",
)
ENTRY_SIZE = LAYOUT.size


@dataclass(frozen=True, slots=True, eq=False)
class OffsetIndex:
    """Entries of an offset index, padding stripped.

    Attributes:
        relative_offset, position: one row per entry before the first that does not rise.
        slots: entries a broker would believe in: file size / 8, padding included.
        padding: zero bytes behind the entries.
        torn: bytes at the end that are no whole entry.
        problem: what is wrong; None if nothing is.
    """

    relative_offset: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    slots: int
    padding: int
    torn: int
    problem: str | None = None

    def __len__(self) -> int:
        return len(self.position)


def read_offset_index(data: Any) -> OffsetIndex:
    """Reads the file; never raises."""
    slots, torn = divmod(len(data), ENTRY_SIZE)
    table = LAYOUT.array(data, slots)
    offset, position = table["relative_offset"].astype(np.int64), table["position"].astype(np.int64)
    if not torn and _rises(offset, position):  # as nearly all do; what follows takes several times as long
        return OffsetIndex(offset, position, slots, 0, 0)
    blank = np.flatnonzero((offset == 0) & (position == 0))
    used = int(blank[0]) if len(blank) else slots
    problem = None
    behind = int(np.count_nonzero((offset[used:] != 0) | (position[used:] != 0)))
    if behind:
        problem = f"{behind} entries that are not zero behind zeros at entry {used}"
    wrong = (offset[:used] < 0) | (position[:used] < 0)
    wrong[1:] |= (np.diff(offset[:used]) <= 0) | (np.diff(position[:used]) <= 0)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        problem = f"entry {at} ({int(offset[at])} at {int(position[at])}) does not rise above the one before"
        used = at
    elif torn and problem is None:
        problem = f"{torn} bytes at the end are no entry"
    padding = 0 if problem and (behind or wrong.any()) else (slots - used) * ENTRY_SIZE
    return OffsetIndex(offset[:used], position[:used], slots, padding, torn, problem)


def _rises(offset: npt.NDArray[np.int64], position: npt.NDArray[np.int64]) -> bool:
    """Whether all entries, if there are any, rise from a first one that is not blank."""
    if len(offset) and not (offset[0] >= 0 and position[0] >= 0 and (offset[0] or position[0])):
        return False
    return bool((offset[1:] > offset[:-1]).all()) and bool((position[1:] > position[:-1]).all())
