"""TimeIndex: `.timeindex`, the largest timestamp up to which offset.

Source: `TimeIndex.java`, `AbstractIndex.java`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kafka_salvage.wire.layout import Field, Layout

LAYOUT = Layout(
    "time_index_entry",
    "`.timeindex` entry",
    (
        Field("timestamp", "int64", "largest timestamp in the segment so far, ms", "≥ 0, rising"),
        Field(
            "relative_offset",
            "int32",
            "last offset of the batch that holds it, minus the base offset",
            "≥ 0, not falling",
        ),
    ),
    "`TimeIndex.java`",
    "The active segment's file is preallocated: zeros behind the last entry are padding. Empty where all messages are magic 0.",
)
ENTRY_SIZE = LAYOUT.size


@dataclass(frozen=True, slots=True, eq=False)
class TimeIndex:
    """Entries of a time index, padding stripped.

    Attributes:
        timestamp, relative_offset: one row per entry before the first that does not rise.
        slots: entries a broker would believe in: file size / 12, padding included.
        padding: zero bytes behind the entries.
        torn: bytes at the end that are no whole entry.
        problem: what is wrong; None if nothing is.
    """

    timestamp: npt.NDArray[np.int64]
    relative_offset: npt.NDArray[np.int64]
    slots: int
    padding: int
    torn: int
    problem: str | None = None

    def __len__(self) -> int:
        return len(self.timestamp)


def read_time_index(data: Any) -> TimeIndex:
    """Reads the file; never raises.

    An entry of zeros is padding, except as the only one of the file: a segment of one record of the year 1970.
    """
    slots, torn = divmod(len(data), ENTRY_SIZE)
    table = LAYOUT.array(data, slots)
    timestamp, offset = table["timestamp"].astype(np.int64), table["relative_offset"].astype(np.int64)
    blank = np.flatnonzero((timestamp == 0) & (offset == 0))
    used = int(blank[0]) if len(blank) and slots > 1 else slots
    problem = None
    behind = int(np.count_nonzero((timestamp[used:] != 0) | (offset[used:] != 0)))
    if behind:
        problem = f"{behind} entries that are not zero behind zeros at entry {used}"
    wrong = (timestamp[:used] < 0) | (offset[:used] < 0)
    # values are compared, not subtracted: differences of damaged timestamps overflow
    wrong[1:] |= (timestamp[1:used] <= timestamp[: max(used - 1, 0)]) | (offset[1:used] < offset[: max(used - 1, 0)])
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        problem = f"entry {at} ({int(timestamp[at])} up to {int(offset[at])}) does not rise above the one before"
        used = at
    elif torn and problem is None:
        problem = f"{torn} bytes at the end are no entry"
    padding = 0 if problem and (behind or wrong.any()) else (slots - used) * ENTRY_SIZE
    return TimeIndex(timestamp[:used], offset[:used], slots, padding, torn, problem)
