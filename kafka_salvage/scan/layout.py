"""Layout: which directories of a source are log dirs and partition directories, told by what they hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kafka_salvage.scan.given import LOG_DIR_KINDS, is_partition_directory
from kafka_salvage.source.inventory import Entry, Nature
from kafka_salvage.wire.filenames import FileKind, PartitionDirectoryName, parse_directory_name, parse_file_name

REMOTE_INDEX_CACHE = "remote-log-index-cache"


@dataclass(slots=True)
class Layout:
    """A source's entries, arranged.

    Attributes:
        root: the source's root.
        entries: what was listed, sorted by path.
        context: paths of entries that were not given, but lie beside and are read.
        files: regular files that may be read, by directory.
        partitions: partition directory -> its parsed name.
        loose: directories with segments whose name is no partition name.
        log_dirs: sorted.
    """

    root: Path
    entries: tuple[Entry, ...]
    context: frozenset[str]
    files: dict[str, list[Entry]] = field(default_factory=dict)
    partitions: dict[str, PartitionDirectoryName] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)
    log_dirs: list[str] = field(default_factory=list)

    @property
    def holds_kafka(self) -> bool:
        """Whether anything was recognised."""
        return bool(self.partitions or self.loose or self.log_dirs)

    def log_dir_of(self, directory: str) -> str | None:
        """The log dir that a directory lies in, if its parent is one."""
        parent = parent_of(directory)
        return parent if directory != "." and parent in self.log_dirs else None


def parent_of(directory: str) -> str:
    """The directory around another one; "." is the root."""
    return directory.rpartition("/")[0] or "."


def in_remote_cache(path: str) -> bool:
    """Whether a path lies in the cache of remote indexes."""
    return REMOTE_INDEX_CACHE in path.split("/")[:-1]


def lay_out(root: Path, entries: Sequence[Entry], context: Sequence[Entry]) -> Layout:
    """Recognises directories.

    1. A directory is a partition directory when its name reads as one and it holds a partition's files. (`broker-1`
       reads as partition 1 of a topic `broker`.)
    2. A log dir holds a log dir's files, or partition directories.
    3. An empty directory with a partition's name is a partition directory when it lies in a log dir.
    4. Segments anywhere else are kept: their directory's name then stands for the topic.
    """
    layout = Layout(root, tuple(sorted([*entries, *context], key=lambda e: e.path)), frozenset(e.path for e in context))
    directories: dict[str, list[str]] = defaultdict(list)
    layout.files["."] = []
    explicit = {entry.parent or "." for entry in entries} if not any(e.path == "" for e in entries) else set()
    for entry in layout.entries:
        if entry.nature is Nature.DIRECTORY and entry.path and entry.reason is None and not in_remote_cache(entry.path):
            directories[entry.parent or "."].append(entry.path)
            layout.files.setdefault(entry.path, [])
        if entry.nature is Nature.FILE and entry.reason is None and not in_remote_cache(entry.path):
            layout.files.setdefault(entry.parent or ".", []).append(entry)
    for directory in sorted(layout.files):
        _recognise_partition(layout, directory, directories[directory], directory in explicit)
    around = {parent_of(path) for path in layout.partitions if path != "."}
    for directory in sorted(layout.files):
        _recognise_log_dir(layout, directory, directories[directory], directory in around)
    for directory in sorted(layout.files):
        _recognise_rest(layout, directory, directory in explicit)
    return layout


def _recognise_partition(layout: Layout, directory: str, below: list[str], explicit: bool) -> None:
    name = _name(layout, directory)
    parsed = parse_directory_name(name)
    files = [entry.name for entry in layout.files[directory]]
    segments = explicit and any(parse_file_name(each).kind is FileKind.SEGMENT for each in files)
    if parsed is not None and (segments or is_partition_directory(name, files, [_last(path) for path in below])):
        layout.partitions[directory] = parsed


def _recognise_log_dir(layout: Layout, directory: str, below: list[str], beside: bool) -> None:
    marked = any(parse_file_name(entry.name).kind in LOG_DIR_KINDS for entry in layout.files[directory])
    holds = any(path in layout.partitions for path in below)
    if directory not in layout.partitions and (marked or holds or beside):
        layout.log_dirs.append(directory)


def _recognise_rest(layout: Layout, directory: str, explicit: bool) -> None:
    """Empty partition directories of a log dir, and segments that lie loose."""
    if directory in layout.partitions:
        return
    files = layout.files[directory]
    parsed = parse_directory_name(_name(layout, directory))
    if (
        parsed is not None
        and not files
        and parent_of(directory) in layout.log_dirs
        and directory not in layout.log_dirs
    ):
        layout.partitions[directory] = parsed
        return
    numbered = [parse_file_name(entry.name) for entry in files if entry.path not in layout.context]
    if any(each.kind is FileKind.SEGMENT and (explicit or each.base_offset is not None) for each in numbered):
        layout.loose.append(directory)


def _name(layout: Layout, directory: str) -> str:
    return layout.root.name if directory == "." else _last(directory)


def _last(path: str) -> str:
    return path.rpartition("/")[2]
