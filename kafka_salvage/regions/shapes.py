"""Shape: what repeats in findings, regions and whatever points at findings, parted from their numbers (see `compact`).

Of a text the whole numbers in it are parted, of a list or a mapping those at its leaves. What is left of a damage is a few
integers: where it is, the offsets that it took, two sums.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.block import Numbers
from kafka_salvage.regions.compact import FEW, Compact, Same, Turned
from kafka_salvage.regions.sheet import sheets_of
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.batches import I64

_DIGITS = re.compile(r"([0-9]+)")
_HEX = re.compile(r"(?:[0-9a-f]{2}){1,64}")
_HEX_DIGITS = 14
_LIMIT = 1 << 63
_MOST_DIGITS = 19
FEW_TURNED = 8
"""Findings of one value that lie side by side, and are told in another order by one shape for all such values."""
_INT, _WORDS, _HEXED, _LIST, _TUPLE, _DICT, _ITSELF, _PLAIN = range(8)


def part_text(text: str, numbers: list[int]) -> Hashable:
    """The shape of a text; the numbers in it are added to ``numbers``."""
    if "%" in text:
        return _PLAIN, str, text
    pieces = _DIGITS.split(text)
    if len(pieces) == 1:
        return _PLAIN, str, text
    if _HEX.fullmatch(text):
        numbers.extend(int(text[at : at + _HEX_DIGITS], 16) for at in range(0, len(text), _HEX_DIGITS))
        return _HEXED, len(text)
    for at in range(1, len(pieces), 2):
        digits = pieces[at]
        if len(digits) == 1 or (digits[0] != "0" and len(digits) <= _MOST_DIGITS and int(digits) < _LIMIT):
            numbers.append(int(digits))
            pieces[at] = "%d"
    words = "".join(pieces)
    return (_WORDS, words) if "%" in words else (_PLAIN, str, text)


def part(value: Any, numbers: list[int]) -> Hashable:
    """The shape of a plain value; the integers in it are added to ``numbers``."""
    kind = type(value)
    if kind is str:
        return part_text(value, numbers)
    if (kind is int or isinstance(value, np.integer)) and -_LIMIT <= value < _LIMIT:
        numbers.append(int(value))
        return _INT
    if kind is list or kind is tuple:
        return _LIST if kind is list else _TUPLE, tuple(part(each, numbers) for each in value)
    if kind is dict:
        return _DICT, tuple((name, part(each, numbers)) for name, each in value.items())
    if value is None or kind in (bool, int, float, bytes):
        return _PLAIN, kind, value
    return _ITSELF, Same(value)


def make(shape: Any, numbers: Iterator[int]) -> Any:
    """The value of a shape and its numbers."""
    if shape == _INT:
        return next(numbers)
    kind = shape[0]
    if kind == _PLAIN:
        return shape[2]
    if kind == _WORDS:
        words = shape[1]
        return words % tuple(next(numbers) for _ in range(words.count("%d")))
    if kind == _DICT:
        return {name: make(each, numbers) for name, each in shape[1]}
    if kind == _LIST:
        return [make(each, numbers) for each in shape[1]]
    if kind == _TUPLE:
        return tuple(make(each, numbers) for each in shape[1])
    if kind == _HEXED:
        size = shape[1]
        return "".join(f"{next(numbers):0{min(_HEX_DIGITS, size - at)}x}" for at in range(0, size, _HEX_DIGITS))
    return shape[1].value


def numbers_in(shape: Any) -> int:
    """How many numbers a text of a shape holds."""
    if shape[0] == _HEXED:
        return -(-int(shape[1]) // _HEX_DIGITS)
    return int(shape[1].count("%d")) if shape[0] == _WORDS else 0


class FindingCodec:
    """Parts findings."""

    def part(self, value: Finding) -> tuple[Hashable, Numbers]:
        """Shape and numbers: place and offsets first, then those of the sentence and of the evidence."""
        where = value.offsets
        numbers = [value.start, value.stop] if where is None else [value.start, value.stop, where.start, where.stop]
        said = part_text(value.message, numbers)
        evidence = part(value.detail if type(value.detail) is dict else dict(value.detail), numbers)
        return (value.code, value.source, value.path, where is None, said, evidence), tuple(numbers)

    def make(self, shape: Any, numbers: Numbers) -> Finding:
        """The finding."""
        code, source, path, nowhere, said, evidence = shape
        start, stop = numbers[:2]
        rest = iter(numbers[2 if nowhere else 4 :])
        where = None if nowhere else OffsetRange(numbers[2], numbers[3])
        return Finding(code, source, path, start, stop, where, make(said, rest), make(evidence, rest))


Findings = Compact[Finding]
_AT_ONCE = 1 << 17
"""Findings that are put in order by their columns all at once, about 100 bytes each."""


def findings_of(values: Iterable[Finding] = ()) -> Findings:
    """Findings, packed where there are many."""
    return Compact(FindingCodec(), values)


def in_order(findings: Sequence[Finding]) -> Sequence[Finding]:
    """The findings of one file by place and code, packed where there are many."""
    if not isinstance(findings, Compact) or len(findings) < FEW:
        return tuple(sorted(findings, key=_by_place))
    if findings.loose:
        return findings_of(sorted(findings, key=_by_place)).settled()
    codes = sorted({shape[0] for shape in findings.all_shapes()})
    keys = np.empty(len(findings), np.int16), np.empty(len(findings), np.int64), np.empty(len(findings), np.int64)
    for shape, places, columns in findings.tables():
        keys[0][places], keys[1][places], keys[2][places] = codes.index(shape[0]), columns[1], columns[0]
    order = np.lexsort(keys)
    if bool((order[1:] > order[:-1]).all()):
        return findings.settled()
    if len(order) > _AT_ONCE:
        return findings_of(findings[at] for at in order).settled()
    made = findings_of()
    for sheet in sheets_of(findings, len(order)):
        sheet.take(order).add_to(made)
    return made.settled()


def _by_place(finding: Finding) -> tuple[int, int, str]:
    return finding.start, finding.stop, finding.code


def with_code(findings: Sequence[Finding], codes: Collection[str]) -> Iterator[Finding]:
    """Those that have one of the codes, in their order."""
    some = findings.of_shape(lambda shape: shape[0] in codes) if isinstance(findings, Compact) else findings
    return (finding for finding in some if finding.code in codes)


def kinds_of(groups: Iterable[Sequence[Finding]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Code, and what of the evidence is neither number nor list, of findings of some groups: at least once what differs."""
    picked: list[Picked] = []
    whole: set[int] = set()
    for group in groups:
        if isinstance(group, Compact):
            whole.add(id(group))
            yield from map(_kind, group.all_shapes())
        elif isinstance(group, Picked):
            picked.append(group)
        else:
            yield from ((finding.code, finding.detail) for finding in group)
    seen: dict[int, set[int]] = {}
    for group in picked:
        if id(group.log) in whole:
            continue
        rows = np.sort(np.asarray(group.rows, np.int64))
        kinds = group.log.shapes_at(rows)
        known = seen.setdefault(id(group.log), set())
        for kind in set(kinds.tolist()) - known - {-1}:
            yield _kind(group.log.shape(kind))
        known.update(kinds.tolist())
        loose = (group.log[row] for row in rows[kinds < 0].tolist())
        yield from ((finding.code, finding.detail) for finding in loose)


