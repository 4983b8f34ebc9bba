"""Unmixed directories: those of a stage that hold nothing but finished files, and can take their places as they are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from pathlib import Path


def mixed_directories(staging: Path, wanted: Set[str]) -> set[str]:
    """Directories below ``staging``, relative, that hold anything else at any depth: another file, a link, or nothing at all.

    Args:
        staging: where files lie until they are committed.
        wanted: finished files that lie there, relative.
    """
    mixed: set[str] = set()
    for folder, names, files in os.walk(staging):
        below = os.path.relpath(folder, staging)
        prefix = "" if below == "." else f"{below}/"
        odd = not names and not files
        odd = odd or any(prefix + name not in wanted for name in files)
        if odd or any(Path(folder, name).is_symlink() for name in names):
            mixed.update(_and_around(below))
    return mixed


def candidates(path: str) -> Iterator[str]:
    """The directories around a file, the outermost first."""
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def _and_around(directory: str) -> Iterator[str]:
    yield directory
    yield from candidates(directory)
