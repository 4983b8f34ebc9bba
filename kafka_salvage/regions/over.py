"""Over: damage that the walk went over (see `vector.passing`, `vector.crossing`), in columns, and what the rules say of it.

Nothing is kept of each but a row: a disk may have lost every second batch of a file. What is said of one is exactly what the
judge says of a batch at which the walk stops, and asks the same questions one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kafka_salvage.errors import InvariantError
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.check_header import SECTOR, stop_code, stop_sentence
from kafka_salvage.regions.context import Place
from kafka_salvage.regions.map import Region
from kafka_salvage.regions.verdict import Finding, Verdict
from kafka_salvage.scan.batches import I64, BatchTable, Bool
from kafka_salvage.scan.walk import Stop, StopReason, stop_of
from kafka_salvage.vector.doubts import Kind, Over
from kafka_salvage.vector.framing import Outcome

KEPT = int(Over.TOLD)
"""Columns that are kept of each; the others are asked once, where the walk stops."""
_EXTENT = Over.POSITION, Over.SIZE, Over.ZEROS_FROM, Over.ZEROS_TO
REACH = 1 << 31
"""Offsets that one file may hold above its base."""


@dataclass(frozen=True, slots=False, eq=False)
class Overs:
    """Batches that were gone over, in file order.

    Attributes:
        table: a row of `vector.doubts.Over` for each, with all columns or with the first `KEPT`.
    """

    table: I64

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def none(cls) -> Overs:
        """No batches."""
        return cls(np.empty((0, KEPT), np.int64))

    @cached_property
    def start(self) -> I64:
        """First bytes."""
        return np.ascontiguousarray(self.table[:, Over.POSITION])

    @cached_property
    def stop(self) -> I64:
        """Positions behind."""
        stops: I64 = self.table[:, Over.POSITION] + self.table[:, Over.SIZE]
        return stops

    @cached_property
    def claims(self) -> tuple[I64, I64, I64, I64]:
        """What sane headers claim: first and last offset, first byte and end."""
        sane = self.table[:, Over.KIND] != Kind.LOST
        first, last, start, size = (
            self.table[sane, column] for column in (Over.OFFSET, Over.LAST, Over.POSITION, Over.CLAIM)
        )
        return first, last, start, start + size

    @property
    def zeros_behind(self) -> I64:
        """Zeros that each ends with."""
        return self.table[:, Over.ZEROS_BEHIND]

    @property
    def condemned(self) -> I64:
        """Rows that a CRC condemns."""
        rows: I64 = np.flatnonzero(self.table[:, Over.REASON] == Outcome.CRC_MISMATCH)
        return rows

    @property
    def unwitnessed(self) -> I64:
        """Rows among them that were not in memory whole, so that no second implementation has looked at them."""
        condemned = self.condemned
        rows: I64 = condemned[self.table[condemned, Over.WITNESS] < 0]
        return rows

    def witnessed(self, rows: I64) -> Iterable[tuple[int, int]]:
        """First byte of some, and the sum by tables; -1 where it is not known."""
        return zip(self.start[rows].tolist(), self.table[rows, Over.WITNESS].tolist(), strict=True)

    def fact(self, row: int) -> Stop:
        """Where a walk would have stopped."""
        return stop_of(self.table[row])

    def at(self, positions: I64, stops: I64) -> I64:
        """Row of the batch that fills each range of bytes exactly; -1 where none does."""
        if not len(self):
            return np.full(len(positions), -1, np.int64)
        row = np.minimum(np.searchsorted(self.start, positions), len(self) - 1)
        here = (self.start[row] == positions) & (self.stop[row] == stops)
        return np.where(here, row, -1).astype(np.int64)

    def confirm_sums(self) -> None:
        """Holds the sums by tables against those that condemned.

        Raises:
            InvariantError: they disagree.
        """
        stored, computed, witness = (self.table[:, at] for at in (Over.STORED, Over.COMPUTED, Over.WITNESS))
        other = np.flatnonzero((witness >= 0) & ((witness != computed) | (witness == stored)))
        if len(other):
            start, stop = int(self.start[other[0]]), int(self.stop[other[0]])
            raise InvariantError(
                f"the CRC at {start} is {int(computed[other[0]]):#x} by one implementation and not by another",
                stage="regions.over",
                where=(start, stop),
            )

    def told(self, rows: BatchTable, counts: I64, claims: Callable[[], list[int]], base: int) -> Bool:
        """Whether sizes before the batches behind mean what follows: then they may be values.

        Args:
            rows: of the walk.
            counts: batches of each.
            claims: gives where the walk stopped, and where claims lead from there.
            base: lowest sane base offset.
        """
        told = self.table[:, KEPT:]
        some = np.flatnonzero((told >= 0).any(axis=1))
        found = np.zeros(len(self), np.bool_)
        if not len(some):
            return found
        ends = [*claims(), *self.start.tolist(), *self.stop.tolist()]
        for column in range(told.shape[1]):
            place = told[some, column]
            row = np.searchsorted(rows.position, place, side="right") - 1
            start, size = rows.position[row], rows.size[row]
            odd = (rows.base_offset[row] < base) | (rows.last_offset[row] >= base + REACH)
            odd |= rows.leader_epoch[row] < -1
            # a batch begins there although no sane header does
            inside = (row >= 0) & (place < start + size)
            meant = inside & ((start == place) | (odd & (counts[row] > 1)))
            found[some] |= (place >= 0) & (meant | np.isin(place, ends))
        return found


def damaged_region(
    place: Place, overs: Overs, row: int, lost: OffsetRange | None, file_size: int
) -> tuple[Region, list[Finding]]:
    """What the map and the findings say of one of them.

    Args:
        place: for findings.
        overs: all of them.
        row: which.
        lost: offsets that it took; None when none is missing across it.
        file_size: bytes of the file.
    """
    values = overs.table[row].tolist()
    start, size, zeros_from, zeros_to = (values[at] for at in _EXTENT)
    stop, fact = start + size, overs.fact(row)
    if (zeros_from, zeros_to) == (start, stop):
        found = [place.finding("zero-fill", start, stop, f"{size} zero bytes where a batch should be", lost)]
        return Region(start, stop, Verdict.DAMAGED, offsets=lost, findings=tuple(found)), found
    code = stop_code(fact, torn=False)
    detail: dict[str, int | str] = {}
    if fact.reason is StopReason.CRC_MISMATCH:
        detail = {"stored": fact.stored, "computed": fact.computed}
    if lost is None:
        code, detail = "garbage", {**detail, "reason": code}
    sentence = stop_sentence(fact, values[Over.CLAIM], values[Over.MAGIC], file_size - start)
    found = [place.finding(code, start, stop, sentence, lost, **detail)]
    if zeros_to - zeros_from >= SECTOR:
        count = zeros_to - zeros_from
        found.append(place.finding("zero-fill", zeros_from, zeros_to, f"{count} zero bytes inside damaged bytes", lost))
    return Region(start, stop, Verdict.DAMAGED, offsets=lost, findings=tuple(found)), found
