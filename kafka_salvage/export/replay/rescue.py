"""Supply from a rescue: the output directory of a salvage, in the first of its formats that tells everything.

Segments come first. What they cannot tell (the fate of a transaction that something else than its marker decided, producers
that were stripped) shows when labels are counted against the report; then a format that has a label on every record is read.
Nothing in the directory is trusted to be as it was: what is read must come to the manifest's counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kafka_salvage.errors import RequestError, SourceError
from kafka_salvage.export.destination import MANIFEST, REPORT
from kafka_salvage.export.lines import DIVERGENT, MAIN
from kafka_salvage.export.places import INTERNAL_TOPICS
from kafka_salvage.export.replay.choices import ReplayChoices
from kafka_salvage.export.replay.from_plan import notes_of
from kafka_salvage.export.replay.record_files import read_records
from kafka_salvage.export.replay.segment_files import SegmentLine
from kafka_salvage.export.replay.supply import LOST, Piece, Supply, SupplyLine
from kafka_salvage.plan.plan import TRANSACTION_CODES, Transaction
from kafka_salvage.plan.policy import Selection
from kafka_salvage.scan.limits import Limits

SEGMENTS = ("segments", "segments_undecided")
RECORDS = ("parquet", "arrow", "jsonl")
Document = Mapping[str, Any]


def is_rescue(path: Path) -> bool:
    """Whether this is the output directory of a finished salvage."""
    return (path / MANIFEST).is_file() and (path / REPORT).is_file()


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of a rescue, as the manifest tells it."""

    manifest: Document
    root: Path

    @property
    def topic(self) -> str:
        return str(self.manifest["topic"])

    @property
    def partition(self) -> int:
        return int(self.manifest["partition"])

    @property
    def outputs(self) -> Document:
        found: Document = self.manifest["outputs"]
        return found

    @property
    def branch(self) -> str | None:
        if self.manifest["kind"] != DIVERGENT:
            return None
        return str(self.manifest["root"]).rstrip("/").rpartition("/")[2]


