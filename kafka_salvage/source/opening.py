"""Opening: a path becomes a Source, or one exception that a person understands."""

from __future__ import annotations

import os

from kafka_salvage.source.files import FileSource


def open_source(path: str | os.PathLike[str], name: str = "") -> FileSource:
    """Opens a regular file for reading only.

    Args:
        path: the file; a symbolic link is followed.
        name: display name; the path when empty.

    Raises:
        SourceError: with the likely causes and what to do.
    """
    return FileSource(path, name)
