"""FaultySource: a file on a failing disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from kafka_salvage.ranges import ByteRange
from kafka_salvage.source.files import FileSource


class FaultySource(FileSource):
    """A FileSource whose reads fail with an input/output error where they touch a bad range.

    Args:
        path: the file.
        bad: byte ranges that no read may touch.
        short: most bytes that one system call gives (0: no bound).
    """

    def __init__(self, path: str | os.PathLike[str], bad: Sequence[tuple[int, int]], *, short: int = 0) -> None:
        super().__init__(path)
        self.bad = [ByteRange(*each) for each in bad]
        self.short = short
        self.calls: list[tuple[int, int]] = []

    def fileno(self) -> int:
        """None, so that kernels come through `read_into`."""
        return -1

    def _pread(self, view: memoryview, position: int) -> int:
        self.calls.append((position, len(view)))
        if any(each.overlaps(ByteRange(position, position + len(view))) for each in self.bad):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super()._pread(view[: self.short] if self.short else view, position)
