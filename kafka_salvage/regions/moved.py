"""Moved: what is said of rows whose offset or leader epoch was exchanged."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.context import Place
from kafka_salvage.regions.repeated import bits, hexed, no_digit, repeated, said
from kafka_salvage.regions.sheet import Sheet
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.batches import I64

CODE = "offset-repaired"
EPOCH_AT = 12
_DIGITS, _EPOCH_DIGITS = 16, 8


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """Rows.

    Attributes:
        old: what stood in the offset field.
        new: what is put there.
        start, stop: bytes.
        first: first offset.
        behind: the offset behind the last one.
    """

    old: I64
    new: I64
    start: I64
    stop: I64
    first: I64
    behind: I64

    def finding(self, place: Place, row: int, before: bytes, witness: str) -> Finding:
        """What is said of one.

        Args:
            place: for findings.
            row: which.
            before: the bytes that stood there before anything was exchanged.
            witness: what proves it.
        """
        old, new, start, stop = (int(column[row]) for column in (self.old, self.new, self.start, self.stop))
        message = f"offset {old} does not fit; {new} is proved by {witness}"
        detail = {"before": before.hex(), "after": struct.pack(">q", new).hex(), "position": start}
        where = OffsetRange(int(self.first[row]), int(self.behind[row]))
        return Finding(CODE, place.source, place.path, start, stop, where, message, detail)

    def sheet(self, place: Place, witness: str) -> Sheet[Finding]:
        """What is said of all, each moved for the first time; ``witness`` has no number in it."""
        words = no_digit(self.old, _DIGITS), no_digit(self.new, _DIGITS)
        kind = bits(*words, *said(self.old), *said(self.new))

        def make(row: int) -> Finding:
            return self.finding(place, row, struct.pack(">q", int(self.old[row])), witness)

        def numbers(_: int, rows: I64) -> list[I64]:
            old, new, start = self.old[rows], self.new[rows], self.start[rows]
            where = [start, self.stop[rows], self.first[rows], self.behind[rows]]
            return [*where, np.abs(old), np.abs(new), *hexed(old, _DIGITS), *hexed(new, _DIGITS), start]

        return repeated(kind, make, numbers)


@dataclass(frozen=True, slots=True, eq=False)
class Aged:
    """Rows with another leader epoch; the columns are those of `Moved`, with epochs for offsets."""

    old: I64
    new: I64
    start: I64
    stop: I64
    first: I64
    behind: I64

    def finding(self, place: Place, row: int) -> Finding:
        """What is said of one."""
        old, new, start, stop = (int(column[row]) for column in (self.old, self.new, self.start, self.stop))
        message = f"leader epoch {old} does not fit between its neighbours'; {new} was put there"
        before, after = (struct.pack(">i", epoch).hex() for epoch in (old, new))
        where = OffsetRange(int(self.first[row]), int(self.behind[row]))
        detail = {"before": before, "after": after, "position": start + EPOCH_AT}
        return place.finding("epoch-repaired", start, stop, message, where, **detail)

    def sheet(self, place: Place) -> Sheet[Finding]:
        """What is said of all."""
        words = no_digit(self.old, _EPOCH_DIGITS), no_digit(self.new, _EPOCH_DIGITS)

        def numbers(_: int, rows: I64) -> list[I64]:
            old, new, start = self.old[rows], self.new[rows], self.start[rows]
            where = [start, self.stop[rows], self.first[rows], self.behind[rows]]
            said_twice = [*hexed(old, _EPOCH_DIGITS), *hexed(new, _EPOCH_DIGITS)]
            return [*where, np.abs(old), np.abs(new), *said_twice, start + EPOCH_AT]

        return repeated(bits(*words, self.old < 0, self.new < 0), lambda row: self.finding(place, row), numbers)
