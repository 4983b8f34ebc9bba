"""Identity: what shows that a file is still the one that was read before."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from kafka_salvage.errors import SourceError
from kafka_salvage.source.files import FileSource

EDGE = 64 << 10
"""Bytes at either end of a file that are compared."""

Identity = list[object]
"""Size, modification time in ns, inode, SHA-256 of head and tail, and what of them could not be read; plain values."""


def identity_of(path: str | os.PathLike[str]) -> Identity | None:
    """What shows that a file is still the same; reads at most two edges of it.

    A change in the middle that keeps the size is seen by its modification time only.

    Args:
        path: the file; a symbolic link is followed.

    Returns:
        Plain values to compare; None when the file cannot be opened, so that nothing is ever taken for it.
    """
    try:
        with FileSource(path) as source:
            status = os.fstat(source.fileno())
            edges = hashlib.sha256()
            for start, stop in _edges(source.size):
                edges.update(source.read(start, stop).data)
            gaps = [[gap.start, gap.stop] for gap in source.unreadable]
    except (SourceError, OSError):
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ino, edges.hexdigest(), gaps]


def _edges(size: int) -> list[tuple[int, int]]:
    if size <= 2 * EDGE:
        return [(0, size)]
    return [(0, EDGE), (size - EDGE, size)]


def identities_of(paths: dict[str, Path]) -> dict[str, Identity] | None:
    """Identities by name; None when one of the files has none."""
    found: dict[str, Identity] = {}
    for name, path in paths.items():
        identity = identity_of(path)
        if identity is None:
            return None
        found[name] = identity
    return found
