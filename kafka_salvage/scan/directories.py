"""Directories: log dirs and replicas, made from a source's layout and its side files."""

from __future__ import annotations

import os
import stat
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from kafka_salvage.scan import sidecars
from kafka_salvage.scan.evidence import (
    EvidenceFile,
    LogDir,
    Replica,
    SegmentFile,
    SideFact,
    State,
    TopicPartition,
    Use,
)
from kafka_salvage.scan.files import listed
from kafka_salvage.scan.given import file_names
from kafka_salvage.scan.layout import Layout
from kafka_salvage.wire.filenames import (
    DirectorySuffix,
    FileKind,
    PartitionDirectoryName,
    Suffix,
    parse_file_name,
)

if TYPE_CHECKING:
    from kafka_salvage.wire.meta_properties import MetaProperties

NAME_MAX = 255
"""Bytes that Kafka allows the name of a partition directory; what is longer is cut."""

_BY_DIRECTORY = {
    DirectorySuffix.NONE: State.LIVE,
    DirectorySuffix.DELETE: State.DELETED_TOPIC,
    DirectorySuffix.FUTURE: State.FUTURE,
    DirectorySuffix.STRAY: State.STRAY,
}


@dataclass(frozen=True, slots=True)
class Contents:
    """What one source holds."""

    log_dirs: tuple[LogDir, ...]
    replicas: tuple[Replica, ...]
    files: tuple[EvidenceFile, ...]


def only_node(layout: Layout) -> int | None:
    """The node id that every `meta.properties` of a source names, if it is one."""
    nodes = set()
    for directory in layout.log_dirs:
        for entry in layout.files[directory]:
            if entry.name == "meta.properties":
                file = EvidenceFile("", entry.path, entry.real, entry.size, FileKind.META_PROPERTIES)
                properties = sidecars.meta_properties(file).value
                nodes.add(properties.node_id if properties else None)
    nodes.discard(None)
    return nodes.pop() if len(nodes) == 1 else None


def arrange(layout: Layout, source: str) -> Contents:
    """Reads the side files of a source and makes its log dirs and replicas.

    Args:
        layout: the source's directories.
        source: its display name.
    """
    files = listed(layout, source)
    by_directory: dict[str, list[EvidenceFile]] = defaultdict(list)
    for file in files:
        by_directory[file.path.rpartition("/")[0] or "."].append(file)
    alone = len(layout.log_dirs) == 1
    log_dirs = {
        path: _log_dir(source, path, source if alone or path == "." else f"{source}/{path}", by_directory[path])
        for path in layout.log_dirs
    }
    live = {(each.topic, each.partition, layout.log_dir_of(path)) for path, each in _lively(layout)}
    replicas = []
    for path in sorted([*layout.partitions, *layout.loose]):
        inside = layout.log_dir_of(path)
        name = layout.partitions.get(path)
        log_dir = log_dirs[inside] if inside is not None else None
        lines = _lines(log_dir, name, (name.topic, name.partition, inside) in live) if log_dir and name else {}
        replicas.append(_replica(layout, source, path, by_directory[path], log_dir, lines))
    return Contents(tuple(log_dirs.values()), tuple(replicas), files)


def _lively(layout: Layout) -> list[tuple[str, PartitionDirectoryName]]:
    return [(path, name) for path, name in layout.partitions.items() if name.suffix is DirectorySuffix.NONE]


def _log_dir(source: str, path: str, name: str, files: Sequence[EvidenceFile]) -> LogDir:
    used = [file for file in files if file.use in (Use.READ, Use.CONTEXT)]
    facts: list[SideFact] = []
    checkpoints: dict[str, Mapping[TopicPartition, int]] = {}
    meta: MetaProperties | None = None
    for file in used:
        if file.kind is FileKind.OFFSET_CHECKPOINT:
            lines = sidecars.offset_checkpoint(file)
            facts.extend(lines.facts)
            if lines.value is not None:
                checkpoints[_base_name(file)] = lines.value
        elif file.kind is FileKind.META_PROPERTIES:
            properties = sidecars.meta_properties(file)
            facts.extend(properties.facts)
            meta = properties.value
    clean = any(file.kind is FileKind.CLEAN_SHUTDOWN for file in used)
    identity = (meta.cluster_id, meta.node_id, meta.directory_id) if meta else (None, None, None)
    return LogDir(name, source, path, *identity, clean, checkpoints, tuple(facts))


def _lines(log_dir: LogDir, name: PartitionDirectoryName, live_beside: bool) -> dict[str, int]:
    """This partition's checkpoint lines. Beside a live directory, lines are not about one that was renamed away."""
    if name.suffix in (DirectorySuffix.DELETE, DirectorySuffix.STRAY) and live_beside:
        return {}
    key = (name.topic, name.partition)
    return {file: lines[key] for file, lines in log_dir.checkpoints.items() if key in lines}


