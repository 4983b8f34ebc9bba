"""Listing: what stands in Kafka files of any kind, as rows; the library's `show`.

Strategy: every file gives a row of type ``file``, then its rows, then a row of type ``end`` that says whether it was whole.
Nothing stops the listing: damage is a row with its range, a file that cannot be opened is a row of type ``unopened``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kafka_salvage.errors import RequestError, SourceError
from kafka_salvage.integrity.log_lines import Text
from kafka_salvage.integrity.log_rows import LogRows
from kafka_salvage.integrity.masks import METADATA_TOPICS
from kafka_salvage.integrity.side_rows import SIDE_KINDS, side_rows
from kafka_salvage.plan.policy import Selection
from kafka_salvage.scan.evidence import EvidenceFile
from kafka_salvage.scan.files import archive_refusal
from kafka_salvage.scan.given import Given, looks_like_log_dir, understand
from kafka_salvage.scan.limits import Limits
from kafka_salvage.source.inventory import Entry, Lister, Nature
from kafka_salvage.source.opening import open_source
from kafka_salvage.wire.filenames import FileKind, parse_directory_name, parse_file_name

Row = dict[str, Any]
LOG_KINDS = frozenset({FileKind.SEGMENT, FileKind.METADATA_SNAPSHOT})
"""Kinds that hold batches."""


@dataclass(frozen=True, slots=True)
class _Choices:
    """What the person asked for."""

    records: bool
    show_secrets: bool
    selection: Selection
    limits: Limits
    as_text: bool = False


def show(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    records: bool = False,
    show_secrets: bool = False,
    selection: Selection | None = None,
    limits: Limits | None = None,
) -> Iterator[Row]:
    """Rows of Kafka files of any kind: batches, records, index entries, checkpoint lines, damage.

    Each row is a dict that JSON can hold, with ``type``: ``file``, ``batch``, ``record``, ``entry``, ``padding``,
    ``blank``, ``damaged``, ``problem``, ``unopened`` or ``end``. Keys and values of records are base64 or None.

    Args:
        paths: files, partition directories, log dirs or trees of them, each perhaps ``NAME=PATH``.
        records: rows for records too.
        show_secrets: show credentials in the cluster's metadata log.
        selection: topics, partitions, offsets and times to show; damage is always shown.
        limits: bounds on decompression.

    Raises:
        RequestError: no such path, or no Kafka file in it.
        SourceError: a path may not be listed.
    """
    chosen = _Choices(records, show_secrets, selection or Selection(), limits or Limits())
    return _shown(paths, chosen)  # type: ignore[return-value] # without text all are rows


def show_lines(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    records: bool = False,
    show_secrets: bool = False,
    selection: Selection | None = None,
    limits: Limits | None = None,
) -> Iterator[Row | Text]:
    """The same, batches and records as lines of JSON in pieces of about a MiB: much faster where there are many.

    Arguments and errors as for `show`.
    """
    chosen = _Choices(records, show_secrets, selection or Selection(), limits or Limits(), as_text=True)
    return _shown(paths, chosen)


def _shown(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], choices: _Choices) -> Iterator[Row | Text]:
    listed = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    return _rows(_files(understand(listed), choices.selection), choices)


def _files(given: Sequence[Given], selection: Selection) -> list[EvidenceFile]:
    """The files to show, in order of their paths."""
    lister = Lister(lambda place, depth: looks_like_log_dir(place, 2 if depth == 1 else 1))
    found: list[EvidenceFile] = []
    for each in given:
        before = len(found)
        for pick, place in sorted(each.picks.items()):
            found.extend(
                EvidenceFile(each.name, entry.path, entry.real, entry.size, _kind(entry), reason=entry.reason)
                for entry in lister.tree(place, pick)
                if _is_shown(each, entry)
            )
        if len(found) == before:
            for place in sorted(each.picks.values()):
                archive = archive_refusal(place, "")
                if archive is not None:
                    raise archive
            where = ", ".join(str(place) for place in sorted(each.picks.values()))
            raise RequestError(
                f"{where} holds no file of a kind that Kafka writes",
                causes=("A file was renamed: its kind is told by its name.",),
                advice="Give segments, indexes, checkpoints, or directories that hold them.",
            )
    chosen = [file for file in found if _is_selected(file, selection)]
    if not chosen:
        raise RequestError("No file matches the filters", advice="Run show without --topic and --partition.")
    return sorted(chosen, key=lambda file: (os.fspath(file.real), file.path))


def _kind(entry: Entry) -> FileKind:
    return parse_file_name(os.path.basename(entry.real)).kind  # noqa: PTH119 - no Path for each of many files


def _is_shown(given: Given, entry: Entry) -> bool:
    if entry.nature is Nature.UNREADABLE:
        return True
    return entry.nature is Nature.FILE and entry.reason is None and _kind(entry) in LOG_KINDS | SIDE_KINDS


def _is_selected(file: EvidenceFile, selection: Selection) -> bool:
    """Whether a file belongs to what was selected; files of no partition only when nothing was."""
    partition = parse_directory_name(file.real.parent.name)
    if partition is not None and file.kind is not FileKind.OFFSET_CHECKPOINT:
        return selection.wants(partition.topic, partition.partition)
    return not (selection.topics or selection.topic_regex or selection.partition is not None)


def _rows(files: Sequence[EvidenceFile], choices: _Choices) -> Iterator[Row | Text]:
    for file in files:
        path = os.fspath(file.real)
        yield {"type": "file", "file": path, "kind": file.kind.value, "size": file.size}
        if file.reason is not None:
            yield {"type": "unopened", "file": path, "message": f"{path} {file.reason}"}
            continue
        try:
            for row in _file_rows(file, choices):
                yield {"type": row["type"], "file": path, **row} if isinstance(row, dict) else row
        except SourceError as error:
            yield {"type": "unopened", "file": path, "message": error.message}


def _file_rows(file: EvidenceFile, choices: _Choices) -> Iterator[Row | Text]:
    """Rows of one file, the last of type ``end``."""
    if file.kind not in LOG_KINDS:
        open_source(file.real).close()  # raises where it cannot be opened at all
        problems = 0
        for row in side_rows(file):
            problems += row["type"] == "problem"
            yield row
        yield {"type": "end", "whole": not problems}
        return
    source = open_source(file.real)
    try:
        partition = parse_directory_name(file.real.parent.name)
        log = LogRows(
            source,
            base_offset=_base_offset(file),
            records=choices.records,
            metadata=file.kind is FileKind.METADATA_SNAPSHOT
            or (partition is not None and partition.topic in METADATA_TOPICS),
            show_secrets=choices.show_secrets,
            selection=choices.selection,
            limits=choices.limits,
            text_of=json.dumps(os.fspath(file.real)) if choices.as_text else None,
        )
        yield from log.rows()
        whole = not (log.damaged or log.problems)
        yield {"type": "end", "whole": whole, "damaged": log.damaged, "problems": log.problems}
    finally:
        source.close()


def _base_offset(file: EvidenceFile) -> int:
    """Lowest offset in the file: a snapshot's batches count from 0, whatever its name says."""
    if file.kind is FileKind.METADATA_SNAPSHOT:
        return 0
    return parse_file_name(file.real.name).base_offset or 0
