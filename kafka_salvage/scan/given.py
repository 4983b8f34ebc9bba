"""Given: the PATH arguments of a run, understood, deduplicated and named. Their order has no influence.

1. ``NAME=PATH`` is split, unless a file of that whole name exists.
2. A directory is taken whole; a partition directory or a file is taken alone, under the directory around it, so that its
   path in a report still says which partition it is.
3. The same place twice is one; a place inside another one is part of it, unless it has a NAME of its own.
4. What has no NAME is named later, when its `meta.properties` is known (`name_sources`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kafka_salvage.errors import RequestError
from kafka_salvage.source.inventory import Entry, Identity, Lister, names_in
from kafka_salvage.source.refusals import kind_sentence, reason, refused
from kafka_salvage.wire.filenames import FileKind, parse_directory_name, parse_file_name

PARTITION_KINDS = frozenset(
    {
        FileKind.OFFSET_INDEX,
        FileKind.TIME_INDEX,
        FileKind.TXN_INDEX,
        FileKind.PRODUCER_SNAPSHOT,
        FileKind.EPOCH_CHECKPOINT,
        FileKind.PARTITION_METADATA,
        FileKind.QUORUM_STATE,
    }
)
"""Kinds that lie in partition directories and nowhere else (besides segments)."""

LOG_DIR_KINDS = frozenset({FileKind.META_PROPERTIES, FileKind.OFFSET_CHECKPOINT, FileKind.CLEAN_SHUTDOWN})
"""Kinds that lie in log dirs and nowhere else."""


@dataclass(slots=True)
class Given:
    """One source to be.

    Attributes:
        root: what paths are relative to (resolved).
        name: given by the person, or "".
        shown: where the person said it is (absolute, links kept), for a name by path.
        picks: parts below the root to take, "" for all of it.
        identities: of the picks, by device and inode.
    """

    root: Path
    name: str
    shown: Path
    picks: dict[str, Path] = field(default_factory=dict)
    identities: dict[Identity, str] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether all of the root is taken."""
        return "" in self.picks


def is_partition_content(name: str) -> bool:
    """Whether a file of this name makes its directory a partition directory."""
    parsed = parse_file_name(name)
    if parsed.kind in (FileKind.SEGMENT, FileKind.METADATA_SNAPSHOT):
        return parsed.base_offset is not None
    return parsed.kind in PARTITION_KINDS and (parsed.base_offset is not None or parsed.kind not in _NUMBERED)


_NUMBERED = frozenset({FileKind.OFFSET_INDEX, FileKind.TIME_INDEX, FileKind.TXN_INDEX, FileKind.PRODUCER_SNAPSHOT})


def is_partition_directory(name: str, files: Sequence[str], directories: Sequence[str]) -> bool:
    """Whether a directory is a partition directory, by its name and what it holds.

    A name like ``broker-1`` reads as partition 1 of a topic `broker`; only the content tells. An empty directory is
    judged by its surroundings elsewhere.
    """
    if parse_directory_name(name) is None or not any(map(is_partition_content, files)):
        return False
    log_dir_too = any(parse_file_name(each).kind in LOG_DIR_KINDS for each in files)
    return not (log_dir_too and any(parse_directory_name(each) for each in directories))


def looks_like_log_dir(place: Path, levels: int = 1) -> bool:
    """Whether a directory holds a broker's files or partition directories. Opens no file.

    Args:
        place: a directory.
        levels: 2 also takes a partition directory, and a directory of log dirs.
    """
    files, directories = _names(place)
    if any(parse_file_name(name).kind in LOG_DIR_KINDS for name in files):
        return True
    below = {name: _names(place / name) for name in directories}
    if any(is_partition_directory(name, *held) for name, held in below.items()):
        return True
    if levels == 1:
        return False
    return is_partition_directory(place.name, files, directories) or any(
        looks_like_log_dir(place / name) for name in directories
    )


def beside(given: Given) -> list[Entry]:
    """Known side files around what was picked: they are read as context, and are no part of the source otherwise."""
    found: dict[str, Entry] = {}
    for pick, place in given.picks.items():
        if not pick:
            continue
        directory = place.parent
        prefix = pick.rpartition("/")[0]
        names, _ = _names(directory)
        for name in names:
            if _is_context(name, "" if place.is_dir() else place.name):
                path = f"{prefix}/{name}" if prefix else name
                found.update({entry.path: entry for entry in Lister().tree(directory / name, path)})
    return [found[path] for path in sorted(found)]


def _is_context(name: str, segment: str) -> bool:
    """Whether a file beside a partition directory (``segment`` empty) or beside a segment file says something of it."""
    parsed = parse_file_name(name)
    if parsed.kind in LOG_DIR_KINDS:
        return True
    if not segment or parsed.kind not in PARTITION_KINDS:
        return False
    own = parse_file_name(segment)
    return parsed.kind not in _NUMBERED or (parsed.base_offset, parsed.suffix) == (own.base_offset, own.suffix)


def understand(paths: Sequence[str | os.PathLike[str]]) -> list[Given]:
    """The places that a run reads, sorted.

    Raises:
        RequestError: no such path, or nothing that could be read as Kafka data.
        SourceError: a directory that may not be listed.
    """
    if not paths:
        raise RequestError("No PATH was given", advice="Give a broker's log dir, a partition directory or .log files.")
    found: dict[tuple[Path, str], Given] = {}
    for argument in sorted({os.fspath(path) for path in paths}):
        name, path = _split(argument)
        root, pick, place, status = _locate(path)
        given = found.setdefault((root, name), Given(root, name, _shown(path, pick)))
        given.picks[pick] = place
        given.identities[status.st_dev, status.st_ino] = pick
    return _without_repeats(sorted(found.values(), key=lambda each: (each.name == "", each.root, each.name)))