def _replica(
    layout: Layout,
    source: str,
    path: str,
    files: Sequence[EvidenceFile],
    log_dir: LogDir | None,
    lines: Mapping[str, int],
) -> Replica:
    used = [file for file in files if file.use in (Use.READ, Use.CONTEXT)]
    name = layout.partitions.get(path)
    state = _BY_DIRECTORY[name.suffix] if name else State.LIVE
    base_name = layout.root.name if path == "." else path.rpartition("/")[2]
    topic_id = sidecars.one_of(used, FileKind.PARTITION_METADATA, sidecars.topic_id)
    epochs = sidecars.one_of(used, FileKind.EPOCH_CHECKPOINT, sidecars.epoch_checkpoint)
    cut = name is not None and name.suffix in (DirectorySuffix.DELETE, DirectorySuffix.STRAY)
    return Replica(
        source=source,
        log_dir=log_dir,
        path=path,
        topic=name.topic if name else base_name,
        partition=name.partition if name else -1,
        topic_id=topic_id.value,
        state=state,
        unique_id=name.unique_id if name else "",
        segments=_segments(files, state),
        snapshots=_snapshots(used),
        epochs=epochs.value,
        high_watermark=lines.get("replication-offset-checkpoint"),
        recovery_point=lines.get("recovery-point-offset-checkpoint"),
        log_start=lines.get("log-start-offset-checkpoint"),
        cleaner_offset=lines.get("cleaner-offset-checkpoint"),
        files=tuple(files),
        facts=(*topic_id.facts, *epochs.facts),
        partial=_is_partial(layout, path),
        name_cut=cut and len(os.fsencode(base_name)) == NAME_MAX,
        unnamed=name is None,
    )


def _is_partial(layout: Layout, path: str) -> bool:
    """Whether single files of a directory were given, and other segments lie beside them."""
    wanted = "" if path == "." else path
    at = bisect_left(layout.entries, wanted, key=attrgetter("path"))
    if at < len(layout.entries) and layout.entries[at].path == wanted:
        return False
    given = {entry.name for entry in layout.files[path]}
    place = layout.root if path == "." else layout.root / path
    return any(parse_file_name(each).kind is FileKind.SEGMENT and each not in given for each in file_names(place))


def _segments(files: Sequence[EvidenceFile], state: State) -> tuple[SegmentFile, ...]:
    indexes: dict[tuple[FileKind, int | str, Suffix], EvidenceFile] = {}
    for file in files:
        parsed = parse_file_name(_base_name(file))
        if file.use in (Use.READ, Use.CONTEXT):
            indexes[parsed.kind, _stem(file), parsed.suffix] = file
    found = []
    for file in files:
        parsed = parse_file_name(_base_name(file))
        if parsed.kind is not FileKind.SEGMENT or file.use not in (Use.READ, Use.UNREADABLE):
            continue
        if file.use is Use.UNREADABLE and not _is_regular(file.real):
            continue
        if parsed.suffix is Suffix.DELETED:
            own = State.DELETED_SEGMENT
        else:
            own = state if parsed.suffix is Suffix.NONE else State.LEFTOVER
        beside = [
            indexes.get((kind, _stem(file), parsed.suffix))
            for kind in (FileKind.OFFSET_INDEX, FileKind.TIME_INDEX, FileKind.TXN_INDEX)
        ]
        found.append(SegmentFile(file, parsed.base_offset, own, parsed.suffix, *beside))
    return tuple(sorted(found, key=_segment_order))


def _is_regular(place: Path) -> bool:
    """Whether a segment that cannot be opened is a file at all; links and pipes are never tried."""
    try:
        return stat.S_ISREG(place.lstat().st_mode)
    except OSError:
        return True


def _segment_order(segment: SegmentFile) -> tuple[bool, int, str, str]:
    return segment.base_offset is None, segment.base_offset or 0, segment.suffix, segment.file.path


def _snapshots(used: Sequence[EvidenceFile]) -> tuple[tuple[int, EvidenceFile], ...]:
    found = []
    for file in used:
        parsed = parse_file_name(_base_name(file))
        if parsed.kind is FileKind.PRODUCER_SNAPSHOT and parsed.base_offset is not None and not parsed.suffix:
            found.append((parsed.base_offset, file))
    return tuple(sorted(found, key=lambda each: (each[0], each[1].path)))


def _stem(file: EvidenceFile) -> int | str:
    """What a segment and its indexes have in common: the number, or the first part of the name."""
    name = _base_name(file)
    parsed = parse_file_name(name)
    if parsed.base_offset is not None:
        return parsed.base_offset
    return name.removesuffix(parsed.suffix).rpartition(".")[0]


def _base_name(file: EvidenceFile) -> str:
    return file.path.rpartition("/")[2]
