"""Writeback: a growing file's pages sent to the disk while more is written, and room on the disk taken ahead of it.

Without, a large file lies in the page cache until its `fsync`, which then takes as long as the disk needs for all of it, with the
processor idle meanwhile. Room that is taken in large steps spares the file system a decision for each page, and gives files
that are written side by side large pieces of the disk. Both are hints: where the system has none or refuses, nothing is lost.
A disk's error is none of that: the system tells it once, to whoever asks first, and no `fsync` behind would tell it again.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Callable
from contextlib import suppress

BEGIN = 8 << 20
"""Bytes that are sent at a time; smaller files are left to their `fsync`."""
BEHIND = 128 << 20
"""Most bytes of a file that may be on their way: whoever writes faster than the disk waits as he goes, not all at the end. So what
is told of the rate is that of the disk, and little is left to be done when the last byte is written."""
ROOM = 64 << 20
"""Bytes of room taken at a time, once a file has grown to half of this."""
_WAIT = 1
"""SYNC_FILE_RANGE_WAIT_BEFORE: come back when what was begun has been written."""
_WRITE = 2
"""SYNC_FILE_RANGE_WRITE: begin to write what is dirty, wait for nothing."""
_KEEP_SIZE = 1
"""FALLOC_FL_KEEP_SIZE: the file does not grow by it."""

_LOST = frozenset({errno.EIO, errno.ENOSPC, errno.EDQUOT})
"""Errors that mean that pages did not reach the disk."""

_Call = Callable[..., int]


@functools.cache
def _system(name: str, *arguments: type[object]) -> _Call | None:
    """A function of the C library; None where there is none."""
    try:
        found = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return None
    found.argtypes = arguments
    return found  # type: ignore[no-any-return] # a foreign function has no type


class Writeback:
    """What was done ahead for one file.

    Args:
        descriptor: of the file.
        size: bytes that it has.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._sent = self._room = self._waited = size
        self._takes_room = True

    def grown(self, size: int) -> None:
        """The file has so many bytes now. Raises: OSError."""
        if size - self._sent >= BEGIN:
            if self._range(self._sent, size - self._sent, _WRITE) and (done := size - BEHIND - self._waited) >= BEGIN:
                self._range(self._waited, done, _WAIT)
                self._waited += done
            self._sent = size
        if self._takes_room and size >= ROOM // 2 and size + BEGIN > self._room:
            self._take(size)

    def send(self) -> None:
        """Sends all that the file has; waits for nothing. Raises: OSError."""
        self._range(0, 0, _WRITE)

    def sent(self) -> None:
        """Comes back when what was sent has been written. Raises: OSError."""
        self._range(0, 0, _WAIT)

    def _range(self, start: int, size: int, what: int) -> bool:
        """Tells the system about bytes (a size of 0: all behind); False where it has no such call, or refuses."""
        call = _system("sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
        if call is None:
            return False
        ctypes.set_errno(0)
        if call(self._descriptor, start, size, what) == 0:
            return True
        if (code := ctypes.get_errno()) in _LOST:
            raise OSError(code, os.strerror(code))
        return False

    def _take(self, size: int) -> None:
        take = _system("fallocate64", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
        start = max(size, self._room)
        if take is None or take(self._descriptor, _KEEP_SIZE, start, ROOM) != 0:
            self._takes_room = False  # a full disk says so when it is written to; others cannot do this at all
            return
        self._room = start + ROOM

    def over(self, size: int) -> None:
        """The file is whole, or ends here for now: gives back what it has not used."""
        if self._room > size:
            with suppress(OSError):
                os.ftruncate(self._descriptor, size)
            self._room = size
