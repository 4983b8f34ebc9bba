"""Numbering: every finding once, in an order that only the evidence decides, with an id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

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
        findings: any order, repeats allowed.
        directories: (source, path) of partition directories; what lies below one belongs to it.
    """

    def __init__(self, findings: Iterable[Finding], directories: Iterable[tuple[str, str]]) -> None:
        unique = {_key(finding): finding for finding in findings}
        self._ordered = [unique[key] for key in sorted(unique)]
        self._ids = {_key(finding): f"f{place}" for place, finding in enumerate(self._ordered, 1)}
        self._directories = set(directories)

    def __len__(self) -> int:
        return len(self._ordered)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._ordered)

    def ids(self, findings: Iterable[Finding]) -> list[str]:
        """Ids of some findings, each once, in their order."""
        found = {self._ids[_key(finding)] for finding in findings}
        return sorted(found, key=lambda name: int(name[1:]))

    def split(self) -> tuple[list[Finding], list[Finding]]:
        """Those that the report holds, and those beyond the limit of their partition."""
        seen: dict[tuple[str, str], int] = defaultdict(int)
        held: list[Finding] = []
        beyond: list[Finding] = []
        for finding in self._ordered:
            home = self._home(finding)
            seen[home] += 1
            (held if seen[home] <= PER_PARTITION else beyond).append(finding)
        return held, beyond

    def _home(self, finding: Finding) -> tuple[str, str]:
        path = finding.path
        while path and (finding.source, path) not in self._directories:
            path = path.rpartition("/")[0]
        return finding.source, path

    def to_dict(self, finding: Finding) -> dict[str, Any]:
        """One finding as the document shows it."""
        return {
            "id": self._ids[_key(finding)],
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
