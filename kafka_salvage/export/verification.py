"""Verification: a rescue read again, and what of it disagrees.

Strategy:

1. `SHA256SUMS` names every file but `run.json`; the manifest names every output with size and hash. What is named must be
   there as it was, and what is there must be named.
2. Outputs whose hash agrees are read back, every record of them: a hash tells that a file is as it was written, not that it
   was written well.
3. What was read back is held against the manifest's counts and the report's counts and offsets, line by line.

Nothing is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from kafka_salvage.errors import RequestError, SourceError
from kafka_salvage.export.agreement import LineCheck, Promise, ledger_reasons, promises
from kafka_salvage.export.atomic import PARTIAL
from kafka_salvage.export.destination import MANIFEST, REPORT, RUN, SUMS
from kafka_salvage.export.rereading import Broken, Reread, reread
from kafka_salvage.progress import Progress
from kafka_salvage.scan.limits import Limits

DATA = ("segments", "jsonl", "parquet", "arrow")
DAMAGED_CODE, FAILED_CODE = 3, 5
_SUM = re.compile(rb"([0-9a-f]{64})  ([\x20-\x7e]+)")


class FileStatus(StrEnum):
    """What became of a file."""

    OK = "ok"
    DAMAGED = "damaged"
    MISSING = "missing"
    UNLISTED = "unlisted"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class FileCheck:
    """One file of a rescue.

    Attributes:
        path: relative, ``/`` between parts.
        format: name of the sink, ``quarantine`` or ``document``; empty when nothing tells.
        records: data records that were read back; None when it was not read back.
        reasons: sentences; empty when all agrees.
    """

    path: str
    format: str
    status: FileStatus
    records: int | None = None
    reasons: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "path": self.path,
            "format": self.format,
            "status": str(self.status),
            "records": self.records,
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True, slots=True)
class Verification:
    """What reading a rescue again came to.

    Attributes:
        out: the rescue.
        files: every file that is there or should be, sorted by path.
        lines: per line of output and format, what was read back.
    """

    out: Path
    files: tuple[FileCheck, ...]
    lines: tuple[LineCheck, ...]

    def __repr__(self) -> str:
        return f"Verification({self.out}, {len(self.files)} files, {len(self.disagreements)} disagreements)"

    @property
    def disagreements(self) -> tuple[tuple[str, str, str], ...]:
        """Path, status and sentence of everything that does not agree."""
        files = [(c.path, str(c.status), reason) for c in self.files for reason in c.reasons]
        lines = [(c.path, str(FileStatus.DAMAGED), reason) for c in self.lines for reason in c.reasons]
        return (*files, *lines)

    @property
    def exit_code(self) -> int:
        """0 all agrees, 3 something is damaged, missing or unlisted, 5 something cannot be read."""
        if any(check.status is FileStatus.UNREADABLE for check in self.files):
            return FAILED_CODE
        return DAMAGED_CODE if self.disagreements else 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the same for the same rescue."""
        return {
            "schema": "kafka-salvage.verification/1",
            "exit_code": self.exit_code,
            "files": [check.to_dict() for check in self.files],
            "lines": [check.to_dict() for check in self.lines],
        }


def verify_rescue(
    out: Path, *, limits: Limits | None = None, jobs: int = 1, progress: Progress | None = None
) -> Verification:
    """Reads a rescue again.

    Args:
        out: its directory.
        limits: bounds of decompression.
        jobs: lines read at a time.
        progress: is told bytes read.

    Raises:
        RequestError: this is no rescue directory, or one that was never finished.
        MissingExtraError: a library that a format needs is not installed.
    """
    _refuse(out)
    return _Verifier(out, limits or Limits(), jobs, progress or Progress()).verify()


def _refuse(out: Path) -> None:
    if not out.is_dir():
        raise RequestError(f"{out} is no directory", advice="Give the --out DIR of a salvage.")
    try:
        names = {path.name for path in out.iterdir()}
    except OSError as error:
        raise SourceError(f"{out} cannot be read: {error.strerror}") from error
    if names.isdisjoint({MANIFEST, SUMS}):
        if PARTIAL in names:
            raise RequestError(
                f"{out} is a rescue that was never finished",
                advice="Run the salvage again with --resume, then verify.",
            )
        raise RequestError(f"{out} is no rescue directory", advice="Give the --out DIR of a salvage.")


@dataclass(frozen=True, slots=True)
class _Listed:
    """What is said of a file: by the sums, and by the manifest."""

    sha256: str | None
    entry: Mapping[str, Any] | None


