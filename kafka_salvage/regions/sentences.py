"""Sentences: what is said of damage that the walk went over, as columns.

A damaged disk has hundreds of thousands of findings that differ in numbers only. Those of what the walk went over are never made
one by one: each kind of sentence has one shape, and the numbers come from the table of what was gone over.
"""

from __future__ import annotations

import numpy as np

from kafka_salvage.errors import InvariantError
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.check_header import SECTOR
from kafka_salvage.regions.context import Place
from kafka_salvage.regions.over import Overs, damaged_region
from kafka_salvage.regions.shapes import FindingCodec
from kafka_salvage.regions.sheet import Sheet, joined
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.batches import I64, Bool
from kafka_salvage.vector.doubts import Over
from kafka_salvage.vector.framing import Outcome

CODEC = FindingCodec()
_WHOLE, _INSIDE = -1, -2
"""Kinds of sentences besides those of each `Outcome`: zeros only, and zeros inside."""
_OVERHEAD, _LEAST = 12, 14


def in_place(findings: Sheet[Finding]) -> I64:
    """Rows of findings, by place and code."""
    codes = sorted({shape[0] for shape in findings.shapes})
    code = np.array([codes.index(shape[0]) for shape in findings.shapes], np.int64)[findings.which]
    rows: I64 = np.lexsort((code, findings.columns[1], findings.columns[0]))
    return rows


def of_damaged(
    place: Place, overs: Overs, low: I64, high: I64, lost: Bool, file_size: int
) -> tuple[Sheet[Finding], I64]:
    """What is said of batches that were gone over, as `damaged_region` says it of each.

    Args:
        place: for findings.
        overs: the batches.
        low: first offsets that each took.
        high: offsets behind them.
        lost: whether it took any.
        file_size: bytes of the file.

    Returns:
        First what is said of each, then, in the same order, of the zeros inside some; and the rows of those.
    """
    table = overs.table
    size = table[:, Over.ZEROS_TO] - table[:, Over.ZEROS_FROM]
    whole = size == table[:, Over.SIZE]
    told = np.where(table[:, Over.REASON] == Outcome.LENGTH_TOO_SMALL, table[:, Over.CLAIM] - _OVERHEAD, 0)
    told = np.where(table[:, Over.REASON] == Outcome.BAD_MAGIC, table[:, Over.MAGIC], told)
    # a sign is no part of a number, but of the sentence
    key = np.where(whole, _WHOLE, 2 * table[:, Over.REASON] + (told < 0)) * 2 + lost
    inside = np.flatnonzero(~whole & (size >= SECTOR))
    groups = [(int(kind), np.flatnonzero(key == kind), False) for kind in np.unique(key).tolist()]
    groups += [(_INSIDE, inside[lost[inside] == had], True) for had in (False, True) if (lost[inside] == had).any()]
    parts: list[tuple[I64, Sheet[Finding]]] = []
    for kind, rows, second in groups:
        reason = _INSIDE if second else _WHOLE if kind // 2 == _WHOLE else kind // 4
        first = int(rows[0])
        where = OffsetRange(int(low[first]), int(high[first])) if lost[first] else None
        found = damaged_region(place, overs, first, where, file_size)[1][int(second)]
        shape, numbers = CODEC.part(found)
        columns = _numbers(table[rows], reason, file_size)
        if lost[first]:
            columns[2:2] = [low[rows], high[rows]]
        if tuple(int(column[0]) for column in columns) != numbers:
            raise InvariantError(
                f"a sentence has other numbers than the table: {found.message}",
                stage="regions.sentences",
                where=(found.start, found.stop),
            )
        parts.append((rows, Sheet((shape,), (len(columns),), np.zeros(len(rows), np.int64), tuple(columns))))
    said = Sheet.together([part for _, part in parts])
    mains = [rows for rows, _ in parts[: len(parts) - len([1 for _, _, second in groups if second])]]
    seconds = joined([rows for rows, _ in parts[len(mains) :]])
    back = np.argsort(joined(mains), kind="stable")
    behind = np.argsort(seconds, kind="stable")
    return said.take(np.concatenate([back, len(back) + behind])), seconds[behind]


def _numbers(table: I64, reason: int, file_size: int) -> list[I64]:
    """Numbers of a kind of sentence, but for the offsets; of rows of `Over`."""
    start, claim = table[:, Over.POSITION], table[:, Over.CLAIM]
    where = [start, start + table[:, Over.SIZE]]
    if reason == _INSIDE:
        zeros = [table[:, Over.ZEROS_FROM], table[:, Over.ZEROS_TO]]
        return [*zeros, zeros[1] - zeros[0]]
    if reason == _WHOLE:
        return [*where, table[:, Over.SIZE]]
    if reason == Outcome.CRC_MISMATCH:
        sums = [table[:, Over.STORED], table[:, Over.COMPUTED]]
        return [*where, *sums, *sums]
    if reason == Outcome.LENGTH_PAST_END:
        return [*where, claim, file_size - start]
    if reason == Outcome.LENGTH_TOO_SMALL:
        return [*where, np.abs(claim - _OVERHEAD), np.full(len(table), _LEAST)]
    return [*where, np.abs(table[:, Over.MAGIC])]
