"""Files: what each file of a source is, and what this run does with it."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kafka_salvage.errors import RequestError, SourceError
from kafka_salvage.scan.evidence import EvidenceFile, Use
from kafka_salvage.scan.layout import REMOTE_INDEX_CACHE, Layout, in_remote_cache
from kafka_salvage.source.inventory import Entry, Nature
from kafka_salvage.source.opening import open_source
from kafka_salvage.wire.filenames import FileKind, FileName, Suffix, parse_file_name

if TYPE_CHECKING:
    from kafka_salvage.wire.foreign import Foreign

MOST_LOOKS = 1000
"""Files of strange names in one source whose first bytes are looked at; a tree may hold millions that are not Kafka's."""

_IN_LOG_DIR = frozenset({FileKind.META_PROPERTIES, FileKind.OFFSET_CHECKPOINT, FileKind.CLEAN_SHUTDOWN})
_UNFINISHED = "a file that was being written; it may be newer than the finished one, or torn"
_IGNORED_KINDS = {
    FileKind.LOCK: "the empty file that a running broker locks",
    FileKind.QUORUM_STATE: "the state of a controller election; holds no records",
    FileKind.METADATA_SNAPSHOT: "not a snapshot of this cluster's metadata log; `show` prints it",
}


def listed(layout: Layout, source: str) -> tuple[EvidenceFile, ...]:
    """Every file of a source with its kind and use, sorted by path; directories only where they could not be read."""
    looks = 0
    found = []
    for entry in layout.entries:
        if entry.nature is not Nature.DIRECTORY or entry.reason is not None:
            file = _describe(layout, entry, source)
            if _is_strange(entry, file) and looks < MOST_LOOKS:
                looks += 1
                file = _of_zookeeper(file) or _identified(file)
            found.append(file)
    return tuple(found)


def _describe(layout: Layout, entry: Entry, source: str) -> EvidenceFile:
    parsed = parse_file_name(entry.name)
    path = entry.path or "."
    if entry.nature is Nature.DIRECTORY:
        return EvidenceFile(source, path, entry.real, 0, FileKind.UNKNOWN, Use.IGNORED, entry.reason)
    if entry.nature is Nature.UNREADABLE:
        return EvidenceFile(source, path, entry.real, 0, parsed.kind, Use.UNREADABLE, entry.reason)
    odd = entry.nature in (Nature.LINK, Nature.SPECIAL) and parsed.kind is FileKind.SEGMENT
    if odd and _why_ignored(layout, replace(entry, reason=None), parsed) is None:
        # a pipe or a link where a segment belongs: records may lie behind it that are not read, and that must not be silent
        return EvidenceFile(source, path, entry.real, 0, parsed.kind, Use.UNREADABLE, entry.reason)
    kind, reason = parsed.kind, entry.reason or _why_ignored(layout, entry, parsed)
    if reason is None:
        reason = _why_unreadable(entry) if parsed.kind is FileKind.SEGMENT else None
        use = Use.UNREADABLE if reason else Use.CONTEXT if entry.path in layout.context else Use.READ
        return EvidenceFile(source, path, entry.real, entry.size, kind, use, reason)
    return EvidenceFile(source, path, entry.real, entry.size, kind, Use.IGNORED, reason)


def _why_ignored(layout: Layout, entry: Entry, parsed: FileName) -> str | None:
    """Why a file is not used; None when it is."""
    directory = entry.parent or "."
    if in_remote_cache(entry.path):
        return f"in {REMOTE_INDEX_CACHE}: copies of the indexes of remote segments, no records"
    if parsed.kind is FileKind.UNKNOWN:
        return "not a file of Kafka's"
    if parsed.kind is FileKind.ARCHIVE:
        return "an archive by its name; not opened by this tool"
    if parsed.kind is FileKind.METADATA_SNAPSHOT and not parsed.suffix and directory in layout.partitions:
        return None
    if parsed.kind in _IGNORED_KINDS:
        return _IGNORED_KINDS[parsed.kind]
    if parsed.kind is not FileKind.SEGMENT and parsed.suffix in (Suffix.TMP, Suffix.PART):
        return _UNFINISHED
    if parsed.kind in _IN_LOG_DIR:
        return None if directory in layout.log_dirs else "lies in no log dir"
    if directory in layout.partitions or directory in layout.loose:
        return None
    return "lies in no partition directory"


def _why_unreadable(entry: Entry) -> str | None:
    try:
        open_source(entry.real, "it").close()
    except SourceError as error:
        return error.message
    return None


def foreign_of(place: Path) -> Foreign | None:
    """What a file is that Kafka did not write, by its first bytes; None when nothing speaks for anything."""
    from kafka_salvage.wire.foreign import HEAD_SIZE, identify  # few sources hold such files

    try:
        source = open_source(place)
    except SourceError:
        return None
    try:
        return identify(source.read(0, HEAD_SIZE).tobytes(), source.size)
    finally:
        source.close()


def _is_strange(entry: Entry, file: EvidenceFile) -> bool:
    """Whether a regular file's name says nothing, or that it is an archive."""
    regular = entry.nature is Nature.FILE and entry.reason is None
    return regular and file.kind in (FileKind.UNKNOWN, FileKind.ARCHIVE)


def _of_zookeeper(file: EvidenceFile) -> EvidenceFile | None:
    """A file of ZooKeeper's, by its name and first bytes; compressed ones by their name."""
    from kafka_salvage.wire.zookeeper import LOG_MAGIC, SNAPSHOT_MAGIC, parse_name

    parsed = parse_name(file.path.rpartition("/")[2])
    if parsed is None:
        return None
    kind, magic = {
        "snapshot": (FileKind.ZOOKEEPER_SNAPSHOT, SNAPSHOT_MAGIC),
        "log": (FileKind.ZOOKEEPER_LOG, LOG_MAGIC),
    }[parsed[0]]
    if not parsed[2]:
        try:
            source = open_source(file.real)
        except SourceError:
            return None
        try:
            if source.read(0, len(magic)).tobytes() != magic:
                return None
        finally:
            source.close()
    return replace(file, kind=kind, use=Use.READ, reason=None)


def _identified(file: EvidenceFile) -> EvidenceFile:
    """Tells archives, disk images and encrypted volumes from other files, and how to open them."""
    foreign = foreign_of(file.real)
    if foreign is None:
        return file
    if not foreign.command:
        return replace(file, kind=FileKind.UNKNOWN, reason=f"not a file of Kafka's by its name; it {foreign.sentence}")
    return replace(file, kind=FileKind.ARCHIVE, reason=f"{foreign.sentence}; this opens it: {foreign.command}")


def archive_refusal(place: Path, lead: str) -> RequestError | None:
    """The refusal of an archive, disk image or encrypted volume, with the command that opens it; None for other files.

    Args:
        place: the file.
        lead: how the sentence begins, up to the file's path; "" when the file itself was given.
    """
    foreign = foreign_of(place)
    if foreign is None or not foreign.command:
        return None
    command = foreign.command
    if place.name.endswith((".tgz", ".txz", ".tzst")) or ".tar." in place.name:
        command = "tar -xf FILE"  # tar sees for itself how the archive is compressed
    command = command.replace("FILE", shlex.quote(str(place)))
    return RequestError(
        f"{lead}{place} {foreign.sentence}" if lead else f"{place} {foreign.sentence}, not Kafka data as it is",
        advice=f"Open it, and give the directory that comes out: {command}",
    )
