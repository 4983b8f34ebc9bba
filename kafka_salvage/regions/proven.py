"""Proven: batches that another length or magic proves, in columns, and what the rules ask and say of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.check_header import stop_code, stop_sentence
from kafka_salvage.regions.context import Place
from kafka_salvage.regions.heads import OVERHEAD
from kafka_salvage.regions.repeated import bits, hexed, no_digit, repeated
from kafka_salvage.regions.runs import Patch
from kafka_salvage.regions.sheet import Sheet
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.batches import I64, Bool
from kafka_salvage.scan.walk import Stop, StopReason
from kafka_salvage.vector.doubts import Over
from kafka_salvage.vector.framing import Outcome

LENGTH_AT, MAGIC_AT = 8, 16
_REASONS = tuple(StopReason)
_V2 = 2


class Column(IntEnum):
    """Columns (int64)."""

    START = 0
    SIZE = 1
    """Of the whole batch, bytes."""
    OFFSET = 2
    """Its first eight bytes."""
    EPOCH = 3
    """Its leader epoch."""
    CLAIM = 4
    """What its header says of its size."""
    MAGIC = 5
    """What its header says of its magic."""
    PUT = 6
    """Its true magic."""
    REASON = 7
    """Why the walk stopped at it, or before: place in `StopReason`."""
    STORED = 8
    COMPUTED = 9


@dataclass(frozen=True, slots=True, eq=False)
class Proven:
    """Batches.

    Attributes:
        table: a row of `Column` for each.
    """

    table: I64

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def one(cls, batch: dict[str, int], claim: int, magic: int, fact: Stop) -> Proven:
        """A batch as it reads when repaired, what its header said, and why the walk stopped."""
        reason = _REASONS.index(fact.reason), fact.stored, fact.computed
        said = batch["offset"], batch["leader_epoch"], claim, magic, batch["magic"]
        return cls(np.array([[batch["position"], batch["size"], *said, *reason]], np.int64))

    @classmethod
    def crossed(cls, over: I64, epochs: I64) -> Proven:
        """Batches that the walk went over (rows of `vector.doubts.Over`), and their leader epochs."""
        reasons = np.zeros(max(Outcome) + 1, np.int64)
        for outcome in Outcome:
            if outcome.name in StopReason.__members__:
                reasons[outcome] = _REASONS.index(StopReason[outcome.name])
        table = np.empty((len(over), len(Column)), np.int64)
        for column in (Column.SIZE, Column.OFFSET, Column.CLAIM, Column.MAGIC, Column.STORED, Column.COMPUTED):
            table[:, column] = over[:, Over[column.name]]
        table[:, Column.START], table[:, Column.EPOCH] = over[:, Over.POSITION], epochs
        table[:, Column.PUT], table[:, Column.REASON] = _V2, reasons[over[:, Over.REASON]]
        return cls(table)

    @classmethod
    def together(cls, several: Sequence[Proven]) -> Proven:
        """All of several, one after the other."""
        return cls(np.concatenate([np.empty((0, len(Column)), np.int64), *(each.table for each in several)]))

    def first(self, count: int) -> Proven:
        """The first of them."""
        return Proven(self.table[:count])

    @property
    def start(self) -> I64:
        """First bytes."""
        return self.table[:, Column.START]

    @property
    def relength(self) -> Bool:
        """Which have another length."""
        return np.asarray(self.table[:, Column.CLAIM] != self.table[:, Column.SIZE])

    @property
    def remagic(self) -> Bool:
        """Which have another magic."""
        return np.asarray(self.table[:, Column.MAGIC] != self.table[:, Column.PUT])

    @property
    def zero_length(self) -> Bool:
        """Which have another length than the zeros that stand there."""
        return np.asarray(self.relength & (self.table[:, Column.CLAIM] == OVERHEAD))

    def patches(self) -> list[Patch]:
        """The bytes exchanged, in file order for each."""
        made: list[Patch] = []
        rows = np.flatnonzero(self.relength)
        columns = (self.table[rows, at] for at in (Column.CLAIM, Column.SIZE))
        before, after = ((column - OVERHEAD).astype(">i4").tobytes() for column in columns)
        for at, start in zip(range(0, 4 * len(rows), 4), self.start[rows].tolist(), strict=True):
            made.append(Patch(start + LENGTH_AT, before[at : at + 4], after[at : at + 4]))
        rows = np.flatnonzero(self.remagic)
        for start, *magics in self.table[rows][:, [Column.START, Column.MAGIC, Column.PUT]].tolist():
            made.append(Patch(start + MAGIC_AT, *(struct.pack(">b", magic) for magic in magics)))
        return made

    def doubtful_epochs(self) -> Bool:
        """Whose epoch field lies between repaired bytes, or behind zeros that may have run into it."""
        return np.asarray((self.zero_length & (self.table[:, Column.EPOCH] == 0)) | (self.relength & self.remagic))

    def doubtful_offsets(self) -> Bool:
        """In whose header zeros run from the base offset into the length."""
        return np.asarray(self.zero_length & (self.table[:, Column.OFFSET] & 0xFF == 0))

    def findings(self, place: Place, first: I64, behind: I64, file_size: int) -> Iterator[Finding]:
        """What is said of each, one by one; the arguments are those of `sheet`."""
        for row, *where in zip(self.table.tolist(), first.tolist(), behind.tolist(), strict=True):
            yield _finding(place, row, OffsetRange(*where), file_size)

    def sheet(self, place: Place, first: I64, behind: I64, file_size: int) -> Sheet[Finding]:
        """What is said of each.

        Args:
            place: for findings.
            first: first offset of each, as it is believed.
            behind: the offset behind its last one.
            file_size: bytes of the file.
        """
        start, size, claim, magic, put = (
            self.table[:, at] for at in (Column.START, Column.SIZE, Column.CLAIM, Column.MAGIC, Column.PUT)
        )
        words = no_digit(claim - OVERHEAD, 8), no_digit(size - OVERHEAD, 8), no_digit(magic, 2)
        signs = claim < 0, claim < OVERHEAD, magic < 0
        kind = bits(self.relength, self.remagic, *words, *signs) | self.table[:, Column.REASON] << 8

        def make(row: int) -> Finding:
            return _finding(place, self.table[row].tolist(), OffsetRange(int(first[row]), int(behind[row])), file_size)

        def numbers(each: int, rows: I64) -> list[I64]:
            begin, all_of, told, kinds, right = (column[rows] for column in (start, size, claim, magic, put))
            sentence = _numbers(_REASONS[each >> 8], bool(each & 1), bool(each & 2), self.table[rows], file_size)
            changed: list[tuple[int, int, I64, I64]] = []
            if each & 1:
                changed.append((LENGTH_AT, 8, told - OVERHEAD, all_of - OVERHEAD))
            if each & 2:
                changed.append((MAGIC_AT, 2, kinds, right))
            evidence = [begin + at for at, _, _, _ in changed]
            evidence += [part for _, digits, before, _ in changed for part in hexed(before, digits)]
            evidence += [part for _, digits, _, after in changed for part in hexed(after, digits)]
            return [begin, begin + all_of, first[rows], behind[rows], *sentence, *evidence]

        return repeated(kind, make, numbers)


def _numbers(reason: StopReason, relength: bool, remagic: bool, table: I64, file_size: int) -> list[I64]:
    """Numbers of the sentences of one kind."""
    claim, magic = table[:, Column.CLAIM], table[:, Column.MAGIC]
    mismatch = reason is StopReason.CRC_MISMATCH
    if mismatch and remagic:
        return [magic & 0xFF, table[:, Column.PUT]]
    if mismatch and relength:
        return [np.abs(claim), table[:, Column.SIZE]]
    if mismatch:
        return [table[:, Column.STORED], table[:, Column.COMPUTED]]
    if reason is StopReason.LENGTH_PAST_END:
        return [np.abs(claim), file_size - table[:, Column.START]]
    if reason is StopReason.LENGTH_TOO_SMALL:
        return [np.abs(claim - OVERHEAD), np.full(len(table), 14)]
    if reason is StopReason.BAD_MAGIC:
        return [np.abs(magic)]
    return [file_size - table[:, Column.START]]


def _finding(place: Place, row: list[int], where: OffsetRange, file_size: int) -> Finding:
    start, size, _, _, claim, magic, put, reason, stored, computed = row
    there = Stop(start, _REASONS[reason], stored, computed)
    code, sentence = stop_code(there, torn=False), stop_sentence(there, claim, magic, file_size - start)
    mismatch = there.reason is StopReason.CRC_MISMATCH
    if mismatch and claim != size:
        # summed up to a wrong end, the CRC would mislead
        sentence = f"the length claims a batch of {claim} bytes, and the CRC holds with {size}"
    if mismatch and magic != put:
        # read with the wrong magic, the CRC stands elsewhere: its figures would mislead
        code, sentence = "bad-magic", f"the magic says {magic & 0xFF}, and the CRC holds with {put}"
    changed = []
    if claim != size:
        changed.append((LENGTH_AT, struct.pack(">i", claim - OVERHEAD), struct.pack(">i", size - OVERHEAD)))
    if magic != put:
        changed.append((MAGIC_AT, struct.pack(">b", magic), struct.pack(">b", put)))
    return place.finding(
        code,
        start,
        start + size,
        f"{sentence}; proved by its CRC once repaired",
        where,
        position=[start + at for at, _, _ in changed],
        before=[before.hex() for _, before, _ in changed],
        after=[after.hex() for _, _, after in changed],
    )
