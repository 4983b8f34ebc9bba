"""Receipt: what a salvage wrote, and what it could not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafka_salvage.integrity.report import IntegrityReport

FAILED = 5
"""Exit code of a salvage that could not read again what it had checked."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One file of the output.

    Attributes:
        path: relative to the output directory, ``/`` between parts, ASCII.
        format: name of the sink, or ``quarantine`` or ``document``.
        size: bytes.
        sha256: lower-case hex.
        records: data records inside (0 for documents and quarantine).
        batches: batches inside (segments only).
    """

    path: str
    format: str
    size: int
    sha256: str
    records: int = 0
    batches: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "path": self.path,
            "format": self.format,
            "size": self.size,
            "sha256": self.sha256,
            "records": self.records,
            "batches": self.batches,
        }


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Bytes that were judged good, and could not be read as such when they were to be written.

    Attributes:
        source, path: the evidence file.
        start, stop: bytes concerned.
        reason: one sentence.
    """

    source: str
    path: str
    start: int
    stop: int
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "source": self.source,
            "path": self.path,
            "start": self.start,
            "stop": self.stop,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Written:
    """What one writer made of one line.

    Attributes:
        files: finished files.
        notes: facts about them for the manifest (rewritten fields, checkpoint lines, what was withheld).
    """

    files: tuple[WrittenFile, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What stands in the output directory.

    Attributes:
        out: the output directory.
        report: the account that the output follows.
        files: every file but `manifest.json`, `SHA256SUMS` and `run.json`, sorted by path.
        partitions: per line of output: its directory, records, gaps, repairs, rewritten fields, checkpoint lines.
        sources: what was read, with sizes.
        settings: the choices that the output depends on.
        shortfalls: bytes that could not be read again; empty when all went well.
    """

    out: Path
    report: IntegrityReport
    files: tuple[WrittenFile, ...]
    partitions: tuple[Mapping[str, Any], ...]
    sources: tuple[Mapping[str, Any], ...]
    settings: Mapping[str, Any]
    shortfalls: tuple[Shortfall, ...] = ()

    def __repr__(self) -> str:
        return f"Receipt({self.out}, {len(self.files)} files, {self.records} records)"

    @property
    def records(self) -> int:
        """Data records written, counted once per format."""
        return sum(f.records for f in self.files)

    @property
    def exit_code(self) -> int:
        """That of the report; 5 when checked bytes could not be read again."""
        return FAILED if self.shortfalls else int(self.report.exit_code)

    def to_dict(self) -> dict[str, Any]:
        """The manifest: plain values, the same for the same input."""
        return {
            "schema": "kafka-salvage.manifest/1",
            "settings": dict(self.settings),
            "sources": [dict(source) for source in self.sources],
            "partitions": [dict(partition) for partition in self.partitions],
            "outputs": [file.to_dict() for file in self.files],
            "shortfalls": [s.to_dict() for s in self.shortfalls],
        }