def _kind(shape: Any) -> tuple[str, Mapping[str, Any]]:
    """The same of the shape of a finding."""
    code, *_, evidence = shape
    plain = {name: each for name, each in evidence[1] if each != _INT}
    told = {name: each[2] for name, each in plain.items() if each[0] == _PLAIN}
    return code, told | {name: each[1].value for name, each in plain.items() if each[0] == _ITSELF}


class Picked(Sequence[Finding]):
    """Some of many findings.

    Attributes:
        log: all of them.
        rows: which.
    """

    __slots__ = ("log", "rows")

    def __init__(self, log: Findings, rows: range | I64) -> None:
        self.log = log
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Finding]:
        return (self.log[int(row)] for row in self.rows)

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Finding, ...]: ...
    def __getitem__(self, index: int | slice) -> Finding | tuple[Finding, ...]:
        if isinstance(index, slice):
            return tuple(self.log[int(row)] for row in self.rows[index])
        return self.log[int(self.rows[index])]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (Picked, Compact, tuple, list)):
            return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment] # findings have none either: their evidence is a mapping

    def __repr__(self) -> str:
        return repr(tuple(self))


def together(groups: Iterable[Sequence[Finding]]) -> Sequence[Finding]:
    """The findings of several, each once, in their order."""
    several = [group for group in groups if len(group)]
    if len(several) <= 1:
        return several[0] if several else ()
    if all(isinstance(group, Picked) and group.log is several[0].log for group in several):  # type: ignore[attr-defined] # Picked
        rows = np.concatenate([np.asarray(group.rows, np.int64) for group in several])  # type: ignore[attr-defined] # Picked
        _, first = np.unique(rows, return_index=True)
        return Picked(several[0].log, rows[np.sort(first)])  # type: ignore[attr-defined] # Picked
    each = {
        (f.source, f.path, f.start, f.stop, f.code, f.offsets, f.message): f for group in several for f in group
    }  # those of one segment and another, or few
    return tuple(each.values())


