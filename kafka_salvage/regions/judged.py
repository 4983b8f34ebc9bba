"""Judged: the believed batches of one file with a verdict each, while the rules on records, offsets and epochs are asked."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.runs import Patch
from kafka_salvage.regions.shapes import FindingCodec, Findings
from kafka_salvage.regions.sheet import Sheet
from kafka_salvage.regions.verdict import Finding, Verdict
from kafka_salvage.scan.batches import I8, I64, BatchTable, Bool

CODES: tuple[Verdict, ...] = (
    Verdict.INTACT,
    Verdict.REPAIRED,
    Verdict.SUSPECT,
    Verdict.DUPLICATE,
    Verdict.UNDECODABLE,
)
"""Verdict of each code in `Judged.verdict`."""
INTACT, REPAIRED, SUSPECT, DUPLICATE, UNDECODABLE = range(5)


@dataclass
class Judged:
    """Rows and what is said of them.

    Attributes:
        table: batches in file order; offsets and epochs as they read with the patches laid over.
        verdict: code per row, see `CODES`.
        control_type: type in the key of a control batch's first record; -1 elsewhere.
        patches: repairs.
        findings: so far.
        sheets: more of them in columns, where there are many of a kind, and before how many of ``findings`` they were said;
            each begins where a row does.
        holes: offsets that an off-chain row may belong to, by row.
        counts: batches that each row stands for; None: one each.
    """

    table: BatchTable
    verdict: I8
    control_type: I8
    patches: list[Patch] = field(default_factory=list)
    findings: list[Finding] | Findings = field(default_factory=list)
    sheets: list[tuple[int, Sheet[Finding]]] = field(default_factory=list)
    holes: dict[int, OffsetRange | None] = field(default_factory=dict)
    counts: I64 | None = None

    @classmethod
    def of(cls, table: BatchTable, counts: I64 | None = None) -> Judged:
        """All rows intact."""
        return cls(table, np.zeros(len(table), np.int8), np.full(len(table), -1, np.int8), counts=counts)

    @property
    def believed(self) -> Bool:
        """Rows that come out: intact or repaired."""
        return np.asarray(self.verdict <= REPAIRED)

    @property
    def placed(self) -> Bool:
        """Rows whose offsets are believed, whether or not they decode."""
        return np.asarray((self.verdict <= REPAIRED) | (self.verdict == UNDECODABLE))

    def forget(self, code: str, start: int) -> None:
        """Takes back what was said with a code of the row that begins there."""
        gone = [at for at, f in enumerate(self.findings) if (f.code, f.start) == (code, start)]
        self.findings = [f for at, f in enumerate(self.findings) if at not in gone]
        for number, (before, sheet) in enumerate(self.sheets):
            said = np.array([shape[0] == code for shape in sheet.shapes], np.bool_)[sheet.which]
            kept = sheet.take(np.flatnonzero(~(said & (sheet.columns[0] == start))))
            self.sheets[number] = before - bisect_left(gone, before), kept

    def told(self) -> list[Finding]:
        """All findings one by one."""
        told, done, codec = list[Finding](), 0, FindingCodec()
        for before, sheet in self.sheets:
            told += self.findings[done:before]
            columns = [column.tolist() for column in sheet.columns]
            for row, kind in enumerate(sheet.which.tolist()):
                numbers = tuple(column[row] for column in columns[: sheet.widths[kind]])
                told.append(codec.make(sheet.shapes[kind], numbers))
            done = before
        return [*told, *self.findings[done:]]

    def say(self, sheet: Sheet[Finding]) -> None:
        """Adds findings."""
        self.sheets.append((len(self.findings), sheet))

    def mark_repaired(self, row: int) -> None:
        """A row that is believed with a patch over it."""
        if self.verdict[row] == INTACT:
            self.verdict[row] = REPAIRED