def name_sources(given: Sequence[Given], nodes: Mapping[int, str]) -> list[str]:
    """A unique name for each source: NAME, else by node (``nodes``, by place in ``given``), else by path.

    Ties are numbered by sorted real path.
    """
    wanted = [each.name or nodes.get(place, "") for place, each in enumerate(given)]
    parts = {place: _parts(given[place].shown) for place, name in enumerate(wanted) if not name}
    for place, own in parts.items():
        others = [other for at, other in parts.items() if at != place]
        length = next((n for n in range(1, len(own)) if all(other[-n:] != own[-n:] for other in others)), len(own))
        wanted[place] = "-".join(own[-length:]) or "root"
    names = list(wanted)
    for name in sorted(set(wanted)):
        tied = [place for place, each in enumerate(wanted) if each == name]
        if len(tied) > 1:
            free = (f"{name}~{n}" for n in range(1, len(wanted) ** 2 + 2) if f"{name}~{n}" not in wanted)
            for place in sorted(tied, key=lambda at: (os.fspath(given[at].root), sorted(given[at].picks))):
                names[place] = next(free)
    return names


def _shown(path: Path, pick: str) -> Path:
    """The root as the person wrote it: absolute, links kept, without the picked parts where those can be seen in it."""
    written = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
    for part in reversed(pick.split("/") if pick else ()):
        if written.name != part:
            break
        written = written.parent
    return written


def _parts(path: Path) -> tuple[str, ...]:
    return tuple(part for part in path.parts if part != path.anchor)


def _split(argument: str) -> tuple[str, Path]:
    """NAME and PATH of one argument."""
    if not argument or "\0" in argument:
        raise RequestError("A PATH is empty or holds a NUL character", advice="Check the command line.")
    name, equals, path = argument.partition("=")
    if not equals or "/" in name or os.path.lexists(argument):
        return "", Path(argument)
    if not path or name in ("", ".", ".."):
        raise RequestError(f"{argument!r} is no NAME=PATH", advice="Write for example b1=/mnt/broker1.")
    return name, Path(path)


def _locate(path: Path) -> tuple[Path, str, Path, os.stat_result]:
    """(root, pick, place, status) of one PATH."""
    try:
        place = path.resolve(strict=True)
        status = place.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        why = reason(error) if isinstance(error, OSError) else "is a symbolic link that leads back to itself"
        if isinstance(error, PermissionError):
            raise refused(str(path), error) from error
        advice = "Check the path and whether the volume is mounted."
        raise RequestError(f"{path} {why}", advice=advice) from error
    if stat.S_ISDIR(status.st_mode):
        return *_locate_directory(path, place), place, status
    kind = kind_sentence(status.st_mode)
    if kind is not None:
        advice = "Mount the volume read-only and give the directory." if "device" in kind else "Give a directory."
        raise RequestError(f"{path} is a {kind}, not a directory or segment file", advice=advice)
    if parse_directory_name(place.parent.name) is not None:
        return place.parent.parent, f"{place.parent.name}/{place.name}", place, status
    return place.parent, place.name, place, status


def _locate_directory(path: Path, place: Path) -> tuple[Path, str]:
    """(root, pick) of a directory."""
    try:
        names = names_in(place)
    except OSError as error:
        raise refused(str(path), error) from error
    if not names:
        raise RequestError(
            f"{path} is an empty directory",
            causes=("The volume is not mounted there.", "Another directory was meant."),
            advice="Check the path and whether the volume is mounted.",
        )
    if is_partition_directory(place.name, *_names(place)):
        return place.parent, place.name
    return place, ""


def file_names(place: Path) -> list[str]:
    """Names of what is no directory in a directory; empty when it cannot be listed."""
    return _names(place)[0]


def _names(place: Path) -> tuple[list[str], list[str]]:
    """Names of the files and of the directories in a directory; empty when it cannot be listed."""
    try:
        found = names_in(place)
    except OSError:  # the walk reports it
        return [], []
    return [name for name, is_directory in found if not is_directory], [
        name for name, is_directory in found if is_directory
    ]


def _without_repeats(given: Sequence[Given]) -> list[Given]:
    """Drops what another source reads anyway; named ones (they come first) keep what is theirs."""
    claimed: set[Identity] = set()
    for each in given:
        for identity, pick in list(each.identities.items()):
            if identity in claimed and each.name:
                raise RequestError(f"{each.picks[pick]} was given under two names", advice="Give it one NAME.")
            if identity in claimed or (not each.name and _inside(each, pick, given)):
                each.picks.pop(pick)
            claimed.add(identity)
    kept = [each for each in given if each.picks]
    return sorted(kept, key=lambda each: (os.fspath(each.root), sorted(each.picks), each.name))


def _inside(each: Given, pick: str, given: Sequence[Given]) -> bool:
    """Whether another place that is taken whole holds this one."""
    place = each.picks[pick]
    return any(
        other.picks[above] in place.parents for other in given for above in other.picks if other.picks[above] != place
    )
