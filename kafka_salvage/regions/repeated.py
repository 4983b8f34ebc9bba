"""Repeated: findings that differ in numbers only, as a sheet, none of them made but one of each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kafka_salvage.regions.shapes import FindingCodec
from kafka_salvage.regions.sheet import Sheet
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.batches import I64, Bool

CODEC = FindingCodec()
ENOUGH = 64
"""Findings from which on a sheet is worth its while."""
_LOWEST = int(np.iinfo(np.int64).min)
"""A number that is a part of the sentence: without its sign it is none of 64 bits."""


def repeated(kind: I64, make: Callable[[int], Finding], numbers: Callable[[int, I64], Sequence[I64]]) -> Sheet[Finding]:
    """The findings, in their order.

    Args:
        kind: of each; those of one kind differ in numbers only.
        make: makes one.
        numbers: gives the numbers of a kind at some rows, as `FindingCodec` parts them. Where those of the first are others,
            all of that kind are made and parted.
    """
    parts: list[Sheet[Finding]] = []
    rows: list[I64] = []
    for each in np.unique(kind).tolist():
        mine = np.flatnonzero(kind == each)
        shape, own = CODEC.part(make(int(mine[0])))
        columns = tuple(np.ascontiguousarray(column, np.int64) for column in numbers(each, mine))
        if tuple(int(column[0]) for column in columns) == own:
            parts.append(Sheet((shape,), (len(columns),), np.zeros(len(mine), np.int64), columns))
        else:
            parts.append(Sheet.of((make(row) for row in mine.tolist()), CODEC))
        rows.append(mine)
    order = np.argsort(np.concatenate([np.empty(0, np.int64), *rows]), kind="stable")
    return Sheet.together(parts).take(order)


def bits(*conditions: Bool) -> I64:
    """Conditions as one number each, the first one lowest."""
    kind = np.zeros(len(conditions[0]), np.int64)
    for at, condition in enumerate(conditions):
        kind |= condition.astype(np.int64) << at
    return kind


def said(number: I64) -> tuple[Bool, Bool]:
    """Whether numbers have a sign in a sentence, and whether they are a part of it."""
    return number < 0, number == _LOWEST


def no_digit(number: I64, digits: int) -> Bool:
    """Whether numbers have no digit below ten where they are written with so many hexadecimal ones: then they are a word."""
    found = np.zeros(len(number), np.bool_)
    for at in range(digits):
        found |= (number >> (4 * at)) & 15 <= 9
    return ~found


def hexed(number: I64, digits: int) -> list[I64]:
    """Numbers written with so many hexadecimal digits, as `part_text` parts them: fourteen digits, then what is left."""
    if digits <= 14:
        return [number & ((1 << 4 * digits) - 1)]
    rest = 4 * (digits - 14)
    return [number >> rest & ((1 << 56) - 1), number & ((1 << rest) - 1)]