class Rescue:
    """A rescue directory.

    Args:
        out: the directory.
        limits: bounds of decompression.

    Raises:
        RequestError: it is no finished rescue.
        SourceError: it cannot be read.
    """

    def __init__(self, out: Path, limits: Limits) -> None:
        self._out = out
        self._limits = limits
        self._manifest = _document(out / MANIFEST, "kafka-salvage.manifest/1")
        self._report = _document(out / REPORT, "kafka-salvage.report/1")

    def supply(self, choices: ReplayChoices, selection: Selection) -> Supply:
        """What the rescue gives.

        Args:
            choices: whether losing branches are wanted.
            selection: filters of the replay, besides those of the salvage.

        Raises:
            RequestError: no format of a line tells all that is needed, or the filters select nothing.
            SourceError: a file cannot be read.
        """
        lines, formats, notes, internal = [], Counter[str](), Counter[str](), 0
        try:
            entries = [_Entry(each, self._out) for each in self._manifest["partitions"]]
            for entry in entries:
                if not selection.wants(entry.topic, entry.partition):
                    continue
                kind = "internal" if entry.topic in INTERNAL_TOPICS else entry.manifest["kind"]
                if kind == MAIN or (kind == DIVERGENT and "divergent" in choices.include):
                    format_, line = self._line(entry, choices, selection)
                    formats[format_] += 1
                    if line is not None:
                        lines.append(line)
                elif kind == "internal":
                    internal += 1
                else:
                    notes[kind] += 1
        except (KeyError, TypeError, ValueError) as error:
            raise SourceError(f"{self._out}: the manifest is not of the expected form ({error})") from error
        if not lines:
            raise RequestError(
                "nothing in the rescue matches", advice="Run replay without --topic, --topic-regex and --partition."
            )
        read = ", ".join(name for name in sorted(formats) if name)
        return Supply(f"rescue {self._out} ({read})", self._report, tuple(lines), tuple(notes_of(notes, internal)))

    def _line(self, entry: _Entry, choices: ReplayChoices, selection: Selection) -> tuple[str, SupplyLine | None]:
        outputs = entry.outputs
        has_segments = any(name in outputs for name in SEGMENTS)
        records = [name for name in RECORDS if name in outputs]
        segments = self._from_segments(entry, choices) if has_segments else None
        if segments is not None:
            return "segments", self._made(entry, selection, segments.pieces, _segment_records(outputs))
        if not records and has_segments:
            raise RequestError(
                f"the segments of {entry.topic}-{entry.partition} in the rescue do not tell which of its transactions were "
                "committed",
                causes=("something else than a marker decided them: another copy, or the coordinator's own topic",),
                advice="Replay from the damaged paths themselves, or salvage again with --format parquet or jsonl.",
            )
        if not records:
            return "", None
        name = records[0]
        return name, self._made(entry, selection, self._from_files(entry, name), int(outputs[name]["records"]))

    def _made(
        self, entry: _Entry, selection: Selection, read: Callable[[], Iterator[Piece]], promised: int
    ) -> SupplyLine:
        settings = self._manifest["settings"]
        chosen = settings["selection"]
        log_start = (
            None if "trimmed" in settings["include"] or entry.branch is not None else entry.manifest["log_start"]
        )
        bounds = _Bounds(
            max((v for v in (log_start, chosen["from_offset"], selection.from_offset) if v is not None), default=None),
            min((v for v in (chosen["to_offset"], selection.to_offset) if v is not None), default=None),
            max((v for v in (chosen["from_timestamp"], selection.from_timestamp) if v is not None), default=None),
            min((v for v in (chosen["to_timestamp"], selection.to_timestamp) if v is not None), default=None),
        )

        def narrowed() -> Iterator[Piece]:
            found = 0
            for piece in read():
                found += len(piece.table)
                inside = bounds.inside(piece)
                yield piece if inside.all() else Piece(piece.table.take(inside), piece.labels[inside])
            if found != promised:
                raise SourceError(
                    f"{self._out}: {found} records of {entry.topic}-{entry.partition} are here, and the manifest counts "
                    f"{promised}",
                    advice="Run kafka-salvage verify on the rescue.",
                )

        return SupplyLine(entry.topic, entry.partition, entry.branch, narrowed)

    # segments

    def _from_segments(self, entry: _Entry, choices: ReplayChoices) -> SegmentLine | None:
        """The line as segments; None where they do not tell of every transaction how it ended."""
        loadable, undecided = (
            sorted((self._out / str(entry.outputs[name]["directory"])).glob("*.log")) if name in entry.outputs else []
            for name in SEGMENTS
        )
        partition = self._told(entry)
        spans = [] if partition is None else partition["offsets"]
        holes = np.array(sorted(span["start"] for span in spans if span["status"] in LOST), np.int64)
        records = {} if partition is None else partition["records"]
        label = Transaction.OPEN if records.get("open") and not records.get("unknown") else Transaction.UNKNOWN
        line = SegmentLine(loadable, undecided, holes, label, self._limits)
        wanted = self._labels_told(entry, partition)
        if wanted is None:
            return line if line.tells else None
        trimmed = "trimmed" in self._manifest["settings"]["include"]
        found = line.labels(0 if trimmed else int(entry.manifest["log_start"]))
        both = found["open"] + found["unknown"] == wanted["open"] + wanted["unknown"]
        plain = all(found[name] == wanted[name] for name in ("none", "committed", "aborted"))
        one_kind = len({"open", "unknown"} & choices.include) == 1
        mixed = one_kind and bool(wanted["open"] and wanted["unknown"])  # which is which, the files do not tell
        return line if line.tells and both and plain and not mixed else None

    def _told(self, entry: _Entry) -> Document | None:
        """What the report says of the line's partition."""
        keys = ("topic", "partition", "cluster_id", "topic_id", "state")
        found = [p for p in self._report["partitions"] if all(p[k] == entry.manifest[k] for k in keys)]
        return found[0] if len(found) == 1 and entry.branch is None else None

    def _labels_told(self, entry: _Entry, partition: Document | None) -> Counter[str] | None:
        """Records by label as the report counts them; None where it cannot be compared, or there is only one kind."""
        chosen = self._manifest["settings"]["selection"]
        if partition is None or any(chosen[name] is not None for name in _NARROWING):
            return None
        labels = Counter({str(code): int(partition["records"][str(code)]) for code in TRANSACTION_CODES})
        if self._manifest["settings"]["isolation"] == "read_committed":
            labels = Counter({name: labels[name] for name in ("none", "committed")})
        return labels if any(count for name, count in labels.items() if name != "none") else None

    # files of records

    def _from_files(self, entry: _Entry, format_: str) -> Callable[[], Iterator[Piece]]:
        place = self._out / str(entry.outputs[format_]["path"])
        encoding = str(self._manifest["settings"]["encoding"])

        def read() -> Iterator[Piece]:
            files = sorted(place.glob("*.parquet")) if format_ == "parquet" else [place]
            for file in files:
                yield from read_records(file, format_, encoding)

        return read


_NARROWING = ("from_offset", "to_offset", "from_timestamp", "to_timestamp")


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Filters of a line; None bounds nothing."""

    first: int | None
    stop: int | None
    earliest: int | None
    latest: int | None

    def inside(self, piece: Piece) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        table = piece.table
        wanted = np.ones(len(table), np.bool_)
        if self.first is not None:
            wanted &= table.offset >= self.first
        if self.stop is not None:
            wanted &= table.offset < self.stop
        if self.earliest is not None:
            wanted &= (table.timestamp >= self.earliest) | (table.timestamp < 0)
        if self.latest is not None:
            wanted &= (table.timestamp < self.latest) | (table.timestamp < 0)
        return np.asarray(wanted)


def _segment_records(outputs: Document) -> int:
    return sum(int(outputs[name]["records"]) for name in SEGMENTS if name in outputs)


def _document(path: Path, schema: str) -> Document:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise RequestError(
            f"{path.parent} is no finished rescue: {path.name} is not there", advice="Give the --out DIR of a salvage."
        ) from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is not JSON: {error}", advice="Run kafka-salvage verify on the rescue.") from error
    if not isinstance(found, dict) or found.get("schema") != schema:
        raise RequestError(f"{path} is no document of the kind {schema}")
    return found
