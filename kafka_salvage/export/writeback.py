"""Writeback: a growing file's pages sent to the disk while more is written, and room on the disk taken ahead of it.

Without, a large file lies in the page cache until its `fsync`, which then takes as long as the disk needs for all of it, with the
processor idle meanwhile. Room that is taken in large steps spares the file system a decision for each page, and gives files
that are written side by side large pieces of the disk. Both are hints: where the system has none or refuses, nothing is lost.
"""

from __future__ import annotations

import ctypes
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

_Call = Callable[..., int]


@functools.cache
def _system(name: str, *arguments: type[object]) -> _Call | None:
    """A function of the C library; None where there is none."""
    try:
        found = getattr(ctypes.CDLL(None), name)
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
        """The file has so many bytes now."""
        if size - self._sent >= BEGIN:
            send = _system("sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
            if send is not None:
                send(self._descriptor, self._sent, size - self._sent, _WRITE)
                if (done := size - BEHIND - self._waited) >= BEGIN:
                    send(self._descriptor, self._waited, done, _WAIT)
                    self._waited += done
            self._sent = size
        if self._takes_room and size >= ROOM // 2 and size + BEGIN > self._room:
            self._take(size)

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
