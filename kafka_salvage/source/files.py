"""FileSource: a regular file, read at positions with ``pread``, never mapped, never written.

Strategy:

1. The path is looked at before it is opened (opening a tape device already rewinds it), opened without blocking and
   without touching its access time, and looked at again: only a regular file is kept.
2. A read that fails is repeated in pieces of 64 KiB, 4 KiB and 512 bytes, cut at multiples of their size. What still
   fails is filled with zeros, remembered, and never asked for again: a dying disk gets worse with every try.
3. A file that shrinks gives zeros for what is gone, remembered likewise. What is added while it is read is not seen.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from kafka_salvage.ranges import ByteRange
from kafka_salvage.source.gaps import Gaps
from kafka_salvage.source.paging import Paging
from kafka_salvage.source.refusals import refused, refused_kind
from kafka_salvage.source.source import U8

PIECES = (64 << 10, 4 << 10, 512)
"""Sizes in which a failed read is tried again, bytes."""

_BLOCK = 512
"""Bytes of a block, as ``stat`` counts them whatever the file system."""
_OUR_FAULT = frozenset({errno.EBADF, errno.EFAULT, errno.EINVAL})
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_NO_ACCESS_TIME = getattr(os, "O_NOATIME", 0)


def _open_regular(path: Path, name: str) -> tuple[int, os.stat_result]:
    """Descriptor and status of a regular file; everything else is refused."""
    try:
        before = path.stat()
        if not stat.S_ISREG(before.st_mode):
            raise refused_kind(name, before.st_mode)
        descriptor = open_quietly(path)
    except OSError as error:
        raise refused(name, error) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise refused_kind(name, status.st_mode)
    if hasattr(os, "posix_fadvise"):  # reads further ahead; nothing else depends on it
        with contextlib.suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    return descriptor, status


def open_quietly(path: Path, more: int = 0) -> int:
    """A read-only descriptor that leaves the access time alone; only the owner may ask for that, so others open plainly.

    Args:
        path: file or directory.
        more: further flags.

    Raises:
        OSError: it could not be opened.
    """
    try:
        return os.open(path, _FLAGS | _NO_ACCESS_TIME | more)
    except PermissionError as error:
        if error.errno != errno.EPERM or not _NO_ACCESS_TIME:
            raise
    return os.open(path, _FLAGS | more)


class FileSource:
    """Bytes of a regular file.

    Args:
        path: the file; a symbolic link is followed.
        name: display name; the path when empty.

    Raises:
        SourceError: it is no regular file, or could not be opened.
    """

    def __init__(self, path: str | os.PathLike[str], name: str = "") -> None:
        self._path = Path(path)
        self._name = name or os.fspath(path)
        self._descriptor, status = _open_regular(self._path, self._name)
        self._size = status.st_size
        self._stored = getattr(status, "st_blocks", 0) * _BLOCK
        self._gaps = Gaps()
        self._paging = Paging(self._descriptor)

    def __repr__(self) -> str:
        return f"FileSource({self._name!r}, {self._size} bytes)"

    @property
    def name(self) -> str:
        """Display name."""
        return self._name

    @property
    def path(self) -> Path:
        """Where it was opened."""
        return self._path

    @property
    def size(self) -> int:
        """Bytes when it was opened."""
        return self._size

    @property
    def unreadable(self) -> tuple[ByteRange, ...]:
        """What could not be read so far, sorted, joined."""
        return self._gaps.ranges

    def fileno(self) -> int:
        """The descriptor, for kernels that ``pread`` themselves; -1 once closed.

        Whoever reads through it must come back to `read_into` when a read fails.
        """
        return self._descriptor

    def expect(self, start: int, stop: int) -> None:
        """Says that ``[start, stop)`` is read soon: what is not in memory is fetched meanwhile (see `paging`)."""
        if self._descriptor >= 0:
            self._paging.expect(start, min(stop, self._size))

    def data_ranges(self, start: int = 0, stop: int | None = None) -> Iterator[ByteRange]:
        """The parts of ``[start, stop)`` that the file system stores; the rest are holes, which read as zeros.

        A file system that knows no holes gives the whole range. So does a file that takes as much room as it has bytes: to ask
        for its holes would make some file systems go through all its pages.
        """
        end = self._size if stop is None else min(stop, self._size)
        position = start
        if position < end and self._stored >= self._size:
            yield ByteRange(position, end)
            return
        while position < end:
            try:
                data = max(os.lseek(self._descriptor, position, os.SEEK_DATA), position)
                hole = os.lseek(self._descriptor, data, os.SEEK_HOLE) if data < end else data
            except OSError as error:
                if error.errno == errno.ENXIO:  # no data behind this position
                    return
                data, hole = position, end
            if data >= end:
                return
            # a file that shrinks between the two calls may answer with the same place; the rest is then read plainly
            hole = min(hole, end) if hole > data else end
            yield ByteRange(data, hole)
            position = hole

    def read_into(self, position: int, buffer: U8) -> int:
        """Fills ``buffer`` from ``position``; returns bytes filled (fewer than asked only at the end of the file)."""
        want = min(len(buffer), self._size - position)
        if want <= 0:
            return 0
        view = buffer.data[:want]
        done = 0
        while done < want:
            gap = self._gaps.first(position + done, position + want)
            if gap is not None and gap.start <= position + done:
                stop = min(gap.stop - position, want)
                buffer[done:stop] = 0
            else:
                stop = want if gap is None else gap.start - position
                self._fill(position + done, view[done:stop], 0)
            done = stop
        return want

    def read(self, start: int, stop: int) -> U8:
        """Bytes ``[start, stop)`` (clipped to the file) in a new array."""
        buffer = np.empty(max(0, min(stop, self._size) - start), np.uint8)
        self.read_into(start, buffer)
        return buffer

    def close(self) -> None:
        """Gives back the descriptor."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._paging.leave()
            os.close(descriptor)

    def __enter__(self) -> FileSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pread(self, view: memoryview, position: int) -> int:
        """One system call; a test double fails here."""
        return os.preadv(self._descriptor, [view], position)

    def _fill(self, position: int, view: memoryview, level: int) -> None:
        """Fills ``view``; after a failure by pieces of ``PIECES[level]`` bytes, and those by smaller ones."""
        done = 0
        while done < len(view):
            try:
                got = self._pread(view[done:], position + done)
            except OSError as error:
                if error.errno in _OUR_FAULT:
                    raise
                self._fill_by_pieces(position + done, view[done:], level)
                return
            if got == 0:  # the file has shrunk
                self._give_up(position + done, view[done:])
                return
            done += got

    def _fill_by_pieces(self, position: int, view: memoryview, level: int) -> None:
        """Fills ``view``, of which a read has failed, in pieces smaller than itself."""
        while level < len(PIECES) and len(view) <= PIECES[level]:
            level += 1
        if level == len(PIECES):
            self._give_up(position, view)
            return
        piece = PIECES[level]
        done = 0
        while done < len(view):
            stop = min(len(view), done + piece - (position + done) % piece)
            self._fill(position + done, view[done:stop], level + 1)
            done = stop

    def _give_up(self, position: int, view: memoryview) -> None:
        view[:] = bytes(len(view))
        self._gaps.add(position, position + len(view))
