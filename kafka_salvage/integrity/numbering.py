"""Numbering: every finding once, in an order that only the evidence decides, with an id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from kafka_salvage.integrity.ordering import Marked, ordered
from kafka_salvage.regions.compact import Compact
from kafka_salvage.regions.shapes import Picked, findings_of
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.replica import Inventory

PER_PARTITION = 10_000
"""Findings of one partition directory that the report itself holds; the rest go to `findings.jsonl`."""

_Key = tuple[str, str, int, int, str, tuple[int, int], str]


def text(value: str) -> str:
    r"""Text that may hold undecodable bytes of a file name, as valid Unicode (such bytes as ``\xNN``)."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def fact_findings(inventory: Inventory) -> list[Finding]:
    """What the side files of log dirs say about themselves, as findings."""
    return [
        Finding(fact.code, fact.file.source, fact.file.path, 0, fact.file.size, None, fact.message, fact.detail)
        for source in inventory.sources
        for log_dir in source.log_dirs
        for fact in log_dir.facts
    ]


def _key(finding: Finding) -> _Key:
    offsets = (finding.offsets.start, finding.offsets.stop) if finding.offsets else (-1, -1)
    return finding.source, finding.path, finding.start, finding.stop, finding.code, offsets, finding.message


class Numbering:
    """Ids of findings, ``f1`` on, sorted by source, path, position and code.

    Args:
        groups: findings in any order, repeats allowed.
        directories: (source, path) of partition directories; what lies below one belongs to it.
    """

    def __init__(self, groups: Iterable[Sequence[Finding]], directories: Iterable[tuple[str, str]]) -> None:
        self._directories = set(directories)
        single: dict[_Key, Finding] = {}
        marked = Marked()
        for group in groups:
            if isinstance(group, (Compact, Picked)):
                marked.add(group)
            else:
                single.update((_key(finding), finding) for finding in group)
        self._ids: dict[_Key, int] = {}
        loose = findings_of(single.values())
        marked.add(loose)
        self._order, self._numbers = ordered(marked)
        own = self._numbers[id(loose)]
        self._ids = {key: int(own[row]) for row, key in enumerate(single)}

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._order)

    def ids(self, findings: Sequence[Finding]) -> list[str]:
        """Ids of some findings, each once, in their order."""
        if not len(findings):
            return []
        if isinstance(findings, Picked):
            numbers = self._numbers[id(findings.log)]
            found = {int(numbers[row]) for row in findings.rows}
        else:
            found = {self._ids[_key(finding)] for finding in findings}
        return [f"f{number}" for number in sorted(found)]

    def held(self) -> Iterator[dict[str, Any]]:
        """Those that the report itself holds, as the document shows them."""
        return self._shown(beyond=False)

    def beyond(self) -> Iterator[dict[str, Any]]:
        """Those beyond the limit of their partition."""
        return self._shown(beyond=True)

    @cached_property
    def omitted(self) -> int:
        """How many those are."""
        return sum(count - most for _, count, most in self._allowed())

    def _allowed(self) -> Iterator[tuple[int, int, int]]:
        """Of each file's findings, in order: number of the first, how many, and how many the report holds."""
        seen: dict[tuple[str, str], int] = defaultdict(int)
        start = 1
        for place, count in self._order.places:
            home = self._home(*place)
            yield start, count, min(count, max(0, PER_PARTITION - seen[home]))
            seen[home] += count
            start += count

    def _shown(self, *, beyond: bool) -> Iterator[dict[str, Any]]:
        for start, count, most in self._allowed():
            low, high = (most, count) if beyond else (0, most)
            for at in range(low, high):
                yield _shown(start + at, self._order[start + at - 1])

    def _home(self, source: str, path: str) -> tuple[str, str]:
        while path and (source, path) not in self._directories:
            path = path.rpartition("/")[0]
        return source, path


def _shown(number: int, finding: Finding) -> dict[str, Any]:
    """One finding as the document shows it."""
    return {
        "id": f"f{number}",
        "code": finding.code,
        "source": text(finding.source),
        "path": text(finding.path),
        "start": finding.start,
        "stop": finding.stop,
        "offsets": [finding.offsets.start, finding.offsets.stop] if finding.offsets else None,
        "message": text(finding.message),
        "detail": plain(finding.detail),
    }


def plain(value: Any) -> Any:
    """Evidence as values that JSON knows: exact integers, text, lists and objects."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {text(str(name)): plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
        return [plain(each) for each in items]
    if isinstance(value, float):
        return value
    return int(value)