class Told:
    """Remembers findings that values point at, and says of them where they are.

    Args:
        log: gets those that it does not have yet.
    """

    RECENT = 64

    def __init__(self, log: Findings | None = None) -> None:
        self.log = findings_of() if log is None else log
        self._recent: dict[int, tuple[Finding, int]] = {}

    def part(self, findings: Sequence[Finding]) -> tuple[Hashable, Numbers]:
        """Shape and numbers of some findings."""
        if not len(findings):
            return None, ()
        if isinstance(findings, Picked):
            log, rows = findings.log, findings.rows
        else:
            log, rows = self.log, self._rows(findings)
        if isinstance(rows, range):
            return Same(log), (rows.start, rows.stop) if rows.step > 0 else (rows.start + 1, rows.stop + 1)
        low, count = int(rows.min()), len(rows)
        if count <= FEW_TURNED and sorted(rows.tolist()) == list(range(low, low + count)):
            return Turned(log, tuple((rows - low).tolist())), (low + count, low)
        return (Same(log), Same(rows)), ()

    def _rows(self, findings: Sequence[Finding]) -> range | I64:
        rows: list[int] = []
        for finding in findings:
            known = self._recent.get(id(finding))
            if known is None:
                known = self._recent[id(finding)] = finding, len(self.log)
                self.log.append(finding)
                if len(self._recent) > self.RECENT:
                    del self._recent[next(iter(self._recent))]
            rows.append(known[1])
        low = rows[0]
        return range(low, low + len(rows)) if rows == list(range(low, low + len(rows))) else np.array(rows, np.int64)

    @staticmethod
    def rows_from(low: int, high: int) -> range:
        """The rows that two numbers tell: those from the first one to before the second; where that is lower, those before the
        first one down to the second.
        """
        return range(low, high) if low <= high else range(low - 1, high - 1, -1)

    @staticmethod
    def make(shape: Any, numbers: Numbers) -> Sequence[Finding]:
        """The findings of a shape."""
        if shape is None:
            return ()
        if isinstance(shape, Turned):  # the end comes first, so that none takes it for rows that go on
            return Picked(shape.value, numbers[1] + np.array(shape.turn, np.int64))
        if isinstance(shape, Same):
            return Picked(shape.value, Told.rows_from(*numbers))
        return Picked(shape[0].value, shape[1].value)


def pointed(values: Sequence[Any]) -> Iterator[Sequence[Finding]]:
    """The findings that regions, or ranges of a ledger, point at; of packed ones those of many together."""
    if not isinstance(values, Compact):
        yield from (value.findings for value in values if len(value.findings))
        return
    for shape, _, columns in values.tables():
        why = shape[-1]  # the last part of each shape that points at findings
        if isinstance(why, Turned):
            yield Picked(why.value, (columns[-1][:, None] + np.array(why.turn, np.int64)).ravel())
        elif isinstance(why, Same):
            starts, stops = columns[-2], columns[-1]
            counts, down = np.abs(stops - starts), stops < starts
            home = np.repeat(np.arange(len(starts)), counts)
            each = np.arange(len(home)) - (np.cumsum(counts) - counts)[home]
            yield Picked(why.value, np.where(down[home], starts[home] - 1 - each, starts[home] + each))
        elif why is not None:
            yield Picked(why[0].value, why[1].value)


def part_range(where: OffsetRange | None) -> Numbers:
    """Numbers of a range; none of None."""
    return () if where is None else (where.start, where.stop)
