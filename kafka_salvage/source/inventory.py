"""Inventory: what lies under a root. Knows no Kafka, opens no file.

Strategy: real directories are listed first, symbolic links that the caller wants followed afterwards, all in sorted
order; each directory is entered once, by device and inode, so links that form a loop end. What is no regular file is
named and never opened. What may not be listed becomes an entry, not an exception.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from kafka_salvage.source.files import open_quietly
from kafka_salvage.source.refusals import kind_sentence, reason

Identity = tuple[int, int]
"""Device and inode."""


class Nature(StrEnum):
    """What an entry is to the operating system."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "symbolic link"
    SPECIAL = "special"
    UNREADABLE = "unreadable"


def names_in(place: Path) -> list[tuple[str, bool]]:
    """(name, is a directory) of what lies in a directory, links followed for the question; its access time is kept.

    Raises:
        OSError: it may not be listed, or is none.
    """
    descriptor = open_quietly(place, os.O_DIRECTORY)
    try:
        with os.scandir(descriptor) as listing:
            return [(each.name, _is_directory(each)) for each in listing]
    finally:
        os.close(descriptor)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself
        return False


@dataclass(frozen=True, slots=True)
class Entry:
    """One name below a root.

    Attributes:
        path: relative to the root, `/` between parts, undecodable bytes surrogate-escaped; "" is the root itself.
        real: where it lies.
        nature: what it is.
        size: bytes of a regular file, else 0.
        modified: time of the last change, ns since the epoch; 0 when unknown.
        reason: why it is not entered or read, as the end of a sentence; None when nothing stands against it.
    """

    path: str
    real: Path
    nature: Nature
    size: int = 0
    modified: int = 0
    reason: str | None = None

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> str:
        """The path without its last part."""
        return self.path.rpartition("/")[0]


@dataclass(slots=True)
class Lister:
    """Lists trees; what was met once is not met again, over all the roots it is given.

    Attributes:
        follow: asked for each symbolic link to a directory: (place, parts below the root) -> whether to enter it.
        seen: identity -> what to call the place where it was met first. Fill it beforehand to keep the lister out.
    """

    follow: Callable[[Path, int], bool] = lambda place, depth: False
    seen: dict[Identity, str] = field(default_factory=dict)
    _found: list[Entry] = field(default_factory=list)
    _links: list[tuple[str, Path]] = field(default_factory=list)

    def tree(self, root: Path, prefix: str = "", label: str = "") -> list[Entry]:
        """Everything below ``root``, itself included, sorted by path.

        Args:
            root: a directory or file; a link is followed.
            prefix: put before each relative path.
            label: what to call the root where a second way to the same place is reported.
        """
        self._found, self._links = [], []
        try:
            status = root.stat()
        except OSError as error:
            return [Entry(prefix, root, Nature.UNREADABLE, reason=reason(error))]
        self.seen.setdefault((status.st_dev, status.st_ino), label or prefix)
        if not stat.S_ISDIR(status.st_mode):
            return [_entry(prefix, root, status)]
        self._walk(prefix, root, status, label)
        while self._links:
            self._enter_links(label)
        return sorted(self._found, key=lambda entry: entry.path)

    def _walk(self, path: str, place: Path, status: os.stat_result, label: str) -> None:
        """Lists a directory that was not met before, and those below it."""
        waiting = [(path, place, status)]
        while waiting:
            path, place, status = waiting.pop()
            try:
                names = sorted(name for name, _ in names_in(place))
            except OSError as error:
                self._found.append(Entry(path, place, Nature.UNREADABLE, reason=reason(error)))
                continue
            self._found.append(Entry(path, place, Nature.DIRECTORY, modified=status.st_mtime_ns))
            below = [self._look(f"{path}/{name}" if path else name, place / name, label) for name in names]
            waiting.extend(each for each in reversed(below) if each is not None)

    def _look(self, path: str, place: Path, label: str) -> tuple[str, Path, os.stat_result] | None:
        """Notes one name; gives it back when it is a directory to enter."""
        try:
            status = place.lstat()
        except OSError as error:
            self._found.append(Entry(path, place, Nature.UNREADABLE, reason=reason(error)))
            return None
        if stat.S_ISLNK(status.st_mode):
            self._links.append((path, place))
            return None
        directory = stat.S_ISDIR(status.st_mode)
        if directory or status.st_nlink > 1:
            identity = (status.st_dev, status.st_ino)
            first = self.seen.setdefault(identity, f"{label}/{path}" if label else path)
            if first != (f"{label}/{path}" if label else path):
                nature = Nature.DIRECTORY if directory else Nature.FILE
                why = f"the same {nature} as {first or 'the root'}, which is read"
                self._found.append(Entry(path, place, nature, 0 if directory else status.st_size, reason=why))
                return None
        if directory:
            return path, place, status
        self._found.append(_entry(path, place, status))
        return None

    def _enter_links(self, label: str) -> None:
        links, self._links = sorted(self._links), []
        for path, place in links:
            self._enter_link(path, place, label)

    def _enter_link(self, path: str, place: Path, label: str) -> None:
        try:
            status = place.stat()
        except OSError as error:
            self._found.append(Entry(path, place, Nature.LINK, reason=f"a symbolic link that {_dangling(error)}"))
            return
        why = "a symbolic link, not followed; give what it names as a PATH to read it"
        if stat.S_ISDIR(status.st_mode) and self.follow(place, path.count("/") + 1):
            identity = (status.st_dev, status.st_ino)
            first = self.seen.get(identity)
            if first is None:
                self.seen[identity] = f"{label}/{path}" if label else path
                self._walk(path, place, status, label)
                return
            why = f"a symbolic link to {first or 'the root'}, which is read"
        self._found.append(Entry(path, place, Nature.LINK, reason=why))


def _entry(path: str, place: Path, status: os.stat_result) -> Entry:
    """An entry for what is no directory and no link."""
    kind = kind_sentence(status.st_mode)
    if kind is not None:
        return Entry(path, place, Nature.SPECIAL, modified=status.st_mtime_ns, reason=f"a {kind}, never opened")
    return Entry(path, place, Nature.FILE, status.st_size, status.st_mtime_ns)


def _dangling(error: OSError) -> str:
    return "leads to nothing" if isinstance(error, FileNotFoundError) else reason(error)