class _Verifier:
    """One verification under way."""

    def __init__(self, out: Path, limits: Limits, jobs: int, progress: Progress) -> None:
        self._out = out
        self._limits = limits
        self._jobs = jobs
        self._progress = progress
        self._reasons: dict[str, list[str]] = {}
        self._unreadable: set[str] = set()
        self._records: dict[str, int] = {}

    def verify(self) -> Verification:
        """Does it all."""
        there = self._there()
        sums = self._sums()
        manifest = self._document(MANIFEST, "kafka-salvage.manifest/1", sums)
        outputs = self._outputs(manifest)
        listed = {
            path: _Listed(sums.get(path), outputs.get(path))
            for path in sorted({*sums, *outputs, *({MANIFEST} & there.keys())})
        }
        for path in there.keys() - listed.keys() - {SUMS, RUN}:
            self._blame(path, "it is named by neither SHA256SUMS nor the manifest")
        self._progress.stage("verify", sum(there.get(path, 0) for path in listed))
        hashed = self._hash(there, listed, known=bool(sums))
        lines = list(self._lines(manifest, outputs, hashed, sums))
        checks = [self._check(path, there, listed) for path in sorted({*there, *listed, SUMS, *self._reasons} - {RUN})]
        return Verification(self._out, tuple(checks), tuple(lines))

    def _blame(self, path: str, reason: str) -> None:
        self._reasons.setdefault(path, []).append(reason)

    def _there(self) -> dict[str, int]:
        """Every file with its size; what is no regular file has size -1."""
        found: dict[str, int] = {}

        def failed(error: OSError) -> None:
            path = Path(error.filename).relative_to(self._out).as_posix()
            self._unreadable.add(path)
            self._blame(path, f"this directory cannot be read: {error.strerror}")

        for folder, directories, names in os.walk(self._out, onerror=failed):
            links = [name for name in directories if (Path(folder) / name).is_symlink()]
            for name in [*names, *links]:
                place = Path(folder) / name
                state = place.lstat()
                regular = stat.S_ISREG(state.st_mode)
                path = os.fsencode(place.relative_to(self._out)).decode("utf-8", "backslashreplace")
                found[path] = state.st_size if regular else -1
                if not regular:
                    self._blame(path, "it is no regular file")
        return found

    def _sums(self) -> dict[str, str]:
        data = self._read(SUMS)
        found: dict[str, str] = {}
        lines = [] if data is None else data.removesuffix(b"\n").split(b"\n")
        for number, line in enumerate(lines, 1):
            match = _SUM.fullmatch(line)
            path = match[2].decode() if match else ""
            if match is None or any(part in ("", ".", "..") for part in path.split("/")) or path in found:
                self._blame(SUMS, f"line {number} is no line of sums")
            else:
                found[path] = match[1].decode()
        return found

    def _read(self, path: str) -> bytes | None:
        """A document; None when it is not there or cannot be read."""
        place = self._out / path
        try:
            return None if place.is_symlink() else place.read_bytes()
        except FileNotFoundError:
            if path == SUMS:
                self._blame(path, "it is not there")
        except OSError as error:
            self._unreadable.add(path)
            self._blame(path, f"it cannot be read: {error.strerror}")
        return None

    def _document(self, path: str, schema: str, sums: Mapping[str, str]) -> Mapping[str, Any] | None:
        """A JSON document whose hash agrees; None when there is none to go by."""
        data = self._read(path)
        if data is None or (path in sums and hashlib.sha256(data).hexdigest() != sums[path]):
            return None
        try:
            document = json.loads(data)
            if document["schema"] == schema:
                return dict(document)
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        self._blame(path, f"it is no document of the kind {schema}")
        return None

    def _outputs(self, manifest: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
        """What the manifest says of each file."""
        found: dict[str, Mapping[str, Any]] = {}
        try:
            for entry in [] if manifest is None else manifest["outputs"]:
                path = str(entry["path"])
                if any(part in ("", ".", "..") for part in path.split("/")):
                    raise ValueError
                found[path] = {
                    "format": str(entry["format"]),
                    "size": int(entry["size"]),
                    "sha256": str(entry["sha256"]),
                    "records": int(entry["records"]),
                    "batches": int(entry["batches"]),
                }
        except (KeyError, TypeError, ValueError):
            self._blame(MANIFEST, "its list of outputs is not of the expected form")
        return found

    # hashes

    def _hash(self, there: Mapping[str, int], listed: Mapping[str, _Listed], *, known: bool) -> set[str]:
        """Hashes every file that is named; returns those that are as they were."""

        def one(path: str) -> bool:
            return self._is_as_it_was(path, there, listed[path], known)

        with ThreadPoolExecutor(self._jobs, thread_name_prefix="verify") as pool:
            good = list(pool.map(one, listed))
        return {path for path, fine in zip(listed, good, strict=True) if fine}

    def _is_as_it_was(self, path: str, there: Mapping[str, int], listed: _Listed, known: bool) -> bool:
        reasons: list[str] = []
        entry = listed.entry
        if known and listed.sha256 is None:
            reasons.append("SHA256SUMS does not name it")
        if entry is not None and listed.sha256 is not None and entry["sha256"] != listed.sha256:
            reasons.append("SHA256SUMS and the manifest give different hashes")
        if path not in there:
            reasons.append("it is not there")
        elif there[path] >= 0:
            if entry is not None and entry["size"] != there[path]:
                reasons.append(f"it has {there[path]} bytes, and the manifest says {entry['size']}")
            try:
                digest = self._digest(path, there[path])
            except OSError as error:
                self._unreadable.add(path)
                reasons.append(f"it cannot be read: {error.strerror}")
            else:
                wanted = listed.sha256 or (entry["sha256"] if entry is not None else "")
                if wanted and digest != wanted:
                    reasons.append("its SHA-256 is not the one that was written down")
        for reason in reasons:
            self._blame(path, reason)
        return not reasons and there[path] >= 0

    def _digest(self, path: str, size: int) -> str:
        with (self._out / path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._progress.advance(size, path)
        return digest

    # records

    def _lines(
        self,
        manifest: Mapping[str, Any] | None,
        outputs: Mapping[str, Mapping[str, Any]],
        hashed: set[str],
        sums: Mapping[str, str],
    ) -> Iterator[LineCheck]:
        if manifest is None:
            return
        report = self._document(REPORT, "kafka-salvage.report/1", sums)
        try:
            said = promises(manifest, report)
            for line in said:
                for reason in ledger_reasons(line):
                    self._blame(REPORT, f"{line.expected.topic}-{line.expected.partition}: {reason}")
            with ThreadPoolExecutor(self._jobs, thread_name_prefix="verify") as pool:
                list(pool.map(lambda line: self._reread_line(line, outputs, hashed), said))
            for line in said:
                for name in line.absent_formats:
                    topic, partition = line.expected.topic, line.expected.partition
                    self._blame(MANIFEST, f"{topic}-{partition}: nothing of it was written as {name}")
                yield from line.checks()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._blame(MANIFEST, f"with the report it is not of the expected form ({type(error).__name__}: {error})")

    def _reread_line(self, line: Promise, outputs: Mapping[str, Mapping[str, Any]], hashed: set[str]) -> None:
        for path in sorted(outputs):
            format_ = line.format_of(path)
            if format_ is None or (format_ == "segments" and not path.endswith(".log")):
                continue
            tally = line.tally(format_, line.place_of(path, format_))
            if path not in hashed:
                tally.whole = False
                continue
            records = batches = 0
            try:
                for piece in self._pieces(path, format_, line):
                    tally.add(piece.offsets)
                    records += len(piece.offsets)
                    batches += piece.batches
            except Broken as error:
                tally.whole = False
                self._blame(path, str(error))
                continue
            except (OSError, SourceError) as error:
                tally.whole = False
                self._unreadable.add(path)
                self._blame(path, f"it cannot be read: {error}")
                continue
            self._records[path] = records
            for found, told, what in (
                (records, outputs[path]["records"], "records"),
                (batches, outputs[path]["batches"], "batches"),
            ):
                if found != told:
                    self._blame(path, f"{found} {what} are in it, and the manifest counts {told}")

    def _pieces(self, path: str, format_: str, line: Promise) -> Iterator[Reread]:
        return reread(self._out / path, format_, line.expected, self._limits)

    # the end

    def _check(self, path: str, there: Mapping[str, int], listed: Mapping[str, _Listed]) -> FileCheck:
        entry = listed[path].entry if path in listed else None
        reasons = tuple(self._reasons.get(path, ()))
        if path in self._unreadable:
            status = FileStatus.UNREADABLE
        elif path not in there:
            status = FileStatus.MISSING
        elif path not in listed and path != SUMS:
            status = FileStatus.UNLISTED
        else:
            status = FileStatus.DAMAGED if reasons else FileStatus.OK
        format_ = str(entry["format"]) if entry is not None else "document" if path in (MANIFEST, SUMS) else ""
        return FileCheck(path, format_, status, self._records.get(path), reasons)
